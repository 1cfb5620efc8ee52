//! Collects steps with their work.

use std::collections::BTreeMap;

use windflow_model::{Action, Pin, Plan, Reason, ResourceKind, ResourceRef, Step, StepId};

use super::{
    PlanInput, Planned, downtime, pin,
    work::{Replacement, Work},
};
use crate::targets::Observed;

/// A plan under construction.
pub(super) struct Builder<'a> {
    pub(super) input: &'a PlanInput,
    pub(super) observed: &'a Observed,
    plan: Plan,
    work: Vec<Work>,
    pub(super) replacements: Vec<Replacement>,
    /// The step that makes a resource of the project available: `image:REF`, `network:KEY`, `volume:KEY`.
    pub(super) provides: BTreeMap<String, StepId>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(input: &'a PlanInput, observed: &'a Observed) -> Self {
        let stack = input.stamp.stack.clone();
        let plan = Plan {
            stack,
            steps: Vec::new(),
            warnings: Vec::new(),
            resources: Vec::new(),
            interruptions: Vec::new(),
            pin: Pin::default(),
        };
        Self {
            input,
            observed,
            plan,
            work: Vec::new(),
            replacements: Vec::new(),
            provides: BTreeMap::new(),
        }
    }

    pub(super) fn step(&mut self, step: NewStep<'_>, work: Work) -> StepId {
        let id = StepId(u32::try_from(self.plan.steps.len()).unwrap_or(u32::MAX));
        let mut after = step.after;
        after.sort_unstable();
        after.dedup();
        self.plan.steps.push(Step {
            id,
            resource: ResourceRef {
                kind: step.kind,
                name: step.name.to_owned(),
            },
            action: step.action,
            service: step.service.map(str::to_owned),
            reason: step.reason,
            after,
        });
        self.work.push(work);
        id
    }

    /// The steps that remove containers.
    pub(super) fn removals(&self) -> Vec<StepId> {
        let steps = self.plan.steps.iter().zip(&self.work);
        steps
            .filter(|(_, work)| matches!(work, Work::Remove { .. }))
            .map(|(step, _)| step.id)
            .collect()
    }

    pub(super) fn warn(&mut self, text: String) {
        self.plan.warnings.push(text);
    }

    /// A reason that points at a key of the file.
    pub(super) fn because(&self, text: impl Into<String>, key: impl Into<String>) -> Reason {
        let key = key.into();
        Reason {
            text: text.into(),
            at: self.place(&key),
            key: Some(key),
            ..Reason::default()
        }
    }

    pub(super) fn finish(mut self) -> Planned {
        self.plan.resolve();
        for held in self
            .plan
            .resources
            .iter_mut()
            .filter(|held| held.action == Action::Pull)
        {
            let there = self.observed.images.get(&held.resource.name);
            held.bytes = there.map(|image| image.size).filter(|size| *size > 0);
        }
        self.plan.interruptions =
            downtime::predict(&self.plan, &self.work, &self.replacements, self.observed);
        self.plan.pin = pin::of(self.input, self.observed, &self.plan);
        Planned {
            plan: self.plan,
            work: self.work,
            replacements: self.replacements,
        }
    }
}

/// A step to add.
pub(super) struct NewStep<'s> {
    pub(super) kind: ResourceKind,
    pub(super) name: &'s str,
    pub(super) action: Action,
    pub(super) service: Option<&'s str>,
    pub(super) reason: Reason,
    pub(super) after: Vec<StepId>,
}

/// A reason without a key.
pub(super) fn plainly(text: impl Into<String>) -> Reason {
    Reason {
        text: text.into(),
        ..Reason::default()
    }
}
