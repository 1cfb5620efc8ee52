//! A fleet of real programs for tests: controller, agents and command line as users get them, on free ports of this
//! machine, with data directories of their own, killed and removed however the test ends.
//!
//! ```text
//! Fleet ── windflow-controller (TCP and UDP on loopback) ◄─UDP── UdpProxy (drop, delay, new address) ◄─UDP── Host (windflow-agent)
//!   └─ Client: the typed API                             ◄──────────────────────────────────────────────── Host
//! ```
//! - [`fleet`] starts it and brings it into the state a test begins from; [`host`] is one agent.
//! - [`program`] is one process; [`proxy`] what may go wrong on the way; [`project`] what a stack left on the engine.
//! - [`engine`] is a container engine that runs nothing, [`dockerd`] a real one of a test's own.
//! - [`evidence`] is what a dead process has on disk.
//! - [`history`] is what happened; [`checker`] judges it.
//! - [`release`] files that a release has left on disk.
//! - [`wait`] waits on conditions with a bound.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its harness too"
)]

pub mod checker;
pub mod dockerd;
pub mod engine;
pub mod evidence;
pub mod fleet;
pub mod history;
pub mod host;
pub mod program;
pub mod project;
pub mod proxy;
pub mod release;
pub mod wait;

pub use fleet::{Fleet, spec};
pub use host::{Host, Target};
pub use project::Project;
pub use proxy::UdpProxy;
