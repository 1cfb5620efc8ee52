//! Where notifications go, and how they got on.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{
    ChannelId,
    alert::{Channel, ChannelSettings, Delivery, Notice, NoticeStatus, Templates},
};

/// A channel to be made or saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelSave {
    /// Its name, 1–64 characters, unique.
    pub name: String,
    /// What depends on its kind. A secret that is left empty stays as it was, unless the server is another one.
    pub settings: ChannelSettings,
    /// When it is told.
    #[serde(default)]
    pub delivery: Delivery,
    /// What it is told.
    #[serde(default)]
    pub templates: Templates,
    /// Whether rules that name no channel use it.
    #[serde(default)]
    pub standard: bool,
    /// Whether it is used at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Names of secrets that are to be removed: `key`, `password`, `token` where none is needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forget: Vec<String>,
}

const fn yes() -> bool {
    true
}

/// A channel as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChannelView {
    /// The channel, without secrets.
    #[serde(flatten)]
    pub channel: Channel,
    /// Host and port of where it goes.
    pub place: String,
    /// Names of the secrets that are kept.
    pub secrets: Vec<String>,
    /// Its last notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Notice>,
    /// Version of the record for `If-Match`.
    pub version: u64,
}

/// Settings to be tried without saving them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelTest {
    /// The channel from which secrets that are left empty are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ChannelId>,
    /// What depends on its kind.
    pub settings: ChannelSettings,
    /// What it is told.
    #[serde(default)]
    pub templates: Templates,
}

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelTested {
    /// The receiver's server has taken it.
    pub sent: bool,
    /// What the server said, or why it was not sent.
    pub said: String,
    /// Not sent, but a notification would be tried again.
    pub again: bool,
    /// A template failed, and WindFlow's own words were sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Templates to be tried without sending anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelPreviewRequest {
    /// The kind of the channel: the body of a `webhook` is JSON.
    pub kind: String,
    /// The templates.
    #[serde(default)]
    pub templates: Templates,
    /// What the example is about.
    pub status: NoticeStatus,
}

/// What templates make of an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelPreview {
    /// Subject, first line.
    pub title: String,
    /// The rest.
    pub text: String,
    /// Why WindFlow's own words were used; empty: they were not, or nothing else was asked for.
    pub problem: String,
}

/// Which notifications.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct NoticeQuery {
    /// Only those of this channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Entries per page, 1–500; 200 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A notification and how it got on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NoticeView {
    /// The notification.
    #[serde(flatten)]
    pub notice: Notice,
    /// Name of its channel; empty if it was deleted.
    pub channel_name: String,
}
