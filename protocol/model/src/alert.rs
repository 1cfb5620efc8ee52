//! Alerts: what is wrong, since when, and who was told.
//!
//! ```text
//! rule ─ its condition, seen for each host, container, … ─▶ AlertState::next ─▶ alerts ─▶ silences ─▶ Told::plan ─▶ notifications
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod channel;
pub mod notice;
pub mod rule;
pub mod silence;
pub mod state;

pub use channel::{Channel, ChannelSettings, Delivery, GroupBy, MailTls, Templates};
pub use notice::{Notice, NoticeAlert, NoticeState, NoticeStatus, Notification};
pub use rule::{AlertRule, Compare, Condition, Containers, RuleSpec};
pub use silence::{Day, Matcher, Schedule, Silence, Window};
pub use state::{AlertState, Patience, Resolution, Seen};

use crate::{
    doc::Document,
    id::{AgentId, AlertId, RuleId, StackId},
    rollout::Person,
    time::Timestamp,
};

/// How bad something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = AlertSeverity))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look at it.
    #[default]
    Warning,
    /// Somebody must look at it now.
    Critical,
}

impl Severity {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an alert is about. Of one rule there is at most one open alert for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = AlertSubject))]
#[serde(default)]
pub struct Subject {
    /// The host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The stack of the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack_id: Option<StackId>,
    /// The stack's name (Compose project).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stack: String,
    /// The service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// What of it: a container, a file system, an interface, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
}

/// One alert: a rule's condition holding for one subject, from its begin to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Alert {
    /// Id, never reused.
    pub id: AlertId,
    /// Its rule.
    pub rule: RuleId,
    /// The rule's name at that time.
    pub rule_name: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// Name of the host at that time, if it is about one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Where it stands.
    #[serde(flatten)]
    pub state: AlertState,
    /// One sentence, as of the last change: `CPU is 0.97, above 0.9`.
    pub summary: String,
    /// The value that was seen then, if the condition has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Somebody who has said that they know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

impl Document for Alert {
    const NAME: &'static str = "alert";
    const SCHEMA: u16 = 1;
}

/// Somebody knows of an alert: it is not told again, unless it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Acknowledgement {
    /// Who.
    pub by: Person,
    /// When.
    pub at: Timestamp,
    /// What they said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}
