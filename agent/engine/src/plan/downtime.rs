//! Which containers stop serving for a while when a plan is carried out, and in which order.

use std::collections::BTreeSet;

use windflow_model::{Interruption, Plan, StepId};

use super::work::{Replacement, Subject, Work};
use crate::targets::{Observed, ObservedContainer};

/// Read from the steps alone, so that it is true for whatever order of replacement they were planned in.
pub(super) fn predict(
    plan: &Plan,
    work: &[Work],
    replacements: &[Replacement],
    observed: &Observed,
) -> Vec<Interruption> {
    let graph = Graph { plan, work };
    let running: Vec<&ObservedContainer> = observed
        .containers
        .iter()
        .filter(|container| container.is_up())
        .collect();
    let spans: Vec<Option<Span>> = running
        .iter()
        .map(|container| graph.span(container, replacements))
        .collect();
    let mut out: Vec<((u8, usize, StepId), Interruption)> = Vec::new();
    for (container, span) in running.iter().zip(&spans) {
        let Some(span) = span else { continue };
        let service = container.service().unwrap_or_default();
        let others_serve = running.iter().zip(&spans).any(|(other, theirs)| {
            other.id != container.id
                && other.service() == Some(service)
                && theirs.as_ref().is_none_or(|theirs| graph.apart(span, theirs))
        });
        let place = (graph.phase(span.from), graph.depth(span.from, 0), span.from);
        out.push((
            place,
            Interruption {
                service: service.to_owned(),
                container: container.name.clone(),
                from: span.from,
                until: span.until,
                others_serve,
            },
        ));
    }
    out.sort_by_key(|(place, _)| *place);
    out.into_iter().map(|(_, stop)| stop).collect()
}

struct Span {
    from: StepId,
    until: Option<StepId>,
}

struct Graph<'p> {
    plan: &'p Plan,
    work: &'p [Work],
}

impl Graph<'_> {
    fn steps(&self) -> impl Iterator<Item = (StepId, &Work)> {
        self.plan.steps.iter().map(|step| step.id).zip(self.work)
    }

    fn span(&self, container: &ObservedContainer, replacements: &[Replacement]) -> Option<Span> {
        let id = &container.id;
        let (from, work) = self.steps().find(|(_, work)| match work {
            Work::Stop { id: stopped } | Work::Restart { id: stopped } => stopped == id,
            Work::Remove {
                id: removed, stop, ..
            } => *stop && removed == id,
            Work::NetworkReplace { attached, .. } => attached.iter().any(|(attached, ..)| attached == id),
            _ => false,
        })?;
        if matches!(work, Work::Restart { .. } | Work::NetworkReplace { .. }) {
            return Some(Span {
                from,
                until: Some(from),
            });
        }
        let Some(replacement) = replacements.iter().find(|held| held.old == *id) else {
            return Some(Span { from, until: None });
        };
        let Some(new) = &replacement.new else {
            return Some(Span { from, until: None });
        };
        let starts = self
            .steps()
            .find(|(_, work)| matches!(work, Work::Start { subject, .. } if subject == new));
        let waits = self.steps().find(
            |(_, work)| matches!(work, Work::Wait { subjects, .. } if subjects.as_slice() == [new.clone()]),
        );
        let serves = waits.or(starts).map(|(step, _)| step);
        match serves {
            // The new one serves before the old one stops.
            Some(serves) if self.is_after(from, serves) => None,
            // It runs already.
            None if matches!(new, Subject::Id(_)) => None,
            serves => Some(Span { from, until: serves }),
        }
    }

    /// Whether one is over before the other begins.
    fn apart(&self, one: &Span, other: &Span) -> bool {
        let before =
            |first: &Span, second: &Span| first.until.is_some_and(|until| self.is_after(second.from, until));
        before(one, other) || before(other, one)
    }

    /// Whether `step` waits, directly or not, for `other`.
    fn is_after(&self, step: StepId, other: StepId) -> bool {
        let (mut open, mut seen) = (vec![step], BTreeSet::new());
        while let Some(next) = open.pop() {
            for after in self.plan.step(next).iter().flat_map(|step| &step.after) {
                if *after == other {
                    return true;
                }
                if seen.insert(*after) {
                    open.push(*after);
                }
            }
        }
        false
    }

    fn phase(&self, step: StepId) -> u8 {
        let work = usize::try_from(step.0)
            .ok()
            .and_then(|index| self.work.get(index));
        match work.map_or(super::Phase::None, Work::phase) {
            super::Phase::None | super::Phase::Images | super::Phase::Create => 0,
            super::Phase::Switch => 1,
            super::Phase::Watch | super::Phase::Clean => 2,
        }
    }

    /// Steps on the longest way to it. Plans have no cycles; the bound keeps a broken one from hanging.
    fn depth(&self, step: StepId, level: usize) -> usize {
        if level > self.plan.steps.len() {
            return level;
        }
        let after = self
            .plan
            .step(step)
            .iter()
            .flat_map(|step| &step.after)
            .copied()
            .collect::<Vec<_>>();
        after
            .into_iter()
            .map(|after| self.depth(after, level + 1) + 1)
            .max()
            .unwrap_or(0)
    }
}
