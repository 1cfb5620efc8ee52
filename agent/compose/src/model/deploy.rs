//! The `deploy` section of a service.

use super::{Bytes, Span, Values, canonical};

canonical! {
    /// Deployment settings. Outside Swarm only replicas, resources and the restart policy have an effect.
    pub struct Deploy {
        /// `replicated` or `global` (Swarm).
        pub mode: Option<String>,
        /// Number of containers.
        pub replicas: Option<u32>,
        /// Labels of the Swarm service.
        pub labels: Values,
        /// Rolling update settings (Swarm).
        pub update_config: Option<UpdateConfig>,
        /// Rollback settings (Swarm).
        pub rollback_config: Option<UpdateConfig>,
        /// Limits and reservations.
        pub resources: Resources,
        /// When to restart.
        pub restart_policy: Option<RestartPolicy>,
        /// Where to run (Swarm).
        pub placement: Placement,
        /// `vip` or `dnsrr` (Swarm).
        pub endpoint_mode: Option<String>,
    }
}

canonical! {
    /// Rolling update or rollback settings.
    pub struct UpdateConfig {
        /// Containers at a time; 0 means all.
        pub parallelism: Option<u64>,
        /// Pause between groups.
        pub delay: Span,
        /// `continue`, `pause` or `rollback`.
        pub failure_action: Option<String>,
        /// Time to watch a task for failure.
        pub monitor: Span,
        /// Failure rate to bear, 0 to 1.
        pub max_failure_ratio: f64,
        /// `start-first` or `stop-first`.
        pub order: Option<String>,
    }
}

canonical! {
    /// Limits and reservations.
    pub struct Resources {
        /// Upper limits.
        pub limits: Option<Limit>,
        /// Guaranteed amounts.
        pub reservations: Option<Reservation>,
    }
}

canonical! {
    /// Upper limits of a container.
    pub struct Limit {
        /// Number of CPUs.
        pub cpus: f64,
        /// Memory.
        pub memory: Bytes,
        /// Number of processes.
        pub pids: i64,
    }
}

canonical! {
    /// What a container is guaranteed.
    pub struct Reservation {
        /// Number of CPUs (Swarm only).
        pub cpus: f64,
        /// Memory.
        pub memory: Bytes,
        /// Number of processes.
        pub pids: i64,
        /// Devices.
        pub devices: Vec<DeviceRequest>,
        /// User-defined resources (Swarm).
        pub generic_resources: Vec<GenericResource>,
    }
}

canonical! {
    /// A request for devices, such as GPUs.
    pub struct DeviceRequest {
        /// Capabilities that the device needs to have.
        pub capabilities: Vec<String>,
        /// Driver.
        pub driver: Option<String>,
        /// Number of devices; -1 means all. 0 means that `device_ids` tells them.
        pub count: i64,
        /// Ids of the devices.
        pub device_ids: Vec<String>,
        /// Options for the driver.
        pub options: Values,
    }
}

canonical! {
    /// A user-defined resource.
    pub struct GenericResource {
        /// The countable kind.
        pub discrete_resource_spec: Option<DiscreteResource>,
    }
}

canonical! {
    /// A countable user-defined resource.
    pub struct DiscreteResource {
        /// Name of the kind.
        pub kind: String,
        /// How many.
        pub value: i64,
    }
}

canonical! {
    /// When a container is started again.
    pub struct RestartPolicy {
        /// `none`, `on-failure` or `any`.
        pub condition: Option<String>,
        /// Pause before a restart.
        pub delay: Option<Span>,
        /// Attempts before giving up.
        pub max_attempts: Option<u64>,
        /// Time after which a start counts as good.
        pub window: Option<Span>,
    }
}

canonical! {
    /// Where replicas run.
    pub struct Placement {
        /// Constraints such as `node.role==manager`.
        pub constraints: Vec<String>,
        /// Preferences.
        pub preferences: Vec<PlacementPreference>,
        /// Most replicas on one node.
        pub max_replicas_per_node: u64,
    }
}

canonical! {
    /// How replicas are spread.
    pub struct PlacementPreference {
        /// Node label over whose values they are spread.
        pub spread: String,
    }
}
