//! After a failure: what was under way is undone.
//!
//! The new container of every replacement goes, a network that was replaced is made again as it was, the old container
//! takes its name again and, if it was stopped for this (by this life of the agent or one before: the journal knows),
//! runs again. Of a stack from the
//! controller, containers that were created and never started go too, with the networks and volumes made for them:
//! nothing half-done stays. Local mode leaves those, as docker compose does: the next `up` goes on from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

use windflow_model::{Failure, StepId, StepState};

use super::{context::Run, exec::Made, perform};
use crate::{
    order::Source,
    plan::{Planned, Replacement, Subject, Work},
    targets::{Operation, TargetError, Ticker},
};

/// How far a plan was carried out.
pub(super) struct Reached<'r> {
    pub(super) states: &'r BTreeMap<StepId, StepState>,
    pub(super) made: &'r Made,
}

impl Reached<'_> {
    fn id(&self, step: StepId) -> Option<String> {
        let ids = self.made.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.get(&step).cloned()
    }

    fn begun(&self, step: StepId) -> bool {
        let state = self.states.get(&step);
        matches!(
            state,
            Some(StepState::Done | StepState::Failed | StepState::Running)
        )
    }

    fn done(&self, step: StepId) -> bool {
        self.states.get(&step) == Some(&StepState::Done)
    }
}

/// Gives the failure to report: the one that happened, with what became of the old containers.
pub(super) async fn run(
    run: &Arc<Run>,
    planned: &Planned,
    reached: &Reached<'_>,
    mut failure: Failure,
) -> Failure {
    let stopped = run.shared.journal.record(run.stack()).await;
    let stopped = stopped.map(|record| record.stopped).unwrap_or_default();
    let (mut back, mut lost) = (Vec::new(), Vec::new());
    let mut touched: Vec<&Replacement> = Vec::new();
    for replacement in &planned.replacements {
        let (new, is_touched) = match &replacement.new {
            Some(Subject::Made(step)) => (reached.id(*step), reached.begun(replacement.touches)),
            // Made by an earlier life, which may have touched the old one, too.
            Some(Subject::Id(id)) => (Some(id.clone()), true),
            None => (None, reached.begun(replacement.touches)),
        };
        let gone = match new {
            Some(new) => discard(run, new).await,
            None => Ok(()),
        };
        match gone {
            Ok(()) if is_touched => touched.push(replacement),
            Ok(()) => {}
            Err(error) => lost.push(format!("{}: {}", replacement.name, error.failure().message)),
        }
    }
    if let Err(error) = networks(run, planned, reached).await {
        lost.push(error.failure().message);
    }
    for replacement in touched {
        let up = replacement.was_up || stopped.contains(&replacement.old);
        match put_back(run, replacement, up).await {
            Ok(()) => back.push(replacement.name.clone()),
            Err(error) => lost.push(format!("{}: {}", replacement.name, error.failure().message)),
        }
    }
    if let Err(error) = clear(run, planned, reached).await {
        lost.push(error.failure().message);
    }
    if !back.is_empty() {
        failure
            .message
            .push_str(&format!("; put back as before: {}", back.join(", ")));
    }
    if !lost.is_empty() {
        failure
            .message
            .push_str(&format!("; could not be put back: {}", lost.join(", ")));
    }
    for name in back {
        run.note(format!("{name} is as before"));
    }
    failure
}

async fn put_back(run: &Arc<Run>, replacement: &Replacement, was_up: bool) -> Result<(), TargetError> {
    let (id, name) = (replacement.old.clone(), replacement.name.clone());
    execute(run, Operation::Rename { id: id.clone(), name }).await?;
    if was_up {
        execute(run, Operation::Start { id, files: None }).await?;
    }
    Ok(())
}

/// Networks that were replaced, as they were before.
async fn networks(run: &Arc<Run>, planned: &Planned, reached: &Reached<'_>) -> Result<(), TargetError> {
    let saved = std::mem::take(&mut *reached.made.saved.lock().unwrap_or_else(PoisonError::into_inner));
    for (step, work) in planned.plan.steps.iter().zip(&planned.work) {
        let Work::NetworkReplace { old, attached, .. } = work else {
            continue;
        };
        if let Some(saved) = saved.get(old).filter(|_| reached.done(step.id)) {
            perform::network_back(run, reached.id(step.id), attached, saved).await?;
        }
    }
    Ok(())
}

/// Takes away what was made for a first start that did not come about.
async fn clear(run: &Arc<Run>, planned: &Planned, reached: &Reached<'_>) -> Result<(), TargetError> {
    if !matches!(run.order.source, Source::Files) {
        return Ok(());
    }
    let steps = || planned.plan.steps.iter().map(|step| step.id).zip(&planned.work);
    let started: BTreeSet<StepId> = steps()
        .filter_map(|(id, work)| match work {
            Work::Start {
                subject: Subject::Made(made),
                ..
            } if reached.done(id) => Some(*made),
            _ => None,
        })
        .collect();
    let mut all_gone = true;
    for (id, work) in steps() {
        if !matches!(work, Work::Create { .. }) {
            continue;
        }
        match reached.id(id) {
            Some(container) if !started.contains(&id) => discard(run, container).await?,
            Some(_) => all_gone = false,
            None => {}
        }
    }
    // Something runs, or ran and is kept for its log: its networks and volumes are in use.
    if !all_gone {
        return Ok(());
    }
    for (id, work) in steps().filter(|(id, _)| reached.done(*id)) {
        let Some(made) = reached.id(id) else {
            continue;
        };
        match work {
            Work::NetworkCreate { .. } => execute(run, Operation::NetworkRemove { network: made }).await?,
            Work::VolumeCreate { .. } => execute(run, Operation::VolumeRemove { volume: made }).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Removes a container that came to nothing, with the volumes that were made for it alone; those it took over from
/// another one stay.
async fn discard(run: &Arc<Run>, id: String) -> Result<(), TargetError> {
    execute(run, Operation::Remove { id, volumes: true }).await
}

/// One operation outside of a plan.
pub(super) async fn execute(run: &Arc<Run>, operation: Operation) -> Result<(), TargetError> {
    run.shared
        .target
        .execute(&operation, Ticker::none())
        .await
        .map(drop)
}
