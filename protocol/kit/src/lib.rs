//! The process kit: what every WindFlow process needs and no WindFlow noun.
//!
//! - [`task`] — the only place that starts tasks: every task has a name, an owner and a policy.
//! - [`blocking`] — work that holds its thread.
//! - [`stop`] — the token that ends a process, and the signals that trigger it.
//! - [`clock`], [`random`] — time and chance as handles that are passed in, so tests and simulations own both.
//! - [`backoff`] — retry delays with full jitter.
//! - [`gather`] — batches of a stream, bounded in number and bytes.
//! - [`merge`] — many streams in order of time.
//! - [`error`] — prints an error with its causes, once, at the edge.
//! - [`secret`] — values that cannot be printed and are wiped when dropped.
//! - [`seeded`] — deliberate bugs that the fault suite has to find; in no product.
//! - [`lock`] — one process per data directory.
//! - [`settings`] — a table of settings, from which the loader and the printed reference both come.
//! - [`terminal`] — the terminal this process was started in: raw keys, size.
//! - [`mod@trace`], [`build`] — logs on stderr; version, commit, target.
//!
//! This crate depends on nothing of ours. It knows no runtime beyond tokio.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod blocking;
pub mod build;
pub mod clock;
pub mod error;
pub mod gather;
pub mod lock;
pub mod merge;
pub mod random;
pub mod secret;
pub mod seeded;
pub mod settings;
pub mod stop;
pub mod task;
pub mod terminal;
pub mod trace;

pub use backoff::{Backoff, BackoffOptions};
pub use clock::Clock;
pub use error::{BoxError, Chain};
pub use gather::Gather;
pub use lock::{DirLock, LockError};
pub use random::Random;
pub use secret::Secret;
pub use stop::Stop;
pub use task::{OnFailure, TaskHandle, TaskSet};
