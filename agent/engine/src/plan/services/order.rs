//! Whether a replacement may start before the old container stops.
//!
//! What only one of the two can have decides: host ports, fixed addresses, the host's network and another container's
//! network make it impossible; data both would write to, devices and a fixed name make it unwise. The stack's policy or
//! `deploy.update_config.order` may ask for it in spite of the latter.

use windflow_compose::model::{MountKind, Project, Service};
use windflow_model::{Reason, ReplaceOrder};

use crate::{
    plan::builder::{Builder, plainly},
    targets::ObservedContainer,
};

/// Who goes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum First {
    /// The replacement starts, and is good, before the old one stops.
    New(Reason),
    /// The old one stops before the replacement starts.
    Old(Reason),
}

/// What stands against both at once.
struct Bar {
    /// The key of the service that says so.
    key: &'static str,
    text: String,
    /// Not even asking for it helps.
    hard: bool,
}

pub(super) fn first(builder: &Builder<'_>, name: &str, old: &ObservedContainer, waits: bool) -> First {
    let project = &builder.input.project;
    let Some(spec) = project.services.get(name) else {
        return First::Old(plainly("the service is gone"));
    };
    let own = spec
        .deploy
        .as_ref()
        .and_then(|deploy| deploy.update_config.as_ref()?.order.as_deref());
    let (asked, by) = match own {
        Some("start-first") => (ReplaceOrder::StartFirst, "deploy.update_config.order"),
        Some("stop-first") => (ReplaceOrder::StopFirst, "deploy.update_config.order"),
        _ => (builder.input.policy.order, "the stack's policy"),
    };
    let because = |bar: &Bar| {
        let text = format!("it stops before its replacement starts: {}", bar.text);
        builder.because(text, format!("services.{name}.{}", bar.key))
    };
    match (asked, bar(project, spec, old)) {
        (ReplaceOrder::StopFirst, _) => First::Old(plainly(format!(
            "it stops before its replacement starts, as {by} says"
        ))),
        (ReplaceOrder::StartFirst, Some(bar)) if bar.hard => First::Old(because(&bar)),
        (ReplaceOrder::StartFirst, _) => First::New(plainly(format!(
            "it starts before the old one stops, as {by} says"
        ))),
        (ReplaceOrder::Auto, Some(bar)) => First::Old(because(&bar)),
        // Without a gate the two would only swap the risk.
        (ReplaceOrder::Auto, None) if !waits => First::Old(plainly("it makes way for its replacement")),
        (ReplaceOrder::Auto, None) => First::New(plainly(
            "it starts before the old one stops: nothing is theirs alone",
        )),
    }
}

fn bar(project: &Project, spec: &Service, old: &ObservedContainer) -> Option<Bar> {
    let hard = |key, text| Bar {
        key,
        text,
        hard: true,
    };
    if let Some((key, text)) = exclusive(spec) {
        return Some(hard(key, text));
    }
    let soft = |key, text| Bar {
        key,
        text,
        hard: false,
    };
    if let Some(text) = writes(project, spec, old) {
        return Some(soft("volumes", text));
    }
    if !spec.volumes_from.is_empty() {
        return Some(soft(
            "volumes_from",
            "both would write to volumes of another container".to_owned(),
        ));
    }
    if !spec.devices.is_empty() || !spec.gpus.is_empty() {
        let key = if spec.devices.is_empty() {
            "gpus"
        } else {
            "devices"
        };
        return Some(soft(key, "both would use the same devices".to_owned()));
    }
    spec.container_name.as_ref().map(|name| {
        soft(
            "container_name",
            format!("its name {name} is fixed, so there is to be one only"),
        )
    })
}

/// What the host can give to one container only, with the key that asks for it.
pub(super) fn exclusive(spec: &Service) -> Option<(&'static str, String)> {
    let fixed = |port: &&windflow_compose::model::Port| {
        port.published
            .as_deref()
            .is_some_and(|text| !text.is_empty() && text != "0")
    };
    if let Some(port) = spec.ports.iter().find(fixed) {
        let number = port.published.as_deref().unwrap_or_default();
        return Some(("ports", format!("host port {number} can be held by one only")));
    }
    match spec.network_mode.as_deref() {
        Some("host") => {
            return Some((
                "network_mode",
                "both would listen in the host's own network".to_owned(),
            ));
        }
        Some(mode) if mode.starts_with("service:") || mode.starts_with("container:") => {
            return Some((
                "network_mode",
                "both would listen in another container's network".to_owned(),
            ));
        }
        _ => {}
    }
    let attachments = spec.networks.values().flatten();
    for attachment in attachments {
        let address = attachment
            .ipv4_address
            .as_ref()
            .or(attachment.ipv6_address.as_ref())
            .or(attachment.mac_address.as_ref())
            .or_else(|| attachment.link_local_ips.first());
        if let Some(address) = address {
            return Some((
                "networks",
                format!("the address {address} can be held by one only"),
            ));
        }
    }
    spec.mac_address.as_ref().map(|address| {
        (
            "mac_address",
            format!("the address {address} can be held by one only"),
        )
    })
}

/// Data that both would write to.
fn writes(project: &Project, spec: &Service, old: &ObservedContainer) -> Option<String> {
    let shared = |kind| matches!(kind, MountKind::Volume | MountKind::Bind);
    let mut written = spec.volumes.iter();
    if let Some(mount) = written.find(|mount| shared(mount.kind) && !mount.read_only) {
        let source = mount.source.as_deref().map(|source| {
            let named = project.volumes.get(source);
            named.map_or(source, |volume| volume.name.as_str())
        });
        return Some(match source {
            Some(source) => format!("both would write to {source}"),
            None => format!("both would write to the volume at {}", mount.target),
        });
    }
    // A volume that the image declares goes over to the new one.
    let read_only = |target: &str| {
        let mut mounts = spec.volumes.iter();
        mounts.any(|mount| mount.target == target && mount.read_only)
    };
    let mut moved = old.mounts.iter().filter(|mount| mount.kind == "volume");
    moved
        .find(|mount| !read_only(&mount.target))
        .map(|mount| format!("both would write to the volume at {}", mount.target))
}

/// Whether a service that starts needs something that this container, which nobody needs any more, may hold.
pub(super) fn needs(project: &Project, spec: &Service, held: &ObservedContainer) -> bool {
    let written = |mount: &&windflow_compose::model::Mount| !mount.read_only;
    let mut sources = spec.volumes.iter().filter(written).filter_map(|mount| {
        let source = mount.source.as_deref()?;
        Some(
            project
                .volumes
                .get(source)
                .map_or(source, |volume| volume.name.as_str()),
        )
    });
    exclusive(spec).is_some() || sources.any(|source| held.mounts.iter().any(|there| there.source == source))
}

/// Containers of a service that may be replaced at the same time; 0 means all.
pub(super) fn at_once(spec: Option<&Service>) -> usize {
    let config = spec.and_then(|spec| spec.deploy.as_ref()?.update_config.as_ref());
    let number = config.and_then(|config| config.parallelism).unwrap_or(1);
    usize::try_from(number).unwrap_or(0)
}
