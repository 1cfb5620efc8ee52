//! The engine's data folder full when a deployment comes: it fails with its name and remedy, what ran goes on running, and
//! with room again the next one works.

use tokio::time::Instant;
use windflow_model::DeploymentState;
use windflow_tests::{Fleet, Target, dockerd::Dockerd, fleet::memory, wait::percentile};

use super::{NEVER, PROJECT, Variant, Wrong, look, millis};
use crate::{disk::Disk, world};

/// Size of the engine's disk, KiB: the image, and the containers of two revisions.
const SIZE: u64 = 48 << 10;
/// The contract's bound from room on the disk to a deployment that is done (ms).
const AGAIN: u64 = 10_000;

/// `WINDFLOW_TEST_ROUNDS` chooses another number.
pub(super) async fn rounds(default: u64) {
    let wanted = world::number("WINDFLOW_TEST_ROUNDS", default);
    let mut disk = None;
    let started = Dockerd::start_on(false, |data| {
        disk = Disk::memory(data, SIZE);
        disk.is_some()
    });
    let (Some(dockerd), Some(disk)) = (started.await, disk) else {
        return;
    };
    let fleet = Fleet::start_in(&memory(), &[]).await;
    let mut host = fleet.enrol("full", Target::Docker).await;
    host.set_env("DOCKER_HOST", &dockerd.host());
    host.start();
    fleet.connected(&host).await;
    let docker = dockerd.docker();
    let deploy = async |variant: Variant, extra: u64| {
        let made = fleet.deploy(PROJECT, &variant.yaml(extra), &[&host]).await;
        fleet.ended(made[0].deployment.id, NEVER).await.deployment.state
    };
    let mut variant = Variant::One;
    assert_eq!(deploy(variant, 0).await, DeploymentState::Succeeded);
    let (mut again, mut went_back) = (Vec::new(), 0);
    for round in 1..=wanted {
        disk.fill();
        let failed = deploy(variant.other(), round).await;
        let failure = failed
            .failure()
            .unwrap_or_else(|| panic!("round {round}: {failed:?}"));
        assert_eq!(failure.code, "WF-2012", "round {round}: {failed:?}");
        assert!(!failure.hint.is_empty(), "round {round}: {failed:?}");
        went_back += u64::from(matches!(failed, DeploymentState::RolledBack { .. }));
        // What ran before runs, and nothing else.
        let there = look(&docker).await.unwrap();
        let wrong = Wrong::judge(&there, variant, round - 1);
        assert!(wrong.is_nothing(), "round {round}, full, {failed:?}: {wrong:#?}");
        disk.free();
        let since = Instant::now();
        variant = variant.other();
        assert_eq!(
            deploy(variant, round).await,
            DeploymentState::Succeeded,
            "round {round}"
        );
        again.push(millis(since));
        let there = look(&docker).await.unwrap();
        let wrong = Wrong::judge(&there, variant, round);
        assert!(wrong.is_nothing(), "round {round}, with room: {wrong:#?}");
    }
    again.sort_unstable();
    println!(
        "disk full, engine: {wanted} deployments failed by its name ({went_back} went back), what ran went on; with room the \
         next one was done after p50 {} ms, longest {} ms",
        percentile(&again, 50),
        again.last().unwrap()
    );
    assert!(again.iter().all(|took| *took <= AGAIN), "{again:?}");
}
