//! Networks and volumes.

use std::collections::BTreeMap;

use windflow_compose::model::to_json;
use windflow_model::{Action, Code, Failure, Reason, ResourceKind, StepId};

use super::{
    Mode, Settings,
    builder::{Builder, NewStep, plainly},
    hash, labels, reasons, services,
    work::Work,
};
use crate::targets::ObservedNetwork;

pub(super) fn plan(builder: &mut Builder<'_>) -> Result<(), Failure> {
    networks(builder)?;
    volumes(builder)
}

fn missing(kind: &str, key: &str, name: &str) -> Failure {
    let text = format!(
        "{kind} {name} ({kind}s.{key}) is declared external and does not exist on this host: create it first"
    );
    Failure::new(Code::HostFailure, text)
}

fn networks(builder: &mut Builder<'_>) -> Result<(), Failure> {
    let project = builder.input.project.clone();
    for (key, network) in &project.networks {
        let path = format!("networks.{key}");
        // The engine has its own networks, which are in no list of ours to create.
        let builtin = matches!(network.name.as_str(), "host" | "none" | "bridge");
        let there: Vec<&ObservedNetwork> = builder
            .observed
            .networks
            .iter()
            .filter(|there| there.name == network.name)
            .collect();
        if network.external {
            match there.len() {
                0 if !builtin => return Err(missing("network", key, &network.name)),
                0 | 1 => continue,
                _ => {
                    let text = format!(
                        "there are {} networks named {}: remove all but one",
                        there.len(),
                        network.name
                    );
                    return Err(Failure::new(Code::NameTaken, text));
                }
            }
        }
        let (there, gone) = twins(builder, there);
        let want = hash::network(network);
        let stamp = labels::network(builder.input, key, network, &want);
        let step = match there {
            None => {
                let reason = builder.because("the network does not exist", path);
                let step = new(&network.name, Action::Create, reason, ResourceKind::Network);
                Some(builder.step(
                    step,
                    Work::NetworkCreate {
                        key: key.clone(),
                        labels: stamp,
                    },
                ))
            }
            Some(there) => existing(builder, key, there, &want, stamp),
        };
        if let Some(step) = step {
            builder.provides.insert(format!("network:{key}"), step);
        }
        // The engine refuses to connect to a name that two networks have.
        if let Some(gone) = gone {
            builder.provides.insert(format!("network:{key}"), gone);
        }
    }
    Ok(())
}

/// The network to use, of all with the name, and the step that removes the others: an agent that was killed while it
/// asked for the network, and asked again in its next life, can have two. Those that something is attached to stay.
fn twins<'o>(
    builder: &mut Builder<'o>,
    there: Vec<&'o ObservedNetwork>,
) -> (Option<&'o ObservedNetwork>, Option<StepId>) {
    let containers = &builder.observed.containers;
    let used = |network: &ObservedNetwork| {
        let mut endpoints = containers
            .iter()
            .flat_map(|container| container.networks.values());
        endpoints.any(|endpoint| endpoint.network_id == network.id)
    };
    let kept = there
        .iter()
        .copied()
        .find(|network| used(network))
        .or_else(|| there.first().copied());
    let mine =
        |network: &ObservedNetwork| network.labels.get(labels::PROJECT) == Some(&builder.input.project.name);
    let doomed: Vec<&ObservedNetwork> = there
        .into_iter()
        .filter(|network| kept.is_some_and(|kept| kept.id != network.id) && mine(network) && !used(network))
        .collect();
    let mut last = None;
    for network in doomed {
        let reason = plainly("an interrupted deploy made two of this name");
        let step = NewStep {
            after: last.into_iter().collect(),
            ..new(&network.name, Action::Remove, reason, ResourceKind::Network)
        };
        let work = Work::TwinRemove {
            id: network.id.clone(),
        };
        last = Some(builder.step(step, work));
    }
    (kept, last)
}

fn existing(
    builder: &mut Builder<'_>,
    key: &str,
    there: &ObservedNetwork,
    want: &str,
    stamp: BTreeMap<String, String>,
) -> Option<windflow_model::StepId> {
    let path = format!("networks.{key}");
    let owner = there.labels.get(labels::PROJECT);
    if owner != Some(&builder.input.project.name) {
        let who = owner.map_or("nobody", String::as_str);
        builder.warn(format!(
            "network {} exists and belongs to {who}: it is used as it is",
            there.name
        ));
    }
    // Without a hash of ours it was made by something else: leave it alone.
    let diverged = there.labels.get(labels::WF_HASH).is_some_and(|hash| hash != want);
    if !diverged
        || matches!(builder.input.mode, Mode::Repair { .. })
        || owner != Some(&builder.input.project.name)
    {
        let reason = if owner == Some(&builder.input.project.name) {
            plainly("unchanged")
        } else {
            plainly("it belongs to something else and is used as it is")
        };
        let step = new(&there.name, Action::Keep, reason, ResourceKind::Network);
        builder.step(step, Work::Nothing);
        return None;
    }
    let attached = builder
        .observed
        .containers
        .iter()
        .filter(|container| container.networks.contains_key(&there.name))
        .filter_map(|container| {
            let service = container
                .service()
                .filter(|name| builder.input.project.services.contains_key(*name))?;
            let name = services::container_name(&builder.input.project, service, container.number());
            Some((container.id.clone(), name, service.to_owned()))
        })
        .collect();
    let wanted = builder.input.project.networks.get(key).map(to_json);
    let wanted = wanted.unwrap_or_default();
    let reason = drifted(builder, "its settings changed", path, &wanted, &there.settings);
    let step = new(&there.name, Action::Recreate, reason, ResourceKind::Network);
    let work = Work::NetworkReplace {
        key: key.to_owned(),
        old: there.id.clone(),
        labels: stamp,
        attached,
    };
    Some(builder.step(step, work))
}

fn volumes(builder: &mut Builder<'_>) -> Result<(), Failure> {
    let project = builder.input.project.clone();
    for (key, volume) in &project.volumes {
        let there = builder
            .observed
            .volumes
            .iter()
            .find(|there| there.name == volume.name);
        let want = hash::volume(volume);
        match there {
            None if volume.external => return Err(missing("volume", key, &volume.name)),
            None => {
                let reason = builder.because("the volume does not exist", format!("volumes.{key}"));
                let step = new(&volume.name, Action::Create, reason, ResourceKind::Volume);
                let labels = labels::volume(builder.input, key, volume, &want);
                let id = builder.step(
                    step,
                    Work::VolumeCreate {
                        key: key.clone(),
                        labels,
                    },
                );
                builder.provides.insert(format!("volume:{key}"), id);
            }
            Some(_) if volume.external => {}
            Some(there) => {
                let owner = there.labels.get(labels::PROJECT);
                let diverged = there
                    .labels
                    .get(labels::WF_HASH)
                    .is_some_and(|hash| *hash != want);
                let (name, who) = (
                    there.name.clone(),
                    owner.map_or("nobody", String::as_str).to_owned(),
                );
                let foreign = owner != Some(&project.name);
                if foreign {
                    builder.warn(format!(
                        "volume {name} exists and belongs to {who}: it is used as it is"
                    ));
                } else if diverged {
                    let text = "its settings changed, but its data would be lost: it is kept as it is";
                    builder.warn(format!("volume {name}: {text}"));
                }
                let reason = if foreign {
                    plainly("it belongs to something else and is used as it is")
                } else if diverged {
                    let wanted = to_json(volume);
                    let text = "its settings changed, but its data would be lost";
                    drifted(builder, text, format!("volumes.{key}"), &wanted, &there.settings)
                } else {
                    plainly("unchanged")
                };
                let step = new(&name, Action::Keep, reason, ResourceKind::Volume);
                builder.step(step, Work::Nothing);
            }
        }
    }
    Ok(())
}

/// A reason that names the settings which differ, as far as the engine tells them.
fn drifted(
    builder: &Builder<'_>,
    text: &str,
    path: String,
    want: &serde_json::Value,
    have: &Settings,
) -> Reason {
    let changes = reasons::settings(builder, &path, want, have);
    if changes.is_empty() {
        return builder.because(text, path);
    }
    reasons::reason(text, changes)
}

pub(super) fn new(
    name: &str,
    action: Action,
    reason: windflow_model::Reason,
    kind: ResourceKind,
) -> NewStep<'_> {
    NewStep {
        kind,
        name,
        action,
        service: None,
        reason,
        after: Vec::new(),
    }
}
