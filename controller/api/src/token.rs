//! Enrolment tokens: how a host joins.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use windflow_model::{AgentId, Timestamp, TokenId, UserId};

/// Makes an enrolment token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentTokenCreate {
    /// A word for the list, at most 200 characters.
    #[serde(default)]
    pub note: String,
    /// Life in seconds, 60–86,400; 900 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u32>,
}

/// An enrolment token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentToken {
    /// Id, never reused.
    pub id: TokenId,
    /// A word for the list.
    pub note: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: UserId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When a host used it.
    #[serde(default)]
    pub used_at: Option<Timestamp>,
    /// The host that used it.
    #[serde(default)]
    pub agent: Option<AgentId>,
}

/// A new enrolment token with its secret, shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentTokenCreated {
    /// The token.
    #[serde(flatten)]
    pub token: EnrolmentToken,
    /// `wfj_<id>_<secret>`: goes into the prompt, the environment or a file, never into an argument.
    pub secret: String,
    /// The line to paste on the host; it asks for nothing else.
    pub installer: String,
}

/// Secrets are left out.
impl std::fmt::Debug for EnrolmentTokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolmentTokenCreated")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
