//! The application: a file per noun says what may be done with it. Nothing here knows HTTP or QUIC.
//!
//! ```text
//! http handlers ──► App ──► Store (one transaction per change, the audit record in it)
//! fleet (Home)  ──►  │ ├──► EventBus     broadcast 1024 + ring + files  → GET /events
//! jobs          ──►  │ ├──► ProgressHub  broadcast 256 per run  → GET /deployments/ID/events
//!                    │ └──► Hosts        the fleet's handle: nudge, withdraw, plan, logs, disconnect
//!                    └─ owned tasks: a change goes on although its caller hung up
//! What hosts ask of the store takes turns (a semaphore in `home`); what people ask does not.
//! ```

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tokio::sync::{OnceCell, Semaphore, oneshot};
use windflow_kit::{Clock, OnFailure, Random, TaskSet};
use windflow_model::{AgentId, FleetEventKind, Timestamp};
use windflow_store::SharedStore;

pub mod agent;
mod agent_enrol;
mod agent_session;
pub mod alert;
pub mod alert_rule;
pub mod alerting;
pub mod audit;
pub mod channel;
mod compose;
pub mod container;
mod db;
pub mod deployment;
pub mod error;
mod event;
pub mod event_bus;
mod fanout;
pub mod files;
pub mod group;
mod heard;
mod home;
pub mod hosts;
pub mod idempotency;
pub(crate) mod keys;
pub mod logs;
pub mod metrics;
mod mint;
pub mod notice;
mod pins;
pub mod plan;
pub mod progress;
pub mod recording;
pub(crate) mod records;
mod report;
pub mod rollout;
pub mod session;
pub mod silence;
mod spot;
pub mod stack;
mod sweep;
pub mod terminal;
pub mod token;
pub mod user;
mod work;

pub use db::raise_epoch;
#[cfg(test)]
pub(crate) use db::{create, replace};
pub use error::{AppError, AppResult};
use event_bus::EventBus;
use hosts::{Hosts, NoHosts};
use progress::ProgressHub;

use crate::{
    auth::{limit::Limits, password::Passwords, setup::SetupCodes},
    egress::Egress,
    event_log::{EventLog, Known},
    recordings::Recordings,
    telemetry::Telemetry,
    vault::Vault,
};

/// What the application is made of.
#[derive(Debug)]
pub struct AppOptions {
    /// Where everything is kept.
    pub store: SharedStore,
    /// The clock.
    pub clock: Clock,
    /// Randomness, for ids and secrets.
    pub random: Random,
    /// Who owns tasks that outlive their caller.
    pub tasks: TaskSet,
    /// The only way out.
    pub egress: Egress,
    /// What keeps secrets.
    pub vault: Vault,
    /// Number of this start, durable and rising.
    pub epoch: u64,
}

impl AppOptions {
    /// Makes the application. It has no hosts until [`App::attach`].
    #[must_use]
    pub fn build(self) -> App {
        App(Arc::new(Inner {
            bus: EventBus::new(self.epoch, self.clock.clone()),
            progress: ProgressHub::default(),
            containers: Mutex::default(),
            reoffer: Mutex::default(),
            hosts: OnceLock::new(),
            heard_before: OnceCell::new(),
            telemetry: Telemetry::new(self.clock.clone()),
            host_turns: Semaphore::new(home::HOST_TURNS),
            notices: notice::Watch::default(),
            alerting: alert::Watch::default(),
            rollouts: rollout::Watch::new(Timestamp::from_millis(self.clock.now_ms())),
            verifying: tokio::sync::Mutex::default(),
            terminals: Mutex::default(),
            recordings: OnceLock::new(),
            passwords: Passwords::default(),
            setup: SetupCodes::new(self.clock.clone(), self.random.clone()),
            limits: Limits::new(self.clock.clone()),
            store: self.store,
            clock: self.clock,
            random: self.random,
            tasks: self.tasks,
            egress: self.egress,
            vault: self.vault,
            epoch: self.epoch,
        }))
    }
}

/// Handle to the application.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: SharedStore,
    clock: Clock,
    random: Random,
    tasks: TaskSet,
    egress: Egress,
    vault: Vault,
    epoch: u64,
    bus: EventBus,
    progress: ProgressHub,
    containers: Mutex<container::Known>,
    /// Deployments that a host should hold and does not: sent again.
    reoffer: Mutex<report::Reoffer>,
    hosts: OnceLock<Arc<dyn Hosts>>,
    /// When each host was last heard, as the last start of the controller knew it.
    heard_before: OnceCell<BTreeMap<AgentId, Timestamp>>,
    telemetry: Telemetry,
    /// Hosts that are worked for.
    host_turns: Semaphore,
    notices: notice::Watch,
    alerting: alert::Watch,
    rollouts: rollout::Watch,
    /// Held by the one check of the audit trail that runs.
    verifying: tokio::sync::Mutex<()>,
    /// Terminals that are open; they are not kept.
    terminals: Mutex<terminal::Table>,
    recordings: OnceLock<Recordings>,
    passwords: Passwords,
    setup: SetupCodes,
    limits: Limits,
}

impl App {
    /// Gives the application its hosts. Only the first call counts.
    pub fn attach(&self, hosts: Arc<dyn Hosts>) {
        if self.0.hosts.set(hosts).is_err() {
            tracing::warn!("the fleet was attached twice; the first one stays");
        }
    }

    pub(crate) fn hosts(&self) -> &dyn Hosts {
        self.0.hosts.get().map_or(&NoHosts, |hosts| &**hosts)
    }

    /// Whether the fleet is attached.
    #[must_use]
    pub fn has_fleet(&self) -> bool {
        self.0.hosts.get().is_some()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.clock.now_ms())
    }

    /// What hosts measure.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// What makes every request to the outside.
    #[must_use]
    pub fn egress(&self) -> &Egress {
        &self.0.egress
    }

    /// What keeps secrets.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn setup(&self) -> &SetupCodes {
        &self.0.setup
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Number of this start.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    pub(crate) fn store(&self) -> &SharedStore {
        &self.0.store
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.random
    }

    /// Deployments with a live feed.
    pub(crate) fn feeds(&self) -> usize {
        self.0.progress.len()
    }

    pub(crate) fn publish(&self, kind: FleetEventKind) {
        self.0.bus.publish(kind);
    }

    /// Keeps the fleet's events from now on; `known` is what is kept of hosts already.
    pub(crate) fn keep_events(&self, log: EventLog, known: Known) {
        self.0.bus.keep(log, known);
    }

    /// Runs a change to its end although the caller may hang up: HTTP drops the handler's future on a disconnect.
    pub(crate) async fn owned<T, F>(&self, operation: &'static str, change: F) -> AppResult<T>
    where
        T: Send + 'static,
        F: Future<Output = AppResult<T>> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        self.0.tasks.spawn(operation, OnFailure::Log, async move {
            let _hung_up = answer.send(change.await);
        });
        result.await.map_err(AppError::internal(operation))?
    }
}

/// Locks a mutex that only holds plain data: what a panicking thread left behind is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
