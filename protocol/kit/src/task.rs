//! Tasks: every one has a name, an owner and a policy.
//!
//! ```text
//! main ── TaskSet ──┬─ "engine"  OnFailure::Exit      error or panic → first failure kept, stop triggered
//!    │              ├─ "link"    restarting, backoff  error or panic → wait, start again
//!    │              └─ "report"  OnFailure::Log       error or panic → one log line
//!    └─ stop ◄──── signal, or a task with OnFailure::Exit
//! ```
//!
//! The set holds no task's result but the first fatal failure. `TaskSet::drain` triggers stop, waits up to a deadline,
//! ends what is left and says which tasks those were. A [`TaskHandle`] is for the small tasks of one connection or
//! one request: its task ends when the handle is dropped.
//!
//! This is the only module of WindFlow that calls `tokio::spawn`.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{sync::watch, task::AbortHandle};
use tracing::Instrument as _;

use crate::{
    backoff::BackoffOptions,
    error::{BoxError, chain},
    random::Random,
    stop::Stop,
};

mod scoped;
#[cfg(test)]
mod tests;

pub use scoped::{TaskHandle, spawn_scoped};

/// What a failed task (error or panic) means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The process cannot go on without it: trigger stop and let `main` report the failure.
    Exit,
    /// Log it; the rest goes on.
    Log,
}

/// What a task may return: nothing, or a result whose error is its failure.
pub trait TaskResult: Send + 'static {
    /// The failure, if it is one.
    fn into_failure(self) -> Option<BoxError>;
}

impl TaskResult for () {
    fn into_failure(self) -> Option<BoxError> {
        None
    }
}

impl<E: Into<BoxError> + Send + 'static> TaskResult for Result<(), E> {
    fn into_failure(self) -> Option<BoxError> {
        self.err().map(Into::into)
    }
}

/// A task that failed.
#[derive(Debug, thiserror::Error)]
#[error("task {task} failed")]
pub struct TaskFailure {
    /// Name of the task.
    pub task: &'static str,
    /// Its error, or what it panicked with.
    #[source]
    pub source: BoxError,
}

/// How a drain ended.
#[derive(Debug, Default)]
pub struct Drained {
    /// Names of the tasks that did not end in time and were ended, sorted.
    pub unfinished: Vec<&'static str>,
    /// The first failure of a task with [`OnFailure::Exit`].
    pub failure: Option<TaskFailure>,
}

/// The tasks of a process (or of one part with a life of its own). Clones share the tasks.
#[derive(Clone)]
pub struct TaskSet {
    inner: Arc<Inner>,
}

struct Inner {
    stop: Stop,
    random: Random,
    state: Mutex<State>,
    /// Number of running tasks; what a drain waits for.
    running: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    next: u64,
    tasks: BTreeMap<u64, (&'static str, Option<AbortHandle>)>,
    failure: Option<TaskFailure>,
}

impl TaskSet {
    /// An empty set. `stop` ends it and is triggered by a failed [`OnFailure::Exit`] task; `random` jitters restarts.
    #[must_use]
    pub fn new(stop: Stop, random: Random) -> Self {
        Self {
            inner: Arc::new(Inner {
                stop,
                random,
                state: Mutex::default(),
                running: watch::channel(0).0,
            }),
        }
    }

    /// The token that ends this set.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.inner.stop
    }

    /// Starts a task inside a span of its name. The task must watch [`TaskSet::stop`] itself: it is dropped only when
    /// a drain runs out of time.
    pub fn spawn<F>(&self, name: &'static str, on_failure: OnFailure, future: F)
    where
        F: Future + Send + 'static,
        F::Output: TaskResult,
    {
        let inner = Arc::clone(&self.inner);
        self.start(name, async move {
            if let Some(source) = run_caught(future).await {
                inner.failed(TaskFailure { task: name, source }, on_failure);
            }
        });
    }

    /// Starts a task which is made again by `make` after each failure, with a delay in between. The delay starts over
    /// once a run has lasted longer than the highest delay. A run that ends without failure ends the task.
    pub fn spawn_restarting<M, F>(&self, name: &'static str, backoff: BackoffOptions, mut make: M)
    where
        M: FnMut() -> F + Send + 'static,
        F: Future + Send + 'static,
        F::Output: TaskResult,
    {
        let (stop, mut delays) = (self.inner.stop.clone(), backoff.build(self.inner.random.clone()));
        self.start(name, async move {
            loop {
                let started = tokio::time::Instant::now();
                let Some(source) = run_caught(make()).await else { return };
                if started.elapsed() > backoff.max {
                    delays.reset();
                }
                let delay = delays.next_delay();
                tracing::warn!(task = name, error = %chain(&source), retry_ms = delay.as_millis(), "task failed; restarting");
                if stop.run(tokio::time::sleep(delay)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Number of running tasks.
    #[must_use]
    pub fn running(&self) -> usize {
        *self.inner.running.borrow()
    }

    /// Triggers stop and waits for all tasks, at most `deadline`; then drops the rest at their next await.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.inner.stop.trigger();
        let mut running = self.inner.running.subscribe();
        let in_time = tokio::time::timeout(deadline, running.wait_for(|count| *count == 0))
            .await
            .is_ok();
        let mut state = self.inner.lock();
        let mut unfinished = Vec::new();
        if !in_time {
            for (name, abort) in state.tasks.values() {
                unfinished.push(*name);
                if let Some(abort) = abort {
                    abort.abort();
                }
            }
            unfinished.sort_unstable();
        }
        Drained {
            unfinished,
            failure: state.failure.take(),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one door to the runtime: the task is registered, named and drained"
    )]
    fn start(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let id = self.inner.enter(name);
        let leave = Leave {
            inner: Arc::clone(&self.inner),
            id,
        };
        let span = tracing::info_span!("task", name);
        let task = tokio::spawn(
            async move {
                // Owned by the future, so it also runs when the task is aborted.
                let _leave = leave;
                future.await;
            }
            .instrument(span),
        );
        if let Some((_, abort)) = self.inner.lock().tasks.get_mut(&id) {
            *abort = Some(task.abort_handle());
        }
    }
}

impl fmt::Debug for TaskSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.lock();
        f.debug_set()
            .entries(state.tasks.values().map(|(name, _)| name))
            .finish()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, name: &'static str) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        state.tasks.insert(id, (name, None));
        self.running.send_replace(state.tasks.len());
        id
    }

    fn failed(&self, failure: TaskFailure, on_failure: OnFailure) {
        tracing::error!(task = failure.task, error = %chain(&failure.source), "task failed");
        if on_failure == OnFailure::Exit {
            self.lock().failure.get_or_insert(failure);
            self.stop.trigger();
        }
    }
}

struct Leave {
    inner: Arc<Inner>,
    id: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        state.tasks.remove(&self.id);
        self.inner.running.send_replace(state.tasks.len());
    }
}

/// A panic, as an error.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
struct Panicked(String);

async fn run_caught<F>(future: F) -> Option<BoxError>
where
    F: Future,
    F::Output: TaskResult,
{
    // Unwind-safe in effect: nothing of the future is touched again after a panic.
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(result) => result.into_failure(),
        Err(panic) => Some(Box::new(Panicked(panic_text(panic.as_ref())))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "with a value that is no text".to_owned())
}
