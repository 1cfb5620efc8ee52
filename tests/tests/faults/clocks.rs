//! Wrong clocks: ten minutes matter to nobody; more is named by the host, nothing crashes, and all is
//! well again once the clock is.
//!
//! The clock of a process is changed by libfaketime, which only works for programs that are linked dynamically.

use std::{path::PathBuf, time::Duration};

use fs_err as fs;
use tokio::time::Instant;
use windflow_model::DeploymentState;
use windflow_tests::{Fleet, Host, Target, fleet::memory, wait::until};

const SOON: Duration = Duration::from_secs(30);
/// The contract's bounds.
const NAMED_WITHIN: Duration = Duration::from_secs(10);
const WELL_WITHIN: Duration = Duration::from_secs(60);

const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// A clock that a file sets.
struct Clock {
    file: PathBuf,
    env: Vec<(String, String)>,
    _dir: tempfile::TempDir,
}

impl Clock {
    /// `None`, with a line for the reader, where there is no libfaketime.
    fn right() -> Option<Self> {
        let Some(library) = LIBRARIES.iter().find(|path| fs::metadata(path).is_ok()) else {
            println!("SKIPPED: libfaketime is needed (scripts/setup tools)");
            return None;
        };
        let dir = tempfile::tempdir_in(memory()).unwrap();
        let file = dir.path().join("clock");
        let env = [
            ("LD_PRELOAD", (*library).to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let clock = Self {
            file,
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            _dir: dir,
        };
        clock.set("+0");
        Some(clock)
    }

    fn set(&self, off: &str) {
        fs::write(&self.file, off).unwrap();
    }
}

async fn works(fleet: &Fleet, host: &Host, variant: &str, bound: Duration) {
    let compose =
        format!("services:\n  web:\n    image: example/web:1\n    environment: {{ VARIANT: '{variant}' }}\n");
    let made = fleet.deploy("shop", &compose, &[host]).await;
    let ended = fleet.ended(made[0].deployment.id, bound).await.deployment;
    assert_eq!(ended.state, DeploymentState::Succeeded, "{variant}");
}

/// One process is started with a clock that is `off`.
async fn case(whose: &str, off: &str, matters: bool) {
    let Some(clock) = Clock::right() else { return };
    let what = format!("{whose} {off}");
    let mut fleet = Fleet::start_in(&memory(), &[]).await;
    let mut host = fleet.enrol("skewed", Target::Fake).await;
    let controller = whose == "controller";
    for (name, value) in &clock.env {
        if controller {
            fleet.set_env(name, value);
        } else {
            host.set_env(name, value);
        }
    }
    host.start();
    fleet.connected(&host).await;
    works(&fleet, &host, "before", SOON).await;
    if controller {
        fleet.controller.stop(SOON).await;
        clock.set(off);
        fleet.restart_ignored().await;
    } else {
        host.agent.stop(SOON).await;
        clock.set(off);
        host.start();
    }
    if !matters {
        fleet.connected(&host).await;
        works(&fleet, &host, off, SOON).await;
        println!("{what}: no effect");
        return;
    }
    let began = Instant::now();
    let status = until(&format!("{what}: the host names it"), NAMED_WITHIN, async || {
        let status = host.command(&["status"]).finish().await;
        let text = format!("{}{}", status.stdout, status.stderr);
        text.contains("clock says").then_some(text)
    })
    .await;
    let by_host = began.elapsed();
    assert!(host.agent.is_running() && fleet.controller.is_running(), "{what}");
    // Running processes, a clock that is set right.
    clock.set("+0");
    let right = Instant::now();
    until(&format!("{what}: it is well again"), WELL_WITHIN, async || {
        let status = host.command(&["status", "--json"]).finish().await.stdout;
        status.contains("\"connected\"").then_some(())
    })
    .await;
    works(&fleet, &host, "after", SOON).await;
    println!(
        "{what}: named by the host after {} ms ({}); well again after {} ms",
        by_host.as_millis(),
        status.trim().lines().last().unwrap_or_default(),
        right.elapsed().as_millis()
    );
}

/// The clock jumps while a deployment is at work: nothing happens to it.
async fn jump(off: &str) {
    let Some(clock) = Clock::right() else { return };
    let fleet = Fleet::start_in(&memory(), &[]).await;
    let mut host = fleet.enrol("jump", Target::Fake).await;
    for (name, value) in &clock.env {
        host.set_env(name, value);
    }
    host.start();
    fleet.connected(&host).await;
    let made = fleet
        .deploy("shop", "services: { web: { image: example/web:1 } }\n", &[&host])
        .await;
    clock.set(off);
    let ended = fleet.ended(made[0].deployment.id, SOON).await.deployment;
    assert_eq!(ended.state, DeploymentState::Succeeded, "{off}");
    works(&fleet, &host, off, SOON).await;
    clock.set("+0");
    works(&fleet, &host, "right", SOON).await;
    println!("jump of {off} during a deployment: no effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_clock_of_a_host() {
    case("host", "+10m", false).await;
    case("host", "-2d", true).await;
    case("host", "+400d", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_clocks() {
    for (off, matters) in [("+10m", false), ("-10m", false), ("-2d", true), ("+400d", true)] {
        case("host", off, matters).await;
        case("controller", off, matters).await;
    }
    jump("+10m").await;
    jump("-2d").await;
}
