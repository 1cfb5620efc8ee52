//! A deployment: one revision of a stack on one agent. Its states and the single function that moves it are in `state`.
//!
//! ```text
//! Queued → Offered → Accepted → Preparing → Applying → Verifying → Succeeded
//! Queued | Offered → Expired;  Queued … RollingBack → Superseded;  Queued … Preparing → Cancelled
//! Preparing → Rejected | Failed;  Applying | Verifying → Failed | RollingBack → RolledBack | RollbackFailed
//! any non-terminal → Diverged: the agent holds a higher revision than the controller
//! ```
//! From `Accepted` on only the agent's reports move it. Reports are ordered, but a progress report may be missing
//! after a cut, so the agent may jump forward over phases; it can never go back. "Unknown" is not a state here: it is
//! the *view* of a non-terminal deployment whose host is not connected, see [`Deployment::view`].

use serde::{Deserialize, Serialize};

use crate::{
    doc::Document,
    id::{AgentId, DeploymentId, OpId, StackId, UserId},
    plan::Pin,
    progress::Steps,
    revision::{Rev, Want},
    stack::StackName,
    time::Timestamp,
};

mod state;

pub use state::{DeploymentEvent, DeploymentState, IllegalTransition};

/// A deployment as the controller keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Deployment {
    /// Id, never reused.
    pub id: DeploymentId,
    /// The operation; one per deploy, shared by its deployments on several hosts.
    pub op: OpId,
    /// The stack.
    pub stack: StackId,
    /// The stack's name at that time.
    pub stack_name: StackName,
    /// The revision.
    pub rev: Rev,
    /// Present or absent.
    pub want: Want,
    /// The host.
    pub agent: AgentId,
    /// State by what is durably known.
    pub state: DeploymentState,
    /// When the state last moved.
    pub state_at: Timestamp,
    /// When it was queued.
    pub created_at: Timestamp,
    /// Who asked for it.
    pub created_by: UserId,
    /// When its time in the queue runs out; `None` means never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// When the host last said something about it.
    #[serde(default)]
    pub reported_at: Option<Timestamp>,
    /// A user asked to take it back and the host has not answered yet.
    #[serde(default)]
    pub cancel_requested: bool,
    /// The step tree as last saved; live readers get a newer one.
    #[serde(default)]
    pub steps: Steps,
    /// The pin of the plan that is to be carried out; absent if the host plans when its turn comes. Not in answers of the
    /// API: it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

impl Document for Deployment {
    const NAME: &'static str = "deployment";
    const SCHEMA: u16 = 1;
}

/// What may be said about a deployment right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = View))]
#[serde(tag = "view", rename_all = "snake_case")]
pub enum DeploymentView {
    /// The stored state is the truth.
    Known,
    /// The host has it, or may have it, and is not connected: nothing newer than `last` is known.
    Unknown {
        /// Name of the last known phase.
        last: String,
        /// Since when nothing was heard.
        since: Timestamp,
    },
}

impl Deployment {
    /// Whether the stored state may be shown as the present one. `host_seen` is the last proof of the host's
    /// connection, `None` while it is connected.
    #[must_use]
    pub fn view(&self, disconnected_since: Option<Timestamp>) -> DeploymentView {
        match disconnected_since {
            // An offer may have been accepted without the answer getting through.
            Some(since) if self.state.is_on_host() || self.state == DeploymentState::Offered => {
                DeploymentView::Unknown {
                    last: self.state.name().to_owned(),
                    since,
                }
            }
            _ => DeploymentView::Known,
        }
    }
}
