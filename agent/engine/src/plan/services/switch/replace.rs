//! One container makes way for another.

use windflow_model::{Action, Reason, StepId};

use super::{Passed, required};
use crate::{
    plan::{
        Mode,
        builder::{Builder, plainly},
        services::{
            order::{self, First},
            slots::{Fate, Service, Slot},
            step,
        },
        work::{Replacement, Until, Work},
    },
    targets::ObservedContainer,
};

/// Stop old → swap names → start new → wait, or start new → wait → stop old → swap names; the old one goes when all is
/// good. Gives the last step that makes the new one good.
pub(super) fn replace(
    builder: &mut Builder<'_>,
    service: &Service<'_>,
    slot: &Slot<'_>,
    mut after: Vec<StepId>,
    waits: bool,
    done: &mut Passed,
) -> Option<StepId> {
    let Fate::Replace { old, new, reason } = &slot.fate else {
        return None;
    };
    let subject = slot.subject()?;
    after.extend(slot.made);
    let back = matches!(builder.input.mode, Mode::Back { .. });
    let starts = !builder.input.options.no_start && starts(builder, *new);
    let mut chain = Chain {
        service,
        slot,
        after,
        touches: None,
    };
    let first = order::first(builder, &service.name, old, waits);
    let mut good = None;
    let early = match first {
        // On the way back the one that failed has nothing to serve any more.
        First::New(reason) if starts && old.is_up() && !back => {
            good = chain.bring_up(builder, *new, reason, waits, done);
            true
        }
        _ => false,
    };
    if old.is_up() {
        let reason = match order::first(builder, &service.name, old, waits) {
            _ if back => plainly("the revision that did not work out made it"),
            First::Old(reason) => reason,
            First::New(_) => plainly("its replacement is good"),
        };
        let id = chain.add(builder, Action::Stop, reason, Work::Stop { id: old.id.clone() });
        chain.touches.get_or_insert(id);
    }
    if new.is_none_or(|new| new.name != slot.name) {
        let holder = (old.name == slot.name).then(|| old.id.clone());
        let work = Work::Swap {
            old: holder,
            new: subject.clone(),
            name: slot.name.clone(),
        };
        let text = if new.is_some() {
            reason.text.as_str()
        } else {
            "the replacement takes the name"
        };
        let id = chain.add(builder, Action::Update, plainly(text), work);
        chain.touches.get_or_insert(id);
    }
    good = chain.after.last().copied().or(good);
    if starts && !early {
        let text = if back { "it ran before" } else { "it is new" };
        good = chain.bring_up(builder, *new, plainly(text), waits, done).or(good);
    }
    let work = Work::Remove {
        id: old.id.clone(),
        volumes: false,
        stop: false,
    };
    let text = if back {
        "the one before it is back"
    } else {
        "its replacement is good"
    };
    let removes = chain.add(builder, Action::Remove, plainly(text), work);
    builder.replacements.push(Replacement {
        old: old.id.clone(),
        new: Some(subject),
        name: slot.name.clone(),
        was_up: old.is_up(),
        touches: chain.touches.unwrap_or(removes),
        removes,
    });
    good
}

/// On the way back what did not run before stays down.
fn starts(builder: &Builder<'_>, new: Option<&ObservedContainer>) -> bool {
    match (&builder.input.mode, new) {
        (Mode::Back { .. }, Some(new)) => new.is_up() || builder.input.runs_again(new),
        _ => true,
    }
}

/// Steps of one container, each after the one before.
struct Chain<'c, 'o> {
    service: &'c Service<'o>,
    slot: &'c Slot<'o>,
    after: Vec<StepId>,
    /// The first step that touches the old container.
    touches: Option<StepId>,
}

impl Chain<'_, '_> {
    fn add(&mut self, builder: &mut Builder<'_>, action: Action, reason: Reason, work: Work) -> StepId {
        let after = std::mem::take(&mut self.after);
        let id = builder.step(
            step(&self.slot.name, action, &self.service.name, reason, after),
            work,
        );
        self.after = vec![id];
        id
    }

    /// Starts the new one, unless it runs already, and waits for it. Gives the last step of that.
    fn bring_up(
        &mut self,
        builder: &mut Builder<'_>,
        new: Option<&ObservedContainer>,
        reason: Reason,
        waits: bool,
        done: &mut Passed,
    ) -> Option<StepId> {
        let subject = self.slot.subject()?;
        let mut last = None;
        if !new.is_some_and(ObservedContainer::is_up) {
            let work = Work::Start {
                subject: subject.clone(),
                service: self.service.name.clone(),
            };
            let id = self.add(builder, Action::Start, reason, work);
            done.starts.push(id);
            last = Some(id);
        }
        if waits {
            let work = Work::Wait {
                subjects: vec![subject],
                service: self.service.name.clone(),
                until: Until::Good,
                required: required(builder, self.service),
            };
            let reason = plainly("until it runs and is healthy");
            last = Some(self.add(builder, Action::Wait, reason, work));
        }
        last
    }
}
