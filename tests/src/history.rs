//! What happened, in the order in which it happened: the only thing that the checker reads.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the start, simulated or real.
    pub at_ms: u64,
    /// `world`, `operator`, `controller` or a host.
    pub who: String,
    #[serde(flatten)]
    /// What happened.
    pub what: What,
}

/// What happened.
#[expect(
    missing_docs,
    reason = "the fields are named by the terms of the deployment that they are taken from"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// Something was broken, or mended.
    Fault { text: String },
    /// A host is known to the controller by this id.
    Joined { agent: String },
    /// A process has started.
    Started { boot: u64 },
    /// A request went out.
    Asked { request: u64, text: String },
    /// Its answer said yes: what it names must never be lost.
    Granted { request: u64, deployments: Vec<String> },
    /// The same request with the same key was answered again.
    Repeated { request: u64, deployments: Vec<String> },
    /// Its answer said no, or came not at all.
    Denied { request: u64, why: String },
    /// The controller has this deployment on disk.
    Stored {
        deployment: String,
        stack: String,
        agent: String,
        rev: u64,
        op: String,
        state: String,
    },
    /// The controller has this epoch on disk, before it does anything else.
    Epoch { epoch: u64 },
    /// The controller gave a host's session this number.
    Session { agent: String, epoch: u64 },
    /// The host has this state of a stack in its journal.
    Journal {
        stack: String,
        rev: u64,
        op: String,
        state: String,
    },
    /// The host has on disk that an operation got this far; of a stack it may hold a newer one by now.
    Told {
        stack: String,
        rev: u64,
        op: String,
        state: String,
    },
    /// The engine of a host did something to a container. `place` is the service and its number.
    Act {
        action: String,
        id: String,
        stack: String,
        place: String,
        rev: u64,
    },
    /// The host is about to carry out a step, or has.
    Step {
        stack: String,
        op: String,
        n: String,
        text: String,
        done: bool,
    },
    /// Somebody stopped a container of a host behind its agent's back.
    Stopped { stack: String, container: String },
    /// A durable step of that name was taken so often: what faults can be aimed at.
    Point { point: String, times: u64 },
    /// All faults have stopped.
    Quiet,
    /// What a host runs in the end.
    Runs { containers: Vec<Container> },
    /// What the controller says of a deployment in the end.
    Ended {
        deployment: String,
        stack: String,
        agent: String,
        rev: u64,
        op: String,
        state: String,
        /// Whether it is the newest of its stack on its host; then also what shall run.
        newest: bool,
        services: Vec<String>,
        /// Whether its services cannot become healthy.
        hopeless: bool,
    },
    /// A rollout was granted.
    RolloutMade { request: u64, rollout: String },
    /// What the controller says of a rollout in the end.
    RolloutEnded {
        rollout: String,
        /// What it brings.
        rev: u64,
        phase: String,
        /// Most hosts that may fail.
        limit: u32,
        /// How long a wave waits for hosts that are not there.
        deadline_ms: u64,
        /// Hosts by state.
        summary: BTreeMap<String, u32>,
        hosts: Vec<RolloutHost>,
    },
    /// What the audit trail says of a deployment in the end.
    Audited {
        deployment: String,
        from: Option<String>,
        to: String,
    },
    /// What a check of the whole audit trail found.
    AuditChecked { records: usize, problems: Vec<String> },
    /// The end of the run.
    End,
}

/// A host of a rollout in the end.
#[expect(missing_docs, reason = "named as in the API")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutHost {
    pub agent: String,
    pub wave: u32,
    pub state: String,
    pub deployment: Option<String>,
}

/// A container in the end.
#[expect(missing_docs, reason = "named as the engine names them")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub name: String,
    pub project: String,
    pub service: String,
    pub rev: u64,
    pub running: bool,
}

/// Where events are written down.
#[derive(Debug, Clone, Default)]
pub struct History {
    events: Arc<Mutex<Vec<Event>>>,
    now_ms: Arc<AtomicU64>,
    began: Option<Instant>,
}

impl History {
    /// By the real time since now.
    pub fn ticking() -> Self {
        Self {
            began: Some(Instant::now()),
            ..Self::default()
        }
    }

    /// The simulated time of what follows.
    pub fn set_now(&self, ms: u64) {
        self.now_ms.store(ms, Ordering::Relaxed);
    }

    /// The time, simulated or since the start, ms.
    pub fn now(&self) -> u64 {
        match self.began {
            Some(began) => u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            None => self.now_ms.load(Ordering::Relaxed),
        }
    }

    /// Writes an event down.
    pub fn note(&self, who: &str, what: What) {
        let at_ms = self.now();
        self.events.lock().unwrap().push(Event {
            at_ms,
            who: who.to_owned(),
            what,
        });
    }

    /// Writes down that something was broken, or mended.
    pub fn fault(&self, who: &str, text: impl Into<String>) {
        self.note(who, What::Fault { text: text.into() });
    }

    /// All so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }
}

/// As JSON lines.
pub fn lines(events: &[Event]) -> String {
    let lines: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    lines.join("\n")
}
