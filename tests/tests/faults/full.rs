//! Full disks: what cannot be written is refused with a word that helps, nothing is damaged, and everything goes on alone
//! once there is room.

use std::time::Duration;

use tokio::time::Instant;
use windflow_api::StackCreate;
use windflow_client::Error;
use windflow_model::{DeploymentId, DeploymentState};
use windflow_tests::{
    Fleet, Host, Target,
    evidence::Copy,
    fleet::{memory, spec},
    wait::{percentile, until},
};

use crate::disk::Disk;

const SOON: Duration = Duration::from_secs(60);
/// The contract's bound from room on the disk to work that is done.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);
/// Size of each file system, KiB.
const SIZE: u64 = 12 << 10;

fn web(variant: u64) -> String {
    format!("services:\n  web:\n    image: example/web:1\n    environment: {{ VARIANT: '{variant}' }}\n")
}

async fn queue(fleet: &Fleet, variant: u64, host: &Host) -> DeploymentId {
    let made = fleet.deploy("shop", &web(variant), &[host]).await;
    made[0].deployment.id
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap()
}

/// The controller's disk fills up with what it is asked to keep.
async fn controller(rounds: u64) {
    let mut disk = None;
    let Some(fleet) = Fleet::start_on(&memory(), |data| {
        disk = Disk::memory(data, SIZE);
        disk.is_some()
    })
    .await
    else {
        return;
    };
    let disk = disk.unwrap();
    let host = fleet.host("told", Target::Fake).await;
    let mut again = Vec::new();
    for round in 1..=rounds {
        disk.fill();
        // What fits into pages that are there already is still kept: it goes on until nothing does.
        let mut kept = Vec::new();
        let refused = loop {
            let create = StackCreate {
                name: format!("s{round}-{}", kept.len()).parse().unwrap(),
                spec: spec(&format!("{}# {}\n", web(round), "x".repeat(200_000))),
            };
            match fleet.client().stack_create(&create).await {
                Ok(made) => kept.push(made.stack),
                Err(error) => break error,
            }
            assert!(kept.len() < 100, "the disk never fills");
        };
        says_full(&refused);
        for stack in &kept {
            let seen = fleet.client().stack_show(stack.id).await.expect("reads go on");
            assert_eq!(seen.stack.spec, stack.spec, "round {round}");
        }
        disk.free();
        let since = Instant::now();
        for stack in &kept {
            let deleted = until("writes work again", AGAIN_WITHIN, async || {
                fleet.client().stack_delete(stack.id).await.ok()
            });
            deleted.await;
        }
        let deployment = queue(&fleet, round, &host).await;
        let ended = fleet.ended(deployment, AGAIN_WITHIN).await.deployment.state;
        assert_eq!(ended, DeploymentState::Succeeded, "round {round}");
        again.push(millis(since));
    }
    let copy = Copy::take(&fleet.data_dir()).open_checked();
    assert!(copy.is_ok(), "{copy:?}");
    said("controller", rounds, again);
}

fn says_full(error: &Error) {
    let seen = (error.status, error.code.as_deref());
    assert_eq!(seen, (Some(507), Some("WF-1012")), "{error}");
    assert!(error.message.contains("is full; nothing was changed"), "{error}");
    assert!(!error.hint.is_empty(), "{error}");
}

/// The host's disk is full when work comes.
async fn host(rounds: u64) {
    let fleet = Fleet::start_in(&memory(), &[]).await;
    let mut disk = None;
    let Some(mut host) = fleet
        .enrol_on("small", Target::Docker, |state| {
            disk = Disk::memory(state, SIZE);
            disk.is_some()
        })
        .await
    else {
        return;
    };
    let disk = disk.unwrap();
    let engine = windflow_tests::engine::SimulatedEngine::start(host.scratch(), Default::default());
    host.set_env("DOCKER_HOST", &engine.host());
    host.start();
    fleet.connected(&host).await;
    let (mut again, mut refused, mut waited) = (Vec::new(), 0, 0);
    for round in 1..=rounds {
        disk.fill();
        // A large order needs room that is not there.
        let large = format!("{}# {}\n", web(round), "x".repeat(300_000));
        let made = fleet.deploy("shop", &large, &[&host]).await;
        let deployment = made[0].deployment.id;
        // Not taken, or taken and waiting for room: named in both cases.
        let before = host.agent.said().len();
        let waits = until("the host says that it cannot", SOON, async || {
            let state = fleet.deployment(deployment).await.deployment.state;
            if let Some(failure) = state.failure() {
                assert_eq!(failure.code, "WF-2012", "round {round}: {failure}");
                assert!(
                    ["full", "No space left"]
                        .iter()
                        .any(|word| failure.message.contains(word))
                        && !failure.hint.is_empty(),
                    "{failure:?}"
                );
                return Some(false);
            }
            let said = host.agent.said();
            let fresh = said.get(before..).unwrap_or_default();
            fresh.contains("is full; free some space").then_some(true)
        })
        .await;
        if waits {
            waited += 1;
        } else {
            refused += 1;
        }
        disk.free();
        let since = Instant::now();
        let next = queue(&fleet, round + 1_000, &host).await;
        let ended = fleet.ended(next, AGAIN_WITHIN).await.deployment.state;
        assert_eq!(ended, DeploymentState::Succeeded, "round {round}");
        let before = fleet.ended(deployment, AGAIN_WITHIN).await.deployment.state;
        assert!(before.is_terminal(), "round {round}: {before:?}");
        again.push(millis(since));
        assert!(host.agent.is_running());
    }
    println!("disk full, host: {refused} orders refused, {waited} taken and carried out later");
    let copy = Copy::take(&host.state_dir()).open_checked();
    assert!(copy.is_ok(), "{copy:?}");
    said("host", rounds, again);
}

fn said(what: &str, rounds: u64, mut again: Vec<u64>) {
    again.sort_unstable();
    println!(
        "disk full, {what}: {rounds} times refused with its name, nothing damaged; again after p50 {} ms, longest {} ms",
        percentile(&again, 50),
        again.last().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_full_disk_of_the_controller() {
    controller(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_full_disk_of_a_host() {
    host(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_full_disks() {
    controller(20).await;
    host(20).await;
}
