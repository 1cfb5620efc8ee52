//! A fleet of simulated hosts against one controller: what `windflow bench fleet` runs.
//!
//! ```text
//! Bench::run ─ enrol (16 at once, real tokens, real lane) ─▶ hosts: one task each, real QUIC and TLS
//!    host: dial (as an agent does) ─▶ AgentSession ⇄ frames; Target answers assignments by a timetable
//!    hosts ─▶ Board (what happened when, one mutex) ◄─ profiles: idle · deploy-wave · reconnect-storm · metrics · logs
//!    prober: a thread with a runtime of its own, requests over HTTPS at a fixed rate
//! ```
//! - [`door`] — what the bench needs of the controller's API; the command line brings it.
//! - [`identity`] — keys and certificates of the hosts, kept between runs on request.
//! - [`figures`] — rows of results; [`process`] — what the controller's process uses.
//!
//! Simulated is the container engine and nothing else: each host has a key and a certificate of its own, joined with a
//! token, and speaks through the same session and transport as an agent. Up to [`HOSTS_PER_SOCKET`] hosts share a UDP
//! socket.
#![forbid(unsafe_code)]

mod board;
pub mod door;
pub mod figures;
mod host;
pub mod identity;
mod logs;
mod metrics;
mod probe;
pub mod process;
mod profile;
mod run;
mod target;

pub use door::{Door, Reply};
pub use figures::Row;
pub use logs::{LogFeed, LogLoad};
pub use run::{Bench, BenchError};

/// Hosts behind one socket. quinn tells their connections apart by id.
pub const HOSTS_PER_SOCKET: usize = 250;

/// What a run does, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// All hosts are connected and nothing happens.
    Idle,
    /// One stack goes to all hosts in one request, and is removed again.
    DeployWave,
    /// All hosts lose their connection and come back.
    ReconnectStorm,
    /// All hosts send samples.
    Metrics,
    /// Some hosts write logs, and somebody reads them.
    Logs,
}
