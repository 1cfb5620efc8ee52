//! From the old containers to the new ones, in dependency order.

use std::collections::BTreeMap;

use windflow_compose::model::Condition;
use windflow_model::{Action, StepId};

use super::{
    slots::{Fate, Service, Slot},
    step,
};
use crate::plan::{
    Mode,
    builder::{Builder, plainly},
    work::{Replacement, Subject, Until, Work},
};

/// What other services need to know of one that was planned.
#[derive(Default)]
struct Passed {
    /// Its starts.
    starts: Vec<StepId>,
    /// The last step of each replaced container, and whether there is one.
    replaced: Vec<StepId>,
    subjects: Vec<Subject>,
    /// Waits that other services asked for, by condition.
    waits: BTreeMap<&'static str, StepId>,
}

pub(super) fn plan(
    builder: &mut Builder<'_>,
    order: &[String],
    services: &mut BTreeMap<String, Service<'_>>,
) {
    let mut passed: BTreeMap<String, Passed> = BTreeMap::new();
    for name in order {
        if let Some(service) = services.get(name) {
            let done = switch(builder, service, &mut passed);
            passed.insert(name.clone(), done);
        } else if builder.input.options.only_needs && builder.input.options.services.contains(name) {
            gates(builder, name, &mut passed);
        }
    }
}

fn switch(builder: &mut Builder<'_>, service: &Service<'_>, passed: &mut BTreeMap<String, Passed>) -> Passed {
    let waits = !builder.input.options.no_wait && !builder.input.options.no_start;
    let moves = service
        .slots
        .iter()
        .any(|slot| !matches!(slot.fate, Fate::Keep { .. }));
    let gates = if moves {
        gates(builder, &service.name, passed)
    } else {
        Vec::new()
    };
    let mut done = Passed::default();
    let mut watched = Vec::new();
    let mut last: Option<StepId> = None;
    for slot in &service.slots {
        done.subjects.extend(slot.subject());
        match &slot.fate {
            Fate::Keep { container, .. } => {
                if builder.input.mode == Mode::Deploy {
                    watched.push(Subject::Id(container.id.clone()));
                }
            }
            Fate::Start {
                container,
                rename,
                reason,
            } => {
                let mut after = gates.clone();
                if *rename {
                    let new = Subject::Id(container.id.clone());
                    let work = Work::Swap {
                        old: None,
                        new,
                        name: slot.name.clone(),
                    };
                    let reason = plainly("it still has a temporary name");
                    after.push(builder.step(
                        step(&slot.name, Action::Update, &service.name, reason, Vec::new()),
                        work,
                    ));
                }
                let subject = Subject::Id(container.id.clone());
                let work = Work::Start {
                    subject: subject.clone(),
                    service: service.name.clone(),
                };
                let id = builder.step(
                    step(&slot.name, Action::Start, &service.name, reason.clone(), after),
                    work,
                );
                done.starts.push(id);
                watched.push(subject);
            }
            Fate::New { .. } => {
                if let (Some(made), false) = (slot.made, builder.input.options.no_start) {
                    let after = gates.iter().copied().chain([made]).collect();
                    let id = start(builder, service, slot, Subject::Made(made), after);
                    done.starts.push(id);
                    watched.push(Subject::Made(made));
                }
            }
            Fate::Replace { .. } => {
                let after: Vec<StepId> = gates.iter().copied().chain(last).collect();
                last = replace(builder, service, slot, after, waits, &mut done).or(last);
                done.replaced.extend(last);
            }
        }
    }
    if waits && !watched.is_empty() {
        let work = Work::Wait {
            subjects: watched,
            service: service.name.clone(),
            until: Until::Good,
            required: true,
        };
        let reason = plainly("until it runs and is healthy");
        builder.step(
            step(
                &service.name,
                Action::Wait,
                &service.name,
                reason,
                done.starts.clone(),
            ),
            work,
        );
    }
    restarts(builder, service, passed, &mut done);
    done
}

fn start(
    builder: &mut Builder<'_>,
    service: &Service<'_>,
    slot: &Slot<'_>,
    subject: Subject,
    after: Vec<StepId>,
) -> StepId {
    let work = Work::Start {
        subject,
        service: service.name.clone(),
    };
    builder.step(
        step(
            &slot.name,
            Action::Start,
            &service.name,
            plainly("it is new"),
            after,
        ),
        work,
    )
}

/// Stop old → swap names → start new → wait → remove old. Gives the last step that makes the new one good.
fn replace(
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
    let mut chain = Chain {
        service,
        slot,
        after,
        first: None,
    };
    if old.is_up() {
        chain.add(
            builder,
            Action::Stop,
            "it makes way for its replacement",
            Work::Stop { id: old.id.clone() },
        );
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
        chain.add(builder, Action::Update, text, work);
    }
    let mut good = chain.after.last().copied();
    if !builder.input.options.no_start {
        if !new.is_some_and(|new| new.is_up()) {
            let work = Work::Start {
                subject: subject.clone(),
                service: service.name.clone(),
            };
            let id = chain.add(builder, Action::Start, "it is new", work);
            done.starts.push(id);
            good = Some(id);
        }
        if waits {
            let work = Work::Wait {
                subjects: vec![subject.clone()],
                service: service.name.clone(),
                until: Until::Good,
                required: true,
            };
            good = Some(chain.add(builder, Action::Wait, "until it runs and is healthy", work));
        }
    }
    let work = Work::Remove {
        id: old.id.clone(),
        volumes: false,
        stop: false,
    };
    let removes = chain.add(builder, Action::Remove, "its replacement is good", work);
    builder.replacements.push(Replacement {
        old: old.id.clone(),
        new: subject,
        name: slot.name.clone(),
        was_up: old.is_up(),
        touches: chain.first.unwrap_or(removes),
        removes,
    });
    good
}

/// Steps of one container, each after the one before.
struct Chain<'c, 'o> {
    service: &'c Service<'o>,
    slot: &'c Slot<'o>,
    after: Vec<StepId>,
    first: Option<StepId>,
}

impl Chain<'_, '_> {
    fn add(&mut self, builder: &mut Builder<'_>, action: Action, text: &str, work: Work) -> StepId {
        let after = std::mem::take(&mut self.after);
        let id = builder.step(
            step(&self.slot.name, action, &self.service.name, plainly(text), after),
            work,
        );
        self.after = vec![id];
        self.first.get_or_insert(id);
        id
    }
}

/// What a service's starts wait for.
fn gates(builder: &mut Builder<'_>, service: &str, passed: &mut BTreeMap<String, Passed>) -> Vec<StepId> {
    let project = builder.input.project.clone();
    let mut out = Vec::new();
    let dependencies = project.services.get(service).map(|spec| &spec.depends_on);
    for (name, dependency) in dependencies.into_iter().flatten() {
        let Some(other) = passed.get_mut(name) else {
            continue;
        };
        let until = match dependency.condition {
            Condition::Started => {
                out.extend(&other.starts);
                continue;
            }
            Condition::Healthy => Until::Healthy,
            Condition::CompletedSuccessfully => Until::Completed,
        };
        if other.subjects.is_empty() || builder.input.options.no_start {
            continue;
        }
        let word = dependency.condition.as_str();
        let known = other.waits.get(word).copied();
        let id = known.unwrap_or_else(|| {
            let work = Work::Wait {
                subjects: other.subjects.clone(),
                service: name.clone(),
                until,
                required: dependency.required,
            };
            let reason = builder.because(word, format!("services.{service}.depends_on.{name}"));
            builder.step(step(name, Action::Wait, name, reason, other.starts.clone()), work)
        });
        other.waits.insert(word, id);
        out.push(id);
    }
    out
}

/// `depends_on: restart: true`: running dependants are restarted after their dependency was replaced.
fn restarts(
    builder: &mut Builder<'_>,
    service: &Service<'_>,
    passed: &BTreeMap<String, Passed>,
    done: &mut Passed,
) {
    let project = builder.input.project.clone();
    let dependencies = project.services.get(&service.name).map(|spec| &spec.depends_on);
    let replaced = dependencies
        .into_iter()
        .flatten()
        .filter(|(_, dependency)| dependency.restart)
        .find_map(|(name, _)| {
            let other = passed.get(name)?;
            (!other.replaced.is_empty()).then(|| (name.clone(), other.replaced.clone()))
        });
    let Some((name, after)) = replaced else { return };
    for slot in &service.slots {
        if let Fate::Keep { container, .. } = &slot.fate
            && container.is_up()
        {
            let key = format!("services.{}.depends_on.{name}.restart", service.name);
            let reason = builder.because(format!("its dependency {name} is replaced"), key);
            let work = Work::Restart {
                id: container.id.clone(),
            };
            let id = builder.step(
                step(&slot.name, Action::Start, &service.name, reason, after.clone()),
                work,
            );
            done.starts.push(id);
        }
    }
}
