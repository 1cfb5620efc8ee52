//! Work that holds its thread: on a thread of its own, or, in a simulation, in its turn on the only thread there is.
//!
//! A simulation's time goes on while another thread works, by as much as the machine happens to be slow: a run would not
//! be the same twice.

use std::cell::Cell;

use tokio::task::{JoinError, JoinHandle};

thread_local! {
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
}

/// From now on, what this thread starts with [`run`] is done on it, as a task of its runtime.
pub fn in_turn() {
    IN_TURN.set(true);
}

/// Runs work that computes long or waits for a disk. It goes on if nobody waits for it any more.
///
/// # Errors
/// If the work panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    start(work).await
}

fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if IN_TURN.get() {
        #[expect(
            clippy::disallowed_methods,
            reason = "the caller of `run` owns it, as it would own the work on another thread"
        )]
        return tokio::spawn(async move { work() });
    }
    tokio::task::spawn_blocking(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_work_is_done_here_or_elsewhere_and_a_panic_is_told() {
        let here = std::thread::current().id();
        let place = || std::thread::current().id();
        assert_ne!(run(place).await.unwrap(), here);
        in_turn();
        assert_eq!(run(place).await.unwrap(), here);
        let broken = run(|| -> u8 { panic!("no") }).await;
        IN_TURN.set(false);
        assert!(broken.unwrap_err().is_panic());
    }
}
