//! A real container engine of the test's own: the agent killed in the middle of an `up`, the engine itself restarted in the
//! middle of a deployment, containers killed and removed by somebody else meanwhile. In the end there is one container in
//! each place, of the wanted revision, and nothing else.
//!
//! A round counts only if the strike fell into a deployment: something had changed, and it was not all done.

#[path = "engine/foreign.rs"]
mod foreign;
#[path = "engine/full.rs"]
mod full;
#[path = "engine/killed.rs"]
mod killed;
#[path = "engine/restarted.rs"]
mod restarted;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    path::PathBuf,
    time::Duration,
};

use bollard::{
    Docker,
    models::ContainerSummaryStateEnum,
    query_parameters::{EventsOptions, ListContainersOptions},
};
use fs_err as fs;
use futures_util::{StreamExt as _, future::ready};
use tokio::time::Instant;
use windflow_kit::{Clock, Random};
use windflow_tests::{
    dockerd::{Dockerd, IMAGE},
    program::{Finished, Launch, Program},
    project::container_name,
    wait::{percentile, until},
};

use crate::world;

const PROJECT: &str = "wft-engine-faults";
/// The contract's bound for becoming what is wanted (ms).
const CONVERGED: u64 = 30_000;
/// How long it is waited for, to tell late from never.
const NEVER: Duration = Duration::from_secs(90);
/// So many tries for each round that has to count.
const TRIES: u64 = 3;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One of the two revisions of the file. The second has a service less, another one, and one container less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    One,
    Two,
}

impl Variant {
    const fn other(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two => Self::One,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
        }
    }

    /// Its services: what they wait for, and how many containers they have.
    const fn services(self) -> [(&'static str, &'static str, u32); 4] {
        match self {
            Self::One => [
                ("db", "", 1),
                ("web", "db", 2),
                ("mail", "", 1),
                ("old", "web", 1),
            ],
            Self::Two => [
                ("db", "", 1),
                ("web", "db", 1),
                ("mail", "", 1),
                ("new", "web", 1),
            ],
        }
    }

    /// Somewhere in `extra` is what makes a revision differ from the last one like it.
    fn yaml(self, extra: u64) -> String {
        let mut text = "services:\n".to_owned();
        for (name, after, scale) in self.services() {
            let variant = self.name();
            let _infallible = write!(
                text,
                "  {name}:\n    image: {IMAGE}\n    command: [sleep, '3600']\n    init: true\n    scale: {scale}\n    \
                 network_mode: none\n    restart: unless-stopped\n    stop_grace_period: 2s\n    \
                 environment: {{ EXTRA: '{extra}' }}\n    labels: {{ variant: '{variant} {extra}' }}\n    \
                 depends_on: [{after}]\n"
            );
        }
        text
    }

    fn names(self) -> BTreeSet<String> {
        let services = self.services().into_iter();
        let names =
            services.flat_map(|(name, _, scale)| (1..=scale).map(move |n| format!("{PROJECT}-{name}-{n}")));
        names.collect()
    }
}

/// A container as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    id: String,
    name: String,
    place: String,
    variant: String,
    running: bool,
}

/// What the engine has of the project; nothing if it does not answer.
async fn look(docker: &Docker) -> Option<BTreeSet<Seen>> {
    let label = format!("com.docker.compose.project={PROJECT}");
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
        ..Default::default()
    };
    let list = docker.list_containers(Some(options)).await.ok()?;
    let seen = list.into_iter().map(|one| {
        let labels = one.labels.clone().unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let service = label("com.docker.compose.service");
        let number = label("com.docker.compose.container-number");
        Seen {
            name: container_name(&one),
            place: format!("{service} {number}"),
            variant: label("variant"),
            running: one.state == Some(ContainerSummaryStateEnum::RUNNING),
            id: one.id.unwrap_or_default(),
        }
    });
    Some(seen.collect())
}

/// What the engine says of the project from a little before a moment on, as far as it remembers.
async fn told(docker: &Docker, since: Instant) -> Vec<String> {
    let now = Clock::system().now_ms() / 1000;
    let before = now - i64::try_from(since.elapsed().as_secs()).unwrap() - 10;
    let label = format!("com.docker.compose.project={PROJECT}");
    let options = EventsOptions {
        since: Some(before.to_string()),
        until: Some(now.to_string()),
        filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
    };
    let events = docker.events(Some(options)).filter_map(|event| ready(event.ok()));
    let lines = events.map(|event| {
        let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
        let own = attributes
            .into_iter()
            .filter(|(key, _)| ["name", "signal", "exitCode", "variant"].contains(&key.as_str()));
        let own: BTreeMap<_, _> = own.collect();
        format!(
            "{} {} {own:?}",
            event.time_nano.unwrap_or_default() / 1_000_000,
            event.action.unwrap_or_default()
        )
    });
    lines.collect().await
}

/// What is wrong with what is there.
#[derive(Debug, Default)]
struct Wrong {
    /// Not of the wanted revision, or with another name than it should have.
    orphans: Vec<String>,
    /// Running in a place where another one runs.
    duplicates: Vec<String>,
    /// Not there, or not running.
    missing: Vec<String>,
}

impl Wrong {
    fn judge(there: &BTreeSet<Seen>, variant: Variant, extra: u64) -> Self {
        let (wanted, label) = (variant.names(), format!("{} {extra}", variant.name()));
        let mut wrong = Self::default();
        let mut places: BTreeMap<&str, u32> = BTreeMap::new();
        let mut good: BTreeSet<&str> = BTreeSet::new();
        for one in there {
            let told = format!("{} ({}, running: {})", one.name, one.variant, one.running);
            if !wanted.contains(&one.name) || one.variant != label {
                wrong.orphans.push(told.clone());
            } else if one.running {
                good.insert(&one.name);
            }
            if one.running {
                let running = places.entry(&one.place).or_default();
                *running += 1;
                if *running > 1 {
                    wrong.duplicates.push(told);
                }
            }
        }
        let missing = wanted.iter().filter(|name| !good.contains(name.as_str()));
        wrong.missing = missing.cloned().collect();
        wrong
    }

    fn is_nothing(&self) -> bool {
        self.orphans.is_empty() && self.duplicates.is_empty() && self.missing.is_empty()
    }
}

/// The counts of a part.
#[derive(Debug)]
struct Sum {
    what: &'static str,
    wanted: u64,
    rounds: u64,
    tries: u64,
    orphans: usize,
    duplicates: usize,
    /// What did not become as wanted within the bound.
    wrong: Vec<String>,
    /// Until it was as wanted (ms).
    took: Vec<u64>,
}

impl Sum {
    const fn new(what: &'static str, wanted: u64) -> Self {
        Self {
            what,
            wanted,
            rounds: 0,
            tries: 0,
            orphans: 0,
            duplicates: 0,
            wrong: Vec::new(),
            took: Vec::new(),
        }
    }

    /// Whether there is something left to try.
    fn goes_on(&mut self) -> bool {
        let more = self.rounds < self.wanted && self.tries < self.wanted * TRIES;
        self.tries += u64::from(more);
        more
    }

    /// Waits until all is as wanted, counted from `since`, and counts what is not.
    async fn settle(&mut self, docker: &Docker, variant: Variant, extra: u64, since: Instant, context: &str) {
        let wrong = loop {
            let wrong = look(docker)
                .await
                .map(|there| Wrong::judge(&there, variant, extra));
            if wrong.as_ref().is_some_and(Wrong::is_nothing) {
                break None;
            }
            if since.elapsed() > NEVER {
                break wrong;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let took = millis(since);
        self.rounds += 1;
        self.took.push(took);
        if let Some(wrong) = wrong {
            self.orphans += wrong.orphans.len();
            self.duplicates += wrong.duplicates.len();
            let there = look(docker).await;
            let told = told(docker, since).await;
            self.complain(format!(
                "{context}: {wrong:#?}\nthere is {there:#?}\nthe engine told: {told:#?}"
            ));
        } else if took > CONVERGED {
            self.complain(format!("{context}: only after {took} ms"));
        }
    }

    fn complain(&mut self, text: String) {
        println!("{text}");
        self.wrong.push(text);
    }

    /// The figures, and whether they will do.
    fn end(mut self) {
        self.took.sort_unstable();
        assert!(
            self.rounds >= self.wanted,
            "{}: only {} of {} strikes fell into a deployment: too few to prove anything",
            self.what,
            self.rounds,
            self.tries
        );
        println!(
            "{}: {} rounds ({} strikes, the others fell beside the deployment), {} orphans, {} duplicates; converged p50 {} \
             ms, p95 {} ms, longest {} ms",
            self.what,
            self.rounds,
            self.tries,
            self.orphans,
            self.duplicates,
            percentile(&self.took, 50),
            percentile(&self.took, 95),
            self.took.last().unwrap()
        );
        assert!(self.wrong.is_empty(), "{} rounds went wrong", self.wrong.len());
    }
}

/// Waits until the engine shows that a deployment has begun, and then for some part of what it takes from there (ms) if
/// nothing happens to it.
async fn some_way_in(docker: &Docker, before: &BTreeSet<Seen>, random: &Random, length: u64) {
    begun(docker, before).await;
    tokio::time::sleep(Duration::from_millis(random.up_to(length))).await;
}

async fn begun(docker: &Docker, before: &BTreeSet<Seen>) {
    until("the deployment begins", NEVER, async || {
        look(docker).await.filter(|now| now != before).map(drop)
    })
    .await;
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap()
}

/// Local mode on the private engine.
#[derive(Debug)]
struct Local {
    dockerd: Dockerd,
    random: Random,
    /// What an `up` that replaces everything takes from its first change on (ms).
    length: u64,
    state: PathBuf,
    up: Program,
}

impl Local {
    /// `None`, with a line for the reader, where there can be no engine.
    async fn start(what: &str) -> Option<Self> {
        let random = Random::seeded(world::seed(what));
        let dockerd = Dockerd::start(false).await?;
        let state = dockerd.scratch().join("state");
        let up = Program::new("up", dockerd.scratch().join("up.log"));
        let mut local = Self {
            dockerd,
            random,
            length: 0,
            state,
            up,
        };
        let _said = local.whole(Variant::One).await.ok();
        let docker = local.dockerd.docker();
        let before = look(&docker).await.unwrap();
        local.begin(Variant::Two);
        begun(&docker, &before).await;
        let began = Instant::now();
        assert!(local.up.ended(NEVER).await.unwrap().success());
        local.length = millis(began);
        Some(local)
    }

    fn command(&self, variant: Variant) -> Launch {
        let file = self.dockerd.scratch().join("compose.yaml");
        fs::write(&file, variant.yaml(0)).unwrap();
        let file = file.display().to_string();
        let args = [
            "local",
            "--project-name",
            PROJECT,
            "--file",
            &file,
            "up",
            "--detach",
            "--remove-orphans",
        ];
        Launch::ours("windflow-agent", args)
            .env("WINDFLOW_STATE_DIR", &self.state)
            .env("DOCKER_HOST", self.dockerd.host())
    }

    /// An `up` that nothing happens to.
    async fn whole(&self, variant: Variant) -> Finished {
        self.command(variant).finish().await
    }

    /// An `up` that goes on.
    fn begin(&mut self, variant: Variant) {
        let launch = self.command(variant);
        self.up.start(&launch);
    }
}

/// Whether a deployment of this variant was under way: not as before, and not all done.
fn under_way(before: &BTreeSet<Seen>, now: &BTreeSet<Seen>, variant: Variant, extra: u64) -> bool {
    before != now && !Wrong::judge(now, variant, extra).is_nothing()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_engine_agent_killed() {
    killed::rounds(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_engine_restarted() {
    restarted::rounds(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_engine_foreign_hand() {
    foreign::rounds(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_full_disk_of_the_engine() {
    full::rounds(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_full_disk_of_the_engine() {
    full::rounds(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_engine_agent_killed() {
    killed::rounds(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_engine_restarted() {
    restarted::rounds(50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_engine_foreign_hand() {
    foreign::rounds(50).await;
}
