//! One service of a project.

mod mount;
mod parts;

pub use mount::{BindOptions, ImageOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};
pub use parts::{
    BlkioConfig, Condition, CredentialSpec, Dependency, Develop, Device, EnvFile, FileReference, Healthcheck,
    Hook, Logging, NetworkAttachment, Port, Provider, PullPolicy, ServiceModel, ThrottleDevice, Ulimit,
    Watch, WeightDevice,
};

use super::{Build, Bytes, Deploy, DeviceRequest, OptionalValues, Span, Values, canonical};
use std::collections::BTreeMap;

canonical! {
    /// A service. Absent text is `None`; absent numbers are 0 where 0 means "not set" to the engine.
    pub struct Service {
        /// Profiles that switch the service on; empty means always on.
        pub profiles: Vec<String>,
        /// Annotations of the container (API 1.43).
        pub annotations: Values,
        /// False: `up` does not follow its logs.
        pub attach: Option<bool>,
        /// How to build the image.
        pub build: Option<Build>,
        /// Development settings (understood, not carried out).
        pub develop: Option<Develop>,
        /// Block IO limits.
        pub blkio_config: Option<BlkioConfig>,
        /// Capabilities to add.
        pub cap_add: Vec<String>,
        /// Capabilities to drop.
        pub cap_drop: Vec<String>,
        /// Parent cgroup.
        pub cgroup_parent: Option<String>,
        /// Cgroup namespace: `host` or `private`.
        pub cgroup: Option<String>,
        /// Usable CPUs (Windows).
        pub cpu_count: i64,
        /// Usable CPU percentage (Windows).
        pub cpu_percent: f64,
        /// CFS period, µs.
        pub cpu_period: i64,
        /// CFS quota, µs.
        pub cpu_quota: i64,
        /// Real-time period, µs.
        pub cpu_rt_period: i64,
        /// Real-time runtime, µs.
        pub cpu_rt_runtime: i64,
        /// Number of CPUs.
        pub cpus: f64,
        /// CPUs in which it may run: `0-3`, `0,1`.
        pub cpuset: Option<String>,
        /// Relative CPU weight.
        pub cpu_shares: i64,
        /// Command. `None` leaves the image's, an empty list clears it.
        pub command: Option<Vec<String>>,
        /// Configs given as files.
        pub configs: Vec<FileReference>,
        /// Exact name of the container.
        pub container_name: Option<String>,
        /// Windows credentials.
        pub credential_spec: Option<CredentialSpec>,
        /// What must be up before, explicit and implied (links, `service:` references, volumes_from).
        pub depends_on: BTreeMap<String, Dependency>,
        /// Deployment settings.
        pub deploy: Option<Deploy>,
        /// Device cgroup rules.
        pub device_cgroup_rules: Vec<String>,
        /// Host devices. A CDI name stands in both source and target.
        pub devices: Vec<Device>,
        /// DNS servers.
        pub dns: Vec<String>,
        /// DNS options.
        pub dns_opt: Vec<String>,
        /// DNS search domains.
        pub dns_search: Vec<String>,
        /// Domain name.
        pub domainname: Option<String>,
        /// Entry point. `None` leaves the image's, an empty list clears it.
        pub entrypoint: Option<Vec<String>>,
        /// What carries the service out instead of a container (understood, refused by name).
        pub provider: Option<Provider>,
        /// Environment, env_file included. `None` unsets the variable of the image.
        pub environment: OptionalValues,
        /// Files of variables that were not read, because the load was asked not to read them.
        pub env_file: Vec<EnvFile>,
        /// Ports that are open to the project's networks: `80`, `80-90/udp`.
        pub expose: Vec<String>,
        /// Links to containers outside the project: `CONTAINER[:ALIAS]`.
        pub external_links: Vec<String>,
        /// Host entries as `host=ip`, sorted.
        pub extra_hosts: Vec<String>,
        /// GPUs.
        pub gpus: Vec<DeviceRequest>,
        /// Further groups of the process.
        pub group_add: Vec<String>,
        /// Host name.
        pub hostname: Option<String>,
        /// Health check.
        pub healthcheck: Option<Healthcheck>,
        /// Image. Absent for a service that is only built: its name is then `{project}-{service}`.
        pub image: Option<String>,
        /// Whether an init process runs.
        pub init: Option<bool>,
        /// IPC namespace: `host`, `shareable`, `service:NAME`, …
        pub ipc: Option<String>,
        /// Isolation technology (Windows).
        pub isolation: Option<String>,
        /// Labels of the container, label_file included.
        pub labels: Values,
        /// Files of labels that were not read, because the load was asked not to read them.
        pub label_file: Vec<String>,
        /// Links: `SERVICE[:ALIAS]`.
        pub links: Vec<String>,
        /// Logging.
        pub logging: Option<Logging>,
        /// Memory limit.
        pub mem_limit: Bytes,
        /// Memory that is guaranteed.
        pub mem_reservation: Bytes,
        /// Memory and swap together; -1 is unlimited.
        pub memswap_limit: Bytes,
        /// 0 to 100.
        pub mem_swappiness: Bytes,
        /// MAC address on the first network.
        pub mac_address: Option<String>,
        /// Language models in use.
        pub models: BTreeMap<String, Option<ServiceModel>>,
        /// Network mode: `host`, `none`, `bridge`, `service:NAME`, `container:NAME`. Excludes `networks`.
        pub network_mode: Option<String>,
        /// Networks to join by key.
        pub networks: BTreeMap<String, Option<NetworkAttachment>>,
        /// True: the OOM killer spares the container.
        pub oom_kill_disable: bool,
        /// -1000 to 1000.
        pub oom_score_adj: i64,
        /// PID namespace: `host`, `service:NAME`, `container:NAME`.
        pub pid: Option<String>,
        /// Most processes; -1 is unlimited.
        pub pids_limit: i64,
        /// Platform: `os[/arch[/variant]]`.
        pub platform: Option<String>,
        /// Published ports.
        pub ports: Vec<Port>,
        /// True for all privileges.
        pub privileged: bool,
        /// When to pull; see [`Service::pull`].
        pub pull_policy: Option<String>,
        /// Accepted by the language, used by nothing.
        pub pull_refresh_after: Option<String>,
        /// True: the root file system is read-only.
        pub read_only: bool,
        /// `no`, `always`, `on-failure[:N]`, `unless-stopped`.
        pub restart: Option<String>,
        /// Runtime, such as `runc`.
        pub runtime: Option<String>,
        /// Number of containers; see [`Service::replicas`].
        pub scale: Option<u32>,
        /// Secrets given as files.
        pub secrets: Vec<FileReference>,
        /// Security options.
        pub security_opt: Vec<String>,
        /// Size of `/dev/shm`.
        pub shm_size: Bytes,
        /// True: stdin stays open.
        pub stdin_open: bool,
        /// Time from the stop signal to the kill.
        pub stop_grace_period: Option<Span>,
        /// Stop signal.
        pub stop_signal: Option<String>,
        /// Storage driver options.
        pub storage_opt: Values,
        /// Kernel parameters.
        pub sysctls: Values,
        /// tmpfs mounts: `PATH[:OPTIONS]`.
        pub tmpfs: Vec<String>,
        /// True for a terminal.
        pub tty: bool,
        /// Resource limits by name.
        pub ulimits: BTreeMap<String, Ulimit>,
        /// True: the engine's socket is mounted (refused by name unless the host's policy allows it).
        pub use_api_socket: bool,
        /// User of the process.
        pub user: Option<String>,
        /// User namespace mode.
        pub userns_mode: Option<String>,
        /// UTS namespace mode.
        pub uts: Option<String>,
        /// Mounts.
        pub volumes: Vec<Mount>,
        /// Mounts of others: `SERVICE[:ro|rw]`, `container:NAME[:ro|rw]`.
        pub volumes_from: Vec<String>,
        /// Working directory.
        pub working_dir: Option<String>,
        /// Commands in containers of their own before the start.
        pub pre_start: Vec<Hook>,
        /// Commands in the container after its start.
        pub post_start: Vec<Hook>,
        /// Commands in the container before its stop.
        pub pre_stop: Vec<Hook>,
    }
}

impl Service {
    /// Number of containers that the service wants: `scale`, else `deploy.replicas`, else 1.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.scale
            .or_else(|| self.deploy.as_ref().and_then(|deploy| deploy.replicas))
            .unwrap_or(1)
    }

    /// Whether the engine starts its containers again whenever they end by themselves.
    #[must_use]
    pub fn is_always_restarted(&self) -> bool {
        matches!(self.restart.as_deref(), Some("always" | "unless-stopped"))
    }

    /// The pull policy; a service without one pulls what is missing.
    #[must_use]
    pub fn pull(&self) -> PullPolicy {
        self.pull_policy
            .as_deref()
            .map_or(PullPolicy::Missing, PullPolicy::parse)
    }

    /// The networks in the order in which compose attaches them: highest `priority` first, then by key.
    #[must_use]
    pub fn networks_by_priority(&self) -> Vec<&str> {
        let mut keys: Vec<(i64, &str)> = self
            .networks
            .iter()
            .map(|(key, attachment)| (attachment.as_ref().map_or(0, |a| a.priority), key.as_str()))
            .collect();
        keys.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        keys.into_iter().map(|(_, key)| key).collect()
    }
}
