//! The smaller objects of a service.

use crate::model::{Bytes, Extensions, FileMode, OptionalValues, Span, Values, canonical, is_default};
use crate::units;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One dependency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dependency {
    /// What to wait for.
    #[serde(default)]
    pub condition: Condition,
    /// True: the dependant restarts when the dependency is recreated or restarted by compose.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: bool,
    /// False: a missing or failed dependency is only a warning.
    #[serde(default = "yes")]
    pub required: bool,
    /// `x-*` keys.
    #[serde(flatten)]
    pub extensions: Extensions,
}

const fn yes() -> bool {
    true
}

/// What to wait for before the dependant starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// The dependency has started.
    #[default]
    #[serde(rename = "service_started")]
    Started,
    /// Its health check passes.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// It has ended with exit code 0.
    #[serde(rename = "service_completed_successfully")]
    CompletedSuccessfully,
}

impl Condition {
    /// The word of the Compose file (also used in the `depends_on` label).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::CompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// If it is not there.
    Missing,
    /// On every `up`.
    Always,
    /// Never.
    Never,
    /// Not pulled but built, on every `up`.
    Build,
    /// If the last pull is older than this.
    Every(Duration),
}

impl PullPolicy {
    pub(crate) fn parse(text: &str) -> Self {
        const DAY: u64 = 24 * 60 * 60;
        match text {
            "always" => Self::Always,
            "never" => Self::Never,
            "build" => Self::Build,
            "daily" => Self::Every(Duration::from_secs(DAY)),
            "weekly" => Self::Every(Duration::from_secs(7 * DAY)),
            _ => text
                .strip_prefix("every_")
                .and_then(|span| units::parse_duration(span).ok())
                .map_or(Self::Missing, |nanos| Self::Every(Span(nanos).to_std())),
        }
    }
}

canonical! {
    /// A health check. `test` begins with `CMD`, `CMD-SHELL` or `NONE`.
    pub struct Healthcheck {
        /// The probe. Absent: the image's.
        pub test: Option<Vec<String>>,
        /// Time for one probe.
        pub timeout: Option<Span>,
        /// Time between probes.
        pub interval: Option<Span>,
        /// Failures in a row that make it unhealthy.
        pub retries: Option<u64>,
        /// Time in which failures do not count.
        pub start_period: Option<Span>,
        /// Time between probes in the start period (API 1.44).
        pub start_interval: Option<Span>,
        /// True: no health check, not even the image's.
        pub disable: bool,
    }
}

canonical! {
    /// How a service takes part in a network.
    pub struct NetworkAttachment {
        /// Further names.
        pub aliases: Vec<String>,
        /// Options for the driver.
        pub driver_opts: Values,
        /// The highest one gives the default gateway (API 1.48).
        pub gw_priority: i64,
        /// Name of the interface in the container (API 1.49).
        pub interface_name: Option<String>,
        /// Fixed IPv4 address.
        pub ipv4_address: Option<String>,
        /// Fixed IPv6 address.
        pub ipv6_address: Option<String>,
        /// Link-local addresses.
        pub link_local_ips: Vec<String>,
        /// MAC address.
        pub mac_address: Option<String>,
        /// Order of attaching, highest first.
        pub priority: i64,
    }
}

canonical! {
    /// A published port.
    pub struct Port {
        /// Name for people.
        pub name: Option<String>,
        /// `ingress` or `host`.
        pub mode: Option<String>,
        /// Host address to bind to.
        pub host_ip: Option<String>,
        /// Port in the container, 1 to 65535.
        pub target: u32,
        /// Host port or range (`8000-8010`). Absent: the engine chooses.
        pub published: Option<String>,
        /// `tcp`, `udp` or `sctp`.
        pub protocol: Option<String>,
        /// Protocol of the application.
        pub app_protocol: Option<String>,
    }
}

canonical! {
    /// A secret or config that is given to a container as a file.
    pub struct FileReference {
        /// Key of the secret or config.
        pub source: String,
        /// Path in the container. Absent for a config: `/SOURCE`.
        pub target: Option<String>,
        /// Owner.
        pub uid: Option<String>,
        /// Group.
        pub gid: Option<String>,
        /// Permission bits.
        pub mode: Option<FileMode>,
    }
}

/// A resource limit of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ulimit {
    /// One value for both.
    Single(i64),
    /// Soft and hard limit.
    Range {
        /// Soft limit; -1 is unlimited.
        soft: i64,
        /// Hard limit; -1 is unlimited.
        hard: i64,
    },
}

canonical! {
    /// A host device.
    pub struct Device {
        /// Path on the host, or CDI name.
        pub source: String,
        /// Path in the container.
        pub target: Option<String>,
        /// Cgroup permissions out of `rwm`.
        pub permissions: Option<String>,
    }
}

canonical! {
    /// Logging.
    pub struct Logging {
        /// Driver; absent means the engine's default.
        pub driver: Option<String>,
        /// Options for the driver.
        pub options: Values,
    }
}

canonical! {
    /// Block IO limits.
    pub struct BlkioConfig {
        /// Relative weight, 10 to 1000.
        pub weight: u16,
        /// Weights by device.
        pub weight_device: Vec<WeightDevice>,
        /// Read limits, bytes a second.
        pub device_read_bps: Vec<ThrottleDevice>,
        /// Read limits, operations a second.
        pub device_read_iops: Vec<ThrottleDevice>,
        /// Write limits, bytes a second.
        pub device_write_bps: Vec<ThrottleDevice>,
        /// Write limits, operations a second.
        pub device_write_iops: Vec<ThrottleDevice>,
    }
}

canonical! {
    /// Weight of a device.
    pub struct WeightDevice {
        /// Device.
        pub path: String,
        /// Relative weight, 10 to 1000.
        pub weight: u16,
    }
}

canonical! {
    /// Limit of a device.
    pub struct ThrottleDevice {
        /// Device.
        pub path: String,
        /// Limit a second.
        pub rate: Bytes,
    }
}

canonical! {
    /// A command around the life of a container.
    pub struct Hook {
        /// Image of a `pre_start` hook; absent means the service's.
        pub image: Option<String>,
        /// Command.
        pub command: Option<Vec<String>>,
        /// User.
        pub user: Option<String>,
        /// True for all privileges.
        pub privileged: bool,
        /// Working directory.
        pub working_dir: Option<String>,
        /// Environment.
        pub environment: OptionalValues,
        /// True: a `pre_start` hook runs for every replica.
        pub per_replica: bool,
    }
}

canonical! {
    /// A program that carries a service out.
    pub struct Provider {
        /// Name of the program.
        pub r#type: String,
        /// Its options.
        pub options: std::collections::BTreeMap<String, Vec<String>>,
    }
}

canonical! {
    /// Windows credentials.
    pub struct CredentialSpec {
        /// Config that holds them.
        pub config: Option<String>,
        /// File that holds them.
        pub file: Option<String>,
        /// Registry key that holds them.
        pub registry: Option<String>,
    }
}

canonical! {
    /// Variables by which a service learns of a model.
    pub struct ServiceModel {
        /// Variable for the endpoint.
        pub endpoint_var: Option<String>,
        /// Variable for the name.
        pub model_var: Option<String>,
    }
}

canonical! {
    /// Development settings.
    pub struct Develop {
        /// File watchers.
        pub watch: Vec<Watch>,
    }
}

canonical! {
    /// A file watcher.
    pub struct Watch {
        /// Absolute path to watch.
        pub path: String,
        /// `rebuild`, `sync`, `restart`, `sync+restart` or `sync+exec`.
        pub action: String,
        /// Where changed files go in the container.
        pub target: Option<String>,
        /// Command after a change.
        pub exec: Hook,
        /// Patterns to take.
        pub include: Vec<String>,
        /// Patterns to leave out.
        pub ignore: Vec<String>,
        /// True: files are copied once at the start.
        pub initial_sync: bool,
    }
}

canonical! {
    /// A file of environment variables.
    pub struct EnvFile {
        /// Absolute path.
        pub path: String,
        /// False: it may be missing.
        pub required: bool,
        /// `raw`: no quotes, comments or expansion.
        pub format: Option<String>,
    }
}
