//! Recordings of terminals. `GET /api/v1/recordings/{id}/cast` gives one as asciicast v2, which players know.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{AgentId, TerminalId, Timestamp, UserId};

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    /// Its terminal is open.
    Running,
    /// It has its end.
    Ended,
    /// It has no end: the controller was killed while it was written, or the file was cut.
    NotEnded,
}

/// What the audit trail says of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingVerdict {
    /// The record of the terminal's end has the SHA-256 that the file has.
    Matches,
    /// It has another one: the file is not what was written.
    Differs,
    /// It has none.
    Unknown,
}

/// A recording of a terminal; it has the terminal's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingView {
    /// Id of the terminal, which is the object of its audit records.
    pub id: TerminalId,
    /// On which host.
    pub agent: AgentId,
    /// Its name at that time.
    pub agent_name: String,
    /// In which container; empty on the host itself.
    pub container: String,
    /// On the host itself: as which user of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_user: Option<String>,
    /// What ran.
    pub command: Vec<String>,
    /// With a terminal.
    pub tty: bool,
    /// Who opened it.
    pub user: UserId,
    /// Their name.
    pub user_name: String,
    /// When.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How far it is.
    pub state: RecordingState,
    /// Nothing is missing; `false` as long as it has no end.
    pub complete: bool,
    /// Bytes on disk.
    pub bytes: u64,
    /// SHA-256 of the file; in the view of one that has ended, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What the audit trail says of it; in the view of one that has ended, not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RecordingVerdict>,
}

/// Which recordings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RecordingQuery {
    /// Only on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Only of this user (name or id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Entries per page, 1–500; 200 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
