//! Carries a plan out: phase by phase, in parallel along the edges.
//!
//! In each phase every step starts as soon as the steps it comes after have ended well. A failure or a halt starts
//! nothing more; what is in hand ends first, except waits and pulls, which are dropped. A step that changes the host is
//! in the journal before it begins and after it ended.

mod tell;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use windflow_kit::task::spawn_scoped;
use windflow_model::{DeploymentState, Failure, Progress, StepId, StepState};

use super::{
    back,
    context::{Early, Kind, Run, World},
    perform, restore,
};
use crate::{
    journal::StepEntry,
    plan::{Phase, Planned, Replacement, Work},
    targets::{Evidence, SavedNetwork, TargetError, TargetErrorKind},
};

/// What steps have made, and what they have taken away that could be wanted back.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Ids of containers, networks and volumes.
    pub(super) ids: Mutex<BTreeMap<StepId, String>>,
    /// Networks that were replaced, by their id.
    pub(super) saved: Mutex<BTreeMap<String, SavedNetwork>>,
}

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
    run.planned(&planned.plan);
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

/// Everything after the images. On the `last` try a host that moved is a failure like any other, which is undone.
pub(super) async fn carry_out(
    run: &Arc<Run>,
    world: &World,
    planned: Arc<Planned>,
    start: Start,
    last: bool,
) -> Result<(), Early> {
    let before = run.steps();
    run.planned(&planned.plan);
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
        for (step, state) in states.into_iter().filter(|(_, state)| *state == StepState::Done) {
            exec.states.insert(step, state);
            exec.done += 1;
            run.repeat(&before, step);
        }
    }
    if planned.plan.steps.iter().any(|step| step.action.changes()) {
        exec.applying().await?;
    }
    for phase in [Phase::Create, Phase::Switch, Phase::Watch, Phase::Clean] {
        match exec.phase(phase).await {
            Ok(()) => {}
            Err(Early::Moved(failure)) if !last => return Err(Early::Moved(failure)),
            // Everything is good: an old container that cannot be removed takes nothing back.
            Err(Early::Failed(failure) | Early::Moved(failure)) if phase == Phase::Clean => {
                return Err(if last {
                    Early::Left(failure)
                } else {
                    Early::Moved(failure)
                });
            }
            Err(Early::Failed(failure) | Early::Moved(failure)) => return Err(exec.failed(failure).await),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Steps counted by an earlier attempt: the count never goes back.
async fn base(run: &Run) -> u32 {
    match run.shared.journal.state(run.stack(), run.op).await {
        Some(DeploymentState::Applying { done, .. }) => done,
        _ => 0,
    }
}

struct Exec<'e> {
    run: &'e Arc<Run>,
    world: &'e World,
    planned: Arc<Planned>,
    states: BTreeMap<StepId, StepState>,
    made: Arc<Made>,
    /// Whether a step has failed: what waits for its place begins no more.
    over: Arc<AtomicBool>,
    /// The service of the step that failed.
    culprit: Option<String>,
    done: u32,
    /// Steps done before, and steps in this plan; `None` while preparing.
    count: Option<(u32, u32)>,
}

/// How a step ended; `None` where it never began, because a halt or a failure came while it waited for its place.
type Ended = (StepId, Option<Result<Evidence, TargetError>>);

impl<'e> Exec<'e> {
    fn new(run: &'e Arc<Run>, world: &'e World, planned: Arc<Planned>, count: Option<(u32, u32)>) -> Self {
        Self {
            run,
            world,
            planned,
            states: BTreeMap::new(),
            made: Arc::default(),
            over: Arc::default(),
            culprit: None,
            done: 0,
            count,
        }
    }

    /// What becomes of a failure: the way back, or everything that was under way is put back at once.
    async fn failed(&self, failure: Failure) -> Early {
        match &self.run.kind {
            // A failed way back stops where it is.
            Kind::Back { .. } => return Early::Failed(failure),
            Kind::Repair => {}
            Kind::Deploy => {
                let project = &self.world.project;
                if let Some(to) = back::possible(self.run, project, self.culprit.as_deref()).await {
                    return Early::Back { failure, to };
                }
            }
        }
        let reached = restore::Reached {
            states: &self.states,
            made: &self.made,
        };
        Early::Failed(restore::run(self.run, &self.planned, &reached, failure).await)
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
                Some(Ok(evidence)) => self.ended_well(step, evidence).await?,
                Some(Err(error)) => {
                    self.ended_badly(step, &error);
                    failed = failed.or(Some(error));
                }
                None => drop(self.states.insert(step, StepState::Skipped)),
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
        let entry = self.entry(step);
        let noted = !work.is_harmless() && run.kind != Kind::Repair;
        let (takes_down, over) = (self.takes_down(step), Arc::clone(&self.over));
        let work = async move {
            // Waits take no place: they would starve what they wait for.
            let permit = if matches!(work, Work::Wait { .. }) {
                None
            } else {
                run.shared.permits.acquire().await.ok()
            };
            // Still the held operation, and nothing has failed? That may have come while it waited for its place.
            if (run.halt.is_stopped() || over.load(Ordering::Relaxed)) && !work.is_harmless() {
                return None;
            }
            if noted
                && let Err(error) = run
                    .shared
                    .journal
                    .step_intent(
                        run.stack(),
                        run.op,
                        run.number(step),
                        &entry,
                        takes_down.as_deref(),
                    )
                    .await
            {
                return Some(Err(journal_broken(error)));
            }
            run.progress(Progress::Started {
                step,
                at: run.shared.journal.now(),
            });
            let ticker = run.ticker(step);
            let absences = run.shared.absences();
            let result = perform::perform(&run, &world, &work, &made, ticker).await;
            if result.is_err() {
                // Before its place is free.
                over.store(true, Ordering::Relaxed);
            }
            if let (
                Ok(evidence),
                Work::Create { .. }
                | Work::NetworkCreate { .. }
                | Work::NetworkReplace { .. }
                | Work::VolumeCreate { .. },
            ) = (&result, &work)
                && let Some(id) = &evidence.id
            {
                made.ids
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(step, id.clone());
            }
            drop(permit);
            Some(match result {
                Err(error) => Err(run.shared.judged(error, absences).await),
                done => done,
            })
        };
        // A task of its own: a step may hold the journal while another one's end waits for it here.
        let task = spawn_scoped("engine-step", work);
        Box::pin(async move {
            let broke_off = |failure| {
                TargetError::caused(TargetErrorKind::Host, "a step of the engine broke off", failure)
            };
            (
                step,
                task.await.unwrap_or_else(|failure| Some(Err(broke_off(failure)))),
            )
        })
    }

    /// The running container that this step is the first to stop, on the way to its replacement or its removal. If that breaks
    /// off, the way back starts it again.
    fn takes_down(&self, step: StepId) -> Option<String> {
        let touched = |replacement: &&Replacement| replacement.touches == step && replacement.was_up;
        let replaced = self.planned.replacements.iter().find(touched);
        match (replaced, self.work(step)) {
            (Some(replacement), _) => Some(replacement.old.clone()),
            (None, Some(Work::Remove { id, stop: true, .. })) => Some(id.clone()),
            _ => None,
        }
    }

    fn entry(&self, step: StepId) -> StepEntry {
        let steps = &self.planned.plan.steps;
        let found = usize::try_from(step.0).ok().and_then(|index| steps.get(index));
        let what = found.map(|step| format!("{} {} {}", step.action, step.resource.kind, step.resource.name));
        StepEntry {
            what: what.unwrap_or_default(),
            stops: self.work(step).and_then(Work::stops).map(str::to_owned),
            done: None,
        }
    }
}

fn journal_broken(error: crate::journal::JournalError) -> TargetError {
    let failure: Failure = error.into();
    TargetError::new(TargetErrorKind::Host, failure.message)
}
