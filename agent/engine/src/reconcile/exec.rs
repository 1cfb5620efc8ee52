//! Carries a plan out: phase by phase, in parallel along the edges.
//!
//! In each phase every step starts as soon as the steps it comes after have ended well. A failure or a halt starts
//! nothing more; what is in hand ends first, except waits and pulls, which are dropped. A step that changes the host is
//! in the journal before it begins and after it ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use windflow_kit::task::spawn_scoped;
use windflow_model::{DeploymentEvent, DeploymentState, Failure, Progress, StepId, StepState};

use super::{
    context::{Early, Run, World},
    perform, restore,
};
use crate::{
    journal::{Moved, StepEntry},
    plan::{Phase, Planned, Work},
    targets::{Evidence, Observed, TargetError, TargetErrorKind},
};

/// Ids of the containers that steps have made.
pub(super) type Made = Arc<Mutex<BTreeMap<StepId, String>>>;

/// Where the carrying out begins.
pub(super) enum Start {
    /// From nothing.
    Plain,
    /// The image steps are behind; the states they ended in.
    ImagesDone(BTreeMap<StepId, StepState>),
}

/// What the image steps brought.
pub(super) struct Fetched {
    pub(super) names: BTreeSet<String>,
    pub(super) steps: BTreeMap<StepId, StepState>,
}

/// The image steps alone: still preparing, nothing has changed.
pub(super) async fn images(run: &Arc<Run>, world: &World, planned: &Arc<Planned>) -> Result<Fetched, Early> {
    run.progress(Progress::Planned {
        plan: planned.plan.clone(),
    });
    let mut exec = Exec::new(run, world, Arc::clone(planned), None);
    exec.phase(Phase::Images).await?;
    let names = planned.work.iter().filter_map(|work| match work {
        Work::Pull { image, .. } | Work::Build { image, .. } => Some(image.clone()),
        _ => None,
    });
    Ok(Fetched {
        names: names.collect(),
        steps: exec.states,
    })
}

/// Everything after the images.
pub(super) async fn carry_out(
    run: &Arc<Run>,
    world: &World,
    planned: Arc<Planned>,
    observed: &Observed,
    start: Start,
) -> Result<(), Early> {
    run.progress(Progress::Planned {
        plan: planned.plan.clone(),
    });
    let changes = planned
        .plan
        .steps
        .iter()
        .filter(|step| step.action != windflow_model::Action::Keep)
        .count();
    let base = base(run).await;
    let mut exec = Exec::new(
        run,
        world,
        Arc::clone(&planned),
        Some((base, u32::try_from(changes).unwrap_or(u32::MAX))),
    );
    if let Start::ImagesDone(states) = start {
        let now = run.shared.journal.now();
        for (step, state) in states.into_iter().filter(|(_, state)| *state == StepState::Done) {
            exec.states.insert(step, state);
            exec.done += 1;
            run.progress(Progress::Ended {
                step,
                state,
                at: now,
                failure: None,
            });
        }
    }
    if planned.plan.steps.iter().any(|step| step.action.changes()) {
        exec.applying().await?;
    }
    for phase in [Phase::Create, Phase::Switch] {
        match exec.phase(phase).await {
            Ok(()) => {}
            Err(Early::Failed(failure)) => {
                let made = exec.made.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let states = exec.states.clone();
                return Err(Early::Failed(
                    restore::run(run, &planned, &states, &made, observed, failure).await,
                ));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Steps counted by an earlier attempt: the count never goes back.
async fn base(run: &Run) -> u32 {
    match run.shared.journal.state(run.stack(), run.order.op).await {
        Some(DeploymentState::Applying { done, .. }) => done,
        _ => 0,
    }
}

struct Exec<'e> {
    run: &'e Arc<Run>,
    world: &'e World,
    planned: Arc<Planned>,
    states: BTreeMap<StepId, StepState>,
    made: Made,
    done: u32,
    /// Steps done before, and steps in this plan; `None` while preparing.
    count: Option<(u32, u32)>,
}

type Ended = (StepId, Result<Evidence, TargetError>);

impl<'e> Exec<'e> {
    fn new(run: &'e Arc<Run>, world: &'e World, planned: Arc<Planned>, count: Option<(u32, u32)>) -> Self {
        Self {
            run,
            world,
            planned,
            states: BTreeMap::new(),
            made: Made::default(),
            done: 0,
            count,
        }
    }

    /// The steps of a phase.
    async fn phase(&mut self, phase: Phase) -> Result<(), Early> {
        let mut running: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
        let mut harmless: BTreeSet<StepId> = BTreeSet::new();
        let mut failed: Option<TargetError> = None;
        let halt = self.run.halt.clone();
        loop {
            if failed.is_none() && !halt.is_stopped() {
                for step in self.ready(phase) {
                    running.push(self.begin(step));
                    if self.work(step).is_some_and(Work::is_harmless) {
                        harmless.insert(step);
                    }
                }
            }
            let only_harmless = harmless.len() == running.len();
            if only_harmless && (failed.is_some() || halt.is_stopped()) {
                break;
            }
            let ended = tokio::select! {
                ended = running.next() => ended,
                () = halt.stopped(), if !halt.is_stopped() => continue,
            };
            let Some((step, result)) = ended else { break };
            harmless.remove(&step);
            match result {
                Ok(evidence) => self.ended_well(step, evidence).await?,
                Err(error) => {
                    self.ended_badly(step, &error);
                    failed = failed.or(Some(error));
                }
            }
        }
        drop(running);
        match failed {
            Some(error) => {
                self.skip_rest();
                Err(error.into())
            }
            None if halt.is_stopped() => {
                self.skip_rest();
                Err(Early::Halted)
            }
            None => Ok(()),
        }
    }

    fn work(&self, step: StepId) -> Option<&Work> {
        self.planned.work.get(usize::try_from(step.0).ok()?)
    }

    fn ready(&self, phase: Phase) -> Vec<StepId> {
        let past = |step: &StepId| match self.states.get(step) {
            Some(state) => *state == StepState::Done,
            None => self.work(*step).is_some_and(|work| work.phase() == Phase::None),
        };
        let steps = self.planned.plan.steps.iter();
        steps
            .filter(|step| !self.states.contains_key(&step.id))
            .filter(|step| self.work(step.id).is_some_and(|work| work.phase() == phase))
            .filter(|step| step.after.iter().all(past))
            .map(|step| step.id)
            .collect()
    }

    fn begin(&mut self, step: StepId) -> BoxFuture<'static, Ended> {
        self.states.insert(step, StepState::Running);
        let work = self.work(step).cloned().unwrap_or(Work::Nothing);
        let (run, world, made) = (Arc::clone(self.run), self.world.clone(), Arc::clone(&self.made));
        let planned = Arc::clone(&self.planned);
        let entry = self.entry(step);
        let noted = !work.is_harmless() && !run.repair;
        let work = async move {
            // Waits take no place: they would starve what they wait for.
            let permit = if matches!(work, Work::Wait { .. }) {
                None
            } else {
                run.shared.permits.acquire().await.ok()
            };
            // Still the held operation? A halt may have come while it waited for its place.
            if run.halt.is_stopped() && !work.is_harmless() {
                drop(permit);
                return Err(halted());
            }
            if noted
                && let Err(error) = run
                    .shared
                    .journal
                    .step_intent(run.stack(), run.order.op, u64::from(step.0), &entry)
                    .await
            {
                return Err(journal_broken(error));
            }
            run.progress(Progress::Started {
                step,
                at: run.shared.journal.now(),
            });
            let ticker = run.ticker(step);
            let result = perform::perform(&run, &world, &planned, &work, &made, ticker).await;
            if let (Ok(evidence), Work::Create { .. }) = (&result, &work)
                && let Some(id) = &evidence.id
            {
                made.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(step, id.clone());
            }
            drop(permit);
            result
        };
        // A task of its own: a step may hold the journal while another one's end waits for it here.
        let task = spawn_scoped("engine-step", work);
        Box::pin(async move {
            let broke_off = |failure| {
                TargetError::caused(TargetErrorKind::Host, "a step of the engine broke off", failure)
            };
            (step, task.await.unwrap_or_else(|failure| Err(broke_off(failure))))
        })
    }

    fn entry(&self, step: StepId) -> StepEntry {
        let steps = &self.planned.plan.steps;
        let found = usize::try_from(step.0).ok().and_then(|index| steps.get(index));
        let what = found.map(|step| format!("{} {} {}", step.action, step.resource.kind, step.resource.name));
        StepEntry {
            what: what.unwrap_or_default(),
            done: None,
        }
    }

    async fn ended_well(&mut self, step: StepId, evidence: Evidence) -> Result<(), Early> {
        self.states.insert(step, StepState::Done);
        self.done += 1;
        let run = self.run;
        for warning in &evidence.warnings {
            run.note(warning.clone());
        }
        run.progress(Progress::Ended {
            step,
            state: StepState::Done,
            at: run.shared.journal.now(),
            failure: None,
        });
        let Some((base, total)) = self.count.filter(|_| !run.repair) else {
            return Ok(());
        };
        let harmless = self.work(step).is_some_and(Work::is_harmless);
        let event = if self.only_waits_left() {
            DeploymentEvent::Verifying
        } else {
            DeploymentEvent::Applying {
                done: base + self.done,
                total: base + total,
            }
        };
        let (stack, op, steps) = (run.stack(), run.order.op, run.steps());
        if harmless {
            run.shared.journal.event(stack, op, event, Some(&steps)).await?;
        } else {
            let (number, entry) = (u64::from(step.0), self.entry(step));
            run.shared
                .journal
                .step_done(stack, op, number, entry, evidence, Some(event), &steps)
                .await?;
        }
        Ok(())
    }

    /// Whether nothing is left but waiting, and removing what was waited for.
    fn only_waits_left(&self) -> bool {
        let steps = self.planned.plan.steps.iter();
        let mut open = steps.filter(|step| self.states.get(&step.id) != Some(&StepState::Done));
        open.all(|step| {
            let work = self.work(step.id);
            work.is_some_and(|work| {
                matches!(work, Work::Wait { .. } | Work::Nothing)
                    || matches!(work, Work::Remove { stop: false, .. })
            })
        })
    }

    fn ended_badly(&mut self, step: StepId, error: &TargetError) {
        self.states.insert(step, StepState::Failed);
        let at = self.run.shared.journal.now();
        let failure = Some(error.failure());
        self.run.progress(Progress::Ended {
            step,
            state: StepState::Failed,
            at,
            failure,
        });
    }

    fn skip_rest(&mut self) {
        let at = self.run.shared.journal.now();
        for (step, work) in self.planned.plan.steps.iter().zip(&self.planned.work) {
            let open = !matches!(
                self.states.get(&step.id),
                Some(StepState::Done | StepState::Failed)
            );
            if open && work.phase() != Phase::None {
                self.run.progress(Progress::Ended {
                    step: step.id,
                    state: StepState::Skipped,
                    at,
                    failure: None,
                });
            }
        }
    }

    /// The first change is about to happen: from here on there is no cancel.
    async fn applying(&mut self) -> Result<(), Early> {
        let Some((base, total)) = self.count.filter(|_| !self.run.repair) else {
            return Ok(());
        };
        let run = self.run;
        let event = DeploymentEvent::Applying {
            done: base + self.done,
            total: base + total,
        };
        let steps = run.steps();
        let moved = run
            .shared
            .journal
            .event(run.stack(), run.order.op, event, Some(&steps))
            .await?;
        if moved == Moved::No && !run.shared.journal.is_current(run.stack(), run.order.op).await {
            return Err(Early::Halted);
        }
        Ok(())
    }
}

fn halted() -> TargetError {
    TargetError::new(TargetErrorKind::Host, "a newer revision took over")
}

fn journal_broken(error: crate::journal::JournalError) -> TargetError {
    let failure: Failure = error.into();
    TargetError::new(TargetErrorKind::Host, failure.message)
}
