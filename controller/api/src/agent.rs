//! Hosts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use windflow_model::{AgentId, AgentRecord, ContainerSummary, Presence, Timestamp};

/// A host with the proof of whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// What is kept about it.
    #[serde(flatten)]
    pub record: AgentRecord,
    /// Whether it is connected, proved by a round trip.
    pub presence: Presence,
    /// Version of the record for `If-Match`.
    #[serde(default)]
    pub version: u64,
}

/// Changes a host's name or labels; absent fields stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentPatch {
    /// New name, 1–64 characters, unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All labels from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// Containers of one host, with the age of that knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostContainers {
    /// The host.
    pub agent: AgentId,
    /// When the host said so, controller time; absent if it never did since the controller started.
    #[serde(default)]
    pub observed_at: Option<Timestamp>,
    /// Whether the host is connected now; if not, the list is as old as `observed_at`.
    #[serde(default)]
    pub connected: bool,
    /// The containers.
    pub containers: Vec<ContainerSummary>,
}
