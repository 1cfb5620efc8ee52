//! Events of the whole fleet, for live views and audit trails.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    alert::Severity,
    doc::Document,
    host_event::HostEvent,
    id::{AgentId, AlertId, DeploymentId, GroupId, RolloutId, StackId},
    revision::Rev,
    time::Timestamp,
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FleetEventKind {
    /// A host was enrolled.
    AgentEnrolled {
        /// The host.
        agent: AgentId,
        /// Its name.
        name: String,
    },
    /// A host connected.
    AgentConnected {
        /// The host.
        agent: AgentId,
    },
    /// A host is no longer connected.
    AgentDisconnected {
        /// The host.
        agent: AgentId,
        /// Why.
        reason: String,
    },
    /// A host's record or inventory changed.
    AgentChanged {
        /// The host.
        agent: AgentId,
    },
    /// A host was removed.
    AgentRemoved {
        /// The host.
        agent: AgentId,
    },
    /// A stack was created or its spec saved.
    StackChanged {
        /// The stack.
        stack: StackId,
    },
    /// A stack was deleted.
    StackDeleted {
        /// The stack.
        stack: StackId,
    },
    /// A deployment moved.
    DeploymentChanged {
        /// The deployment.
        deployment: DeploymentId,
        /// Its stack.
        stack: StackId,
        /// Its host.
        agent: AgentId,
        /// Its revision.
        rev: Rev,
        /// Name of its state.
        state: String,
    },
    /// A rollout moved.
    RolloutChanged {
        /// The rollout.
        rollout: RolloutId,
        /// Its stack.
        stack: StackId,
        /// Name of its state.
        state: String,
    },
    /// A group was made or saved.
    GroupChanged {
        /// The group.
        group: GroupId,
    },
    /// A group was deleted.
    GroupDeleted {
        /// The group.
        group: GroupId,
    },
    /// A host's containers changed: one appeared, went, or moved to another state.
    ContainersChanged {
        /// The host.
        agent: AgentId,
    },
    /// Something happened on a host, as its agent tells.
    Host {
        /// The host.
        agent: AgentId,
        /// Number of the run of its agent, by which its events are numbered.
        life: u64,
        /// What.
        event: HostEvent,
    },
    /// An alert began to fire, or ended.
    AlertChanged {
        /// The alert.
        alert: AlertId,
        /// Name of its rule.
        rule: String,
        /// How bad it is.
        severity: Severity,
        /// Name of its state.
        state: String,
        /// The host, if it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// One sentence.
        summary: String,
    },
    /// Rules, silences or channels were changed.
    AlertingChanged,
    /// The controller has begun to run: what was shown before may be old.
    ControllerStarted {
        /// Its version.
        version: String,
    },
    /// Events were lost on purpose because the reader was too slow: load the lists again.
    Gap {
        /// How many; 0 if nobody knows.
        lost: u64,
    },
}

impl FleetEventKind {
    /// What happened in one word, or two with a dot between for what happened on a host: `agent_connected`, `container.died`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AgentEnrolled { .. } => "agent_enrolled",
            Self::AgentConnected { .. } => "agent_connected",
            Self::AgentDisconnected { .. } => "agent_disconnected",
            Self::AgentChanged { .. } => "agent_changed",
            Self::AgentRemoved { .. } => "agent_removed",
            Self::StackChanged { .. } => "stack_changed",
            Self::StackDeleted { .. } => "stack_deleted",
            Self::DeploymentChanged { .. } => "deployment_changed",
            Self::RolloutChanged { .. } => "rollout_changed",
            Self::GroupChanged { .. } => "group_changed",
            Self::GroupDeleted { .. } => "group_deleted",
            Self::ContainersChanged { .. } => "containers_changed",
            Self::Host { event, .. } => event.kind.name(),
            Self::AlertChanged { .. } => "alert_changed",
            Self::AlertingChanged => "alerting_changed",
            Self::ControllerStarted { .. } => "controller_started",
            Self::Gap { .. } => "gap",
        }
    }

    /// The host that it concerns, if it does one.
    #[must_use]
    pub const fn agent(&self) -> Option<AgentId> {
        match self {
            Self::AgentEnrolled { agent, .. }
            | Self::AgentConnected { agent }
            | Self::AgentDisconnected { agent, .. }
            | Self::AgentChanged { agent }
            | Self::AgentRemoved { agent }
            | Self::DeploymentChanged { agent, .. }
            | Self::ContainersChanged { agent }
            | Self::Host { agent, .. } => Some(*agent),
            Self::AlertChanged { agent, .. } => *agent,
            Self::StackChanged { .. }
            | Self::StackDeleted { .. }
            | Self::RolloutChanged { .. }
            | Self::GroupChanged { .. }
            | Self::GroupDeleted { .. }
            | Self::AlertingChanged
            | Self::ControllerStarted { .. }
            | Self::Gap { .. } => None,
        }
    }

    /// The stack of the controller that it concerns, if it does one.
    #[must_use]
    pub const fn stack(&self) -> Option<StackId> {
        match self {
            Self::StackChanged { stack }
            | Self::StackDeleted { stack }
            | Self::DeploymentChanged { stack, .. }
            | Self::RolloutChanged { stack, .. } => Some(*stack),
            _ => None,
        }
    }
}

/// The place of an event among all of its controller: `RUN-NUMBER`. Later events have greater ones, over restarts, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Number of the run of the controller.
    pub run: u64,
    /// Rising by one within it, from 1.
    pub seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.seq)
    }
}

/// No id of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id of an event: two numbers with a dash between")]
pub struct EventIdError(String);

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let parts = text.split_once('-');
        let id = parts.and_then(|(run, seq)| {
            Some(Self {
                run: run.parse().ok()?,
                seq: seq.parse().ok()?,
            })
        });
        id.ok_or_else(|| EventIdError(text.chars().take(64).collect()))
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for EventId {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(
                "Place of an event among all of its controller. Later events have greater ones.",
            ))
            .examples(["12-345"])
            .build()
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for EventId {}

/// An event with its place in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FleetEvent {
    /// Its place among all events.
    pub id: EventId,
    /// Controller time.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: FleetEventKind,
}

impl Document for FleetEvent {
    const NAME: &'static str = "fleet event";
    const SCHEMA: u16 = 1;
}
