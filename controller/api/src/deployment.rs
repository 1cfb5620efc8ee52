//! Plans and deployments.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{
    AgentId, Deployment, Failure, Pin, Plan, PlanSummary, Rev, StackId, StackName, StackSpec,
    deployment::DeploymentView as View,
};

/// A deployment with what may be said about it right now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentView {
    /// What is durably known.
    #[serde(flatten)]
    pub deployment: Deployment,
    /// Whether that is the truth of this moment, or the host is silent and since when.
    pub view: View,
}

/// Deploys the stack's current spec, or that of an older revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The hosts; at least one, no repeats.
    pub agents: Vec<AgentId>,
    /// Deploy the spec of this revision instead of the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Rev>,
    /// Carry out these plans and nothing else, one for each host: a host that is not as it was when the plan was made
    /// fails the deployment before it changes anything, and says what moved. At most 12 hosts then. Empty: every host
    /// plans when its turn comes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<AgentPin>,
}

/// The plan that a host shall carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentPin {
    /// The host.
    pub agent: AgentId,
    /// `pin` of its plan, as the host gave it.
    pub pin: Pin,
}

/// Asks hosts what a deploy of a spec would do that is not saved, for a stack that need not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StackPreview {
    /// The stack's name, which becomes the Compose project name.
    pub name: StackName,
    /// What would run.
    pub spec: StackSpec,
    /// The hosts; at least one, no repeats.
    pub agents: Vec<AgentId>,
}

/// Asks hosts what a deploy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The hosts; at least one, no repeats.
    pub agents: Vec<AgentId>,
    /// Plan the spec of this revision instead of the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Rev>,
    /// Plan this unsaved spec instead of the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<StackSpec>,
}

/// What one host would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentPlan {
    /// The host.
    pub agent: AgentId,
    /// Its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The plan in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<PlanSummary>,
    /// Why there is no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// Deploys the spec of an older revision as a new revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The revision whose spec shall run again.
    pub rev: Rev,
    /// The hosts; absent means all that have the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentId>>,
}

/// Removes the stack from hosts; the stack itself and its history stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRequest {
    /// The hosts; absent means all that have the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentId>>,
    /// Remove the stack's own volumes too: their data is lost.
    #[serde(default)]
    pub volumes: bool,
}

/// Which deployments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DeploymentQuery {
    /// Only of this stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackId>,
    /// Only on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Only in this state, e.g. `queued`; `active` means every state that is not final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Only the newest of each stack on each host: what every host was last asked to run. By stack and host then.
    pub latest: bool,
    /// `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Entries per page, 1–500; 200 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
