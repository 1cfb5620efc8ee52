//! The end of a process as a token, and the signals that trigger it.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Told once, for good: stop. Clones share it; a [`Stop::child`] can be triggered alone and follows its parent.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A new token, not triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is triggered with this one, but may be triggered alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Triggers it. Repeats do nothing.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// Whether it was triggered.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is triggered. May be dropped and called again at will.
    pub async fn stopped(&self) {
        self.0.cancelled().await;
    }

    /// Runs `future` until it ends, or drops it when stop is triggered first (`None`).
    pub async fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        self.0.run_until_cancelled(future).await
    }
}

/// Which signal ended the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM: systemd, `docker stop`.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
}

/// The signals could not be taken over.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for SIGTERM and SIGINT")]
pub struct SignalError {
    #[source]
    source: std::io::Error,
}

/// SIGTERM and SIGINT of this process. From [`Signals::listen`] on they no longer end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over. Call it before the first await of `main`.
    ///
    /// # Errors
    /// [`SignalError`] if the kernel refuses.
    pub fn listen() -> Result<Self, SignalError> {
        let on = |kind| signal(kind).map_err(|source| SignalError { source });
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal. Call it again while draining: a second one means "now".
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn children_follow_their_parent_but_not_the_reverse() {
        let parent = Stop::new();
        let (one, two) = (parent.child(), parent.child());
        one.trigger();
        assert!(one.is_stopped() && !parent.is_stopped() && !two.is_stopped());
        assert_eq!(two.run(async { 5 }).await, Some(5));
        parent.trigger();
        two.stopped().await;
        assert_eq!(two.run(std::future::pending::<()>()).await, None);
    }
}
