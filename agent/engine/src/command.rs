//! What the handle sends to the owning loop.

use std::time::Duration;

use tokio::sync::oneshot;
use windflow_model::{Failure, OpId, Plan, Rev, StackName};

use crate::order::{Acceptance, ApplyError, CancelOutcome, Order};

/// One request with the way back.
#[derive(Debug)]
pub(crate) enum Command {
    Apply {
        order: Box<Order>,
        reply: oneshot::Sender<Result<Acceptance, ApplyError>>,
    },
    Cancel {
        stack: StackName,
        rev: Rev,
        op: OpId,
        reply: oneshot::Sender<Result<CancelOutcome, ApplyError>>,
    },
    Plan {
        order: Box<Order>,
        reply: oneshot::Sender<Result<Plan, Failure>>,
    },
    Lifecycle(Lifecycle, oneshot::Sender<Result<(), Failure>>),
    Ack {
        upto: u64,
        reply: oneshot::Sender<Result<(), ApplyError>>,
    },
}

/// A one-shot on containers that exist.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    pub(crate) stack: StackName,
    pub(crate) services: Vec<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Start,
    Stop,
    Restart,
}
