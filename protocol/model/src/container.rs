//! Containers as WindFlow speaks of them. Engine strings become these types in exactly one place per target.

use serde::{Deserialize, Serialize};

use crate::{doc::Document, revision::Rev, time::Timestamp};

/// Life of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Created, never started.
    Created,
    /// Running.
    Running,
    /// Running but frozen.
    Paused,
    /// Between two runs by its restart policy.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// The engine could not end or remove it.
    Dead,
    /// The engine used a word this build does not know.
    Unknown,
}

/// Result of the container's own health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is no health check.
    None,
    /// Within its start period.
    Starting,
    /// The last check passed.
    Healthy,
    /// The last checks failed.
    Unhealthy,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PortBinding {
    /// Address on the host; empty or `0.0.0.0` means all.
    pub host_ip: String,
    /// Port on the host.
    pub host_port: u16,
    /// Port in the container.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContainerSummary {
    /// The engine's full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Compose project, if it belongs to one.
    #[serde(default)]
    pub project: Option<String>,
    /// Compose service, if it belongs to one.
    #[serde(default)]
    pub service: Option<String>,
    /// The WindFlow revision that made it, if WindFlow did.
    #[serde(default)]
    pub rev: Option<Rev>,
    /// Image reference as given at creation.
    pub image: String,
    /// Life.
    pub state: ContainerState,
    /// Health.
    pub health: Health,
    /// Exit code if it has exited.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// The engine's status line, e.g. `Up 3 minutes (healthy)`.
    #[serde(default)]
    pub status: String,
    /// Published ports.
    #[serde(default)]
    pub ports: Vec<PortBinding>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// All containers of a host at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContainerList {
    /// Containers sorted by project, service, name.
    pub containers: Vec<ContainerSummary>,
}

impl Document for ContainerList {
    const NAME: &'static str = "container list";
    const SCHEMA: u16 = 1;
}
