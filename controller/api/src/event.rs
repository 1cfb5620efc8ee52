//! What happened in the fleet.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use windflow_model::{EventId, GroupId, Selector, Timestamp};

/// Which events. What is absent is no test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Only of this host; several with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only of hosts with these labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Only of the hosts of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Only of the stack of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Only these, several with commas: `agent_connected`, `container.died`, or `container` for all of containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Of a list: `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<EventId>,
    /// Of a list: entries per page, 1–500; 200 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Of a feed: goes on after this event. `Last-Event-ID` is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<EventId>,
}
