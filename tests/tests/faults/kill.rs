//! kill -9 of the controller, of agents, or of all, at random instants, while deployments are submitted: none is lost,
//! none is done twice, none is stuck.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use tokio::time::Instant;
use windflow_api::DeploymentQuery;
use windflow_kit::Clock;
use windflow_model::DeploymentId;
use windflow_tests::{checker, evidence::Copy, history::What, wait::percentile};

use crate::{
    traffic::{self, Traffic},
    world::{self, World},
};

const HOSTS: usize = 3;
/// A kill comes at most this long after the recovery from the last one (ms).
const KILL_WITHIN: u64 = 400;
/// A killed process stays away up to this long (ms).
const AWAY: u64 = 150;
/// Longest time until what was granted before a kill has ended, on a machine that is busy with other things. More is
/// stuck.
const STUCK: Duration = Duration::from_secs(120);
/// Longest wait until something is open.
const AT_WORK: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The contract's bound for 95 of 100 recoveries (ms).
const RECOVERED: u64 = 3_000;
/// Newest deployments that are read from the disk of a dead controller.
const NEWEST: usize = 300;

/// Who is killed in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Victims {
    controller: bool,
    hosts: Vec<usize>,
}

struct Run {
    world: World,
    traffic: Traffic,
    /// What the disks were already seen to say.
    seen: HashSet<(String, String, String)>,
}

impl Run {
    fn draw(&self) -> Victims {
        let random = &self.world.random;
        let any = || usize::try_from(random.up_to(HOSTS as u64 - 1)).unwrap();
        match random.up_to(7) {
            0..=2 => Victims {
                controller: true,
                hosts: Vec::new(),
            },
            3..=5 => Victims {
                controller: false,
                hosts: vec![any()],
            },
            6 => Victims {
                controller: true,
                hosts: vec![any()],
            },
            _ => Victims {
                controller: true,
                hosts: (0..HOSTS).collect(),
            },
        }
    }

    /// One round; gives how many deployments were open at the kill, and how long it took until all of them had ended (ms).
    async fn round(&mut self, context: &str) -> (usize, u64) {
        let victims = self.draw();
        let wait = self.world.random.up_to(KILL_WITHIN);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let (before, open) = self.at_work().await;
        self.world
            .history
            .fault("world", format!("{context}: kill -9 of {victims:?}"));
        let at = Clock::system().now_ms();
        if victims.controller {
            self.world.fleet.controller.kill().await;
        }
        for host in &victims.hosts {
            self.world.hosts[*host].agent.kill().await;
        }
        let copies = self.copies(&victims);
        tokio::time::sleep(Duration::from_millis(self.world.random.up_to(AWAY))).await;
        let back = Instant::now();
        for host in &victims.hosts {
            self.world.hosts[*host].start();
        }
        if victims.controller {
            self.world.fleet.restart_controller().await;
        }
        self.recovered(&before, &victims, at, context).await;
        let took = u64::try_from(back.elapsed().as_millis()).unwrap();
        for (who, copy) in copies {
            self.read(&who, copy).await;
        }
        (open, took)
    }

    /// What was granted and has not ended. Waits a moment for there to be something: a kill at rest proves little.
    async fn at_work(&self) -> (BTreeSet<DeploymentId>, usize) {
        let by = Instant::now() + AT_WORK;
        loop {
            let before = self.traffic.open();
            let open = self.still_open(&before).await;
            if open > 0 || Instant::now() > by {
                return (before, open);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn still_open(&self, granted: &BTreeSet<DeploymentId>) -> usize {
        for deployment in granted {
            if let Ok(view) = self.world.fleet.client().deployment_show(*deployment).await
                && view.deployment.state.is_terminal()
            {
                self.traffic.ended(*deployment);
            }
        }
        granted.intersection(&self.traffic.open()).count()
    }

    /// Everything that was granted before the kill has ended, and everybody is back.
    async fn recovered(&self, before: &BTreeSet<DeploymentId>, victims: &Victims, at: i64, context: &str) {
        let mut left: Vec<DeploymentId> = before.intersection(&self.traffic.open()).copied().collect();
        let back: Vec<usize> = if victims.controller {
            (0..HOSTS).collect()
        } else {
            victims.hosts.clone()
        };
        let began = Instant::now();
        let deadline = began + STUCK;
        let (mut hosts_ms, mut slowest) = (0, String::new());
        loop {
            let mut still = Vec::new();
            for deployment in std::mem::take(&mut left) {
                match self.world.fleet.client().deployment_show(deployment).await {
                    Ok(view) if view.deployment.state.is_terminal() => self.traffic.ended(deployment),
                    Ok(view) => {
                        let one = view.deployment;
                        slowest = format!("{} rev {}: {}", one.stack_name, one.rev, one.state.name());
                        still.push(deployment);
                    }
                    Err(_) => still.push(deployment),
                }
            }
            left = still;
            let there = self.world.connected_since(at).await;
            let away = back
                .iter()
                .filter(|host| !there.contains(&self.world.hosts[**host].id()));
            let away: Vec<&usize> = away.collect();
            if !away.is_empty() {
                hosts_ms = began.elapsed().as_millis();
            }
            if left.is_empty() && away.is_empty() {
                let all_ms = began.elapsed().as_millis();
                if all_ms > u128::from(RECOVERED) {
                    println!(
                        "{context}: slow after {victims:?}: hosts {hosts_ms} ms, deployments {all_ms} ms, last {slowest}"
                    );
                }
                return;
            }
            if Instant::now() > deadline {
                for deployment in &left {
                    let view = self
                        .world
                        .fleet
                        .client()
                        .deployment_show(*deployment)
                        .await
                        .unwrap();
                    let one = view.deployment;
                    println!(
                        "{} rev {} on {}: {}",
                        one.stack_name,
                        one.rev,
                        one.agent,
                        one.state.name()
                    );
                }
                panic!(
                    "{context}: {} deployments are stuck, the hosts {away:?} are away {} s after the kill of {victims:?}",
                    left.len(),
                    STUCK.as_secs()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The stores of the dead, and with a dead controller those of all hosts, in this order: hosts first.
    fn copies(&self, victims: &Victims) -> Vec<(String, Copy)> {
        let copy = |host: usize| {
            let host = &self.world.hosts[host];
            (host.id().to_string(), Copy::take(&host.state_dir()))
        };
        if !victims.controller {
            return victims.hosts.iter().map(|host| copy(*host)).collect();
        }
        let mut copies = self.world.held(|_| (0..HOSTS).map(copy).collect::<Vec<_>>());
        copies.push(("controller".to_owned(), Copy::take(&self.world.fleet.data_dir())));
        copies
    }

    /// Writes down what a store says that was not known yet.
    async fn read(&mut self, who: &str, copy: Copy) {
        let store = copy
            .open()
            .unwrap_or_else(|error| panic!("the store of {who}: {error}"));
        let found = if who == "controller" {
            store.deployments(NEWEST).await
        } else {
            store.journal().await
        };
        for what in found {
            let key = match &what {
                What::Stored {
                    deployment, state, ..
                } => (deployment.clone(), state.clone()),
                What::Told { op, state, .. } => (format!("told {op}"), state.clone()),
                What::Journal { op, state, .. } => (op.clone(), state.clone()),
                _ => continue,
            };
            if self.seen.insert((who.to_owned(), key.0, key.1)) {
                self.world.history.note(who, what);
            }
        }
    }

    /// Quiet, and then the end: what everybody says, and what is on the disks and on the engines.
    async fn finish(mut self) {
        self.traffic.stop().await;
        self.world.history.note("world", What::Quiet);
        let open = self.traffic.open();
        self.recovered(
            &open,
            &Victims {
                controller: false,
                hosts: Vec::new(),
            },
            0,
            "the end",
        )
        .await;
        self.world.history.note("world", What::End);
        let ended = self.ended().await;
        let everybody = Victims {
            controller: true,
            hosts: (0..HOSTS).collect(),
        };
        self.world.note_containers();
        self.world.fleet.controller.kill().await;
        for (who, copy) in self.copies(&everybody) {
            self.read(&who, copy).await;
        }
        for what in ended {
            self.world.history.note("controller", what);
        }
        let events = self.world.history.events();
        let mut broken = checker::judge(&events).broken;
        broken.extend(checker::unasked(&events));
        for line in broken.iter().take(20) {
            println!("{line}");
        }
        assert!(broken.is_empty(), "{} invariants are broken", broken.len());
    }

    /// What the controller says of every deployment.
    async fn ended(&self) -> Vec<What> {
        let client = self.world.fleet.client();
        let all = client.deployment_list(&DeploymentQuery::default()).await.unwrap();
        let latest = DeploymentQuery {
            latest: true,
            ..DeploymentQuery::default()
        };
        let newest = client.deployment_list(&latest).await.unwrap();
        let newest: BTreeSet<_> = newest.iter().map(|view| view.deployment.id).collect();
        let services = vec!["db".to_owned(), "web".to_owned()];
        let said = all.iter().flat_map(|view| {
            let one = &view.deployment;
            let state = one.state.name().to_owned();
            let stored = What::Stored {
                deployment: one.id.to_string(),
                stack: one.stack_name.to_string(),
                agent: one.agent.to_string(),
                rev: one.rev.0,
                op: one.op.to_string(),
                state: state.clone(),
            };
            let ended = What::Ended {
                deployment: one.id.to_string(),
                stack: one.stack_name.to_string(),
                agent: one.agent.to_string(),
                rev: one.rev.0,
                op: one.op.to_string(),
                state,
                newest: newest.contains(&one.id),
                services: services.clone(),
                hopeless: false,
            };
            [stored, ended]
        });
        said.collect()
    }
}

/// `WINDFLOW_TEST_ROUNDS` and `WINDFLOW_TEST_SEED` choose others. How long a recovery takes is judged only in the long
/// form, which runs the programs as they are shipped.
async fn rounds(default: u64, timed: bool) {
    let rounds = world::number("WINDFLOW_TEST_ROUNDS", default);
    let seed = world::seed("kill -9");
    let world = World::start(HOSTS, seed).await;
    let agents: Vec<_> = world.hosts.iter().map(windflow_tests::Host::id).collect();
    let traffic = Traffic::start(&world.fleet, &agents, &world.history, &world.random).await;
    let mut run = Run {
        world,
        traffic,
        seen: HashSet::new(),
    };
    let (mut met, mut took) = (0, Vec::new());
    for round in 1..=rounds {
        let (open, ms) = run.round(&format!("round {round} of seed {seed}")).await;
        met += u64::from(open > 0);
        took.push(ms);
    }
    let (granted, repeated, rate) = (run.traffic.granted(), run.traffic.repeated(), run.traffic.rate());
    run.finish().await;
    took.sort_unstable();
    println!(
        "kill -9: {rounds} rounds, {met} of them with open deployments; {granted} deployments granted ({rate}/s), {repeated} \
         requests sent again; 0 lost, 0 doubled, 0 stuck; recovery p50 {} ms, p95 {} ms, longest {} ms",
        percentile(&took, 50),
        percentile(&took, 95),
        took.last().unwrap()
    );
    assert!(
        rate * 2 >= traffic::rate(),
        "only {rate} deployments/s were granted: too few to prove anything"
    );
    assert!(
        met * 10 >= rounds * 8,
        "only {met} of {rounds} kills met open deployments: too few to prove anything"
    );
    assert!(!timed || percentile(&took, 95) <= RECOVERED, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_kill_at_random_instants() {
    rounds(20, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_kill_at_random_instants() {
    rounds(1_000, true).await;
}
