//! The controller's end.

use std::time::Duration;

use windflow_model::{Code, DeploymentId, Doc, HostEventList, Inventory, Progress, container::ContainerList};

use super::{DEAD_AFTER, HELLO_WITHIN, Probe, Pulse};
use crate::{
    control::{AgentFrame, ControllerFrame, Denial},
    hello::{AgentHello, ControllerHello, FEATURE_EVENTS, FEATURE_METRICS},
    metrics::Batch,
    version::{Version, VersionRange},
    work::{HeldList, Report},
};

/// What the controller says once the application has let the agent in.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// Version of the build, for people.
    pub build: String,
    /// Raised at each start of the controller.
    pub controller_epoch: u64,
    /// Number of this session.
    pub session_epoch: u64,
    /// Highest stored report of this agent run, 0 if unknown.
    pub acked_report: u64,
    /// Wall clock in milliseconds since 1970.
    pub wall_ms: i64,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum ControllerAction {
    /// Send a frame.
    Send(ControllerFrame),
    /// Ask the application, then call [`ControllerSession::welcome`] or [`ControllerSession::refuse`].
    Greeted(AgentHello),
    /// The session is steady: hand this to the application, then send what waits.
    Held(Doc<HeldList>),
    /// Store a report, then call [`ControllerSession::stored`].
    Report {
        /// Its number.
        seq: u64,
        /// The report.
        report: Doc<Report>,
    },
    /// An assignment was refused by the host; nothing to acknowledge.
    RefusedByHost(Doc<Report>),
    /// Live progress.
    Progress {
        /// The deployment.
        deployment: DeploymentId,
        /// What happened.
        progress: Doc<Progress>,
    },
    /// The host described itself.
    Inventory(Doc<Inventory>),
    /// Its containers changed.
    Containers(Doc<ContainerList>),
    /// A round trip through the control stream ended.
    Proven(Duration),
    /// Samples of the host.
    Samples(Batch),
    /// What happened on the host: store it, then call [`ControllerSession::events_stored`].
    Events {
        /// Of which run of the agent.
        life: u64,
        /// The events, in order.
        events: Doc<HostEventList>,
    },
    /// The last round trip of the agent through its container engine.
    EngineProof {
        /// How long ago it ended.
        age: Duration,
        /// How long it took.
        took: Duration,
        /// Why it failed, if it did.
        problem: Option<String>,
    },
    /// The agent wants a new certificate.
    Renew(Vec<u8>),
    /// Close the connection; nothing more comes.
    Close(String),
}

impl ControllerAction {
    /// Whether the host asks for something to be done, which only one that is still let in may.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        !matches!(
            self,
            Self::Send(_) | Self::Proven(_) | Self::Samples(_) | Self::EngineProof { .. } | Self::Close(_)
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitHello,
    Greeted(Version),
    AwaitResume,
    Steady,
    Closed,
}

/// The controller's end of a control stream.
#[derive(Debug)]
pub struct ControllerSession {
    versions: VersionRange,
    state: State,
    probe: Probe,
    started: Duration,
    pulse: Pulse,
    /// Highest report handed to the driver.
    taken: u64,
    /// Highest report stored.
    stored: u64,
}

impl ControllerSession {
    /// Begins a session for a connection that was just accepted.
    #[must_use]
    pub fn new(versions: VersionRange, now: Duration) -> Self {
        Self {
            versions,
            state: State::AwaitHello,
            probe: Probe::default(),
            started: now,
            pulse: Pulse::new(now),
            taken: 0,
            stored: 0,
        }
    }

    /// Whether assignments may be sent.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.state == State::Steady
    }

    /// Lets the agent in after [`ControllerAction::Greeted`].
    pub fn welcome(&mut self, welcome: Welcome, now: Duration) -> Vec<ControllerAction> {
        let State::Greeted(version) = self.state else {
            return Vec::new();
        };
        self.state = State::AwaitResume;
        self.started = now;
        self.taken = welcome.acked_report;
        self.stored = welcome.acked_report;
        vec![ControllerAction::Send(ControllerFrame::Hello(ControllerHello {
            version,
            features: [FEATURE_METRICS, FEATURE_EVENTS].map(str::to_owned).to_vec(),
            build: welcome.build,
            controller_epoch: welcome.controller_epoch,
            session_epoch: welcome.session_epoch,
            acked_report: welcome.acked_report,
            wall_ms: welcome.wall_ms,
        }))]
    }

    /// Sends the agent away.
    pub fn refuse(&mut self, denial: Denial) -> Vec<ControllerAction> {
        let reason = denial.message.clone();
        self.state = State::Closed;
        vec![
            ControllerAction::Send(ControllerFrame::Refused(denial)),
            ControllerAction::Close(reason),
        ]
    }

    /// A report is on disk.
    pub fn stored(&mut self, seq: u64) -> Vec<ControllerAction> {
        self.stored = self.stored.max(seq);
        vec![self.ack()]
    }

    /// Events of the host are on disk.
    #[must_use]
    pub fn events_stored(&self, life: u64, upto: u64) -> Vec<ControllerAction> {
        vec![ControllerAction::Send(ControllerFrame::EventsAck { life, upto })]
    }

    /// When [`ControllerSession::on_tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::AwaitHello | State::Greeted(_) | State::AwaitResume => Some(self.started + HELLO_WITHIN),
            State::Steady => Some(self.pulse.deadline()),
            State::Closed => None,
        }
    }

    /// When something of the agent was seen last.
    #[must_use]
    pub const fn heard(&self) -> Duration {
        self.pulse.heard
    }

    /// Time has passed; so many packets have come from the agent on this connection.
    pub fn on_tick(&mut self, packets: u64, now: Duration) -> Vec<ControllerAction> {
        self.pulse.look(packets, now);
        match self.state {
            State::AwaitHello | State::Greeted(_) | State::AwaitResume
                if now >= self.started + HELLO_WITHIN =>
            {
                self.close(format!(
                    "no complete greeting within {} s",
                    HELLO_WITHIN.as_secs()
                ))
            }
            State::Steady if self.pulse.is_silent(now) => {
                self.close(format!("no packet for {} s", DEAD_AFTER.as_secs()))
            }
            State::Steady if self.probe.is_late(now) => {
                self.close(format!("no answer to a ping for {} s", DEAD_AFTER.as_secs()))
            }
            _ => Vec::new(),
        }
    }

    /// A frame arrived.
    pub fn on_frame(&mut self, frame: AgentFrame, now: Duration) -> Vec<ControllerAction> {
        if self.state == State::Closed {
            return Vec::new();
        }
        self.pulse.heard = now;
        match (self.state, frame) {
            (_, AgentFrame::Bye { reason }) => self.close(reason),
            (State::AwaitHello, AgentFrame::Hello(hello)) => self.on_hello(hello),
            (State::AwaitResume, AgentFrame::Resume { held, .. }) => {
                self.state = State::Steady;
                let nonce = self.probe.send(now);
                vec![
                    ControllerAction::Held(held),
                    ControllerAction::Send(ControllerFrame::Ping { nonce }),
                ]
            }
            (State::Steady, frame) => self.on_steady(frame, now),
            _ => self.close("protocol error: a frame out of place".to_owned()),
        }
    }

    fn on_hello(&mut self, hello: AgentHello) -> Vec<ControllerAction> {
        let Some(version) = self.versions.common(hello.versions) else {
            let older = if hello.versions.min > self.versions.max {
                "controller"
            } else {
                "agent"
            };
            let text = format!(
                "the agent ({}) speaks protocol {}, this controller {}: update the {older}",
                hello.build, hello.versions, self.versions
            );
            // Nothing changes until one side is updated: an hour keeps the log readable.
            return self.refuse(Denial::new(Code::ProtocolVersion, text, 3_600_000));
        };
        self.state = State::Greeted(version);
        vec![ControllerAction::Greeted(hello)]
    }

    fn on_steady(&mut self, frame: AgentFrame, now: Duration) -> Vec<ControllerAction> {
        match frame {
            AgentFrame::Report { seq, .. } if seq <= self.stored => vec![self.ack()],
            // Handed over and not yet stored: the acknowledgement follows.
            AgentFrame::Report { seq, .. } if seq <= self.taken => Vec::new(),
            AgentFrame::Report { seq, report } => {
                self.taken = seq;
                vec![ControllerAction::Report { seq, report }]
            }
            AgentFrame::Refused { report } => vec![ControllerAction::RefusedByHost(report)],
            AgentFrame::Progress { deployment, progress } => {
                vec![ControllerAction::Progress { deployment, progress }]
            }
            AgentFrame::Inventory(inventory) => vec![ControllerAction::Inventory(inventory)],
            AgentFrame::Containers(list) => vec![ControllerAction::Containers(list)],
            AgentFrame::Ping { nonce } => {
                let own = self.probe.send(now);
                vec![
                    ControllerAction::Send(ControllerFrame::Pong { nonce }),
                    ControllerAction::Send(ControllerFrame::Ping { nonce: own }),
                ]
            }
            AgentFrame::Pong { nonce } => {
                let rtt = self.probe.answered(nonce, now);
                rtt.map(ControllerAction::Proven).into_iter().collect()
            }
            AgentFrame::Renew { csr } => vec![ControllerAction::Renew(csr)],
            AgentFrame::Samples(batch) => vec![ControllerAction::Samples(batch)],
            AgentFrame::Events { life, events } => vec![ControllerAction::Events { life, events }],
            AgentFrame::EngineProof {
                age_ms,
                took_us,
                problem,
            } => vec![ControllerAction::EngineProof {
                age: Duration::from_millis(u64::from(age_ms)),
                took: Duration::from_micros(took_us),
                problem,
            }],
            AgentFrame::Hello(_) | AgentFrame::Resume { .. } | AgentFrame::Bye { .. } => {
                self.close("protocol error: greeted twice".to_owned())
            }
        }
    }

    fn ack(&self) -> ControllerAction {
        ControllerAction::Send(ControllerFrame::ReportAck { upto: self.stored })
    }

    fn close(&mut self, reason: String) -> Vec<ControllerAction> {
        self.state = State::Closed;
        vec![ControllerAction::Close(reason)]
    }
}
