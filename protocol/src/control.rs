//! Frames of the control stream. Append-only: the order of variants is the wire format.

use serde::{Deserialize, Serialize};
use windflow_model::{Code, DeploymentId, Doc, HostEventList, Inventory, Progress, container::ContainerList};

use crate::{
    codec::Frame,
    hello::{AgentHello, ControllerHello},
    metrics::Batch,
    work::{Assignment, HeldList, Report, Withdrawal},
};

/// From the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AgentFrame {
    /// First frame.
    Hello(AgentHello),
    /// Second frame: what the host's journal holds.
    Resume {
        /// All stacks.
        held: Doc<HeldList>,
        /// Number of the newest report the controller has acknowledged, by the agent's journal.
        acked_report: u64,
    },
    /// An entry of the outbox; sent again after a reconnect until acknowledged.
    Report {
        /// Its number, strictly rising.
        seq: u64,
        /// The entry.
        report: Doc<Report>,
    },
    /// An assignment was refused before it entered the journal.
    Refused {
        /// The refusal as a report with number 0.
        report: Doc<Report>,
    },
    /// Live progress; may be lost.
    Progress {
        /// The deployment.
        deployment: DeploymentId,
        /// What happened.
        progress: Doc<Progress>,
    },
    /// The host changed.
    Inventory(Doc<Inventory>),
    /// The containers changed.
    Containers(Doc<ContainerList>),
    /// Asks for a [`ControllerFrame::Pong`].
    Ping {
        /// Comes back unchanged.
        nonce: u64,
    },
    /// Answers a [`ControllerFrame::Ping`].
    Pong {
        /// From the ping.
        nonce: u64,
    },
    /// Asks for a new certificate for the same key.
    Renew {
        /// PKCS #10, DER.
        csr: Vec<u8>,
    },
    /// The agent ends the session on purpose.
    Bye {
        /// Why.
        reason: String,
    },
    /// Samples of the host; may be lost.
    Samples(Batch),
    /// What happened on the host; sent again until acknowledged. Only to a controller with [`crate::hello::FEATURE_EVENTS`].
    Events {
        /// Number of this run of the agent, by which the events are numbered.
        life: u64,
        /// The events, in order.
        events: Doc<HostEventList>,
    },
    /// The last round trip through the API of the container engine. Only with [`crate::hello::FEATURE_EVENTS`].
    EngineProof {
        /// How long ago it ended, in milliseconds.
        age_ms: u32,
        /// How long it took, in microseconds.
        took_us: u64,
        /// Why it failed, if it did.
        problem: Option<String>,
    },
}

/// From the controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ControllerFrame {
    /// First frame, if the agent is let in.
    Hello(ControllerHello),
    /// First frame, if it is not; the connection ends.
    Refused(Denial),
    /// Reports up to this number are stored.
    ReportAck {
        /// The number, inclusive.
        upto: u64,
    },
    /// Desired state of one stack.
    Assign(Doc<Assignment>),
    /// Take a revision back if nothing has changed yet.
    Withdraw(Doc<Withdrawal>),
    /// Asks for an [`AgentFrame::Pong`].
    Ping {
        /// Comes back unchanged.
        nonce: u64,
    },
    /// Answers an [`AgentFrame::Ping`].
    Pong {
        /// From the ping.
        nonce: u64,
    },
    /// The new certificate.
    Renewed {
        /// X.509, DER.
        certificate: Vec<u8>,
    },
    /// No new certificate.
    RenewRefused(Denial),
    /// The controller ends the session on purpose.
    Bye {
        /// Why.
        reason: String,
        /// Shortest time to wait before dialling again, in milliseconds.
        retry_after_ms: u32,
    },
    /// Somebody watches: sample so often, and send each sample at once. Ends by itself.
    Pace {
        /// Between two samples, in milliseconds.
        every_ms: u32,
        /// For how long, in milliseconds; 0 ends it.
        for_ms: u32,
    },
    /// Events up to this number are stored.
    EventsAck {
        /// Of which run of the agent.
        life: u64,
        /// The number, inclusive.
        upto: u64,
    },
}

/// Why the controller refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// `WF-` and four digits.
    pub code: String,
    /// What was refused and why.
    pub message: String,
    /// Shortest time to wait before trying again, in milliseconds.
    pub retry_after_ms: u32,
}

impl Denial {
    /// A denial with a known code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>, retry_after_ms: u32) -> Self {
        Self {
            code: code.as_str().to_owned(),
            message: message.into(),
            retry_after_ms,
        }
    }
}

impl Frame for AgentFrame {
    const KIND: &'static str = "agent frame";
    const VARIANTS: u32 = 14;
    /// A container list of ~4,000 containers at 1 KiB.
    const MAX: usize = 4 << 20;
}

impl Frame for ControllerFrame {
    const KIND: &'static str = "controller frame";
    const VARIANTS: u32 = 12;
    /// A spec is at most 1 MiB in the store; JSON escapes may double it.
    const MAX: usize = 4 << 20;
}
