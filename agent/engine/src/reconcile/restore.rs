//! After a failure: what was under way is undone.
//!
//! For every replacement that is not complete, the new container goes, the old one takes its name again and, if it was
//! stopped for this (by this life of the agent or one before: the journal knows), runs again. Of a stack from the
//! controller, containers that were created and never started go too, with the networks and volumes made for them:
//! nothing half-done stays. Local mode leaves those, as docker compose does: the next `up` goes on from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use windflow_model::{Failure, StepId, StepState};

use super::context::Run;
use crate::{
    order::Source,
    plan::{Planned, Replacement, Subject, Work},
    targets::{Operation, TargetError, Ticker},
};

/// How far a plan was carried out.
pub(super) struct Reached<'r> {
    pub(super) states: &'r BTreeMap<StepId, StepState>,
    pub(super) made: &'r BTreeMap<StepId, String>,
}

impl Reached<'_> {
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
    for replacement in &planned.replacements {
        if reached.begun(replacement.removes) {
            // The old one is gone, or going: the replacement stands.
            continue;
        }
        let (new, touched) = match &replacement.new {
            Subject::Made(step) => (
                reached.made.get(step).cloned(),
                reached.begun(replacement.touches),
            ),
            // Made by an earlier life, which may have touched the old one, too.
            Subject::Id(id) => (Some(id.clone()), true),
        };
        let up = replacement.was_up || stopped.contains(&replacement.old);
        match put_back(run, replacement, new, touched, up).await {
            Ok(()) if touched => back.push(replacement.name.clone()),
            Ok(()) => {}
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

async fn put_back(
    run: &Arc<Run>,
    replacement: &Replacement,
    new: Option<String>,
    touched: bool,
    was_up: bool,
) -> Result<(), TargetError> {
    if let Some(new) = new {
        remove(run, new).await?;
    }
    if !touched {
        return Ok(());
    }
    let (id, name) = (replacement.old.clone(), replacement.name.clone());
    execute(run, Operation::Rename { id: id.clone(), name }).await?;
    if was_up {
        execute(run, Operation::Start { id, files: None }).await?;
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
        match reached.made.get(&id) {
            Some(container) if !started.contains(&id) => remove(run, container.clone()).await?,
            Some(_) => all_gone = false,
            None => {}
        }
    }
    // Something runs, or ran and is kept for its log: its networks and volumes are in use.
    if !all_gone {
        return Ok(());
    }
    for (id, work) in steps().filter(|(id, _)| reached.done(*id)) {
        let Some(made) = reached.made.get(&id).cloned() else {
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

async fn remove(run: &Arc<Run>, id: String) -> Result<(), TargetError> {
    execute(run, Operation::Remove { id, volumes: false }).await
}

async fn execute(run: &Arc<Run>, operation: Operation) -> Result<(), TargetError> {
    run.shared
        .target
        .execute(&operation, Ticker::none())
        .await
        .map(drop)
}
