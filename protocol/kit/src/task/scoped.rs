//! Small tasks that cannot outlive their handle.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::{Panicked, TaskFailure, panic_text};

/// A running task of one connection or request. Dropping the handle ends the task at its next await; awaiting the
/// handle gives its result.
#[derive(Debug)]
#[must_use = "dropping the handle ends the task"]
pub struct TaskHandle<T> {
    name: &'static str,
    task: JoinHandle<T>,
}

/// Starts a task that lives as long as its handle at most. For long-lived parts use a [`super::TaskSet`].
#[expect(
    clippy::disallowed_methods,
    reason = "owned by its handle, which ends it when dropped"
)]
pub fn spawn_scoped<F>(name: &'static str, future: F) -> TaskHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    TaskHandle {
        name,
        task: tokio::spawn(future.instrument(tracing::info_span!("task", name))),
    }
}

impl<T> TaskHandle<T> {
    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends the task now; awaiting the handle then gives a failure.
    pub fn abort(&self) {
        self.task.abort();
    }
}

impl<T> Drop for TaskHandle<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task was ended from outside.
#[derive(Debug, thiserror::Error)]
#[error("ended before it was done")]
struct Aborted;

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskFailure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let name = self.name;
        Pin::new(&mut self.task)
            .poll(context)
            .map_err(|error| TaskFailure {
                task: name,
                source: match error.try_into_panic() {
                    Ok(panic) => Box::new(Panicked(panic_text(panic.as_ref()))),
                    Err(_) => Box::new(Aborted),
                },
            })
    }
}
