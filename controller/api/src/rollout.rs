//! Rollouts and groups.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{
    AgentId, DeploymentId, DeploymentState, Group, HostState, Rev, Rollout, RolloutPlan, Selector, StackId,
    Summary, Targets, Timestamp, rollout::Before,
};

/// Brings a stack's current spec, or that of an older revision, to hosts in waves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutCreate {
    /// The stack. It has one rollout at a time.
    pub stack: StackId,
    /// Which hosts; decided now, once and for all.
    pub targets: Targets,
    /// How.
    #[serde(default)]
    pub plan: RolloutPlan,
    /// Bring the spec of this revision instead of the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Rev>,
}

/// Asks who would be in which wave. Nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutPreview {
    /// Which hosts.
    pub targets: Targets,
    /// How.
    #[serde(default)]
    pub plan: RolloutPlan,
}

/// Who would be in which wave, by what is known right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutWaves {
    /// Sizes of the waves, in order.
    pub waves: Vec<u32>,
    /// Most hosts that may fail.
    pub failure_limit: u32,
    /// All hosts, in the order of their turns: within the plan, hosts that are connected come first.
    pub hosts: Vec<RolloutMember>,
}

/// A host in the order of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutMember {
    /// The host.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// Its wave, from 1.
    pub wave: u32,
    /// Whether it is connected.
    pub connected: bool,
}

/// A rollout with what may be said about it right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutView {
    /// What is durably known.
    #[serde(flatten)]
    pub rollout: Rollout,
    /// All hosts by state.
    pub summary: Summary,
    /// The same per wave, in order; only of a single rollout, not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wave_summaries: Vec<Summary>,
    /// Most hosts that may fail.
    pub failure_limit: u32,
    /// Version of the record for `If-Match`.
    pub version: u64,
}

/// One host of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutHost {
    /// Its place in the order, from 0.
    pub index: u32,
    /// Its wave, from 1.
    pub wave: u32,
    /// The host.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// What may be said of it right now.
    pub state: HostState,
    /// Since when it has been silent, if it is and that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Timestamp>,
    /// Why it is in that state, for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The deployment that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// That deployment's own state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_state: Option<DeploymentState>,
    /// What it runs again if the rollout is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

/// Which rollouts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RolloutQuery {
    /// Only of this stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackId>,
    /// Only in this state, e.g. `paused`; `active` means every state that is not final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Entries per page, 1–500; 200 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which hosts of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RolloutHostQuery {
    /// Only in this state, e.g. `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Entries per page, 1–500; 200 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Ends a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutCancel {
    /// Put every host that it has changed back to what it ran before. Also possible after a rollout has ended.
    pub rollback: bool,
}

/// Makes a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupCreate {
    /// Its name, 1–64 characters, unique.
    pub name: String,
    /// Hosts with these labels belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// These hosts belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentId>,
}

/// A group with the hosts that belong to it right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// Its hosts, by labels and by name, sorted by name.
    pub hosts: Vec<AgentId>,
    /// Version of the record for `If-Match`.
    pub version: u64,
}
