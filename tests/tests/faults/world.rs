//! A controller and hosts whose engines outlive their agents; what happens to them is written down.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use windflow_kit::{Clock, Random};
use windflow_model::{AgentId, Presence};
use windflow_tests::{
    Fleet, Host, Target,
    engine::{Change, EngineOptions, Running, SimulatedEngine},
    fleet,
    history::{Container, History, What},
};

/// A change on an engine takes up to this long, and as long again until it is answered.
const SLOW: Duration = Duration::from_millis(6);

/// See the module.
pub(crate) struct World {
    /// In the order of the hosts, in whose folders their sockets are: dropped before them.
    pub(crate) engines: Vec<SimulatedEngine>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) fleet: Fleet,
    pub(crate) history: History,
    pub(crate) random: Random,
    root: PathBuf,
}

/// The number in a variable.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The seed of this run, printed so that it can be given again.
pub(crate) fn seed(what: &str) -> u64 {
    let now = u64::try_from(Clock::system().now_ms()).unwrap();
    let seed = number("WINDFLOW_TEST_SEED", now);
    println!("{what}: seed {seed}, repeat it with WINDFLOW_TEST_SEED={seed}");
    seed
}

fn label<'a>(container: &'a Running, name: &str) -> &'a str {
    container.labels.get(name).map_or("", String::as_str)
}

fn rev(container: &Running) -> u64 {
    label(container, "io.windflow.rev").parse().unwrap_or_default()
}

fn act(change: &Change) -> What {
    let one = &change.container;
    let service = label(one, "com.docker.compose.service");
    let number = label(one, "com.docker.compose.container-number");
    What::Act {
        action: change.action.to_owned(),
        id: one.id.clone(),
        stack: label(one, "io.windflow.stack").to_owned(),
        place: format!("{service} {number}"),
        rev: rev(one),
    }
}

impl World {
    /// A controller and `hosts` hosts that are connected.
    pub(crate) async fn start(hosts: usize, seed: u64) -> Self {
        Self::start_in(&fleet::memory(), hosts, seed).await
    }

    /// The same with all its files below `root`.
    pub(crate) async fn start_in(root: &Path, hosts: usize, seed: u64) -> Self {
        let fleet = Fleet::start_in(root, &[]).await;
        let (history, random) = (History::ticking(), Random::seeded(seed));
        let (mut all, mut engines) = (Vec::new(), Vec::new());
        for n in 1..=hosts {
            let mut host = fleet.enrol(&format!("host-{n}"), Target::Docker).await;
            let (who, told) = (host.id().to_string(), history.clone());
            let engine = SimulatedEngine::start(
                host.scratch(),
                EngineOptions {
                    slow: SLOW,
                    random: random.clone(),
                    on_change: Some(Arc::new(move |change: &Change| told.note(&who, act(change)))),
                    ..EngineOptions::default()
                },
            );
            host.set_env("DOCKER_HOST", &engine.host());
            if let Ok(filter) = std::env::var("WINDFLOW_LOG") {
                host.set_env("WINDFLOW_LOG", &filter);
            }
            host.start();
            fleet.connected(&host).await;
            all.push(host);
            engines.push(engine);
        }
        Self {
            engines,
            hosts: all,
            fleet,
            history,
            random,
            root: root.to_path_buf(),
        }
    }

    /// Where all its files are.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The hosts that are connected by a session that began after `since` (ms).
    pub(crate) async fn connected_since(&self, since: i64) -> Vec<AgentId> {
        let agents = self.fleet.client().agent_list().await.unwrap_or_default();
        let fresh = agents.into_iter().filter(|agent| match &agent.presence {
            Presence::Connected { since: at, .. } => at.as_millis() >= since,
            Presence::Offline { .. } => false,
        });
        fresh.map(|agent| agent.record.id).collect()
    }

    /// Holds every agent that runs, does something, and lets them go on.
    pub(crate) fn held<T>(&self, look: impl FnOnce(&Self) -> T) -> T {
        for host in &self.hosts {
            host.agent.signal(Signal::STOP);
        }
        let seen = look(self);
        for host in &self.hosts {
            host.agent.signal(Signal::CONT);
        }
        seen
    }

    /// Writes down what the engines run.
    pub(crate) fn note_containers(&self) {
        for (host, engine) in self.hosts.iter().zip(&self.engines) {
            let containers = engine.containers().into_iter().map(|one| Container {
                project: label(&one, "com.docker.compose.project").to_owned(),
                service: label(&one, "com.docker.compose.service").to_owned(),
                rev: rev(&one),
                running: one.up,
                name: one.name,
            });
            let containers = containers.collect();
            self.history
                .note(&host.id().to_string(), What::Runs { containers });
        }
    }
}
