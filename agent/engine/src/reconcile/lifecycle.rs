//! Start, stop and restart on behalf of the handle: not while a deploy is under way.

use std::sync::Arc;

use windflow_model::{Code, Failure, StackName};

use super::context::Shared;
use crate::lifecycle::{self, Lifecycle};

pub(super) fn busy(stack: &StackName) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("a deploy of {stack} is under way on this host: wait for its end"),
    )
}

pub(super) async fn run(shared: &Arc<Shared>, order: &Lifecycle) -> Result<(), Failure> {
    if lifecycle::run(&shared.target, order).await?.is_empty() && order.act == lifecycle::Act::Restart {
        let text = format!("no such container of {} is on this host", order.stack);
        return Err(Failure::new(Code::NotFound, text));
    }
    Ok(())
}
