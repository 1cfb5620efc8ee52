//! Operations on the simulated host.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};
use windflow_compose::collect::IntoMap as _;
use windflow_compose::model::{MountKind, Network, Service, to_json};
use windflow_model::{ContainerState, Health, Layer, PortBinding};

use super::{FakeTarget, host::Container};
use crate::{
    plan::{Settings, labels, settings_of},
    targets::{
        ContainerCreate, Evidence, ObservedContainer, ObservedImage, ObservedMount, ObservedNetwork,
        ObservedVolume, Operation, TargetError, TargetErrorKind as Kind, TargetEvent, TargetEventKind, Tick,
        Ticker,
    },
};

pub(super) async fn execute(
    target: &FakeTarget,
    operation: &Operation,
    ticker: Ticker,
) -> Result<Evidence, TargetError> {
    target.check()?;
    let (word, subject) = describe(target, operation);
    let slow = if image_of(target, operation).starts_with("fake/slow") {
        10
    } else {
        1
    };
    let latency = target.options.latency * slow;
    let steps: u64 = match operation {
        Operation::Pull { .. } | Operation::Build { .. } => 20,
        Operation::Start { .. } | Operation::Stop { .. } | Operation::Restart { .. } => 10,
        _ => 1,
    };
    for step in 1..=steps {
        sleep(latency).await;
        if let Operation::Pull { .. } = operation {
            let tick = Tick {
                current: step << 20,
                total: 20 << 20,
                unit: "bytes",
                detail: "layer 0: downloading".into(),
                layers: vec![Layer {
                    id: "0".into(),
                    status: "downloading".into(),
                    current: step << 20,
                    total: 20 << 20,
                }],
            };
            ticker.tick(tick);
        }
    }
    target.check()?;
    {
        let mut state = target.state();
        let due = match &mut state.fault_in {
            Some((0, on)) => Some(*on),
            Some((more, _)) => {
                *more -= 1;
                None
            }
            None => None,
        };
        if due == Some(false) {
            state.fault_in = None;
        }
        if due.is_some() {
            let text = format!("cannot {word} {subject}: a fault was asked for");
            return Err(TargetError::new(Kind::Engine, text));
        }
        if let Some(at) = state.faults.iter().position(|(name, _)| name == word) {
            let (_, kind) = state.faults.remove(at);
            if let (Kind::Unreachable, Operation::Stop { id, .. }) = (kind, operation) {
                state.stopping.insert(id.clone());
            }
            return Err(TargetError::new(
                kind,
                format!("cannot {word} {subject}: a fault was asked for"),
            ));
        }
    }
    let evidence = apply(target, operation, latency)?;
    let mut state = target.state();
    if let Operation::Stop { id, .. } = operation {
        state.stopping.remove(id);
    }
    state.done.push(format!("{word} {subject}"));
    drop(state);
    Ok(evidence)
}

fn describe(target: &FakeTarget, operation: &Operation) -> (&'static str, String) {
    let name = |id: &String| {
        let state = target.state();
        state
            .host
            .containers
            .get(id)
            .map_or_else(|| id.clone(), |container| container.seen.name.clone())
    };
    match operation {
        Operation::Pull { image, .. } => ("pull", image.clone()),
        Operation::Build { image, .. } => ("build", image.clone()),
        Operation::NetworkCreate { key, .. } => ("network-create", key.clone()),
        Operation::NetworkRestore { .. } => ("network-restore", String::new()),
        Operation::NetworkRemove { network } => ("network-remove", network.clone()),
        Operation::VolumeCreate { key, .. } => ("volume-create", key.clone()),
        Operation::VolumeRemove { volume } => ("volume-remove", volume.clone()),
        Operation::Create(create) => ("create", create.name.clone()),
        Operation::Start { id, .. } => ("start", name(id)),
        Operation::Stop { id, .. } => ("stop", name(id)),
        Operation::Remove { id, .. } => ("remove", name(id)),
        Operation::Rename { id, name: to } => ("rename", format!("{} {to}", name(id))),
        Operation::Connect { id, key, .. } => ("connect", format!("{} {key}", name(id))),
        Operation::Disconnect { id, network } => ("disconnect", format!("{} {network}", name(id))),
        Operation::Restart { id, .. } => ("restart", name(id)),
        Operation::Kill { id, signal } => ("kill", format!("{} {signal}", name(id))),
        Operation::Pause { id } => ("pause", name(id)),
        Operation::Unpause { id } => ("unpause", name(id)),
        Operation::ImagesRemove { .. } => ("images-remove", String::new()),
    }
}

fn image_of(target: &FakeTarget, operation: &Operation) -> String {
    match operation {
        Operation::Pull { image, .. } | Operation::Build { image, .. } => image.clone(),
        Operation::Start { id, .. } => target
            .state()
            .host
            .containers
            .get(id)
            .map(|container| container.seen.image.clone())
            .unwrap_or_default(),
        _ => String::new(),
    }
}

fn missing(what: &str, name: &str) -> TargetError {
    TargetError::new(Kind::NotFound, format!("no such {what}: {name}"))
}

fn apply(target: &FakeTarget, operation: &Operation, latency: Duration) -> Result<Evidence, TargetError> {
    let mut state = target.state();
    let mut events = Vec::new();
    let host = &mut state.host;
    let mut evidence = Evidence::default();
    match operation {
        Operation::Pull { image, .. } | Operation::Build { image, .. } => {
            if image.starts_with("fake/unpullable") {
                return Err(TargetError::new(
                    Kind::ImagePull,
                    format!("cannot pull image {image}: not found"),
                ));
            }
            // A tag that moves: every pull brings another image.
            let id = if image.starts_with("fake/moving") {
                host.id()
            } else {
                image.clone()
            };
            let made = ObservedImage {
                id: format!("sha256:{id}"),
                tagged: target.options.clock.now_ms() / 1000,
                has_healthcheck: false,
                volumes: Vec::new(),
                size: 20 << 20,
                ..ObservedImage::default()
            };
            evidence.id = Some(made.id.clone());
            host.images.insert(image.clone(), made);
        }
        Operation::NetworkCreate { project, key, labels } => {
            let network = project.networks.get(key).ok_or_else(|| missing("network", key))?;
            let made = network_of(host.id(), network, labels);
            evidence.id = Some(made.id.clone());
            host.networks.insert(made.id.clone(), made);
        }
        Operation::NetworkRestore { saved } => evidence.id = host.restore(saved),
        Operation::NetworkRemove { network } => drop(host.networks.remove(network)),
        Operation::VolumeCreate { project, key, labels } => {
            let volume = project.volumes.get(key).ok_or_else(|| missing("volume", key))?;
            let made = ObservedVolume {
                name: volume.name.clone(),
                labels: labels.clone(),
                driver: "local".to_owned(),
                settings: drawn(to_json(volume)),
            };
            evidence.id = Some(made.name.clone());
            host.volumes.insert(volume.name.clone(), made);
        }
        Operation::VolumeRemove { volume } => drop(host.volumes.remove(volume)),
        Operation::Create(create) => {
            if host.find(&create.name).is_some() {
                let text = format!(
                    "cannot create container {}: the name is already in use",
                    create.name
                );
                return Err(TargetError::new(Kind::NameTaken, text));
            }
            let image = host
                .images
                .get(&create.image)
                .ok_or_else(|| missing("image", &create.image))?
                .id
                .clone();
            let service = create
                .project
                .services
                .get(&create.service)
                .ok_or_else(|| missing("service", &create.service))?;
            let id = host.id();
            let made = container(
                create,
                service,
                id.clone(),
                image,
                target.options.clock.now_ms() / 1000,
            );
            events.push((TargetEventKind::Changed, id.clone()));
            host.containers.insert(id.clone(), made);
            for key in service.networks.keys() {
                if let Some(network) = create.project.networks.get(key) {
                    host.attach(&id, &network.name);
                }
            }
            evidence.id = Some(id);
        }
        Operation::Start { id, .. } | Operation::Restart { id, .. } => {
            let found = host.containers.get(id).ok_or_else(|| missing("container", id))?;
            if let Some(port) = host.taken_port(found) {
                let text = format!(
                    "cannot start container {}: port {port} is already allocated",
                    found.seen.name
                );
                return Err(TargetError::new(Kind::PortTaken, text));
            }
            if let Some(container) = host.containers.get_mut(id) {
                start(container, latency)?;
            }
            events.push((TargetEventKind::Started, id.clone()));
        }
        Operation::Stop { id, .. } => {
            if host
                .containers
                .get(id)
                .is_some_and(|container| container.seen.is_up())
            {
                host.set(id, ContainerState::Exited, Some(0));
                events.push((TargetEventKind::Died, id.clone()));
                events.push((TargetEventKind::Stopped, id.clone()));
            }
        }
        Operation::Kill { id, .. } => {
            host.set(id, ContainerState::Exited, Some(137));
            events.push((TargetEventKind::Died, id.clone()));
        }
        Operation::Pause { id } => {
            host.set(id, ContainerState::Paused, None);
            events.push((TargetEventKind::Changed, id.clone()));
        }
        Operation::Unpause { id } => {
            host.set(id, ContainerState::Running, None);
            events.push((TargetEventKind::Changed, id.clone()));
        }
        Operation::Remove { id, .. } => {
            events.push((TargetEventKind::Removed, id.clone()));
            let project = host
                .containers
                .get(id)
                .and_then(|c| c.seen.label(labels::PROJECT).map(str::to_owned));
            host.remove(id);
            target.keep(host);
            drop(state);
            let _ = target.events.send(TargetEvent {
                kind: TargetEventKind::Removed,
                container: id.clone(),
                project,
            });
            return Ok(evidence);
        }
        Operation::Rename { id, name } => {
            if host.find(name).is_some_and(|(other, _)| other != *id) {
                let text = format!("cannot rename to {name}: the name is already in use");
                return Err(TargetError::new(Kind::NameTaken, text));
            }
            host.containers
                .get_mut(id)
                .ok_or_else(|| missing("container", id))?
                .seen
                .name
                .clone_from(name);
            events.push((TargetEventKind::Changed, id.clone()));
        }
        Operation::Connect { id, project, key, .. } => {
            if let Some(network) = project.networks.get(key) {
                host.attach(id, &network.name);
            }
        }
        Operation::Disconnect { id, network } => {
            let name = host.networks.get(network).map(|network| network.name.clone());
            if let (Some(container), Some(name)) = (host.containers.get_mut(id), name) {
                container.seen.networks.remove(&name);
            }
        }
        Operation::ImagesRemove { images, .. } => {
            for image in images {
                host.images.remove(image);
            }
        }
    }
    target.keep(host);
    let told: Vec<TargetEvent> = events
        .into_iter()
        .map(|(kind, id)| {
            let found = host.containers.get(&id);
            let project =
                found.and_then(|container| container.seen.label(labels::PROJECT).map(str::to_owned));
            TargetEvent {
                kind,
                container: id,
                project,
            }
        })
        .collect();
    drop(state);
    for event in told {
        let _ = target.events.send(event);
    }
    Ok(evidence)
}

fn network_of(id: String, network: &Network, labels: &BTreeMap<String, String>) -> ObservedNetwork {
    let mut settings = drawn(to_json(network));
    // An engine tells of it also when it is off.
    settings
        .entry("internal".to_owned())
        .or_insert(serde_json::Value::Bool(false));
    ObservedNetwork {
        id,
        name: network.name.clone(),
        labels: labels.clone(),
        driver: "bridge".to_owned(),
        settings,
    }
}

/// The settings among the fields of a network or volume.
fn drawn(value: serde_json::Value) -> Settings {
    let fields = match value {
        serde_json::Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    let settings = fields
        .into_iter()
        .filter(|(key, _)| key != "name" && key != "external");
    settings.into_map()
}

fn start(container: &mut Container, latency: Duration) -> Result<(), TargetError> {
    let image = container.seen.image.clone();
    if image.starts_with("fake/unstartable") {
        let text = format!(
            "cannot start container {}: no such program in the image",
            container.seen.name
        );
        return Err(TargetError::new(Kind::Engine, text));
    }
    container.starts += 1;
    container.started = Some((Instant::now(), latency));
    let (state, code) = if image.starts_with("fake/crash") {
        (
            if container.restart {
                ContainerState::Restarting
            } else {
                ContainerState::Exited
            },
            Some(1),
        )
    } else if image.starts_with("fake/job") {
        (ContainerState::Exited, Some(0))
    } else {
        (ContainerState::Running, None)
    };
    container.seen.state = state;
    container.seen.exit_code = code;
    Ok(())
}

fn container(
    create: &ContainerCreate,
    service: &Service,
    id: String,
    image_id: String,
    created: i64,
) -> Container {
    let mounts = service.volumes.iter().map(|mount| {
        let key = mount.source.clone().unwrap_or_default();
        let named = create.project.volumes.get(&key).map(|volume| volume.name.clone());
        ObservedMount {
            kind: if mount.kind == MountKind::Volume {
                "volume"
            } else {
                "bind"
            }
            .to_owned(),
            source: named.unwrap_or(key),
            target: mount.target.clone(),
        }
    });
    let ports = service.ports.iter().filter_map(|port| {
        Some(PortBinding {
            host_ip: port.host_ip.clone().unwrap_or_default(),
            host_port: port.published.as_ref()?.parse().ok()?,
            container_port: u16::try_from(port.target).ok()?,
            protocol: port.protocol.clone().unwrap_or_else(|| "tcp".to_owned()),
        })
    });
    Container {
        ports: ports.collect(),
        restart: !matches!(service.restart.as_deref(), None | Some("no")),
        healthcheck: service.healthcheck.as_ref().is_some_and(|check| !check.disable)
            || create.image.starts_with("fake/unhealthy")
            || create.image.starts_with("fake/sickens"),
        settings: settings_of(&create.project, &create.service),
        starts: 0,
        started: None,
        seen: ObservedContainer {
            id,
            name: create.name.clone(),
            labels: create.labels.clone(),
            image: create.image.clone(),
            image_id,
            state: ContainerState::Created,
            health: Health::None,
            exit_code: None,
            created,
            networks: BTreeMap::new(),
            mounts: mounts.collect(),
            settings: None,
        },
    }
}
