//! The owning loop: takes commands, keeps one lane per stack, looks after what runs.
//!
//! ```text
//! handles ──Command (mpsc 64)──────► Engine::run ──spawns──► "engine-lane" of stack a: deploy | repair
//!                                      │  ▲  ▲              "engine-lane" of stack b: …        (parallel)
//! "engine-watch": engine's events ─────┘  │  └──LaneEnd (mpsc 1024)── every lane, when it has ended
//!     list of containers ──watch──► View  │
//!     Signal (mpsc 256): a container died, is gone ──┘         drift timer: every stack is compared again
//! ```
//! A lane does one thing at a time: bring the held revision about, or repair. A newer revision halts it: the step in
//! hand ends, the lane ends, its operation is reported as superseded, and a new lane takes over.

mod back;
mod context;
mod exec;
mod lane;
mod lifecycle;
mod list;
mod perform;
mod prepare;
mod restore;
mod tidy;
mod wait;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use windflow_kit::{
    OnFailure, Stop, TaskSet,
    seeded::{self, Bug},
};
use windflow_model::{Code, Failure, OpId, Rev, StackName};

use self::{
    context::Shared,
    lane::{Job, LaneEnd},
    watch::Signal,
};
use crate::{
    command::Command,
    journal::{Journal, JournalError},
    options::{EngineError, EngineOptions},
    order::{ApplyError, Order},
    targets::Target,
    view::View,
};

/// Lanes that ended and wait for the loop.
const ENDS: usize = 1024;
/// Signals that wait for the loop; more are dropped, the drift timer finds what they said.
const SIGNALS: usize = 256;
/// How long lanes may take to end the step in hand when the engine stops.
const DRAIN: Duration = Duration::from_secs(30);

/// The loop and what it owns.
pub(crate) struct Reconciler {
    shared: Arc<Shared>,
    tasks: TaskSet,
    lanes: BTreeMap<StackName, Lane>,
    ends: mpsc::Sender<LaneEnd>,
}

/// A running lane.
struct Lane {
    halt: Stop,
    /// The operation it works on; `None` for a repair.
    op: Option<OpId>,
    /// Containers that died by force while it ran, and whether to look again afterwards.
    again: Option<BTreeSet<String>>,
}

impl Reconciler {
    pub(crate) async fn run(
        options: EngineOptions,
        journal: Arc<Journal>,
        view: Arc<View>,
        target: Arc<dyn Target>,
        mut inbox: mpsc::Receiver<Command>,
        stop: Stop,
    ) -> Result<(), EngineError> {
        let tasks = TaskSet::new(stop.child(), options.random.clone());
        let (ends, mut ended) = mpsc::channel(ENDS);
        let (signals, mut signalled) = mpsc::channel(SIGNALS);
        let mut drift = interval(options.drift_every);
        drift.set_missed_tick_behavior(MissedTickBehavior::Delay);
        drift.reset();
        let shared = Arc::new(Shared::new(options, journal, view, target));
        tasks.spawn(
            "engine-watch",
            OnFailure::Log,
            watch::run(Arc::clone(&shared), signals, tasks.stop().clone()),
        );
        let mut this = Self {
            shared,
            tasks,
            lanes: BTreeMap::new(),
            ends,
        };
        this.replay().await.map_err(EngineError::from)?;
        loop {
            tokio::select! {
                () = stop.stopped() => break,
                command = inbox.recv() => match command {
                    Some(command) => this.command(command).await,
                    // Every handle is gone: what is held goes on until stop.
                    None => { stop.stopped().await; break }
                },
                Some(end) = ended.recv() => this.lane_ended(end).await,
                Some(signal) = signalled.recv() => this.signal(signal).await,
                _ = drift.tick() => this.look_at_all().await,
            }
        }
        let drained = this.tasks.drain(DRAIN).await;
        if !drained.unfinished.is_empty() {
            tracing::warn!(tasks = ?drained.unfinished, "lanes were cut off; the journal goes on from there");
        }
        Ok(())
    }

    /// After a start: ends what was replaced, goes on with what is open, compares what stands.
    async fn replay(&mut self) -> Result<(), JournalError> {
        for record in self.shared.journal.records().await {
            self.shared.journal.superseded(&record.stack).await?;
            if self.shared.options.only_asked {
                continue;
            }
            if !record.state.is_terminal() {
                tracing::info!(stack = %record.stack, rev = %record.rev, state = record.state.name(), "goes on after a restart");
                self.start(&record.stack, Job::Deploy { op: record.op });
            } else if record.is_tended() {
                self.start(
                    &record.stack,
                    Job::Repair {
                        killed: BTreeSet::new(),
                    },
                );
            }
        }
        Ok(())
    }

    fn start(&mut self, stack: &StackName, job: Job) {
        if seeded::is(Bug::DriftIgnored) && matches!(job, Job::Repair { .. }) {
            return;
        }
        let halt = self.tasks.stop().child();
        let op = match &job {
            Job::Deploy { op } => Some(*op),
            Job::Repair { .. } => None,
        };
        self.lanes.insert(
            stack.clone(),
            Lane {
                halt: halt.clone(),
                op,
                again: None,
            },
        );
        let work = lane::run(
            Arc::clone(&self.shared),
            stack.clone(),
            job,
            halt,
            self.ends.clone(),
        );
        self.tasks.spawn("engine-lane", OnFailure::Log, work);
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Apply { order, reply } => {
                let _ = reply.send(self.apply(*order).await);
            }
            Command::Cancel {
                stack,
                rev,
                op,
                reply,
            } => {
                let outcome = self.shared.journal.cancel(&stack, rev, op).await;
                if let Some(lane) = self.lanes.get(&stack).filter(|lane| lane.op == Some(op))
                    && matches!(outcome, Ok(crate::order::CancelOutcome::Cancelled))
                {
                    lane.halt.trigger();
                }
                let _ = reply.send(outcome.map_err(ApplyError::from));
            }
            Command::Ack { upto, reply } => {
                let _ = reply.send(self.shared.journal.ack(upto).await.map_err(ApplyError::from));
            }
            Command::Plan { order, reply } => {
                let shared = Arc::clone(&self.shared);
                self.tasks.spawn("engine-plan", OnFailure::Log, async move {
                    let _ = reply.send(lane::preview(&shared, &order).await);
                });
            }
            Command::History { stack, reply } => {
                let history = self.shared.journal.history(&stack).await;
                let _ = reply.send(history.map_err(Failure::from));
            }
            Command::Again { stack, to, reply } => {
                let _ = reply.send(self.again(&stack, to).await);
            }
            Command::Lifecycle(order, reply) => {
                if self.lanes.get(&order.stack).is_some_and(|lane| lane.op.is_some()) {
                    let _ = reply.send(Err(lifecycle::busy(&order.stack)));
                    return;
                }
                let shared = Arc::clone(&self.shared);
                self.tasks.spawn("engine-lifecycle", OnFailure::Log, async move {
                    let _ = reply.send(lifecycle::run(&shared, &order).await);
                });
            }
        }
    }

    async fn apply(&mut self, order: Order) -> Result<crate::order::Acceptance, ApplyError> {
        let running = self.lanes.get(&order.stack).and_then(|lane| lane.op);
        let accepted = self.shared.journal.accept(&order, running).await?;
        if accepted.fresh {
            match self.lanes.get(&order.stack) {
                // Its end starts the new one.
                Some(lane) => lane.halt.trigger(),
                None => self.start(&order.stack, Job::Deploy { op: order.op }),
            }
        }
        Ok(accepted.acceptance)
    }

    async fn again(&self, stack: &StackName, to: Option<Rev>) -> Result<Order, Failure> {
        let options = &self.shared.options;
        let op = options.random.uuid_v7(&options.clock);
        let op = op.map_err(|error| Failure::new(Code::HostFailure, error.to_string()))?;
        let order = self.shared.journal.again(stack, to, OpId::from_uuid(op)).await?;
        order.map_err(|text| Failure::new(Code::NotFound, text))
    }

    async fn lane_ended(&mut self, end: LaneEnd) {
        let Some(lane) = self.lanes.remove(&end.stack) else {
            return;
        };
        if self.tasks.stop().is_stopped() {
            return;
        }
        self.superseded(&end.stack).await;
        let Some(record) = self.shared.journal.record(&end.stack).await else {
            return;
        };
        if !record.state.is_terminal() {
            self.start(&end.stack, Job::Deploy { op: record.op });
            return;
        }
        let left = lane.op.is_some() && record.is_loose() && !self.shared.options.only_asked;
        let again = lane.again.or_else(|| left.then(BTreeSet::new));
        if let Some(killed) = again.filter(|_| record.is_tended()) {
            self.start(&end.stack, Job::Repair { killed });
        }
    }

    /// Writes the end of what was replaced while it ran. Tried again at the next look, or with the next order, if the disk
    /// takes nothing now.
    async fn superseded(&self, stack: &StackName) {
        if let Err(error) = self.shared.journal.superseded(stack).await {
            tracing::error!(%stack, error = %windflow_kit::Chain(&error), "cannot report a superseded operation");
        }
    }

    async fn signal(&mut self, signal: Signal) {
        if self.shared.options.only_asked {
            return;
        }
        let Ok(stack) = signal.project.parse::<StackName>() else {
            return;
        };
        match self.lanes.get_mut(&stack) {
            Some(lane) => lane.again.get_or_insert_default().extend(signal.killed),
            None => {
                let record = self.shared.journal.record(&stack).await;
                if record.is_some_and(|record| record.is_tended()) {
                    self.start(
                        &stack,
                        Job::Repair {
                            killed: signal.killed,
                        },
                    );
                }
            }
        }
    }

    async fn look_at_all(&mut self) {
        for record in self.shared.journal.records().await {
            let lane = self.lanes.get(&record.stack).and_then(|lane| lane.op);
            // One that still stops ends by itself.
            if lane.is_none_or(|op| op == record.op) {
                self.superseded(&record.stack).await;
            }
            if self.shared.options.only_asked {
                continue;
            }
            if record.is_tended() && !self.lanes.contains_key(&record.stack) {
                self.start(
                    &record.stack,
                    Job::Repair {
                        killed: BTreeSet::new(),
                    },
                );
            }
        }
    }
}
