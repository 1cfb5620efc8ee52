//! Deployments that are submitted all the time, each request with an idempotency key and repeated until an answer comes.
//!
//! ```text
//! "submit" task per stack ── PUT spec, POST deployment ──▶ controller        Traffic: what was granted and not seen to end
//! ```

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior};
use windflow_api::{DeployRequest, StackUpdate};
use windflow_client::{Client, Error};
use windflow_kit::{OnFailure, Random, Stop, TaskSet};
use windflow_model::{AgentId, DeploymentId, StackId};
use windflow_tests::{
    Fleet,
    fleet::spec,
    history::{History, What},
};

use crate::world;

/// Stacks that are changed, each by one submitter.
const STACKS: u64 = 10;
/// Hosts of each request.
const HOSTS: usize = 2;
/// Deployments a second in all. `WINDFLOW_TEST_RATE` chooses another.
const RATE: u64 = 20;
/// Before a request without an answer is sent again.
const AGAIN: Duration = Duration::from_millis(50);

/// What is known of the submitted.
#[derive(Debug, Default, Clone)]
struct Known {
    open: Arc<Mutex<BTreeSet<DeploymentId>>>,
    granted: Arc<Mutex<Vec<DeploymentId>>>,
    repeated: Arc<AtomicU64>,
}

/// The submitters.
#[derive(Debug)]
pub(crate) struct Traffic {
    known: Known,
    began: Instant,
    tasks: TaskSet,
}

/// Deployments a second in all.
pub(crate) fn rate() -> u64 {
    world::number("WINDFLOW_TEST_RATE", RATE)
}

/// Between two requests of one submitter.
fn every() -> Duration {
    Duration::from_millis(1_000 * STACKS * HOSTS as u64 / rate())
}

struct Submitter {
    client: Client,
    stack: StackId,
    agents: Vec<AgentId>,
    random: Random,
    history: History,
    number: u64,
    known: Known,
}

/// Two services of which one waits for the other; every variant replaces both.
fn compose(variant: u64) -> String {
    format!(
        "services:\n  db:\n    image: example/db:1\n    environment: {{ VARIANT: '{variant}' }}\n  web:\n    image: example/web:1\n    environment: {{ VARIANT: '{variant}' }}\n    depends_on: [db]\n"
    )
}

impl Traffic {
    /// Makes the stacks and begins.
    pub(crate) async fn start(fleet: &Fleet, agents: &[AgentId], history: &History, random: &Random) -> Self {
        let traffic = Self {
            known: Known::default(),
            began: Instant::now(),
            tasks: TaskSet::new(Stop::new(), random.clone()),
        };
        for n in 1..=STACKS {
            let stack = fleet.save(&format!("stack{n}"), spec(&compose(0))).await;
            let submitter = Submitter {
                client: fleet.client().clone(),
                stack: stack.stack.id,
                agents: agents.to_vec(),
                random: Random::seeded(random.up_to(u64::MAX - 1)),
                history: history.clone(),
                number: n,
                known: traffic.known.clone(),
            };
            let stop = traffic.tasks.stop().clone();
            traffic.tasks.spawn("submit", OnFailure::Exit, async move {
                submitter.run(&stop).await;
            });
        }
        traffic
    }

    /// Those that were granted and not seen to end yet.
    pub(crate) fn open(&self) -> BTreeSet<DeploymentId> {
        self.known.open.lock().unwrap().clone()
    }

    /// It was seen to end.
    pub(crate) fn ended(&self, deployment: DeploymentId) {
        self.known.open.lock().unwrap().remove(&deployment);
    }

    pub(crate) fn granted(&self) -> u64 {
        self.known.granted.lock().unwrap().len() as u64
    }

    /// All that were granted so far.
    pub(crate) fn granted_ids(&self) -> Vec<DeploymentId> {
        self.known.granted.lock().unwrap().clone()
    }

    /// Requests that had to be sent again.
    pub(crate) fn repeated(&self) -> u64 {
        self.known.repeated.load(Ordering::Relaxed)
    }

    /// Granted per second so far.
    pub(crate) fn rate(&self) -> u64 {
        self.granted() / self.began.elapsed().as_secs().max(1)
    }

    /// Ends it: every request has its answer when this returns.
    pub(crate) async fn stop(&self) {
        let drained = self.tasks.drain(Duration::from_secs(60)).await;
        assert!(drained.unfinished.is_empty(), "a request gets no answer");
        assert!(drained.failure.is_none(), "{:?}", drained.failure);
    }
}

impl Submitter {
    async fn run(mut self, stop: &Stop) {
        let mut ticks = tokio::time::interval(every());
        // After an outage everything that was held up is submitted at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        // Not all at the same time.
        let first = Duration::from_millis(self.random.up_to(1_000));
        if stop.run(tokio::time::sleep(first)).await.is_none() {
            return;
        }
        while stop.run(ticks.tick()).await.is_some() {
            self.submit().await;
        }
    }

    async fn submit(&mut self) {
        self.number += STACKS;
        let request = self.number;
        let skip = usize::try_from(self.random.up_to(self.agents.len() as u64 - 1)).unwrap();
        let agents = self
            .agents
            .iter()
            .cycle()
            .skip(skip)
            .take(HOSTS.min(self.agents.len()));
        let deploy = DeployRequest {
            agents: agents.copied().collect(),
            rev: None,
            pins: Vec::new(),
        };
        self.history.note(
            "operator",
            What::Asked {
                request,
                text: format!("variant {request} of {} to {:?}", self.stack, deploy.agents),
            },
        );
        self.save(request).await;
        let key = format!("request-{request}");
        let made = loop {
            match self
                .client
                .deployment_create_once(self.stack, &deploy, &key)
                .await
            {
                Ok(made) => break made,
                Err(error) => self.again(&error).await,
            }
        };
        let made: Vec<DeploymentId> = made.iter().map(|view| view.deployment.id).collect();
        assert_eq!(made.len(), deploy.agents.len(), "one deployment for each host");
        self.history.note(
            "operator",
            What::Granted {
                request,
                deployments: made.iter().map(ToString::to_string).collect(),
            },
        );
        self.known.open.lock().unwrap().extend(made.iter().copied());
        self.known.granted.lock().unwrap().extend(made);
    }

    /// Writes the spec over whatever version is there: nobody else writes this stack.
    async fn save(&self, variant: u64) {
        let update = StackUpdate {
            spec: spec(&compose(variant)),
        };
        loop {
            let saved = async {
                let known = self.client.stack_show(self.stack).await?;
                self.client.stack_update(self.stack, known.version, &update).await
            };
            match saved.await {
                Ok(_) => return,
                Err(error) => self.again(&error).await,
            }
        }
    }

    /// No answer is no word: the request is sent again. A refusal was not asked for.
    async fn again(&self, error: &Error) {
        assert!(
            error.status.is_none_or(|status| matches!(status, 412 | 503)),
            "refused: {error}"
        );
        self.known.repeated.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(AGAIN).await;
    }
}
