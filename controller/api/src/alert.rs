//! Alerts, their rules, and silences.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{
    AgentId, Alert, AlertRule, RuleId, Severity, Silence, SilenceId, Timestamp,
    alert::{Matcher, RuleSpec, Schedule, Subject},
};

/// Which alerts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AlertQuery {
    /// `pending`, `firing`, `resolved`, or `open` for the first two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Of at least this severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub severity: Option<Severity>,
    /// Of this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Of this stack, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Of this rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Entries per page, 1–500; 200 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// An alert as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
    /// Silences that cover it at this moment: nobody is told of it.
    pub silenced: Vec<SilenceId>,
}

/// Somebody knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertAcknowledge {
    /// For the others, at most 500 characters.
    pub note: String,
}

/// A rule as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleView {
    /// The rule.
    #[serde(flatten)]
    pub rule: AlertRule,
    /// Alerts of it that wait for their time.
    pub pending: u32,
    /// Alerts of it that fire.
    pub firing: u32,
    /// Version of the record for `If-Match`.
    pub version: u64,
}

/// What a rule sees at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RulePreview {
    /// For so many its condition holds.
    pub holds: u32,
    /// For so many it does not.
    pub clear: u32,
    /// Of so many nobody can tell.
    pub unknown: u32,
    /// At most 200 of them, those first for which it holds.
    pub sights: Vec<RuleSight>,
}

/// What a rule sees of one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleSight {
    /// What it is about.
    pub subject: Subject,
    /// Name of the host, if it is about one.
    pub host: String,
    /// Whether the condition holds; absent if nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
    /// The value, if the condition has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// One sentence.
    pub summary: String,
}

/// A rule that is tried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleTry {
    /// What it would say.
    pub spec: RuleSpec,
}

/// What a person says of a silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceCreate {
    /// What it is for, 1–500 characters.
    pub note: String,
    /// Which alerts; empty: all.
    #[serde(default)]
    pub matcher: Matcher,
    /// When.
    pub schedule: Schedule,
}

/// A silence as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SilenceView {
    /// The silence.
    #[serde(flatten)]
    pub silence: Silence,
    /// Until when it holds, if it holds at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_until: Option<Timestamp>,
    /// Version of the record for `If-Match`.
    pub version: u64,
}
