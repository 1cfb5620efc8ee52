//! The one owner of all sessions.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use windflow_model::{AgentId, Failure, LogQuery, Plan, Presence};

use super::{
    handle::LogStream,
    home::{Assignment, Withdrawal},
};

/// What the handle asks for.
#[derive(Debug)]
pub(super) enum Command {
    Presences {
        reply: oneshot::Sender<BTreeMap<AgentId, Presence>>,
    },
    Nudge {
        agent: AgentId,
    },
    Withdraw {
        agent: AgentId,
        withdrawal: Withdrawal,
    },
    Plan {
        agent: AgentId,
        assignment: Box<Assignment>,
        reply: oneshot::Sender<Result<Plan, Failure>>,
    },
    Logs {
        agent: AgentId,
        query: LogQuery,
        reply: oneshot::Sender<Result<LogStream, Failure>>,
    },
    Disconnect {
        agent: AgentId,
        reason: String,
        reply: oneshot::Sender<()>,
    },
}
