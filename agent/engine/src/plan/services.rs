//! Services: which containers are created, replaced, started, kept and removed, in which order.

mod order;
mod slots;
mod switch;

use std::collections::{BTreeMap, BTreeSet};

use windflow_compose::collect::IntoMap as _;
use windflow_compose::model::{Project, Service as ServiceSpec};
use windflow_kit::seeded::{self, Bug};
use windflow_model::{Action, Code, ContainerState, Failure, Reason, ResourceKind, StepId};

use self::slots::{Fate, Service};
use super::{
    Mode, PlanInput,
    builder::{Builder, NewStep, plainly},
    containers, labels, names,
    work::{Replacement, Subject, Work},
};
use crate::targets::ObservedContainer;

/// The name of a container.
pub(super) fn container_name(project: &Project, service: &str, number: u32) -> String {
    let own = project
        .services
        .get(service)
        .and_then(|spec| spec.container_name.clone());
    own.unwrap_or_else(|| [project.name.as_str(), service, &number.to_string()].join(project.separator()))
}

/// Whether the deploy is about this service at all.
pub(super) fn is_selected(input: &PlanInput, service: &str) -> bool {
    let options = &input.options;
    let named = options.services.iter().any(|s| s == service);
    if options.only_needs && named {
        return false;
    }
    !options.no_deps || options.services.is_empty() || named
}

/// Whether the deploy needs the service's image: for a container of it, or for one that `run` makes afterwards.
pub(super) fn needs_image(input: &PlanInput, service: &str) -> bool {
    is_selected(input, service) || input.options.services.iter().any(|s| s == service)
}

pub(super) fn plan(builder: &mut Builder<'_>) -> Result<(), Failure> {
    let project = builder.input.project.clone();
    let order = in_order(&project);
    let mut services: BTreeMap<String, Service<'_>> = BTreeMap::new();
    for name in order.iter().filter(|name| is_selected(builder.input, name)) {
        let parents = project
            .services
            .get(name)
            .map(|spec| containers::parents(builder.input, spec));
        let parents = parents.unwrap_or_default();
        let left_alone = |parent: &&String| !is_selected(builder.input, parent);
        if let Some(missing) = parents
            .iter()
            .filter(left_alone)
            .find(|parent| builder.input.mode == Mode::Deploy && own(builder, parent).next().is_none())
        {
            let text = format!(
                "service {name}: cannot share volume or namespace with service {missing}: container missing"
            );
            return Err(Failure::new(Code::NotFound, text));
        }
        let torn = parents.into_iter().find(|parent| {
            services
                .get(parent)
                .is_some_and(|parent| parent.slots.iter().any(|slot| slot.fate.is_new()))
        });
        services.insert(name.clone(), slots::decide(builder, name, torn.as_deref())?);
    }
    for service in services.values() {
        for container in &service.halves {
            let work = Work::Discard {
                id: container.id.clone(),
                volumes: container.state == ContainerState::Created,
                stop: container.is_up(),
            };
            let reason = plainly(slots::LEFT_OVER);
            builder.step(
                step(&container.name, Action::Remove, &service.name, reason, Vec::new()),
                work,
            );
        }
    }
    for name in &order {
        if let Some(mut service) = services.remove(name) {
            create(builder, &mut service, &services);
            services.insert(name.clone(), service);
        }
    }
    reconnect(builder, &services);
    let room = leftovers(builder, &services);
    switch::plan(builder, &order, &mut services, &room);
    Ok(())
}

/// Ids of a service's own containers on the host.
fn own<'b>(builder: &'b Builder<'_>, service: &'b str) -> impl Iterator<Item = &'b String> {
    let containers = builder.observed.containers.iter();
    containers
        .filter(move |container| container.service() == Some(service) && !container.is_oneoff())
        .map(|container| &container.id)
}

/// Dependencies first; the loader has refused cycles.
fn in_order(project: &Project) -> Vec<String> {
    fn visit(project: &Project, name: &str, seen: &mut BTreeSet<String>, out: &mut Vec<String>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        let Some(spec) = project.services.get(name) else {
            return;
        };
        for dependency in spec.depends_on.keys() {
            visit(project, dependency, seen, out);
        }
        out.push(name.to_owned());
    }
    let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
    for name in project.services.keys() {
        visit(project, name, &mut seen, &mut out);
    }
    out
}

/// Creates what is new, under a temporary name where it replaces something.
fn create(builder: &mut Builder<'_>, service: &mut Service<'_>, others: &BTreeMap<String, Service<'_>>) {
    let project = builder.input.project.clone();
    let Some(spec) = project.services.get(&service.name) else {
        return;
    };
    let mut after: Vec<StepId> = Vec::new();
    let image = super::image_of(&project, &service.name);
    after.extend(builder.provides.get(&format!("image:{image}")));
    after.extend(
        spec.networks
            .keys()
            .filter_map(|key| builder.provides.get(&format!("network:{key}"))),
    );
    let sources = spec.volumes.iter().filter_map(|mount| mount.source.as_ref());
    after.extend(sources.filter_map(|key| builder.provides.get(&format!("volume:{key}"))));
    let mut refers = BTreeMap::new();
    for parent in containers::parents(builder.input, spec) {
        let subjects: Vec<Subject> = others
            .get(&parent)
            .map(|parent| parent.slots.iter().filter_map(slots::Slot::subject).collect())
            // Left alone by this deploy: whatever it has.
            .unwrap_or_else(|| own(builder, &parent).map(|id| Subject::Id(id.clone())).collect());
        after.extend(subjects.iter().filter_map(|subject| match subject {
            Subject::Made(step) => Some(*step),
            Subject::Id(_) => None,
        }));
        refers.insert(parent, subjects);
    }
    let linked = linked(builder, spec, others);
    for name in linked.keys() {
        let slots = others.get(name).into_iter().flat_map(|linked| &linked.slots);
        after.extend(slots.filter_map(|slot| slot.made));
    }
    for slot in &mut service.slots {
        let (old, reason, action) = match &slot.fate {
            Fate::New { reason } => (None, reason.clone(), Action::Create),
            Fate::Replace {
                old,
                new: None,
                reason,
            } => (Some(*old), reason.clone(), Action::Recreate),
            Fate::Keep { container, rename } => {
                let (action, work, text) = if *rename {
                    let new = Subject::Id(container.id.clone());
                    (
                        Action::Update,
                        Work::Swap {
                            old: None,
                            new,
                            name: slot.name.clone(),
                        },
                        "it still has a temporary name",
                    )
                } else {
                    (Action::Keep, Work::Nothing, slot.kept)
                };
                builder.step(
                    step(&slot.name, action, &service.name, plainly(text), Vec::new()),
                    work,
                );
                continue;
            }
            _ => continue,
        };
        let name = old.map_or_else(
            || slot.name.clone(),
            |old| {
                let name = names::temporary(&old.id, &slot.name);
                // One that a replaced revision made for the same place has that name still.
                let mut others = builder.observed.containers.iter();
                if others.any(|other| other.name == name) {
                    names::temporary_too(builder.input.stamp.rev, &name)
                } else {
                    name
                }
            },
        );
        let image_id = builder.observed.images.get(&image).map(|image| image.id.clone());
        let labels = labels::container(
            builder.input,
            spec,
            &labels::ContainerLabels {
                service: &service.name,
                number: slot.number,
                hash: &service.hash,
                image: &image,
                image_id: image_id.as_deref(),
                replaces: old.map(|old| old.id.as_str()),
            },
        );
        let inherits = old
            .filter(|_| !builder.input.options.renew_anon_volumes)
            .map(|old| old.id.clone());
        let work = Work::Create {
            service: service.name.clone(),
            number: slot.number,
            name,
            final_name: slot.name.clone(),
            labels,
            inherits,
            refers: refers.clone(),
            linked: linked.clone(),
        };
        let id = builder.step(
            step(&slot.name, action, &service.name, reason, after.clone()),
            work,
        );
        slot.made = Some(id);
    }
}

/// The containers of the services it has links to, by the names they shall have.
fn linked(
    builder: &Builder<'_>,
    spec: &ServiceSpec,
    others: &BTreeMap<String, Service<'_>>,
) -> BTreeMap<String, Vec<String>> {
    let targets = spec
        .links
        .iter()
        .map(|link| link.split_once(':').map_or(link.as_str(), |(target, _)| target));
    let names = |target: &str| match others.get(target) {
        Some(service) => service.slots.iter().map(|slot| slot.name.clone()).collect(),
        // Not part of this deploy: those that are there.
        None => {
            let there = builder.observed.containers.iter();
            there
                .filter(|container| container.service() == Some(target) && !container.is_oneoff())
                .map(|container| container.name.clone())
                .collect()
        }
    };
    targets
        .map(|target| (target.to_owned(), names(target)))
        .into_map()
}

/// On the way back a network may have been taken from under containers that stay.
fn reconnect(builder: &mut Builder<'_>, services: &BTreeMap<String, Service<'_>>) {
    if !matches!(builder.input.mode, Mode::Back { .. }) {
        return;
    }
    let project = builder.input.project.clone();
    for service in services.values() {
        let Some(spec) = project.services.get(&service.name) else {
            continue;
        };
        for slot in &service.slots {
            let Some(container) = slot.stays() else { continue };
            for key in spec.networks.keys() {
                let Some(network) = project.networks.get(key) else {
                    continue;
                };
                if container.networks.contains_key(&network.name) {
                    continue;
                }
                let work = Work::Connect {
                    id: container.id.clone(),
                    name: slot.name.clone(),
                    service: service.name.clone(),
                    key: key.clone(),
                };
                let after = builder.provides.get(&format!("network:{key}")).copied();
                let reason = plainly(format!("it is not attached to network {}", network.name));
                let after = after.into_iter().collect();
                builder.step(
                    step(&slot.name, Action::Update, &service.name, reason, after),
                    work,
                );
            }
        }
    }
}

/// Containers too many, and those of services that are gone. They go when everything is good; those that hold what a
/// starting service needs stop before it. Gives these stops.
fn leftovers(builder: &mut Builder<'_>, services: &BTreeMap<String, Service<'_>>) -> Vec<StepId> {
    let mut room = Vec::new();
    for service in services.values() {
        for (container, why) in &service.surplus {
            room.extend(leave(builder, services, container, &service.name, why.clone()));
        }
    }
    if matches!(builder.input.mode, Mode::Repair { .. }) {
        return room;
    }
    let project = builder.input.project.clone();
    let remove = builder
        .input
        .options
        .remove_orphans
        .unwrap_or(builder.input.policy.remove_orphans)
        && !seeded::is(Bug::OrphansLeft);
    // The engine lists them in any order; a plan is the same every time.
    let mut there: Vec<_> = builder.observed.containers.iter().collect();
    there.sort_by(|a, b| a.name.cmp(&b.name));
    for container in there {
        let service = container.service().unwrap_or_default();
        let known = match &builder.input.mode {
            // What the failed revision made goes, also of a service that the good one leaves out.
            Mode::Back { .. } => project.services.contains_key(service),
            Mode::Deploy | Mode::Repair { .. } => project.any_service(service).is_some(),
        };
        let orphan = if container.is_oneoff() {
            // What `run` left behind and has ended, whatever its service.
            matches!(container.state, ContainerState::Exited | ContainerState::Dead)
        } else {
            !known
        };
        if !orphan {
            continue;
        }
        if matches!(builder.input.mode, Mode::Back { .. }) {
            if let Some(why) = builder.input.came_after(&container.labels) {
                room.extend(leave(builder, services, container, service, plainly(why)));
            } else {
                returns(builder, container, service);
            }
            continue;
        }
        if !remove {
            if builder.input.options.ignore_orphans || container.is_oneoff() {
                continue;
            }
            let text = format!(
                "orphan container {}: it belongs to the project, but no service {service} exists",
                container.name
            );
            builder.warn(text);
            continue;
        }
        let why = if container.is_oneoff() {
            plainly("a one-off container that has ended")
        } else {
            plainly(format!("no service {service} exists any more"))
        };
        room.extend(leave(builder, services, container, service, why));
    }
    room
}

/// An orphan from before, which the failed revision had moved aside, is as it was.
fn returns(builder: &mut Builder<'_>, container: &ObservedContainer, service: &str) {
    let Mode::Back { stopped, .. } = &builder.input.mode else {
        return;
    };
    let starts = stopped.contains(&container.id) && !container.is_up();
    let subject = || Subject::Id(container.id.clone());
    let mut after = Vec::new();
    if let Some(name) = names::lasting(&container.name) {
        let work = Work::Swap {
            old: None,
            new: subject(),
            name: name.to_owned(),
        };
        let reason = plainly("it still has a temporary name");
        after.push(builder.step(step(name, Action::Update, service, reason, Vec::new()), work));
    }
    if starts {
        let work = Work::Start {
            subject: subject(),
            service: service.to_owned(),
        };
        let name = names::lasting(&container.name).unwrap_or(&container.name);
        builder.step(
            step(name, Action::Start, service, plainly("it ran before"), after),
            work,
        );
    }
}

/// Removes a container in the end. Gives the stop before that, if it must make room.
fn leave(
    builder: &mut Builder<'_>,
    services: &BTreeMap<String, Service<'_>>,
    container: &ObservedContainer,
    service: &str,
    why: Reason,
) -> Option<StepId> {
    let project = builder.input.project.clone();
    let needed = services.values().filter(|other| other.moves()).any(|other| {
        let spec = project.services.get(&other.name);
        spec.is_some_and(|spec| order::needs(&project, spec, container))
    });
    let up = container.is_up();
    let stops = (up && needed).then(|| {
        let reason = plainly(format!(
            "{}, and it may hold what another service needs",
            why.text
        ));
        let work = Work::Stop {
            id: container.id.clone(),
        };
        builder.step(
            step(&container.name, Action::Stop, service, reason, Vec::new()),
            work,
        )
    });
    let work = Work::Remove {
        id: container.id.clone(),
        // What never ran has put nothing into the volumes made for it.
        volumes: container.state == ContainerState::Created,
        stop: up,
    };
    let after = stops.into_iter().collect();
    let removes = builder.step(step(&container.name, Action::Remove, service, why, after), work);
    if let Some(stops) = stops {
        builder.replacements.push(Replacement {
            old: container.id.clone(),
            new: None,
            name: container.name.clone(),
            was_up: true,
            touches: stops,
            removes,
        });
    }
    stops
}

pub(super) fn step<'s>(
    name: &'s str,
    action: Action,
    service: &'s str,
    reason: windflow_model::Reason,
    after: Vec<StepId>,
) -> NewStep<'s> {
    NewStep {
        kind: ResourceKind::Container,
        name,
        action,
        service: Some(service),
        reason,
        after,
    }
}
