//! Controller, agents and command line end to end, as real processes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "e2e/bad_input.rs"]
mod bad_input;
#[path = "e2e/bench.rs"]
mod bench;
#[path = "e2e/cli.rs"]
mod cli;
#[path = "e2e/delivery.rs"]
mod delivery;
#[path = "e2e/events.rs"]
mod events;
#[path = "e2e/files.rs"]
mod files;
#[path = "e2e/host_terminal.rs"]
mod host_terminal;
#[path = "e2e/identity.rs"]
mod identity;
#[path = "e2e/kill.rs"]
mod kill;
#[path = "e2e/link.rs"]
mod link;
#[path = "e2e/logs.rs"]
mod logs;
#[path = "e2e/metrics.rs"]
mod metrics;
#[path = "e2e/skew.rs"]
mod skew;
#[path = "e2e/startup.rs"]
mod startup;
#[path = "e2e/stores.rs"]
mod stores;
#[path = "e2e/terminal.rs"]
mod terminal;
#[path = "e2e/waves.rs"]
mod waves;
