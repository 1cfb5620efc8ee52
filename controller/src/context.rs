//! Who asks, in which organisation, and under which request id. Every operation of [`crate::app`] takes one.

use windflow_model::{OrgId, SessionId, UserId};

/// The circumstances of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpContext {
    /// Organisation whose objects are visible. Everything else does not exist for this operation.
    pub org: OrgId,
    /// Who asks; [`OpContext::SYSTEM`] for the controller's own jobs.
    pub user: UserId,
    /// Sign-in name, for the audit record.
    pub user_name: String,
    /// The credential that was shown, `None` for jobs and hosts.
    pub credential: Option<SessionId>,
    /// Id of the request, in the answer, the log and the audit record.
    pub request: String,
    /// Where the request comes from, `address:port`, empty for jobs.
    pub remote: String,
}

impl OpContext {
    /// The "user" of jobs and of hosts: the nil UUID, which no person ever gets.
    pub const SYSTEM: UserId = UserId::from_uuid(uuid::Uuid::nil());

    /// For the controller's own work: `who` is a job or a host.
    #[must_use]
    pub fn system(who: impl Into<String>) -> Self {
        Self {
            org: OrgId::DEFAULT,
            user: Self::SYSTEM,
            user_name: who.into(),
            credential: None,
            request: String::new(),
            remote: String::new(),
        }
    }
}
