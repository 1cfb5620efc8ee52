//! What became of a step: into the step tree, the journal and the reports.

use windflow_model::{DeploymentEvent, Progress, StepId, StepState};

use super::Exec;
use crate::{
    journal::Moved,
    plan::{Phase, Work},
    reconcile::context::{Early, Kind},
    targets::{Evidence, TargetError},
};

impl Exec<'_> {
    pub(super) async fn ended_well(&mut self, step: StepId, evidence: Evidence) -> Result<(), Early> {
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
        let Some((base, total)) = self.count else {
            return Ok(());
        };
        let harmless = self.work(step).is_some_and(Work::is_harmless);
        let event = match &run.kind {
            Kind::Repair => return Ok(()),
            Kind::Back { failure, to } => DeploymentEvent::RollingBack {
                failure: failure.clone(),
                to: Some(*to),
            },
            Kind::Deploy if self.only_waits_left() => DeploymentEvent::Verifying,
            Kind::Deploy => DeploymentEvent::Applying {
                done: base + self.done,
                total: base + total,
            },
        };
        let (stack, op, steps) = (run.stack(), run.op, run.steps());
        if harmless {
            run.shared.journal.event(stack, op, event, Some(&steps)).await?;
        } else {
            let (number, entry) = (run.number(step), self.entry(step));
            run.shared
                .journal
                .step_done(stack, op, number, entry, evidence, event, &steps)
                .await?;
        }
        Ok(())
    }

    /// Whether nothing is left but waiting, and removing what is needed no more once that is over.
    fn only_waits_left(&self) -> bool {
        if self.run.order.want.is_absent() {
            return false;
        }
        let steps = self.planned.plan.steps.iter();
        let mut open = steps.filter(|step| self.states.get(&step.id) != Some(&StepState::Done));
        open.all(|step| {
            let work = self.work(step.id);
            work.is_some_and(|work| {
                matches!(work, Work::Wait { .. })
                    || matches!(work.phase(), Phase::None | Phase::Watch | Phase::Clean)
            })
        })
    }

    pub(super) fn ended_badly(&mut self, step: StepId, error: &TargetError) {
        self.states.insert(step, StepState::Failed);
        let index = usize::try_from(step.0).ok();
        let failed = index.and_then(|index| self.planned.plan.steps.get(index));
        self.culprit = self
            .culprit
            .take()
            .or_else(|| failed.and_then(|step| step.service.clone()));
        let at = self.run.shared.journal.now();
        let failure = Some(error.failure());
        self.run.progress(Progress::Ended {
            step,
            state: StepState::Failed,
            at,
            failure,
        });
    }

    pub(super) fn skip_rest(&mut self) {
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
    pub(super) async fn applying(&mut self) -> Result<(), Early> {
        let Some((base, total)) = self.count.filter(|_| self.run.kind == Kind::Deploy) else {
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
            .event(run.stack(), run.op, event, Some(&steps))
            .await?;
        if moved == Moved::No && !run.shared.journal.is_current(run.stack(), run.op).await {
            return Err(Early::Halted);
        }
        Ok(())
    }
}
