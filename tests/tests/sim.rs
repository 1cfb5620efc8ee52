//! The whole product in one process on simulated machines: the real controller, real agents with the simulated engine,
//! real QUIC and TLS; network, disks, clocks and power are drawn from a seed.
//!
//! ```text
//! run(seed) ── turmoil: controller ◄─ quinn over simulated UDP ─► host-1 … host-n      one thread, time is simulated
//!    │            └─ redb on a disk that forgets what was not synced, one per machine
//!    ├─ operator: deploys, rolls back, removes          ├─ world: cuts, crashes, power cuts, full disks, wrong clocks
//!    └─► history (JSON lines) ──► checker: the invariants
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its harness too"
)]

#[path = "sim/disk.rs"]
mod disk;
#[path = "sim/entropy.rs"]
mod entropy;

#[path = "sim/hosts.rs"]
mod hosts;
#[path = "sim/network.rs"]
mod network;
#[path = "sim/operator.rs"]
mod operator;
#[path = "sim/run.rs"]
mod run;
#[path = "sim/store.rs"]
mod store;

use windflow_tests::{checker, history};

use run::{Shape, run};

#[test]
fn sim_one_seed() {
    let seed: u64 = std::env::var("WINDFLOW_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let events = run(seed, Shape::default());
    if let Ok(path) = std::env::var("WINDFLOW_HISTORY") {
        fs_err::write(path, history::lines(&events)).unwrap();
    }
    let verdict = checker::judge(&events);
    assert!(
        verdict.broken.is_empty(),
        "seed {seed}:\n{}",
        verdict.broken.join("\n")
    );
    println!(
        "{} granted, {} faults, {} events",
        verdict.granted,
        verdict.faults,
        events.len()
    );
}
