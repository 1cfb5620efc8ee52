//! What happened, in the order in which it happened: the only thing that the checker reads.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Simulated milliseconds since the start.
    pub(crate) at_ms: u64,
    /// `world`, `operator`, `controller` or a host.
    pub(crate) who: String,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum What {
    /// Something was broken, or mended.
    Fault { text: String },
    /// A process has started.
    Started { boot: u64 },
    /// A request went out.
    Asked { request: u64, text: String },
    /// Its answer said yes: what it names must never be lost.
    Granted { request: u64, deployments: Vec<String> },
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
    /// The host has this state of a stack in its journal.
    Journal {
        stack: String,
        rev: u64,
        op: String,
        state: String,
    },
    /// The host is about to carry out a step, or has.
    Step {
        stack: String,
        op: String,
        n: String,
        text: String,
        done: bool,
    },
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
    },
    /// The end of the run.
    End,
}

/// A container in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) project: String,
    pub(crate) service: String,
    pub(crate) rev: u64,
    pub(crate) running: bool,
}

/// Where events are written down.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    events: Arc<Mutex<Vec<Event>>>,
    now_ms: Arc<AtomicU64>,
}

impl History {
    /// The simulated time of what follows.
    pub(crate) fn set_now(&self, ms: u64) {
        self.now_ms.store(ms, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, who: &str, what: What) {
        let at_ms = self.now();
        self.events.lock().unwrap().push(Event {
            at_ms,
            who: who.to_owned(),
            what,
        });
    }

    pub(crate) fn fault(&self, who: &str, text: impl Into<String>) {
        self.note(who, What::Fault { text: text.into() });
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }
}

/// As JSON lines.
pub(crate) fn lines(events: &[Event]) -> String {
    let lines: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    lines.join("\n")
}
