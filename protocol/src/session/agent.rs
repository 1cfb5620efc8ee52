//! The agent's end.

use std::time::Duration;

use windflow_model::{Code, Doc};

use super::{DEAD_AFTER, HELLO_WITHIN, PROVE_EVERY, Probe, Pulse, REPORT_WINDOW};
use crate::{
    control::{AgentFrame, ControllerFrame, Denial},
    hello::{AgentHello, ControllerHello},
    work::{Assignment, HeldList, Report, Withdrawal},
};

/// What the agent knows before it dials.
#[derive(Debug, Clone)]
pub struct AgentSessionOptions {
    /// Its hello.
    pub hello: AgentHello,
    /// The highest controller epoch it has journalled.
    pub controller_epoch: u64,
}

/// The controller let the agent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its hello. The agent journals `controller_epoch` before it answers with [`AgentSession::resume`].
    pub hello: ControllerHello,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentAction {
    /// Send a frame.
    Send(AgentFrame),
    /// Journal the epoch, then call [`AgentSession::resume`].
    Opened(Opened),
    /// Hand an assignment to the engine.
    Assign(Doc<Assignment>),
    /// Hand a withdrawal to the engine.
    Withdraw(Doc<Withdrawal>),
    /// Reports up to this number may leave the outbox.
    Acked(u64),
    /// A round trip through the control stream ended.
    Proven(Duration),
    /// A new certificate.
    Renewed(Vec<u8>),
    /// No new certificate.
    RenewRefused(Denial),
    /// Somebody watches the host.
    Pace {
        /// Between two samples.
        every: Duration,
        /// For how long from now.
        lasts: Duration,
    },
    /// Events up to this number are stored.
    EventsAcked {
        /// Of which run of the agent.
        life: u64,
        /// The number, inclusive.
        upto: u64,
    },
    /// Close the connection; nothing more comes.
    Close(Denial),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitHello,
    Opened,
    Steady,
    Closed,
}

/// The agent's end of a control stream.
#[derive(Debug)]
pub struct AgentSession {
    options: AgentSessionOptions,
    state: State,
    probe: Probe,
    started: Duration,
    pulse: Pulse,
    next_ping: Duration,
    /// Numbers of reports sent and not acknowledged, rising.
    in_flight: std::collections::VecDeque<u64>,
    sent_upto: u64,
}

impl AgentSession {
    /// Begins a session: the actions hold the hello.
    #[must_use]
    pub fn start(options: AgentSessionOptions, now: Duration) -> (Self, Vec<AgentAction>) {
        let hello = AgentAction::Send(AgentFrame::Hello(options.hello.clone()));
        let session = Self {
            options,
            state: State::AwaitHello,
            probe: Probe::default(),
            started: now,
            pulse: Pulse::new(now),
            next_ping: now + PROVE_EVERY,
            in_flight: std::collections::VecDeque::new(),
            sent_upto: 0,
        };
        (session, vec![hello])
    }

    /// Answers [`AgentAction::Opened`]: says what the journal holds, and proves the connection at once.
    pub fn resume(&mut self, held: Doc<HeldList>, acked_report: u64, now: Duration) -> Vec<AgentAction> {
        if self.state != State::Opened {
            return Vec::new();
        }
        self.state = State::Steady;
        self.sent_upto = acked_report;
        let resume = AgentFrame::Resume { held, acked_report };
        vec![AgentAction::Send(resume), self.ping(now)]
    }

    /// Number of the last report that was sent, and how many more may be; `None` until the session is steady.
    #[must_use]
    pub fn report_room(&self) -> Option<(u64, usize)> {
        let room = REPORT_WINDOW.saturating_sub(self.in_flight.len());
        (self.state == State::Steady && room > 0).then_some((self.sent_upto, room))
    }

    /// Sends a report. Ignored if it does not follow the ones sent or there is no room.
    pub fn report(&mut self, seq: u64, report: Doc<Report>) -> Vec<AgentAction> {
        if self.report_room().is_none_or(|(sent, _)| seq <= sent) {
            return Vec::new();
        }
        self.sent_upto = seq;
        self.in_flight.push_back(seq);
        vec![AgentAction::Send(AgentFrame::Report { seq, report })]
    }

    /// Whether frames other than hello and resume may be sent.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.state == State::Steady
    }

    /// When [`AgentSession::on_tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::AwaitHello | State::Opened => Some(self.started + HELLO_WITHIN),
            State::Steady => Some(self.next_ping.min(self.pulse.deadline())),
            State::Closed => None,
        }
    }

    /// Time has passed; so many packets have come from the controller on this connection.
    pub fn on_tick(&mut self, packets: u64, now: Duration) -> Vec<AgentAction> {
        self.pulse.look(packets, now);
        match self.state {
            State::AwaitHello | State::Opened if now >= self.started + HELLO_WITHIN => self.close(
                Code::AgentTimeout,
                format!(
                    "the controller did not answer within {} s",
                    HELLO_WITHIN.as_secs()
                ),
            ),
            State::Steady if self.pulse.is_silent(now) => self.close(
                Code::AgentTimeout,
                format!("no packet from the controller for {} s", DEAD_AFTER.as_secs()),
            ),
            State::Steady if self.probe.is_late(now) => self.close(
                Code::AgentTimeout,
                format!(
                    "the controller has not answered a ping for {} s",
                    DEAD_AFTER.as_secs()
                ),
            ),
            State::Steady if now >= self.next_ping => vec![self.ping(now)],
            _ => Vec::new(),
        }
    }

    /// A frame arrived.
    pub fn on_frame(&mut self, frame: ControllerFrame, now: Duration) -> Vec<AgentAction> {
        if self.state == State::Closed {
            return Vec::new();
        }
        self.pulse.heard = now;
        match (self.state, frame) {
            (_, ControllerFrame::Refused(denial)) => self.deny(denial),
            (
                _,
                ControllerFrame::Bye {
                    reason,
                    retry_after_ms,
                },
            ) => self.deny(Denial::new(Code::AgentOffline, reason, retry_after_ms)),
            (State::AwaitHello, ControllerFrame::Hello(hello)) => self.on_hello(hello),
            (State::Steady, frame) => self.on_steady(frame, now),
            (_, frame) => self.close(
                Code::Internal,
                format!("the controller sent a {} too early", name(&frame)),
            ),
        }
    }

    fn on_hello(&mut self, hello: ControllerHello) -> Vec<AgentAction> {
        if !self.options.hello.versions.holds(hello.version) {
            return self.close(
                Code::ProtocolVersion,
                format!(
                    "the controller ({}) chose protocol {}, this agent speaks {}",
                    hello.build, hello.version, self.options.hello.versions
                ),
            );
        }
        if hello.controller_epoch < self.options.controller_epoch {
            return self.close(
                Code::Diverged,
                format!(
                    "this controller has epoch {}, a newer one with epoch {} was seen before: it was restored from a backup \
                     or copied; stop one of them, or enrol this host again",
                    hello.controller_epoch, self.options.controller_epoch
                ),
            );
        }
        self.state = State::Opened;
        vec![AgentAction::Opened(Opened { hello })]
    }

    fn on_steady(&mut self, frame: ControllerFrame, now: Duration) -> Vec<AgentAction> {
        match frame {
            ControllerFrame::ReportAck { upto } => {
                if upto > self.sent_upto {
                    let text = format!("the controller acknowledged report {upto}, which was never sent");
                    return self.close(Code::Internal, text);
                }
                while self.in_flight.front().is_some_and(|seq| *seq <= upto) {
                    self.in_flight.pop_front();
                }
                vec![AgentAction::Acked(upto)]
            }
            ControllerFrame::Assign(assignment) => vec![AgentAction::Assign(assignment)],
            ControllerFrame::Withdraw(withdrawal) => vec![AgentAction::Withdraw(withdrawal)],
            ControllerFrame::Ping { nonce } => vec![AgentAction::Send(AgentFrame::Pong { nonce })],
            ControllerFrame::Pong { nonce } => {
                let rtt = self.probe.answered(nonce, now);
                rtt.map(AgentAction::Proven).into_iter().collect()
            }
            ControllerFrame::Renewed { certificate } => vec![AgentAction::Renewed(certificate)],
            ControllerFrame::RenewRefused(denial) => vec![AgentAction::RenewRefused(denial)],
            ControllerFrame::Pace { every_ms, for_ms } => vec![AgentAction::Pace {
                every: Duration::from_millis(u64::from(every_ms)),
                lasts: Duration::from_millis(u64::from(for_ms)),
            }],
            ControllerFrame::EventsAck { life, upto } => vec![AgentAction::EventsAcked { life, upto }],
            // `on_frame` has taken the others; a second hello changes nothing.
            ControllerFrame::Hello(_) | ControllerFrame::Refused(_) | ControllerFrame::Bye { .. } => {
                Vec::new()
            }
        }
    }

    fn ping(&mut self, now: Duration) -> AgentAction {
        self.next_ping = now + PROVE_EVERY;
        AgentAction::Send(AgentFrame::Ping {
            nonce: self.probe.send(now),
        })
    }

    fn close(&mut self, code: Code, message: String) -> Vec<AgentAction> {
        self.deny(Denial::new(code, message, 0))
    }

    fn deny(&mut self, denial: Denial) -> Vec<AgentAction> {
        self.state = State::Closed;
        vec![AgentAction::Close(denial)]
    }
}

fn name(frame: &ControllerFrame) -> &'static str {
    match frame {
        ControllerFrame::Hello(_) => "hello",
        ControllerFrame::Refused(_) => "refusal",
        ControllerFrame::ReportAck { .. } => "report acknowledgement",
        ControllerFrame::Assign(_) => "assignment",
        ControllerFrame::Withdraw(_) => "withdrawal",
        ControllerFrame::Ping { .. } => "ping",
        ControllerFrame::Pong { .. } => "pong",
        ControllerFrame::Renewed { .. } | ControllerFrame::RenewRefused(_) => "renewal",
        ControllerFrame::Bye { .. } => "farewell",
        ControllerFrame::Pace { .. } => "pace",
        ControllerFrame::EventsAck { .. } => "acknowledgement of events",
    }
}
