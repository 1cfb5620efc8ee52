//! The controller's end alone: whom it lets in, what it hands on, and when it gives up.

use windflow_model::DeploymentId;

use super::*;
use crate::{control::Denial, hello::ControllerHello, metrics::Batch};

const START: Duration = Duration::from_secs(1_000);

fn s(seconds: u64) -> Duration {
    START + Duration::from_secs(seconds)
}

fn agent(min: u16, max: u16) -> AgentHello {
    AgentHello {
        versions: VersionRange {
            min: Version(min),
            max: Version(max),
        },
        features: Vec::new(),
        build: "a".into(),
        boot_id: [0; 16],
        wall_ms: 0,
    }
}

fn resume() -> AgentFrame {
    AgentFrame::Resume {
        held: doc(),
        acked_report: 0,
    }
}

/// One whose connection was just accepted.
fn accepted() -> ControllerSession {
    ControllerSession::new(VersionRange::SUPPORTED, START)
}

/// One that asks the application whether to let the agent in.
fn greeted() -> ControllerSession {
    let mut session = accepted();
    let actions = session.on_frame(AgentFrame::Hello(agent(1, 1)), START);
    assert_eq!(actions, [ControllerAction::Greeted(agent(1, 1))]);
    session
}

/// One that was let in at that time; the controller has reports up to 7.
fn welcomed(at: Duration) -> ControllerSession {
    let mut session = greeted();
    let hello = ControllerFrame::Hello(ControllerHello {
        version: Version(1),
        features: vec!["metrics".into(), "events".into()],
        build: "c".into(),
        controller_epoch: 3,
        session_epoch: 4,
        acked_report: 7,
        wall_ms: 5,
    });
    let welcome = Welcome {
        build: "c".into(),
        controller_epoch: 3,
        session_epoch: 4,
        acked_report: 7,
        wall_ms: 5,
    };
    assert_eq!(
        session.welcome(welcome.clone(), at),
        [ControllerAction::Send(hello)]
    );
    assert!(session.welcome(welcome, at).is_empty(), "only once");
    session
}

fn steady() -> ControllerSession {
    let mut session = welcomed(START);
    let actions = session.on_frame(resume(), START);
    let said = [
        ControllerAction::Held(doc()),
        ControllerAction::Send(ControllerFrame::Ping { nonce: 1 }),
    ];
    assert_eq!(actions, said);
    session
}

fn reason(actions: &[ControllerAction]) -> &str {
    match actions {
        [] => "",
        [ControllerAction::Close(reason)] => reason,
        other => panic!("{other:?}"),
    }
}

fn acked(upto: u64) -> [ControllerAction; 1] {
    [ControllerAction::Send(ControllerFrame::ReportAck { upto })]
}

#[test]
fn only_a_resumed_session_is_steady() {
    for (session, expected) in [
        (accepted(), false),
        (greeted(), false),
        (welcomed(START), false),
        (steady(), true),
    ] {
        assert_eq!(session.is_steady(), expected, "{session:?}");
    }
    let welcome = Welcome {
        build: "c".into(),
        controller_epoch: 3,
        session_epoch: 4,
        acked_report: 7,
        wall_ms: 5,
    };
    assert!(
        accepted().welcome(welcome, START).is_empty(),
        "nobody has greeted"
    );
    let denial = Denial::new(Code::TokenInvalid, "go away", 9);
    let mut refused = greeted();
    assert_eq!(
        refused.refuse(denial.clone()),
        [
            ControllerAction::Send(ControllerFrame::Refused(denial)),
            ControllerAction::Close("go away".into()),
        ]
    );
    assert!(refused.on_frame(resume(), START).is_empty(), "it is over");
    assert_eq!(refused.deadline(), None);
}

#[test]
fn who_has_to_be_updated_is_named() {
    let ours = VersionRange {
        min: Version(3),
        max: Version(5),
    };
    let check = |min: u16, max: u16, older: &str| {
        let mut session = ControllerSession::new(ours, START);
        let actions = session.on_frame(AgentFrame::Hello(agent(min, max)), START);
        let theirs = agent(min, max).versions;
        let text =
            format!("the agent (a) speaks protocol {theirs}, this controller 3 to 5: update the {older}");
        let denial = Denial::new(Code::ProtocolVersion, text.clone(), 3_600_000);
        assert_eq!(
            actions,
            [
                ControllerAction::Send(ControllerFrame::Refused(denial)),
                ControllerAction::Close(text)
            ]
        );
    };
    check(6, 7, "controller");
    check(1, 2, "agent");
    // No range: nobody could say which side is older.
    check(5, 2, "agent");
}

#[test]
fn reports_are_taken_once_and_acknowledged_when_stored() {
    let mut session = steady();
    let mut said = |seq: u64| session.on_frame(AgentFrame::Report { seq, report: doc() }, START);
    let taken = |seq: u64| [ControllerAction::Report { seq, report: doc() }];
    assert_eq!(said(6), acked(7), "stored before this session");
    assert_eq!(said(7), acked(7), "stored before this session");
    assert_eq!(said(8), taken(8));
    assert!(said(8).is_empty(), "it is being stored");
    assert_eq!(said(10), taken(10), "numbers may have holes");
    assert!(said(9).is_empty(), "a newer one is being stored");
    assert_eq!(session.stored(8), acked(8));
    assert_eq!(session.stored(10), acked(10));
    assert_eq!(session.stored(9), acked(10), "what is stored stays so");
    let repeat = AgentFrame::Report {
        seq: 10,
        report: doc(),
    };
    assert_eq!(session.on_frame(repeat, START), acked(10));
}

#[test]
fn what_the_host_says_is_handed_on_and_only_requests_are_requests() {
    let check = |frame: AgentFrame, expected: ControllerAction, request: bool| {
        let mut session = steady();
        assert_eq!(
            session.on_frame(frame.clone(), s(2)),
            std::slice::from_ref(&expected),
            "{frame:?}"
        );
        assert_eq!(session.heard(), s(2), "{frame:?}");
        assert_eq!(expected.is_request(), request, "{frame:?}");
    };
    let deployment: DeploymentId = postcard::from_bytes(&[1; 16]).unwrap();
    check(
        AgentFrame::Refused { report: doc() },
        ControllerAction::RefusedByHost(doc()),
        true,
    );
    check(
        AgentFrame::Progress {
            deployment,
            progress: doc(),
        },
        ControllerAction::Progress {
            deployment,
            progress: doc(),
        },
        true,
    );
    check(
        AgentFrame::Inventory(doc()),
        ControllerAction::Inventory(doc()),
        true,
    );
    check(
        AgentFrame::Containers(doc()),
        ControllerAction::Containers(doc()),
        true,
    );
    check(
        AgentFrame::Renew { csr: vec![4] },
        ControllerAction::Renew(vec![4]),
        true,
    );
    check(
        AgentFrame::Pong { nonce: 1 },
        ControllerAction::Proven(Duration::from_secs(2)),
        false,
    );
    let batch = Batch {
        format: 1,
        body: vec![2],
    };
    check(
        AgentFrame::Samples(batch.clone()),
        ControllerAction::Samples(batch),
        false,
    );
    check(
        AgentFrame::Events {
            life: 3,
            events: doc(),
        },
        ControllerAction::Events {
            life: 3,
            events: doc(),
        },
        true,
    );
    check(
        AgentFrame::EngineProof {
            age_ms: 1_500,
            took_us: 900,
            problem: None,
        },
        ControllerAction::EngineProof {
            age: Duration::from_millis(1_500),
            took: Duration::from_micros(900),
            problem: None,
        },
        false,
    );
    check(
        AgentFrame::Bye {
            reason: "a restart".into(),
        },
        ControllerAction::Close("a restart".into()),
        false,
    );
    let mut session = steady();
    let proved = session.on_frame(AgentFrame::Ping { nonce: 9 }, START);
    let said = [
        ControllerAction::Send(ControllerFrame::Pong { nonce: 9 }),
        ControllerAction::Send(ControllerFrame::Ping { nonce: 2 }),
    ];
    assert_eq!(proved, said, "who is asked for a proof wants one, too");
    assert!(!proved.iter().any(ControllerAction::is_request));
    let late = session.on_frame(AgentFrame::Pong { nonce: 1 }, START);
    assert!(late.is_empty(), "that is the answer to an older one");
}

#[test]
fn a_frame_out_of_place_ends_the_session() {
    let check = |mut session: ControllerSession, frame: AgentFrame, expected: &str| {
        let said = session.on_frame(frame.clone(), START);
        assert_eq!(reason(&said), expected, "{session:?} {frame:?}");
        assert!(session.on_frame(frame, START).is_empty(), "it is over");
        assert_eq!(session.deadline(), None);
        assert!(session.on_tick(0, s(1_000)).is_empty(), "it is over");
    };
    let out = "protocol error: a frame out of place";
    check(accepted(), resume(), out);
    check(accepted(), AgentFrame::Ping { nonce: 1 }, out);
    check(greeted(), resume(), out);
    check(greeted(), AgentFrame::Hello(agent(1, 1)), out);
    check(welcomed(START), AgentFrame::Hello(agent(1, 1)), out);
    check(welcomed(START), AgentFrame::Ping { nonce: 1 }, out);
    let twice = "protocol error: greeted twice";
    check(steady(), AgentFrame::Hello(agent(1, 1)), twice);
    check(steady(), resume(), twice);
}

#[test]
fn nothing_is_waited_for_too_long() {
    // Without a complete greeting; the time that the application takes to let it in is not the agent's.
    for (mut session, begin) in [(accepted(), 0), (greeted(), 0), (welcomed(s(9)), 9)] {
        let end = s(begin) + HELLO_WITHIN;
        assert_eq!(session.deadline(), Some(end), "{session:?}");
        assert!(session.on_tick(0, end - Duration::from_millis(1)).is_empty());
        assert_eq!(
            reason(&session.on_tick(0, end)),
            "no complete greeting within 10 s"
        );
    }
    // Without a packet: it is looked for every few seconds, and not longer than the last one allows.
    let mut session = steady();
    assert_eq!((session.deadline(), session.heard()), (Some(s(6)), START));
    for (at, deadline) in [(6, 12), (12, 18), (17, 18)] {
        assert!(session.on_tick(0, s(at)).is_empty(), "{at}");
        assert_eq!(session.deadline(), Some(s(deadline)), "{at}");
    }
    assert_eq!(reason(&session.on_tick(0, s(18))), "no packet for 18 s");
    // With packets, and without the answer to a ping.
    let mut session = steady();
    assert!(session.on_tick(1, s(17)).is_empty());
    assert_eq!(session.heard(), s(17));
    assert_eq!(reason(&session.on_tick(2, s(18))), "no answer to a ping for 18 s");
    // Proven once, packets are enough.
    let mut session = steady();
    session.on_frame(AgentFrame::Pong { nonce: 1 }, START);
    for second in 1..1_000 {
        assert!(session.on_tick(second, s(second)).is_empty(), "{second}");
    }
}
