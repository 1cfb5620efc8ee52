//! Live feeds.
//!
//! `GET /api/v1/events/live` (server-sent events, or a WebSocket): every event is named [`FLEET`] and carries a
//! [`windflow_model::FleetEvent`] with an id. Give the last id in `Last-Event-ID` to go on after a cut; what can no
//! longer be given is said by an event of kind `gap`.
//!
//! `GET /api/v1/deployments/{id}/events` (server-sent events), in this order:
//! 1. [`SNAPSHOT`]: a [`crate::DeploymentView`] with the step tree folded so far; again after events were lost;
//! 2. [`PROGRESS`]: a [`windflow_model::Progress`] to fold into the tree, and [`STATE`]: a
//!    [`crate::DeploymentView`] each time the state moves (its step tree is the newest one too);
//! 3. [`END`]: the state is final; the reader closes.
//!
//! `GET /api/v1/stacks/{id}/logs` and `GET /api/v1/logs` (WebSocket): text frames, each a [`LogFrame`]. The server closes
//! after the `end` of the last host.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{
    AgentId, GroupId, LogEvent, LogLevel, LogSearch, LogSearchError, LogSource, Selector, Timestamp,
};

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
    /// A line, a gap, what a search looked at, or the end of this host's stream.
    #[serde(flatten)]
    pub event: LogEvent,
}

/// Which log lines, or, with `search`, `regex`, `level` or `field`, which of them are looked for. A search without `follow` gives
/// the newest matches of each host, not in order; each host says what it has looked at (`searched`) before its `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct LogParams {
    /// Only from this host; several with commas. Absent, with `selector` and `group`: all hosts that have the stack, or all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Hosts with these labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// The hosts of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Only of the stack of this name; absent means every container of the hosts. Not where the path names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Only of this service; several with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only of the container of this name; several with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Last lines per container before following; absent means all that the engine keeps. Not for a search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Go on with new lines.
    pub follow: bool,
    /// Only lines at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only lines before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only this output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<LogSource>,
    /// Whether lines carry the engine's time.
    pub timestamps: bool,
    /// Only lines that hold this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Only lines in which this regular expression is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Whether text and expression tell capital letters from small ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub case_sensitive: bool,
    /// Only lines of at least this level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Only lines that are JSON objects with such fields: `status>=500`, `user=anna`, `path~login`; several with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Matches of each host after which older ones are not looked for: 1,000 if absent, at most 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl LogParams {
    /// What is searched for, if something is.
    ///
    /// # Errors
    /// What of it cannot be searched for.
    pub fn search(&self) -> Result<Option<LogSearch>, LogSearchError> {
        let fields = self.field.as_deref().unwrap_or_default().split(',');
        let fields = fields.map(str::trim).filter(|field| !field.is_empty());
        let search = LogSearch {
            texts: self.search.iter().cloned().collect(),
            regex: self.regex.clone(),
            case_sensitive: self.case_sensitive,
            level: self.level,
            fields: fields.map(str::parse).collect::<Result<_, _>>()?,
            limit: self.limit.unwrap_or(0),
        };
        // A list of tests that is empty was meant to be a search.
        if !search.is_asked() && self.field.is_none() {
            return Ok(None);
        }
        search.matcher()?;
        Ok(Some(search))
    }
}

impl Default for LogParams {
    fn default() -> Self {
        Self {
            agent: None,
            selector: None,
            group: None,
            stack: None,
            service: None,
            container: None,
            tail: None,
            follow: false,
            since: None,
            until: None,
            source: None,
            timestamps: true,
            search: None,
            regex: None,
            case_sensitive: false,
            level: None,
            field: None,
            limit: None,
        }
    }
}
