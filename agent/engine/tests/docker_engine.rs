//! The engine against a real Docker engine at `/var/run/docker.sock`. Skipped visibly where none answers, unless
//! `WINDFLOW_TEST_DOCKER=1` makes that a failure. Needs the images `windflow-test/busybox:1` and `:2`
//! (`scripts/setup docker`).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "docker_engine/back.rs"]
mod back;
#[path = "docker_engine/bench.rs"]
mod bench;
#[path = "docker_engine/build.rs"]
mod build;
#[path = "docker_engine/buildkit.rs"]
mod buildkit;
#[path = "docker_engine/crash.rs"]
mod crash;
#[path = "docker_engine/deploy.rs"]
mod deploy;
#[path = "docker_engine/files.rs"]
mod files;
#[path = "docker_engine/logs.rs"]
mod logs;
#[path = "docker_engine/plans.rs"]
mod plans;
#[path = "docker_engine/pull.rs"]
mod pull;
#[path = "docker_engine/registry.rs"]
mod registry;
#[path = "docker_engine/trouble.rs"]
mod trouble;
