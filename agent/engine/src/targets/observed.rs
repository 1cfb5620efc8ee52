//! What a target sees: plain values, comparable, without engine types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use windflow_model::{ContainerState, Health};

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObserveQuery {
    /// The Compose project.
    pub project: String,
    /// Networks to look up by name besides those with the project's label.
    pub networks: Vec<String>,
    /// Volumes to look up by name besides those with the project's label.
    pub volumes: Vec<String>,
    /// Images to look up.
    pub images: Vec<ImageKey>,
    /// Container names that are wanted: whoever holds one is reported in [`Observed::names`].
    pub names: Vec<String>,
}

/// An image reference as a service writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey(pub String);

/// One moment of one project.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Containers with the project's label.
    pub containers: Vec<ObservedContainer>,
    /// Networks with the project's label, and those asked for by name.
    pub networks: Vec<ObservedNetwork>,
    /// Volumes with the project's label, and those asked for by name.
    pub volumes: Vec<ObservedVolume>,
    /// The images that are there, by the reference asked for.
    pub images: BTreeMap<String, ObservedImage>,
    /// Containers outside the project that hold a wanted name: name to id.
    pub names: BTreeMap<String, String>,
    /// Host ports that running containers outside the project hold.
    pub ports: Vec<ObservedPort>,
}

/// A host port in use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObservedPort {
    /// Address on the host; unspecified means every one.
    pub host_ip: String,
    /// Its number.
    pub port: u16,
    /// `tcp`, `udp`, …
    pub protocol: String,
    /// Name of the container.
    pub container: String,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// The engine's full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Image reference it was created from.
    pub image: String,
    /// Id of that image.
    pub image_id: String,
    /// Life.
    pub state: ContainerState,
    /// Health.
    pub health: Health,
    /// Exit code if it has exited.
    pub exit_code: Option<i64>,
    /// Unix seconds of its creation.
    pub created: i64,
    /// Networks by name.
    pub networks: BTreeMap<String, Endpoint>,
    /// Mounts.
    pub mounts: Vec<ObservedMount>,
    /// What [`Target::settings`](super::Target::settings) told of it, where that was asked for.
    pub settings: Option<BTreeMap<String, serde_json::Value>>,
}

impl ObservedContainer {
    /// A label's value.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// The Compose service.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.label(crate::plan::labels::SERVICE)
    }

    /// The number within its service; 0 if it has none.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.label(crate::plan::labels::NUMBER)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// Whether it is a `run` container.
    #[must_use]
    pub fn is_oneoff(&self) -> bool {
        self.label(crate::plan::labels::ONEOFF)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Whether its process runs, frozen or not.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(
            self.state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
        )
    }
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// Id of the network.
    pub network_id: String,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedMount {
    /// `bind`, `volume`, `tmpfs`, …
    pub kind: String,
    /// Volume name or host path.
    pub source: String,
    /// Path in the container.
    pub target: String,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedNetwork {
    /// The engine's full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Its driver.
    pub driver: String,
    /// What the engine tells of its settings, by Compose key.
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedVolume {
    /// Its name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Its driver.
    pub driver: String,
    /// What the engine tells of its settings, by Compose key.
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObservedImage {
    /// The engine's id (digest of its configuration).
    pub id: String,
    /// Unix seconds of the last time it was tagged, 0 if unknown.
    pub tagged: i64,
    /// Whether its own configuration has a health check.
    pub has_healthcheck: bool,
    /// Paths it declares as volumes.
    pub volumes: Vec<String>,
    /// Its size in bytes on this host, 0 if unknown.
    #[serde(default)]
    pub size: u64,
    /// Variables it sets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Labels it sets.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}
