//! What all lanes share, and what one run carries.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use windflow_compose::model::Project;
use windflow_kit::Stop;
use windflow_model::{
    Action, DeploymentId, Failure, OpId, Plan, Progress, Rev, StackName, StepId, StepState, Steps,
};

use super::list::List;
use crate::{
    journal::{Journal, JournalError},
    options::EngineOptions,
    order::{Order, StackProgress},
    targets::{Target, TargetError, TargetErrorKind, Tick, Ticker},
    view::View,
};

/// How long a failure waits for the news that the engine has gone away.
const GOING: Duration = Duration::from_secs(1);
/// Progress of one step is told at most this often.
const TICKS: Duration = Duration::from_millis(100);

/// Shared by all lanes.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: EngineOptions,
    pub(super) journal: Arc<Journal>,
    pub(super) view: Arc<View>,
    pub(super) target: Arc<dyn Target>,
    /// Container operations at the same time.
    pub(super) permits: Arc<Semaphore>,
    /// Held while a container starts that takes a port of a range: the engine gives two at once the same one.
    pub(super) ports: tokio::sync::Mutex<()>,
    /// The list of containers, asked for once for all who wait at the same moment.
    pub(super) list: List,
    /// How often the engine has gone away.
    absences: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(
        options: EngineOptions,
        journal: Arc<Journal>,
        view: Arc<View>,
        target: Arc<dyn Target>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(options.parallel.max(1)));
        Self {
            options,
            journal,
            view,
            ports: tokio::sync::Mutex::default(),
            list: List::new(Arc::clone(&target)),
            target,
            permits,
            absences: watch::channel(0).0,
        }
    }

    /// How often the engine has gone away: what ended meanwhile may have ended with it.
    pub(super) fn absences(&self) -> u64 {
        *self.absences.borrow()
    }

    /// The engine has gone away.
    pub(super) fn engine_left(&self) {
        self.absences.send_modify(|count| *count += 1);
    }

    /// What a failure is if the engine went away since there were so many absences, or is about to: as if it had not
    /// answered. An engine that ends takes its containers down first, and refuses in odd words what it still answers.
    pub(super) async fn judged(&self, error: TargetError, absences: u64) -> TargetError {
        use TargetErrorKind as Kind;
        if !matches!(error.kind, Kind::Engine | Kind::ContainerExited | Kind::Unhealthy) {
            return error;
        }
        let mut count = self.absences.subscribe();
        let left = tokio::time::timeout(GOING, count.wait_for(|count| *count != absences)).await;
        if left.is_err() {
            return error;
        }
        let text = format!("the engine went away meanwhile ({})", error.what);
        TargetError::new(Kind::Unreachable, text)
    }
}

/// Why a run ended early.
#[derive(Debug)]
pub(super) enum Early {
    /// A newer revision, a cancel, or the end of the agent.
    Halted,
    /// The engine does not answer; it may come back.
    Unreachable(windflow_model::Failure),
    /// Something was not as it had been seen: gone, or there already. Another look tells.
    Moved(windflow_model::Failure),
    /// It failed, and what was under way is undone.
    Failed(windflow_model::Failure),
    /// Everything is as it should be, but something that nobody needs any more could not be removed.
    Left(windflow_model::Failure),
    /// It failed, and the last good revision is to come back.
    Back {
        /// Why.
        failure: windflow_model::Failure,
        /// That revision.
        to: windflow_model::Rev,
    },
    /// The journal cannot be written.
    Journal(JournalError),
}

impl From<JournalError> for Early {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<windflow_model::Failure> for Early {
    fn from(failure: windflow_model::Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<crate::targets::TargetError> for Early {
    fn from(error: crate::targets::TargetError) -> Self {
        let failure = error.failure();
        match error.kind {
            TargetErrorKind::Unreachable => Self::Unreachable(failure),
            TargetErrorKind::NotFound | TargetErrorKind::NameTaken => Self::Moved(failure),
            _ => Self::Failed(failure),
        }
    }
}

/// What a run is for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// To bring its order about.
    Deploy,
    /// To bring back what went missing: it moves no deployment and writes no steps.
    Repair,
    /// To bring back the order of an older revision, after the held one has failed.
    Back {
        /// Why.
        failure: Failure,
        /// Its revision.
        to: Rev,
    },
}

/// One run of one order.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) order: Order,
    /// The operation that the run belongs to. On a way back it is not that of the order.
    pub(super) op: OpId,
    deployment: Option<DeploymentId>,
    pub(super) halt: Stop,
    pub(super) kind: Kind,
    /// The steps of the deploy that this is the way back of.
    before: Steps,
    steps: Mutex<Steps>,
}

impl Run {
    pub(super) fn new(shared: Arc<Shared>, order: Order, halt: Stop, kind: Kind) -> Self {
        Self {
            shared,
            op: order.op,
            deployment: order.deployment,
            order,
            halt,
            kind,
            before: Steps::default(),
            steps: Mutex::default(),
        }
    }

    /// The way back of a failed run to an older order.
    pub(super) fn back(failed: &Self, order: Order, failure: Failure, to: Rev) -> Self {
        let before = failed.steps();
        Self {
            shared: Arc::clone(&failed.shared),
            order,
            op: failed.op,
            deployment: failed.deployment,
            halt: failed.halt.clone(),
            kind: Kind::Back { failure, to },
            steps: Mutex::new(before.clone()),
            before,
        }
    }

    /// The number of a step in the journal; those of a way back come after those of the deploy.
    pub(super) fn number(&self, step: StepId) -> u64 {
        let offset = if matches!(self.kind, Kind::Back { .. }) {
            1 << 32
        } else {
            0
        };
        offset + u64::from(step.0)
    }

    /// The steps of the deploy that this is the way back of.
    pub(super) const fn before(&self) -> &Steps {
        &self.before
    }

    pub(super) fn stack(&self) -> &StackName {
        &self.order.stack
    }

    /// The step tree so far.
    pub(super) fn steps(&self) -> Steps {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Folds an event into the tree and tells whoever listens.
    pub(super) fn progress(&self, event: Progress) {
        self.steps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fold(&event);
        let told = StackProgress {
            stack: self.order.stack.clone(),
            op: self.op,
            deployment: self.deployment,
            event,
        };
        // Nobody listening is fine.
        let _ = self.shared.view.progress.send(told);
    }

    /// A plan replaces the tree. What stays as it is has nothing to wait for and ends at once.
    pub(super) fn planned(&self, plan: &Plan) {
        self.progress(Progress::Planned { plan: plan.clone() });
        for step in plan.steps.iter().filter(|step| step.action == Action::Keep) {
            self.ended(step.id, StepState::Done);
        }
        for view in &self.before.steps {
            let at = usize::try_from(view.step.id.0).ok();
            if at.and_then(|at| plan.steps.get(at)) == Some(&view.step) {
                self.repeat(&self.before, view.step.id);
            }
        }
    }

    /// An image step of the plan that was replaced, with its times: the new plan begins with the same ones.
    pub(super) fn repeat(&self, before: &Steps, step: StepId) {
        let Some(view) = before.steps.iter().find(|view| view.step.id == step) else {
            return;
        };
        if let Some(at) = view.started_at {
            self.progress(Progress::Started { step, at });
        }
        let now = self.shared.journal.now();
        self.progress(Progress::Ended {
            step,
            state: view.state,
            at: view.ended_at.unwrap_or(now),
            failure: view.failure.clone(),
        });
    }

    /// No step stays open in the tree of a deployment that is over, whatever it broke off at.
    pub(super) fn close(&self) {
        for view in self.steps().steps {
            if matches!(view.state, StepState::Pending | StepState::Running) {
                self.ended(view.step.id, StepState::Skipped);
            }
        }
    }

    fn ended(&self, step: StepId, state: StepState) {
        let at = self.shared.journal.now();
        self.progress(Progress::Ended {
            step,
            state,
            at,
            failure: None,
        });
    }

    pub(super) fn note(&self, text: String) {
        self.progress(Progress::Note { text });
    }

    /// Takes the ticks of one step.
    pub(super) fn ticker(self: &Arc<Self>, step: StepId) -> Ticker {
        let run = Arc::clone(self);
        let last: Mutex<Option<Instant>> = Mutex::default();
        Ticker::new(move |tick: Tick| {
            let now = Instant::now();
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| now.duration_since(last) < TICKS) {
                return;
            }
            *last = Some(now);
            run.progress(Progress::Moved {
                step,
                current: tick.current,
                total: tick.total,
                unit: tick.unit.to_owned(),
                detail: tick.detail,
                layers: tick.layers,
            });
        })
    }
}

/// A project with what its steps need.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) project: Arc<Project>,
}
