//! The first frames of a control stream.

use serde::{Deserialize, Serialize};

use crate::version::{Version, VersionRange};

/// In the controller's hello: it takes samples of hosts.
pub const FEATURE_METRICS: &str = "metrics";

/// In the controller's hello: it takes events of hosts.
pub const FEATURE_EVENTS: &str = "events";

/// What the agent says first. Its identity is not here: that comes from its certificate alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHello {
    /// Versions it speaks.
    pub versions: VersionRange,
    /// Optional abilities, by name; unknown names are ignored.
    pub features: Vec<String>,
    /// Version of the agent's build, for people.
    pub build: String,
    /// Random number of this run of the agent; report numbers are compared only within one run.
    pub boot_id: [u8; 16],
    /// The agent's wall clock in milliseconds since 1970, to compare clocks.
    pub wall_ms: i64,
}

/// The controller's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerHello {
    /// The version both sides now speak.
    pub version: Version,
    /// Optional abilities, by name; unknown names are ignored.
    pub features: Vec<String>,
    /// Version of the controller's build, for people.
    pub build: String,
    /// Raised at each start of the controller. An agent refuses one below the highest it has seen: it comes from a
    /// controller that was restored or copied.
    pub controller_epoch: u64,
    /// Number of this session of this agent, strictly rising.
    pub session_epoch: u64,
    /// The highest report of this agent run that is stored; 0 if none is known.
    pub acked_report: u64,
    /// The controller's wall clock in milliseconds since 1970.
    pub wall_ms: i64,
}
