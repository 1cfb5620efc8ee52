//! The whole product in one process on simulated machines: the real controller, real agents with the simulated engine,
//! real QUIC and TLS; network, disks, clocks and power are drawn from a seed.
//!
//! ```text
//! run(seed) ── turmoil: controller ◄─ quinn over simulated UDP ─► host-1 … host-n      one thread, time is simulated
//!    │            └─ redb on a disk that forgets what was not synced, one per machine
//!    ├─ operator: deploys, rolls back, removes          ├─ world: cuts, crashes, power cuts, full disks, wrong clocks
//!    └─► history (JSON lines) ──► checker: the invariants
//! ```
//! `WINDFLOW_SEED` is the first seed (default 1), `WINDFLOW_SEEDS` how many (200), `WINDFLOW_REPLAYS` how often one is
//! repeated (5). The history of a seed that breaks an invariant is left in the directory for temporary files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its harness too"
)]

#[cfg(feature = "seeded-bugs")]
#[path = "sim/bugs.rs"]
mod bugs;
#[path = "sim/child.rs"]
mod child;
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
#[path = "sim/requests.rs"]
mod requests;
#[path = "sim/run.rs"]
mod run;
#[path = "sim/store.rs"]
mod store;
#[path = "sim/strike.rs"]
mod strike;
#[path = "sim/suite.rs"]
mod suite;
#[path = "sim/sweep.rs"]
mod sweep;
#[path = "sim/world.rs"]
mod world;
