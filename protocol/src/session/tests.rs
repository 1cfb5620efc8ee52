//! Both ends in one test, with a clock that is told the time and a wire that drops.

use windflow_model::{Code, Doc, Document};

use super::*;
use crate::{
    control::{AgentFrame, ControllerFrame},
    hello::AgentHello,
    version::{Version, VersionRange},
    work::HeldList,
};

mod agent;
mod controller;

/// Any document: a session looks into none.
fn doc<T: Document>() -> Doc<T> {
    postcard::from_bytes(&postcard::to_allocvec(&(1_u16, b"{}".as_slice())).unwrap()).unwrap()
}

struct Pair {
    agent: AgentSession,
    controller: ControllerSession,
    now: Duration,
    cut: bool,
    /// No program answers any more; the transport still does.
    hung: bool,
    packets: u64,
    proven: (u32, u32),
    closed: (Option<String>, Option<String>),
    epoch: u64,
}

impl Pair {
    fn new(versions: VersionRange, seen_epoch: u64) -> Self {
        let hello = AgentHello {
            versions,
            features: Vec::new(),
            build: "a".into(),
            boot_id: [0; 16],
            wall_ms: 0,
        };
        let options = AgentSessionOptions {
            hello,
            controller_epoch: seen_epoch,
        };
        let (agent, actions) = AgentSession::start(options, Duration::ZERO);
        let mut pair = Self {
            agent,
            controller: ControllerSession::new(VersionRange::SUPPORTED, Duration::ZERO),
            now: Duration::ZERO,
            cut: false,
            hung: false,
            packets: 0,
            proven: (0, 0),
            closed: (None, None),
            epoch: 5,
        };
        pair.agent_does(actions);
        pair
    }

    fn agent_does(&mut self, actions: Vec<AgentAction>) {
        for action in actions {
            match action {
                AgentAction::Send(frame) if !self.cut && !self.hung => {
                    let next = self.controller.on_frame(frame, self.now);
                    self.controller_does(next);
                }
                AgentAction::Opened(_) => {
                    let held = Doc::seal(&HeldList::default()).unwrap();
                    let next = self.agent.resume(held, 0, self.now);
                    self.agent_does(next);
                }
                AgentAction::Proven(_) => self.proven.0 += 1,
                AgentAction::Close(denial) => {
                    self.closed.0 = Some(format!("{} {}", denial.code, denial.message))
                }
                _ => {}
            }
        }
    }

    fn controller_does(&mut self, actions: Vec<ControllerAction>) {
        for action in actions {
            match action {
                ControllerAction::Send(frame) if !self.cut && !self.hung => {
                    let next = self.agent.on_frame(frame, self.now);
                    self.agent_does(next);
                }
                ControllerAction::Greeted(_) => {
                    let welcome = Welcome {
                        build: "c".into(),
                        controller_epoch: self.epoch,
                        session_epoch: 1,
                        acked_report: 0,
                        wall_ms: 0,
                    };
                    let next = self.controller.welcome(welcome, self.now);
                    self.controller_does(next);
                }
                ControllerAction::Proven(_) => self.proven.1 += 1,
                ControllerAction::Close(reason) => self.closed.1 = Some(reason),
                _ => {}
            }
        }
    }

    /// Time passes; the transport's packets go both ways unless the wire is cut.
    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            if !self.cut && self.now.as_secs().is_multiple_of(HEARTBEAT_EVERY.as_secs()) {
                self.packets += 1;
            }
            let next = self.agent.on_tick(self.packets, self.now);
            self.agent_does(next);
            let next = self.controller.on_tick(self.packets, self.now);
            self.controller_does(next);
        }
    }
}

#[test]
fn stays_up_and_proves_itself_both_ways() {
    let mut pair = Pair::new(VersionRange::SUPPORTED, 5);
    pair.run(3_600);
    assert_eq!(pair.closed, (None, None));
    assert!(pair.proven.0 >= 30 && pair.proven.1 >= 30, "{:?}", pair.proven);
}

#[test]
fn a_program_that_hangs_is_found_though_its_packets_still_come() {
    let mut pair = Pair::new(VersionRange::SUPPORTED, 5);
    pair.run(30);
    pair.hung = true;
    pair.run((PROVE_EVERY + DEAD_AFTER).as_secs());
    let reason = pair.closed.0.unwrap_or_default();
    assert!(reason.contains("has not answered a ping"), "{reason}");
}

#[test]
fn a_cut_is_found_on_both_ends_within_25_seconds() {
    for before in 0..30 {
        let mut pair = Pair::new(VersionRange::SUPPORTED, 0);
        pair.run(before);
        pair.cut = true;
        pair.run(25);
        assert!(
            pair.closed.0.is_some() && pair.closed.1.is_some(),
            "{before}: {:?}",
            pair.closed
        );
    }
}

#[test]
fn a_newer_agent_and_an_older_controller_are_refused() {
    let newer = VersionRange {
        min: Version(2),
        max: Version(3),
    };
    let pair = Pair::new(newer, 0);
    let told = pair.closed.0.unwrap();
    assert!(
        told.starts_with(Code::ProtocolVersion.as_str()) && told.contains("update the controller"),
        "{told}"
    );
    assert!(pair.closed.1.unwrap().contains("update the controller"));
    let pair = Pair::new(VersionRange::SUPPORTED, 6);
    assert!(pair.closed.0.unwrap().contains("restored from a backup"));
}

#[test]
fn an_acknowledgement_of_nothing_ends_the_session() {
    let mut pair = Pair::new(VersionRange::SUPPORTED, 0);
    let next = pair
        .agent
        .on_frame(ControllerFrame::ReportAck { upto: 9 }, pair.now);
    pair.agent_does(next);
    assert!(pair.closed.0.unwrap().contains("never sent"));
}

#[test]
fn frames_survive_the_wire_and_nothing_else_does() {
    use crate::codec::{Decoded, Decoder, decode, encode};
    let frames = [
        AgentFrame::Ping { nonce: 300 },
        AgentFrame::Bye { reason: "x".into() },
        AgentFrame::Renew { csr: vec![1, 2, 3] },
    ];
    let mut bytes = Vec::new();
    for frame in &frames {
        encode(frame, &mut bytes).unwrap();
    }
    assert_eq!(
        hex::encode(&bytes),
        "0000000307ac02000000030a0178000000050903010203"
    );
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for byte in &bytes {
        decoder.push(&[*byte]);
        while let Some(Decoded::Frame(frame)) = decoder.next_frame::<AgentFrame>().unwrap() {
            found.push(frame);
        }
    }
    assert_eq!(found, frames);
    // A variant of a newer build is skipped; a length beyond the limit is refused before anything is stored.
    assert!(matches!(
        decode::<AgentFrame>(&[99, 1]),
        Ok(Decoded::Unknown { variant: 99, .. })
    ));
    let mut decoder = Decoder::default();
    decoder.push(&u32::MAX.to_be_bytes());
    assert!(decoder.next_frame::<AgentFrame>().is_err());
    // Torn and flipped bytes: an error or a frame, never a panic.
    for at in 0..bytes.len() {
        let _torn = decode::<AgentFrame>(bytes.get(4..at.max(4)).unwrap());
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let mut decoder = Decoder::default();
            decoder.push(&flipped);
            while let Ok(Some(_)) = decoder.next_frame::<AgentFrame>() {}
        }
    }
}
