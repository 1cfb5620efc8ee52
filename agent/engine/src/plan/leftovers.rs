//! On the way back: what runs again, and networks and volumes that came after the good revision.

use std::collections::BTreeMap;

use windflow_model::{Action, ContainerState, ResourceKind};

use super::{
    Mode, PlanInput,
    builder::{Builder, NewStep, plainly},
    labels,
    resources::new,
    work::Work,
};
use crate::targets::ObservedContainer;

/// Removes them when their containers are gone. A volume that something ran with stays: there may be data in it.
pub(super) fn plan(builder: &mut Builder<'_>) {
    let Mode::Back { failed, started, .. } = &builder.input.mode else {
        return;
    };
    let (started, failed) = (*started, failed.to_string());
    let project = builder.input.project.clone();
    let input = builder.input;
    let after = builder.removals();
    for network in &builder.observed.networks {
        let kept = project.networks.values().any(|own| own.name == network.name);
        let ours = network.labels.get(labels::PROJECT) == Some(&project.name);
        let Some(why) = input.came_after(&network.labels).filter(|_| ours && !kept) else {
            continue;
        };
        let step = NewStep {
            after: after.clone(),
            ..new(&network.name, Action::Remove, plainly(why), ResourceKind::Network)
        };
        let work = Work::NetworkRemove {
            id: network.id.clone(),
        };
        builder.step(step, work);
    }
    for volume in &builder.observed.volumes {
        let kept = project.volumes.values().any(|own| own.name == volume.name);
        let ours = volume.labels.get(labels::PROJECT) == Some(&project.name);
        let Some(why) = input.came_after(&volume.labels).filter(|_| ours && !kept) else {
            continue;
        };
        let mut users = builder.observed.containers.iter().filter(|container| {
            let mut mounts = container.mounts.iter();
            mounts.any(|mount| mount.kind == "volume" && mount.source == volume.name)
        });
        let idle = users.clone().next().is_some()
            && users.all(|container| container.state == ContainerState::Created);
        let idle = idle || !started && volume.labels.get(labels::WF_OP) == Some(&failed);
        if !idle {
            builder.warn(format!(
                "volume {} is not of the good revision and is kept: something ran with it",
                volume.name
            ));
            continue;
        }
        let step = NewStep {
            after: after.clone(),
            ..new(&volume.name, Action::Remove, plainly(why), ResourceKind::Volume)
        };
        let work = Work::VolumeRemove {
            name: volume.name.clone(),
        };
        builder.step(step, work);
    }
}

impl PlanInput {
    /// On the way back: whether a container that is down runs in the end. What was stopped for the revision that did not
    /// work out does; so does what was made and never started, by a way back that did not come so far. What is down besides
    /// was stopped by somebody, and stays so.
    pub(super) fn runs_again(&self, container: &ObservedContainer) -> bool {
        let Mode::Back { stopped, .. } = &self.mode else {
            return false;
        };
        let unfinished =
            container.state == ContainerState::Created && container.label(labels::WF_STACK).is_some();
        stopped.contains(&container.id) || unfinished && !self.options.no_start
    }

    /// On the way back: why something that has these labels and is not of the good revision goes, if it does. What is
    /// older than that revision was there beside it, and stays.
    pub(super) fn came_after(&self, labels: &BTreeMap<String, String>) -> Option<&'static str> {
        let Mode::Back { failed, .. } = &self.mode else {
            return None;
        };
        if labels.get(labels::WF_OP) == Some(&failed.to_string()) {
            return Some("the revision that did not work out made it");
        }
        let rev: u64 = labels.get(labels::WF_REV)?.parse().ok()?;
        (rev > self.stamp.rev.0).then_some("a revision after the good one made it")
    }
}
