//! From the old containers to the new ones, in dependency order.

mod replace;

use std::collections::BTreeMap;

use windflow_compose::model::Condition;
use windflow_model::{Action, StepId};

use self::replace::replace;
use super::{
    order,
    slots::{Fate, Service, Slot},
    step,
};
use crate::plan::{
    FailureAction, Mode,
    builder::{Builder, plainly},
    failure_action,
    work::{Subject, Until, Work},
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
    room: &[StepId],
) {
    let mut passed: BTreeMap<String, Passed> = BTreeMap::new();
    for name in order {
        if let Some(service) = services.get(name) {
            let done = switch(builder, service, &mut passed, room);
            passed.insert(name.clone(), done);
        } else if builder.input.options.only_needs && builder.input.options.services.contains(name) {
            gates(builder, name, &mut passed);
        }
    }
}

fn switch(
    builder: &mut Builder<'_>,
    service: &Service<'_>,
    passed: &mut BTreeMap<String, Passed>,
    room: &[StepId],
) -> Passed {
    let waits = !builder.input.options.no_wait && !builder.input.options.no_start;
    let moves = service.moves();
    let gates = if moves {
        let mut gates = gates(builder, &service.name, passed);
        gates.extend(room);
        gates
    } else {
        Vec::new()
    };
    let mut done = Passed::default();
    let mut watched = Vec::new();
    let project = builder.input.project.clone();
    let at_once = order::at_once(project.services.get(&service.name));
    // The last step of each replaced container, in order: the next ones come after those before the group.
    let mut ends: Vec<StepId> = Vec::new();
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
                let before = match at_once {
                    0 => None,
                    group => (ends.len() / group * group).checked_sub(1),
                };
                let before = before.and_then(|index| ends.get(..=index)).unwrap_or_default();
                let after: Vec<StepId> = gates.iter().chain(before).copied().collect();
                let end = replace(builder, service, slot, after, waits, &mut done);
                ends.extend(end);
                done.replaced.extend(end);
            }
        }
    }
    if waits && moves {
        watch(builder, service);
    }
    if waits && !watched.is_empty() {
        let work = Work::Wait {
            subjects: watched,
            service: service.name.clone(),
            until: Until::Good,
            required: required(builder, service),
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

/// `deploy.update_config.failure_action: continue` bears a container that does not become good.
fn required(builder: &Builder<'_>, service: &Service<'_>) -> bool {
    let action = failure_action(&builder.input.project, &service.name);
    action != Some(FailureAction::Continue)
}

/// All containers of the service, for a while, before the old ones are given up.
fn watch(builder: &mut Builder<'_>, service: &Service<'_>) {
    let project = builder.input.project.clone();
    let config = project
        .services
        .get(&service.name)
        .and_then(|spec| spec.deploy.as_ref()?.update_config.as_ref());
    let monitor = config.map_or(0, |config| config.monitor.to_std().as_secs());
    let seconds = u64::from(builder.input.policy.rollback.watch_s).max(monitor);
    let back = matches!(builder.input.mode, Mode::Back { .. });
    if seconds == 0 || back || !required(builder, service) {
        return;
    }
    let work = Work::Watch {
        subjects: service.slots.iter().filter_map(Slot::subject).collect(),
        service: service.name.clone(),
        seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
    };
    let reason = plainly(format!("it must stay good for {seconds} s"));
    builder.step(
        step(&service.name, Action::Wait, &service.name, reason, Vec::new()),
        work,
    );
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
