//! The engine killed or ended at a random instant of a deployment, and started again: the agent rides over it. One half
//! with containers that outlive their engine (live-restore), one without.

use std::time::Duration;

use bollard::Docker;
use rustix::process::Signal;
use tokio::time::Instant;
use windflow_kit::Random;
use windflow_model::DeploymentState;
use windflow_tests::{Fleet, Host, Target, dockerd::Dockerd, fleet::memory};

use super::{PROJECT, Sum, Variant, begun, look, millis, some_way_in, under_way};
use crate::world;

/// A deployment has ended by then, engine restarts included.
const ENDS_WITHIN: Duration = Duration::from_secs(180);

struct Run {
    // Dropped before the engine that it works on.
    host: Host,
    fleet: Fleet,
    dockerd: Dockerd,
    random: Random,
    /// What a deployment that replaces everything takes from its first change on (ms).
    length: u64,
    variant: Variant,
    extra: u64,
}

impl Run {
    async fn begin(&mut self) -> windflow_model::DeploymentId {
        (self.variant, self.extra) = (self.variant.other(), self.extra + 1);
        let yaml = self.variant.yaml(self.extra);
        let made = self.fleet.deploy(PROJECT, &yaml, &[&self.host]).await;
        made[0].deployment.id
    }

    /// A deployment that nothing happens to.
    async fn whole(&mut self) {
        let docker = self.dockerd.docker();
        let before = look(&docker).await.unwrap();
        let deployment = self.begin().await;
        begun(&docker, &before).await;
        let began = Instant::now();
        let ended = self.fleet.ended(deployment, ENDS_WITHIN).await.deployment;
        assert_eq!(ended.state, DeploymentState::Succeeded);
        self.length = millis(began);
    }

    async fn round(&mut self, sum: &mut Sum, signal: Signal, live_restore: bool) {
        let docker: Docker = self.dockerd.docker();
        let before = look(&docker).await.unwrap();
        let deployment = self.begin().await;
        some_way_in(&docker, &before, &self.random, self.length).await;
        let now = look(&docker).await.unwrap();
        let open = !self
            .fleet
            .deployment(deployment)
            .await
            .deployment
            .state
            .is_terminal();
        self.dockerd.strike(signal).await;
        self.dockerd.go(live_restore).await;
        let back = Instant::now();
        let context = format!("strike {} by {signal:?}, live-restore: {live_restore}", sum.tries);
        if open && under_way(&before, &now, self.variant, self.extra) {
            let docker = self.dockerd.docker();
            sum.settle(&docker, self.variant, self.extra, back, &context)
                .await;
        }
        let ended = self.fleet.ended(deployment, ENDS_WITHIN).await.deployment;
        if ended.state != DeploymentState::Succeeded {
            sum.complain(format!("{context}: {:?}", ended.state));
        }
    }
}

/// `WINDFLOW_TEST_ROUNDS` and `WINDFLOW_TEST_SEED` choose others.
pub(super) async fn rounds(default: u64) {
    let wanted = world::number("WINDFLOW_TEST_ROUNDS", default);
    let random = Random::seeded(world::seed("engine restarted mid-deploy"));
    let Some(dockerd) = Dockerd::start(true).await else {
        return;
    };
    let fleet = Fleet::start_in(&memory(), &[]).await;
    let mut host = fleet.enrol("restarted", Target::Docker).await;
    host.set_env("DOCKER_HOST", &dockerd.host());
    host.start();
    fleet.connected(&host).await;
    let mut run = Run {
        host,
        fleet,
        dockerd,
        random,
        length: 0,
        variant: Variant::Two,
        extra: 0,
    };
    for _ in 0..2 {
        run.whole().await;
    }
    let mut sum = Sum::new("engine restarted mid-deploy", wanted);
    let mut live_restore = true;
    while sum.goes_on() {
        if live_restore && sum.rounds * 2 >= wanted {
            live_restore = false;
            run.dockerd.strike(Signal::TERM).await;
            run.dockerd.go(live_restore).await;
        }
        let signal = if sum.rounds.is_multiple_of(2) {
            Signal::KILL
        } else {
            Signal::TERM
        };
        run.round(&mut sum, signal, live_restore).await;
    }
    sum.end();
}
