//! After a failure: containers that were to be replaced get their place back.
//!
//! For every replacement that is not complete: the new container goes, the old one takes its name again and, if it was
//! stopped for this, runs again.

use std::{collections::BTreeMap, sync::Arc};

use windflow_model::{Failure, StepId, StepState};

use super::context::Run;
use crate::{
    plan::{Planned, Subject, Work},
    targets::{Observed, Operation, Ticker},
};

/// One replacement that was under way.
#[derive(Debug, Default)]
struct Replacement {
    new: Option<String>,
    name: String,
    stopped: bool,
    touched: bool,
}

/// Gives the failure to report: the one that happened, with what became of the old containers.
pub(super) async fn run(
    run: &Arc<Run>,
    planned: &Planned,
    states: &BTreeMap<StepId, StepState>,
    made: &BTreeMap<StepId, String>,
    observed: &Observed,
    mut failure: Failure,
) -> Failure {
    let (mut back, mut lost) = (Vec::new(), Vec::new());
    for (old, replacement) in under_way(planned, states, made) {
        let up = observed
            .containers
            .iter()
            .any(|container| container.id == old && container.is_up());
        match put_back(run, &old, &replacement, up).await {
            Ok(()) if replacement.touched => back.push(replacement.name),
            Ok(()) => {}
            Err(error) => lost.push(format!("{}: {}", replacement.name, error.failure().message)),
        }
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
    for note in back.iter().map(|name| format!("{name} runs as before")) {
        run.note(note);
    }
    failure
}

fn under_way(
    planned: &Planned,
    states: &BTreeMap<StepId, StepState>,
    made: &BTreeMap<StepId, String>,
) -> BTreeMap<String, Replacement> {
    let mut out: BTreeMap<String, Replacement> = BTreeMap::new();
    let begun = |step: StepId| {
        matches!(
            states.get(&step),
            Some(StepState::Done | StepState::Failed | StepState::Running)
        )
    };
    for (step, work) in planned.plan.steps.iter().zip(&planned.work) {
        match work {
            Work::Create {
                final_name, labels, ..
            } => {
                let old = labels.get(crate::plan::labels::WF_REPLACES);
                if let (Some(old), Some(new)) = (old, made.get(&step.id)) {
                    let entry = out.entry(old.clone()).or_default();
                    entry.new = Some(new.clone());
                    entry.name.clone_from(final_name);
                }
            }
            Work::Stop { id } if begun(step.id) => {
                if let Some(entry) = out.get_mut(id) {
                    entry.stopped = true;
                    entry.touched = true;
                }
            }
            Work::Swap {
                old: Some(old),
                new: Subject::Made(_),
                ..
            } if begun(step.id) => {
                if let Some(entry) = out.get_mut(old) {
                    entry.touched = true;
                }
            }
            // The old one is gone, or going: the replacement stands.
            Work::Remove { id, stop: false, .. } if begun(step.id) => drop(out.remove(id)),
            _ => {}
        }
    }
    out
}

async fn put_back(
    run: &Arc<Run>,
    old: &str,
    replacement: &Replacement,
    was_up: bool,
) -> Result<(), crate::targets::TargetError> {
    let target = &run.shared.target;
    if let Some(new) = &replacement.new {
        target
            .execute(
                &Operation::Remove {
                    id: new.clone(),
                    volumes: false,
                },
                Ticker::none(),
            )
            .await?;
    }
    if replacement.touched {
        let rename = Operation::Rename {
            id: old.to_owned(),
            name: replacement.name.clone(),
        };
        if let Err(error) = target.execute(&rename, Ticker::none()).await {
            // It may never have lost its name.
            let list = target.containers().await?;
            let has = list
                .iter()
                .any(|container| container.id == old && container.name == replacement.name);
            if !has {
                return Err(error);
            }
        }
    }
    if replacement.stopped && was_up {
        target
            .execute(
                &Operation::Start {
                    id: old.to_owned(),
                    files: None,
                },
                Ticker::none(),
            )
            .await?;
    }
    Ok(())
}
