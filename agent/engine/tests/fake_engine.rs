//! The engine against the simulated target: every path of the reconciler, with a clock that waits for nobody.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "fake_engine/back.rs"]
mod back;
#[path = "fake_engine/bench.rs"]
mod bench;
#[path = "fake_engine/checks.rs"]
mod checks;
#[path = "fake_engine/course.rs"]
mod course;
#[path = "fake_engine/full_store.rs"]
mod full_store;
#[path = "fake_engine/local.rs"]
mod local;
#[path = "fake_engine/loose.rs"]
mod loose;
#[path = "fake_engine/odds.rs"]
mod odds;
#[path = "fake_engine/orders.rs"]
mod orders;
#[path = "fake_engine/paths.rs"]
mod paths;
#[path = "fake_engine/plans.rs"]
mod plans;
#[path = "fake_engine/random.rs"]
mod random;
#[path = "fake_engine/searches.rs"]
mod searches;
#[path = "fake_engine/steps.rs"]
mod steps;
#[path = "fake_engine/undone.rs"]
mod undone;
#[path = "fake_engine/way_back.rs"]
mod way_back;
