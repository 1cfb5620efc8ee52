//! What all lanes share, and what one run carries.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};
use windflow_compose::model::Project;
use windflow_kit::Stop;
use windflow_model::{Action, Plan, Progress, StackName, StepId, StepState, Steps};

use super::list::List;
use crate::{
    journal::{Journal, JournalError},
    options::EngineOptions,
    order::{Order, StackProgress},
    targets::{Target, TargetErrorKind, Tick, Ticker},
    view::View,
};

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
        }
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
    /// It failed.
    Failed(windflow_model::Failure),
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

/// One run of one order.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) order: Order,
    pub(super) halt: Stop,
    /// A repair moves no deployment and writes no steps.
    pub(super) repair: bool,
    steps: Mutex<Steps>,
}

impl Run {
    pub(super) fn new(shared: Arc<Shared>, order: Order, halt: Stop, repair: bool) -> Self {
        Self {
            shared,
            order,
            halt,
            repair,
            steps: Mutex::default(),
        }
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
            op: self.order.op,
            deployment: self.order.deployment,
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
