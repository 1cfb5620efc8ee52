//! The audit trail: who did what, and whether all of it is still as it was written.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{DeploymentId, Timestamp, UserId};

/// Who did what to which object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Id, never reused: 32 hex digits that sort by time.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who; the nil id for the controller's own jobs and for hosts.
    pub user: UserId,
    /// The user's name at that time, the id of a host, or the name of a job.
    pub user_name: String,
    /// The operation, e.g. `stack_create`; empty if the record cannot be read.
    pub action: String,
    /// Id of the object.
    pub object: String,
    /// What else is worth knowing, one line.
    pub detail: String,
    /// Id of the request, as in the controller's log; empty for jobs and hosts.
    pub request: String,
    /// Where the request came from, `address:port`; empty for jobs and hosts.
    pub remote: String,
    /// Deployments that went from one state to another by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<AuditMove>,
    /// What is stored is no audit record: nothing but its id and time is known. A verification says more.
    #[serde(default)]
    pub unreadable: bool,
}

/// A deployment went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditMove {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The state before; absent when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The state after.
    pub to: String,
}

/// Which audit records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only by this user (name or id), host (id) or job (name).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only this operation, e.g. `stack_create`, or all operations on a noun, e.g. `stack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only about the object with this id; for a deployment also what moved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Not before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Entries per page, 1–500; 200 if absent. With a filter that fits rarely a page may have fewer: go by
    /// `next_cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What a check of the whole trail found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerdict {
    /// Records that are sealed.
    pub sealed: u64,
    /// Records that wait for the next seal, which comes within a second or two.
    pub open: u64,
    /// The newest seal: noted elsewhere, it vouches for everything before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<AuditHead>,
    /// What is not as it was written, at most 500; empty if all is well.
    pub problems: Vec<AuditProblem>,
    /// Problems beyond these.
    pub more_problems: u64,
}

/// The newest seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// Its number, from 1.
    pub number: u64,
    /// Its hash: SHA-256 in hex.
    pub hash: String,
}

/// Something in the trail is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditProblem {
    /// What kind of thing.
    pub kind: AuditProblemKind,
    /// The seal that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<u64>,
    /// The record that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// What was found, one line.
    pub message: String,
    /// What that means.
    pub meaning: String,
    /// What to do.
    pub remedy: String,
}

/// How a trail can differ from what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditProblemKind {
    /// A record says something else than when it was sealed.
    RecordChanged,
    /// A sealed record is gone.
    RecordMissing,
    /// Two seals, or one twice, claim the same record.
    RecordTwice,
    /// A record is under no seal, and waits for none.
    RecordUnsealed,
    /// A record that waited for its seal is gone.
    OpenMissing,
    /// Seals are missing between two others.
    SealMissing,
    /// A seal cannot be read.
    SealUnreadable,
    /// A seal does not fit the one before it.
    SealDetached,
    /// The newest seal is not the one that was written last.
    HeadWrong,
}

impl AuditProblemKind {
    /// What it means for who relies on the trail.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::RecordChanged => {
                "What this record says is not what was written: the store's file was changed from outside, or damaged."
            }
            Self::RecordMissing => {
                "What was done then is no longer told: the record was taken out of the store's file."
            }
            Self::RecordTwice => "Seals were made by something else than the controller.",
            Self::RecordUnsealed => {
                "The controller seals each of its records: this one was put in by something else, or its seal was taken out."
            }
            Self::OpenMissing => "The record was taken out before it could be sealed.",
            Self::SealMissing => "The records under these seals can no longer be proved.",
            Self::SealUnreadable => "The records under this seal can no longer be proved.",
            Self::SealDetached => {
                "This seal or the one before it says something else than when it was written."
            }
            Self::HeadWrong => {
                "Seals at the end were changed, taken out or put in, so the newest records are not proved."
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::RecordUnsealed | Self::RecordTwice => {
                "Do not rely on this record; find out who could write to the data directory."
            }
            Self::RecordChanged | Self::RecordMissing | Self::OpenMissing => {
                "Compare with a backup of the data directory from before, and find out who could write to it."
            }
            Self::SealMissing | Self::SealUnreadable | Self::SealDetached | Self::HeadWrong => {
                "Compare with a backup of the data directory, or with a head that was noted elsewhere; find out who could \
                 write to it."
            }
        }
    }
}
