//! A controller from an older copy of its data, and two controllers from one copy: hosts take no step back, and of two
//! controllers they obey one.

use std::{path::Path, time::Duration};

use fs_err as fs;
use windflow_model::{DeploymentState, Presence, Rev};
use windflow_tests::{
    Fleet, Host, Target, UdpProxy,
    fleet::{free_port, memory},
    program::{Launch, Program},
    wait::until,
};

use crate::world;

const SOON: Duration = Duration::from_secs(30);

fn web(variant: u64) -> String {
    format!("services:\n  web:\n    image: example/web:1\n    environment: {{ VARIANT: '{variant}' }}\n")
}

async fn deploy(fleet: &Fleet, host: &Host, variant: u64) -> DeploymentState {
    let made = fleet.deploy("shop", &web(variant), &[host]).await;
    fleet.ended(made[0].deployment.id, SOON).await.deployment.state
}

/// A copy as a backup makes it: of a controller that does not run.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&path, &target);
        } else if entry.file_type().unwrap().is_file() {
            fs::copy(&path, &target).unwrap();
        }
    }
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
}

/// What the simulated engine of a host runs.
fn runs(host: &Host) -> String {
    fs::read_to_string(host.state_dir().join("fake.json")).unwrap()
}

/// The controller goes back to a copy that `later` revisions are missing from.
async fn older(later: u64) {
    let mut fleet = Fleet::start_in(&memory(), &[]).await;
    let host = fleet.host("kept", Target::Fake).await;
    assert_eq!(deploy(&fleet, &host, 0).await, DeploymentState::Succeeded);
    let backup = fleet.scratch().join("backup");
    fleet.controller.stop(SOON).await;
    copy(&fleet.data_dir(), &backup);
    fleet.restart_controller().await;
    for variant in 1..=later {
        assert_eq!(deploy(&fleet, &host, variant).await, DeploymentState::Succeeded);
    }
    let before = runs(&host);
    fleet.controller.stop(SOON).await;
    fs::remove_dir_all(fleet.data_dir()).unwrap();
    copy(&backup, &fleet.data_dir());
    fleet.restart_controller().await;
    fleet.connected(&host).await;
    // It mints numbers that the host has had already: each is refused and said so, until one is new.
    for variant in 1..=later {
        let state = deploy(&fleet, &host, 100 + variant).await;
        let held = Rev(1 + later);
        assert_eq!(state, DeploymentState::Diverged { held }, "{variant} of {later}");
        assert_eq!(runs(&host), before, "nothing on the host has changed");
    }
    // A person goes on from there.
    assert_eq!(deploy(&fleet, &host, 200).await, DeploymentState::Succeeded);
    assert_ne!(runs(&host), before);
}

/// Two from one copy: the host obeys the one that began later, and tells the other one why not.
async fn two() {
    let mut fleet = Fleet::start_in(&memory(), &[]).await;
    let proxy = UdpProxy::start(fleet.quic()).await;
    let mut host = fleet.enrol_by("torn", Target::Fake, proxy.address()).await;
    host.start();
    fleet.connected(&host).await;
    assert_eq!(deploy(&fleet, &host, 0).await, DeploymentState::Succeeded);
    fleet.controller.stop(SOON).await;
    let second = fleet.scratch().join("second");
    copy(&fleet.data_dir(), &second);
    fleet.restart_controller().await;
    fleet.connected(&host).await;
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut launch = Launch::ours(
        "windflow-controller",
        [
            "serve",
            "--http",
            &at.to_string(),
            "--quic",
            &at.to_string(),
            "--data-dir",
        ],
    );
    launch.args.push(second.into());
    let mut other = Program::new("second controller", fleet.scratch().join("second.log"));
    other.start(&launch);
    until("the second one is ready", SOON, async || {
        other.said().contains("controller is ready").then_some(())
    })
    .await;
    proxy.switch(at).await;
    until("the host is with the second one", SOON, async || {
        other.said().contains("host connected").then_some(())
    })
    .await;
    // Back to the first one, which is the older now.
    proxy.switch(fleet.quic()).await;
    let said = until("the host refuses the first one", SOON, async || {
        let status = host.command(&["status", "--json"]).finish().await.stdout;
        status.contains("a newer one").then_some(status)
    })
    .await;
    assert!(said.contains("restored from a backup or copied"), "{said}");
    let before = runs(&host);
    let made = fleet.deploy("shop", &web(1), &[&host]).await;
    let id = made[0].deployment.id;
    let reason = until("the first one knows why", SOON, async || {
        match fleet.presence(host.id()).await {
            Presence::Offline { reason, .. } if reason.contains("a newer one") => Some(reason),
            _ => None,
        }
    })
    .await;
    println!("two controllers: the first one says: {reason}");
    assert_eq!(
        fleet.deployment(id).await.deployment.state,
        DeploymentState::Queued
    );
    assert_eq!(runs(&host), before, "nothing on the host has changed");
}

async fn rounds(default: u64) {
    let rounds = world::number("WINDFLOW_TEST_ROUNDS", default);
    for round in 0..rounds {
        older(1 + round % 3).await;
        two().await;
    }
    println!("copies: {rounds} older copies, {rounds} pairs of controllers; no step back, one is obeyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_controllers_from_copies() {
    rounds(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_controllers_from_copies() {
    rounds(10).await;
}
