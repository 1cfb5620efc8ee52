//! Whether a container is as its service wants it.

use windflow_compose::model::{MountKind, Project, Service};
use windflow_model::{ContainerState, Reason};

use super::{PlanInput, adopt, builder::Builder, hash, hash::ServiceHash, labels};
use crate::targets::ObservedContainer;

/// Why a container must be replaced, if it must.
pub(super) fn diverged(
    builder: &Builder<'_>,
    service: &str,
    spec: &Service,
    want: &ServiceHash,
    container: &ObservedContainer,
) -> Option<Reason> {
    let key = |name: &str| format!("services.{service}.{name}");
    if let Some(reason) = configuration(builder, service, spec, want, container) {
        return Some(reason);
    }
    let image = super::image_of(&builder.input.project, service);
    if let Some(there) = builder.observed.images.get(&image)
        && there.id != container.image_id
    {
        let mut reason = builder.because("the image changed", key("image"));
        reason.old = Some(short(&container.image_id));
        reason.new = Some(short(&there.id));
        return Some(reason);
    }
    if let Some(network) = not_attached(&builder.input.project, spec, container) {
        return Some(builder.because(
            format!("it is not attached to network {network}"),
            key("networks"),
        ));
    }
    not_mounted(&builder.input.project, spec, container)
        .map(|volume| builder.because(format!("volume {volume} is not mounted"), key("volumes")))
}

fn configuration(
    builder: &Builder<'_>,
    service: &str,
    spec: &Service,
    want: &ServiceHash,
    container: &ObservedContainer,
) -> Option<Reason> {
    let Some(have) = container.label(labels::WF_HASH) else {
        let settings = container.settings.as_ref()?;
        let key = adopt::difference(builder.input, service, spec, settings)?;
        let mut reason = builder.because(
            format!("{} differs", key.key),
            format!("services.{service}.{}", key.key),
        );
        (reason.old, reason.new) = (Some(key.old), Some(key.new));
        return Some(reason);
    };
    if have == want.full {
        return None;
    }
    let changed = hash::changed_keys(container.label(labels::WF_KEYS).unwrap_or_default(), &want.keys);
    let text = match changed.as_slice() {
        [] => "its configuration changed".to_owned(),
        [one] => format!("{one} changed"),
        many => format!("{} changed", many.join(", ")),
    };
    let first = changed
        .first()
        .map(|key| key.split(' ').next().unwrap_or(key).to_owned());
    let key = first.map_or_else(
        || format!("services.{service}"),
        |key| format!("services.{service}.{key}"),
    );
    let mut reason = builder.because(text, key);
    if changed.iter().any(|key| key == "image") {
        reason.old = container.label(labels::WF_IMAGE_REF).map(str::to_owned);
        reason.new.clone_from(&spec.image);
    }
    Some(reason)
}

fn not_attached<'p>(project: &'p Project, spec: &Service, container: &ObservedContainer) -> Option<&'p str> {
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
