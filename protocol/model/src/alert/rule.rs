//! Rules: of what an alert is made.

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::{
    doc::Document,
    id::{ChannelId, RuleId, StackId, UserId},
    rollout::Targets,
    time::Timestamp,
};

/// On which side of a threshold a value is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = AlertCompare))]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

impl Compare {
    /// Whether a value is on this side of a threshold.
    #[must_use]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::Below => value < threshold,
        }
    }

    /// `above` or `below`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

/// Which containers are meant. What says nothing fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = AlertContainers))]
#[serde(default, deny_unknown_fields)]
pub struct Containers {
    /// Those of this stack (Compose project).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stack: String,
    /// Those of this service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
}

impl Containers {
    /// Whether a container of this stack and service is meant.
    #[must_use]
    pub fn fits(&self, stack: Option<&str>, service: Option<&str>) -> bool {
        (self.stack.is_empty() || stack == Some(&self.stack))
            && (self.service.is_empty() || service == Some(&self.service))
    }
}

/// When an alert is due. Each host, container, file system, stack, … for which it holds is an alert of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = AlertCondition))]
#[serde(tag = "on", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// A metric is above or below a threshold.
    Metric {
        /// Which: as in questions about the history, e.g. `cpu`, `memory_share`, `filesystem_share`, `container_memory`.
        metric: String,
        /// What of its values within the window: `mean`, `max`, `min`, `last`, `p95`, …
        #[serde(default = "mean")]
        function: String,
        /// Seconds that are looked at, up to now. 30 to 86,400.
        window_s: u32,
        /// On which side it is bad.
        compare: Compare,
        /// The threshold, in the unit of the metric; shares are 0 to 1.
        threshold: f64,
        /// Once an alert is there, the value must be on the other side of this one for it to end; absent: of the threshold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clear: Option<f64>,
        /// Only this disk, file system, interface or container.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        key: String,
        /// Of containers: only these.
        #[serde(default)]
        containers: Containers,
    },
    /// A file system will be full soon, if it goes on as in the window.
    DiskFull {
        /// Seconds that are looked at, up to now. 600 to 86,400.
        window_s: u32,
        /// Soon: within so many seconds. 600 to 2,592,000.
        within_s: u32,
    },
    /// A host is not connected.
    HostOffline,
    /// The container engine of a host that is connected does not answer its agent.
    EngineSilent,
    /// A container's own health check fails.
    ContainerUnhealthy {
        /// Which containers.
        #[serde(default)]
        containers: Containers,
    },
    /// A container has ended with an error, or is being restarted.
    ContainerDown {
        /// Which containers.
        #[serde(default)]
        containers: Containers,
    },
    /// A container ends again and again.
    ContainerRestarts {
        /// At least so many times. 2 to 100.
        times: u32,
        /// Within so many seconds. 60 to 86,400.
        within_s: u32,
        /// Which containers.
        #[serde(default)]
        containers: Containers,
    },
    /// The newest deployment of a stack on a host has failed, or was rolled back.
    DeploymentFailed {
        /// Only of this stack.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stack: Option<StackId>,
    },
    /// The newest rollout of a stack was stopped, rolled back, or waits because something is wrong.
    RolloutFailed {
        /// Only of this stack.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stack: Option<StackId>,
    },
    /// A certificate is near its end: of a host, or of the controller's authority.
    CertificateExpiry {
        /// So near: seconds. 60 to 31,536,000. Certificates of hosts live a day and are renewed after half of it, unless the
        /// controller's settings say otherwise.
        within_s: u32,
    },
    /// Something happened: one of these events.
    Event {
        /// Their names, e.g. `container.out_of_memory`, `agent_removed`.
        kinds: Vec<String>,
        /// The alert ends if it did not happen again for so many seconds. 60 to 86,400.
        hold_s: u32,
        /// Of containers: only these.
        #[serde(default)]
        containers: Containers,
    },
}

fn mean() -> String {
    "mean".to_owned()
}

impl Condition {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Metric { .. } => "metric",
            Self::DiskFull { .. } => "disk_full",
            Self::HostOffline => "host_offline",
            Self::EngineSilent => "engine_silent",
            Self::ContainerUnhealthy { .. } => "container_unhealthy",
            Self::ContainerDown { .. } => "container_down",
            Self::ContainerRestarts { .. } => "container_restarts",
            Self::DeploymentFailed { .. } => "deployment_failed",
            Self::RolloutFailed { .. } => "rollout_failed",
            Self::CertificateExpiry { .. } => "certificate_expiry",
            Self::Event { .. } => "event",
        }
    }
}

/// What a person says of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Unique in the organisation, 1–64 characters.
    pub name: String,
    /// When an alert is due.
    pub condition: Condition,
    /// How bad that is.
    #[serde(default)]
    pub severity: Severity,
    /// On which hosts; absent: on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// Seconds that the condition must hold before the alert fires. 0 to 604,800.
    #[serde(default)]
    pub for_s: u32,
    /// Seconds that it must not hold before the alert ends. 0 to 604,800.
    #[serde(default)]
    pub clear_s: u32,
    /// Who is told; empty: the standard channels.
    #[serde(default)]
    pub channels: Vec<ChannelId>,
    /// For whoever is told: what it means, what to do. At most 4,096 characters.
    #[serde(default)]
    pub note: String,
    /// Whether it is used.
    #[serde(default = "yes")]
    pub enabled: bool,
}

const fn yes() -> bool {
    true
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AlertRule {
    /// Id, never reused.
    pub id: RuleId,
    /// What it says.
    pub spec: RuleSpec,
    /// Since when it is about what it is about; alerts from before are ended.
    pub since: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was saved last.
    pub updated_at: Timestamp,
    /// By whom; absent for those that WindFlow brings along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<UserId>,
}

impl Document for AlertRule {
    const NAME: &'static str = "alert rule";
    const SCHEMA: u16 = 1;
}
