//! The typed client of WindFlow's HTTP API, and the `windflow` command line on top of it.
//!
//! - [`context`] — which controller, trusted how, as whom; [`pin`] — trust by the hash of its authority's key.
//! - [`http`], [`api`], [`live`], [`terminal`] — requests, the operations by name, the live feeds ([`sse`] parses them),
//!   terminals.
//! - [`collect`] — Compose files on disk to a spec.
//! - [`cli`], [`commands`], [`follow`], [`output`] — the command line: arguments, what they do, live progress, tables.
//! - [`error`] — every failure with its hint and the exit code scripts rely on.
//!
//! There are no background tasks: a command is one future on one thread.
#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod collect;
pub mod commands;
pub mod context;
pub mod error;
pub mod follow;
pub mod http;
pub mod live;
pub mod output;
pub mod pin;
pub mod sse;
pub mod terminal;

pub use context::Context;
pub use error::{Error, Exit, Result};
pub use http::Client;
