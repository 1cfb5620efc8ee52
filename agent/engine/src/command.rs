//! What the handle sends to the owning loop.

use tokio::sync::oneshot;
use windflow_model::{Failure, OpId, Plan, Rev, StackName};

use crate::{
    lifecycle::Lifecycle,
    order::{Acceptance, ApplyError, CancelOutcome, Order, Revision},
};

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
    History {
        stack: StackName,
        reply: oneshot::Sender<Result<Vec<Revision>, Failure>>,
    },
    Again {
        stack: StackName,
        to: Option<Rev>,
        reply: oneshot::Sender<Result<Order, Failure>>,
    },
    Lifecycle(Box<Lifecycle>, oneshot::Sender<Result<(), Failure>>),
    Ack {
        upto: u64,
        reply: oneshot::Sender<Result<(), ApplyError>>,
    },
}
