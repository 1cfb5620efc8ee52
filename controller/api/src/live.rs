//! Live feeds.
//!
//! `GET /api/v1/events` (server-sent events): every event is named [`FLEET`] and carries a
//! [`windflow_model::FleetEvent`] with an id. Give the last id in `Last-Event-ID` to go on after a cut; what can no
//! longer be given is said by an event of kind `gap`.
//!
//! `GET /api/v1/deployments/{id}/events` (server-sent events), in this order:
//! 1. [`SNAPSHOT`]: a [`crate::DeploymentView`] with the step tree folded so far; again after events were lost;
//! 2. [`PROGRESS`]: a [`windflow_model::Progress`] to fold into the tree, and [`STATE`]: a
//!    [`crate::DeploymentView`] each time the state moves (its step tree is the newest one too);
//! 3. [`END`]: the state is final; the reader closes.
//!
//! `GET /api/v1/stacks/{id}/logs` (WebSocket): text frames, each a [`LogFrame`]. The server closes after the `end`
//! of the last host.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{AgentId, LogEvent, Timestamp};

/// Name of the events of the fleet feed.
pub const FLEET: &str = "fleet";
/// First event of a deployment feed.
pub const SNAPSHOT: &str = "snapshot";
/// The state of the deployment moved.
pub const STATE: &str = "state";
/// A step moved.
pub const PROGRESS: &str = "progress";
/// The deployment has ended; nothing more will come.
pub const END: &str = "end";

/// One frame of a log stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogFrame {
    /// The host it comes from. `seq` counts per host.
    pub agent: AgentId,
    /// A line, a gap, or the end of this host's stream.
    #[serde(flatten)]
    pub event: LogEvent,
}

/// Which log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct LogParams {
    /// Only from this host; absent means all hosts that have the stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Only of this service; several with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Last lines per container before following; absent means all that the engine keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Go on with new lines.
    pub follow: bool,
    /// Only lines at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether lines carry the engine's time.
    pub timestamps: bool,
}

impl Default for LogParams {
    fn default() -> Self {
        Self {
            agent: None,
            service: None,
            tail: None,
            follow: false,
            since: None,
            timestamps: true,
        }
    }
}
