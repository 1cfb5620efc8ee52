//! Events of the whole fleet, for live views and audit trails.

use serde::{Deserialize, Serialize};

use crate::{
    doc::Document,
    id::{AgentId, DeploymentId, GroupId, RolloutId, StackId},
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
    /// Events were lost on purpose because the reader was too slow: load the lists again.
    Gap {
        /// How many.
        lost: u64,
    },
}

/// An event with its place in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FleetEvent {
    /// Rising within one run of the controller.
    pub seq: u64,
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
