//! What the simulated host holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    time::Duration,
};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use windflow_compose::collect::IntoMap as _;
use windflow_model::{ContainerState, ContainerSummary, Health, PortBinding, Rev, Timestamp};

use crate::{
    plan::{Settings, labels},
    targets::{
        Endpoint, ObserveQuery, Observed, ObservedContainer, ObservedImage, ObservedNetwork, ObservedPort,
        ObservedVolume, SavedNetwork, TargetError, TargetErrorKind, Vitals,
    },
};

/// Until a health check passes, in latencies of a create; at least one look.
const HEALTH: u32 = 20;
/// Until what sickens is no longer healthy.
const SICK: u32 = 400;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Host {
    /// Counts everything ever made: the source of ids.
    pub(super) counter: u64,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) networks: BTreeMap<String, ObservedNetwork>,
    pub(super) volumes: BTreeMap<String, ObservedVolume>,
    pub(super) images: BTreeMap<String, ObservedImage>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Container {
    pub(super) seen: ObservedContainer,
    /// Published ports.
    pub(super) ports: Vec<PortBinding>,
    pub(super) restart: bool,
    pub(super) healthcheck: bool,
    /// What it was made with, by Compose key.
    #[serde(default)]
    pub(super) settings: Settings,
    /// Times it was started.
    pub(super) starts: u32,
    /// When, within this run of the process; `None` means long ago.
    #[serde(skip)]
    pub(super) started: Option<(Instant, Duration)>,
}

impl Container {
    /// What an inspect would tell.
    pub(super) fn vitals(&self) -> Vitals {
        let unhealthy = self.health() == Health::Unhealthy;
        Vitals {
            restarts: self.starts.saturating_sub(1),
            command: self.healthcheck.then(|| "true".to_owned()),
            exit_code: self.healthcheck.then_some(i64::from(unhealthy)),
            output: if unhealthy {
                // As it is shown, a title for the terminal is no part of it.
                "not \u{1b}]0;owned\u{7}today".to_owned()
            } else {
                String::new()
            },
            started: self.starts.to_string(),
        }
    }

    /// Life and health now.
    pub(super) fn health(&self) -> Health {
        if !self.healthcheck || self.seen.state != ContainerState::Running {
            return Health::None;
        }
        if self.seen.image.starts_with("fake/unhealthy") {
            return match self.started {
                Some((at, latency)) if at.elapsed() < latency * HEALTH => Health::Starting,
                _ => Health::Unhealthy,
            };
        }
        match self.started {
            Some((at, latency)) if at.elapsed() < latency * HEALTH => Health::Starting,
            Some((at, latency))
                if self.seen.image.starts_with("fake/sickens") && at.elapsed() > latency * SICK =>
            {
                Health::Unhealthy
            }
            _ => Health::Healthy,
        }
    }
}

impl Host {
    pub(super) fn read(file: &Path) -> Result<Self, TargetError> {
        let broken = |error: std::io::Error| {
            TargetError::caused(TargetErrorKind::Host, "the simulated host cannot be read", error)
        };
        match fs::read(file) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| broken(error.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(broken(error)),
        }
    }

    /// By rename: a kill leaves the old host or the new one.
    pub(super) fn write(&self, file: &Path) -> std::io::Result<()> {
        let new = file.with_extension("new");
        let mut out = fs::File::create(&new)?;
        out.write_all(&serde_json::to_vec(self)?)?;
        out.flush()?;
        fs::rename(&new, file)
    }

    /// 64 hex digits, new every time.
    pub(super) fn id(&mut self) -> String {
        use sha2::Digest as _;
        self.counter += 1;
        hex::encode(sha2::Sha256::digest(self.counter.to_be_bytes()))
    }

    pub(super) fn find(&self, name: &str) -> Option<(String, Option<String>)> {
        let found = self
            .containers
            .values()
            .find(|container| container.seen.name == name)?;
        Some((
            found.seen.id.clone(),
            found.seen.label(labels::PROJECT).map(str::to_owned),
        ))
    }

    pub(super) fn set(&mut self, id: &str, state: ContainerState, code: Option<i64>) {
        if let Some(container) = self.containers.get_mut(id) {
            container.seen.state = state;
            container.seen.exit_code = code;
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.containers.remove(id);
    }

    pub(super) fn observe(&self, query: &ObserveQuery) -> Observed {
        let project = |labels: &BTreeMap<String, String>| labels.get(labels::PROJECT) == Some(&query.project);
        let mut observed = Observed::default();
        for container in self.containers.values() {
            if project(&container.seen.labels) {
                observed.containers.push(ObservedContainer {
                    health: container.health(),
                    ..container.seen.clone()
                });
            } else if query.names.contains(&container.seen.name) {
                observed
                    .names
                    .insert(container.seen.name.clone(), container.seen.id.clone());
            }
            if !project(&container.seen.labels) && container.seen.is_up() {
                let held = container.ports.iter().map(|port| ObservedPort {
                    host_ip: port.host_ip.clone(),
                    port: port.host_port,
                    protocol: port.protocol.clone(),
                    container: container.seen.name.clone(),
                });
                observed.ports.extend(held);
            }
        }
        let networks = self.networks.values();
        observed.networks = networks
            .filter(|net| project(&net.labels) || query.networks.contains(&net.name))
            .cloned()
            .collect();
        let volumes = self.volumes.values();
        observed.volumes = volumes
            .filter(|volume| project(&volume.labels) || query.volumes.contains(&volume.name))
            .cloned()
            .collect();
        let wanted: BTreeSet<&str> = query.images.iter().map(|key| key.0.as_str()).collect();
        let images = self
            .images
            .iter()
            .filter(|(name, _)| wanted.contains(name.as_str()));
        observed.images = images
            .map(|(name, image)| (name.clone(), image.clone()))
            .into_map();
        observed
    }

    pub(super) fn summaries(&self) -> Vec<ContainerSummary> {
        let mut out: Vec<ContainerSummary> = self.containers.values().map(summary).collect();
        out.sort_by(|a, b| (&a.project, &a.service, &a.name).cmp(&(&b.project, &b.service, &b.name)));
        out
    }

    /// Ports of this container that a running one has already.
    pub(super) fn taken_port(&self, of: &Container) -> Option<u16> {
        let others = self
            .containers
            .values()
            .filter(|other| other.seen.id != of.seen.id && other.seen.is_up());
        let taken: BTreeSet<(u16, &str)> = others
            .flat_map(|other| &other.ports)
            .map(|port| (port.host_port, port.protocol.as_str()))
            .collect();
        of.ports
            .iter()
            .find(|port| taken.contains(&(port.host_port, port.protocol.as_str())))
            .map(|port| port.host_port)
    }

    pub(super) fn saved(&self, id: &str, containers: &[String]) -> Result<SavedNetwork, TargetError> {
        let missing = || TargetError::new(TargetErrorKind::NotFound, format!("no such network: {id}"));
        let network = self.networks.get(id).ok_or_else(missing)?;
        let on = containers.iter().filter(|id| {
            let container = self.containers.get(*id);
            container.is_some_and(|container| container.seen.networks.contains_key(&network.name))
        });
        let on: Vec<&String> = on.collect();
        Ok(SavedNetwork(serde_json::json!({ "network": network, "on": on })))
    }

    pub(super) fn restore(&mut self, saved: &SavedNetwork) -> Option<String> {
        let network = saved.0.get("network").cloned().unwrap_or_default();
        let mut network: ObservedNetwork = serde_json::from_value(network).ok()?;
        let on = saved.0.get("on").cloned().unwrap_or_default();
        let on: Vec<String> = serde_json::from_value(on).unwrap_or_default();
        network.id = self.id();
        let (id, name) = (network.id.clone(), network.name.clone());
        if !self.networks.values().any(|there| there.name == name) {
            self.networks.insert(id.clone(), network);
        }
        for container in on {
            self.attach(&container, &name);
        }
        Some(id)
    }

    pub(super) fn attach(&mut self, id: &str, network: &str) {
        let found = self
            .networks
            .values()
            .find(|net| net.name == network)
            .map(|net| net.id.clone());
        if let (Some(container), Some(network_id)) = (self.containers.get_mut(id), found) {
            container
                .seen
                .networks
                .insert(network.to_owned(), Endpoint { network_id });
        }
    }
}

fn summary(container: &Container) -> ContainerSummary {
    let (seen, health) = (&container.seen, container.health());
    let suffix = match health {
        Health::Healthy => " (healthy)",
        Health::Starting => " (health: starting)",
        Health::Unhealthy => " (unhealthy)",
        Health::None => "",
    };
    let age = container.started.map_or(3600, |(at, _)| at.elapsed().as_secs());
    let status = match seen.state {
        ContainerState::Running if age == 0 => format!("Up Less than a second{suffix}"),
        ContainerState::Running => format!("Up {age} seconds{suffix}"),
        ContainerState::Exited => format!("Exited ({}) a moment ago", seen.exit_code.unwrap_or(0)),
        ContainerState::Restarting => format!("Restarting ({}) a moment ago", seen.exit_code.unwrap_or(0)),
        _ => "Created".to_owned(),
    };
    ContainerSummary {
        id: seen.id.clone(),
        name: seen.name.clone(),
        project: seen.label(labels::PROJECT).map(str::to_owned),
        service: seen.service().map(str::to_owned),
        rev: seen
            .label(labels::WF_REV)
            .and_then(|text| text.parse().ok())
            .map(Rev),
        image: seen.image.clone(),
        state: seen.state,
        health,
        exit_code: seen.exit_code,
        status,
        ports: if seen.is_up() {
            container.ports.clone()
        } else {
            Vec::new()
        },
        created_at: Timestamp::from_millis(seen.created.saturating_mul(1000)),
    }
}
