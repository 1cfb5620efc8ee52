//! Faults with real processes: what a history of the run says is judged by the checker of `windflow-tests`.
//!
//! `fault_…` are short and part of every test run (`scripts/test faults-short`); `soak_fault_…` are the same with as many
//! rounds as the reliability contract asks for (`scripts/test faults`). A seed is printed and can be given.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "faults/clocks.rs"]
mod clocks;
#[path = "faults/copies.rs"]
mod copies;
#[path = "faults/damage.rs"]
mod damage;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/engine.rs"]
mod engine;
#[path = "faults/full.rs"]
mod full;
#[path = "faults/kill.rs"]
mod kill;
#[path = "faults/memory.rs"]
mod memory;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/power.rs"]
mod power;
#[path = "faults/slow.rs"]
mod slow;
#[path = "faults/storm.rs"]
mod storm;
#[path = "faults/traffic.rs"]
mod traffic;
#[path = "faults/world.rs"]
mod world;
