//! Removing a stack. From labels alone: the Compose file need not be there any more.

use std::collections::{BTreeMap, BTreeSet};

use windflow_model::{Action, Pin, Plan, Reason, ResourceKind, ResourceRef, StackName, Step, StepId, Want};

use super::{Planned, builder::plainly, downtime, labels, pin, work::Work};
use crate::{
    order::ApplyOptions,
    targets::{Observed, ObservedContainer},
};

/// What to remove.
#[derive(Debug, Clone)]
pub struct RemovalInput {
    /// The stack.
    pub stack: StackName,
    /// With or without volumes.
    pub want: Want,
    /// How to go about it.
    pub options: ApplyOptions,
    /// Services of the file; `None` if there is no file, or nobody cares: then every container goes.
    pub services: Option<Known>,
    /// Whether containers of other services go too.
    pub remove_orphans: bool,
}

/// Services of a file.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Switched on.
    pub enabled: BTreeSet<String>,
    /// Behind a profile: their containers are no orphans, and stay.
    pub disabled: BTreeSet<String>,
}

/// Containers in reverse dependency order, then networks, then volumes and images if asked for.
#[must_use]
pub fn removal(input: &RemovalInput, observed: &Observed) -> Planned {
    let observed = super::sorted(observed);
    let mut out = Out {
        planned: Planned {
            plan: Plan {
                stack: input.stack.clone(),
                steps: Vec::new(),
                warnings: Vec::new(),
                resources: Vec::new(),
                interruptions: Vec::new(),
                pin: Pin::default(),
            },
            work: Vec::new(),
            replacements: Vec::new(),
        },
    };
    let project = input.stack.as_str();
    let mine =
        |labels: &BTreeMap<String, String>| labels.get(labels::PROJECT).is_some_and(|name| name == project);
    let named = named(input, &observed);
    let (doomed, kept): (Vec<_>, Vec<_>) = observed
        .containers
        .iter()
        .filter(|c| mine(&c.labels))
        .filter(|c| {
            let service = c.service().unwrap_or_default();
            let orphan = input
                .services
                .as_ref()
                .is_some_and(|known| !known.enabled.contains(service));
            named.as_ref().is_none_or(|named| named.contains(service)) || (orphan && input.remove_orphans)
        })
        .partition(|container| is_doomed(input, container));
    for container in kept {
        out.planned.plan.warnings.push(format!(
            "container {} is of no service of the file, or of a command that was run, and stays",
            container.name
        ));
    }
    let volumes = input.want == Want::AbsentWithVolumes;
    let mut steps: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    let mut all = Vec::new();
    for container in dependants_first(&doomed) {
        let service = container.service().unwrap_or_default();
        let after = doomed
            .iter()
            .filter(|other| depends_on(other).any(|name| name == service) && other.service() != Some(service))
            .flat_map(|other| {
                steps
                    .get(other.service().unwrap_or_default())
                    .cloned()
                    .unwrap_or_default()
            })
            .collect();
        let work = Work::Remove {
            id: container.id.clone(),
            volumes,
            stop: container.is_up(),
        };
        let id = out.step(
            ResourceKind::Container,
            &container.name,
            Some(service),
            after,
            work,
        );
        steps.entry(service).or_default().push(id);
        all.push(id);
    }
    for network in observed.networks.iter().filter(|network| mine(&network.labels)) {
        let work = Work::NetworkRemove {
            id: network.id.clone(),
        };
        out.step(ResourceKind::Network, &network.name, None, all.clone(), work);
    }
    if volumes {
        for volume in observed.volumes.iter().filter(|volume| mine(&volume.labels)) {
            let work = Work::VolumeRemove {
                name: volume.name.clone(),
            };
            out.step(ResourceKind::Volume, &volume.name, None, all.clone(), work);
        }
    }
    if let Some(which) = input.options.remove_images {
        let images: BTreeSet<String> = doomed.iter().map(|container| container.image.clone()).collect();
        let work = Work::ImagesRemove {
            which,
            images: images.into_iter().collect(),
        };
        out.step(ResourceKind::Image, "images of the stack", None, all, work);
    }
    let Planned { plan, work, .. } = &mut out.planned;
    plan.resolve();
    plan.interruptions = downtime::predict(plan, work, &[], &observed);
    plan.pin = pin::world(&observed, &input.options, plan);
    out.planned
}

fn is_doomed(input: &RemovalInput, container: &ObservedContainer) -> bool {
    let service = container.service().unwrap_or_default();
    if container.is_oneoff() && !input.remove_orphans {
        return false;
    }
    match &input.services {
        Some(known) => {
            known.enabled.contains(service) || (input.remove_orphans && !known.disabled.contains(service))
        }
        None => true,
    }
}

/// Whom a removal of single services is about: these, and whatever depends on them.
fn named(input: &RemovalInput, observed: &Observed) -> Option<BTreeSet<String>> {
    if input.options.services.is_empty() {
        return None;
    }
    let mut out: BTreeSet<String> = input.options.services.iter().cloned().collect();
    loop {
        let more: Vec<String> = observed
            .containers
            .iter()
            .filter(|container| depends_on(container).any(|name| out.contains(name)))
            .filter_map(|container| container.service().map(str::to_owned))
            .filter(|service| !out.contains(service))
            .collect();
        if more.is_empty() {
            return Some(out);
        }
        out.extend(more);
    }
}

fn depends_on(container: &ObservedContainer) -> impl Iterator<Item = &str> {
    let text = container.label(labels::DEPENDS_ON).unwrap_or_default();
    text.split(',')
        .filter_map(|part| part.split(':').next())
        .filter(|name| !name.is_empty())
}

/// Whoever depends on something goes before it. A cycle in foreign labels only loses the order.
fn dependants_first<'o>(containers: &[&'o ObservedContainer]) -> Vec<&'o ObservedContainer> {
    let mut rest: Vec<&ObservedContainer> = containers.to_vec();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let needed: BTreeSet<String> = rest
            .iter()
            .flat_map(|c| {
                depends_on(c)
                    .filter(|name| Some(*name) != c.service())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        let (free, bound): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|container| !needed.contains(container.service().unwrap_or_default()));
        rest = bound;
        if free.is_empty() {
            out.append(&mut rest);
        }
        out.extend(free);
    }
    out
}

struct Out {
    planned: Planned,
}

impl Out {
    fn step(
        &mut self,
        kind: ResourceKind,
        name: &str,
        service: Option<&str>,
        after: Vec<StepId>,
        work: Work,
    ) -> StepId {
        let id = StepId(u32::try_from(self.planned.plan.steps.len()).unwrap_or(u32::MAX));
        let reason: Reason = plainly("the stack is removed");
        self.planned.plan.steps.push(Step {
            id,
            resource: ResourceRef {
                kind,
                name: name.to_owned(),
            },
            action: Action::Remove,
            service: service.map(str::to_owned),
            reason,
            after,
        });
        self.planned.work.push(work);
        id
    }
}
