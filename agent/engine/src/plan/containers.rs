//! Whether a container is as its service wants it.

use windflow_compose::model::{MountKind, Project, Service};
use windflow_model::{ContainerState, Reason};

use super::{PlanInput, builder::Builder, hash::ServiceHash, reasons};
use crate::targets::ObservedContainer;

/// Why a container must be replaced, if it must: every cause at once.
pub(super) fn diverged(
    builder: &Builder<'_>,
    service: &str,
    spec: &Service,
    want: &ServiceHash,
    container: &ObservedContainer,
) -> Option<Reason> {
    let key = |name: &str| format!("services.{service}.{name}");
    let project = &builder.input.project;
    let (mut texts, mut changes) = (Vec::new(), Vec::new());
    if let Some((names, found)) = reasons::configuration(builder, service, spec, want, container) {
        texts.push(format!("{} changed", names.join(", ")));
        changes = found;
    }
    let image = super::image_of(project, service);
    let named = changes.iter().any(|change| change.key == key("image"));
    if let Some(there) = builder.observed.images.get(&image)
        && there.id != container.image_id
        && !named
    {
        texts.push(format!("{image} is another image now"));
        let (old, new) = (short(&container.image_id), short(&there.id));
        changes.push(builder.change(key("image"), Some(old), Some(new)));
    }
    if let Some(network) = not_attached(project, spec, container) {
        texts.push(format!("it is not attached to network {network}"));
        if !changes.iter().any(|change| change.key == key("networks")) {
            changes.push(builder.change(key("networks"), None, Some(network.to_owned())));
        }
    }
    if let Some(volume) = not_mounted(project, spec, container) {
        texts.push(format!("volume {volume} is not mounted"));
        if !changes.iter().any(|change| change.key == key("volumes")) {
            changes.push(builder.change(key("volumes"), None, Some(volume.to_owned())));
        }
    }
    (!texts.is_empty()).then(|| reasons::reason(texts.join("; "), changes))
}

pub(super) fn not_attached<'p>(
    project: &'p Project,
    spec: &Service,
    container: &ObservedContainer,
) -> Option<&'p str> {
    // One that was stopped is attached when it starts. One that never started and lacks a network was not finished:
    // older engines take one network with the create, and the agent was killed before it gave it the others.
    let judged = container.is_up() || container.state == ContainerState::Created;
    if !judged || spec.network_mode.is_some() {
        return None;
    }
    let wanted = spec.networks.keys().filter_map(|key| project.networks.get(key));
    wanted
        .map(|network| network.name.as_str())
        .find(|name| !container.networks.contains_key(*name))
}

fn not_mounted<'p>(project: &'p Project, spec: &Service, container: &ObservedContainer) -> Option<&'p str> {
    let named = spec
        .volumes
        .iter()
        .filter(|mount| mount.kind == MountKind::Volume);
    let named = named.filter_map(|mount| {
        let volume = mount
            .source
            .as_ref()
            .and_then(|source| project.volumes.get(source))?;
        Some((volume.name.as_str(), mount.target.as_str()))
    });
    let mounted = |name: &str, target: &str| {
        container
            .mounts
            .iter()
            .any(|there| there.kind == "volume" && there.source == name && there.target == target)
    };
    let mut named = named;
    named
        .find(|(name, target)| !mounted(name, target))
        .map(|(name, _)| name)
}

fn short(id: &str) -> String {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id).to_owned()
}

/// The services whose containers a service cannot live without: namespaces and `volumes_from`.
pub(crate) fn parents(input: &PlanInput, spec: &Service) -> Vec<String> {
    let modes = [&spec.network_mode, &spec.ipc, &spec.pid, &spec.uts, &spec.cgroup];
    let modes = modes
        .into_iter()
        .flatten()
        .filter_map(|mode| mode.strip_prefix("service:"));
    let donors = spec
        .volumes_from
        .iter()
        .filter(|from| !from.starts_with("container:"));
    let donors = donors.map(|from| from.split(':').next().unwrap_or(from));
    let mut out: Vec<String> = modes
        .chain(donors)
        .filter(|name| input.project.services.contains_key(*name))
        .map(str::to_owned)
        .collect();
    out.sort();
    out.dedup();
    out
}
