//! Hosts: the record of an agent, what it can do, what it found, and whether it is there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{doc::Document, host_event::EngineProof, id::AgentId, target::TargetKind, time::Timestamp};

/// What an agent can do; the controller offers nothing that is not listed. Unknown words of newer agents are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Capability(pub String);

impl Capability {
    /// Deploys Compose stacks.
    pub const DEPLOY: &'static str = "deploy";
    /// Streams container logs.
    pub const LOGS: &'static str = "logs";
    /// Makes plans without carrying them out.
    pub const PLAN: &'static str = "plan";
    /// Opens terminals on the host itself, for the users that its policy names.
    pub const HOST_TERMINAL: &'static str = "host_terminal";
}

/// Which engine answers on the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Docker.
    Docker,
    /// Podman's Docker-compatible API.
    Podman,
    /// The simulated engine.
    Fake,
}

/// The container engine of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EngineInfo {
    /// Which engine.
    pub kind: EngineKind,
    /// Its version, e.g. `20.10.24`.
    pub version: String,
    /// Newest API version it speaks, e.g. `1.41`.
    pub api_version: String,
    /// Oldest API version it accepts.
    #[serde(default)]
    pub min_api_version: String,
}

/// What an agent found on its host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Inventory {
    /// Host name.
    pub hostname: String,
    /// Distribution, e.g. `Debian GNU/Linux 12`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
    /// Logical processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The engine, if one answers.
    pub engine: Option<EngineInfo>,
    /// Why no engine answers, for the reader.
    pub engine_problem: Option<String>,
    /// Target kinds this agent drives.
    pub targets: Vec<TargetKind>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Version of the agent.
    pub agent_version: String,
    /// Users of the host that its policy allows terminals for (`host_terminal_users`), as they were at the last look.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_terminal_users: Vec<String>,
}

impl Inventory {
    /// Whether it can do this.
    #[must_use]
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known.0 == capability)
    }
}

impl Document for Inventory {
    const NAME: &'static str = "inventory";
    const SCHEMA: u16 = 1;
}

/// An enrolled host as the controller keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AgentRecord {
    /// Id, never reused; it is in the host's certificate.
    pub id: AgentId,
    /// Name shown to people, unique in the organisation; the host name unless chosen.
    pub name: String,
    /// Labels for selection.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What it last reported.
    #[serde(default)]
    pub inventory: Inventory,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// Last durable note of when it was connected; the live value is in [`Presence`].
    #[serde(default)]
    pub last_seen_at: Option<Timestamp>,
}

impl Document for AgentRecord {
    const NAME: &'static str = "agent";
    const SCHEMA: u16 = 1;
}

/// Whether a host is there, with proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "presence", rename_all = "snake_case")]
pub enum Presence {
    /// A round trip through the control stream succeeded at `proven_at`.
    Connected {
        /// Since when this session exists.
        since: Timestamp,
        /// End of the last round trip, controller time.
        proven_at: Timestamp,
        /// Its length in microseconds.
        rtt_us: u64,
        /// Address the host connects from.
        remote: String,
        /// The last round trip of its agent through the API of its container engine; `None` until it has told of one.
        #[serde(default)]
        engine: Option<EngineProof>,
    },
    /// Not connected.
    Offline {
        /// Since when; `None` if it never connected.
        since: Option<Timestamp>,
        /// Why, for programs and translations.
        #[serde(default)]
        cause: Absence,
        /// Why, if known: `closed by the host`, `no packet for 25 s`, …
        reason: String,
    },
}

/// Why a host is not connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// It has joined and never connected.
    NeverConnected,
    /// It has not connected since the controller started.
    NotSinceStart,
    /// It ended the connection.
    Closed,
    /// Nothing was heard of it for too long.
    Silent,
    /// Its agent was restarted without a goodbye.
    Restarted,
    /// Something else; the reason says what.
    #[default]
    Other,
}
