//! What hosts measure.
//!
//! `GET /api/v1/metrics/live` (server-sent events): every event is named [`LIVE`] and carries a list of [`HostMetrics`],
//! those that are new. While it is open the hosts in it sample as often as it asks.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use windflow_model::{AgentId, Timestamp, metrics::Usage};

/// Name of the events of the live feed.
pub const LIVE: &str = "metrics";

/// The newest of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostMetrics {
    /// The host.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// Age of the values in milliseconds, by the clock of the controller.
    pub age_ms: u64,
    /// Whether that is young enough to be called the present.
    pub fresh: bool,
    /// Samples of this host that never came since the controller started.
    pub lost: u64,
    /// The values.
    #[serde(flatten)]
    pub usage: Usage,
}

/// Of which hosts, and how much.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct MetricsQuery {
    /// Only these hosts; several with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only hosts with these labels, `KEY=VALUE`; several with commas, all of which a host must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// With the containers, disks, file systems and interfaces of each host. Always so if one host is named.
    pub detail: bool,
    /// Of a live feed: milliseconds between two samples of a host, 1000 to 10000; below 10000 for at most 100 hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u32>,
}

/// A question about the history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct MetricsHistoryQuery {
    /// `cpu`, `memory`, `memory_share`, `swap`, `filesystem_share`, or the name of a metric, e.g. `network_sent_bytes`.
    pub metric: String,
    /// `mean` (of what only rises: the rate in a second), `max`, `min`, `last`, `p50`, `p90`, `p95` or `p99`; `mean` if
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Begin; an hour before the end if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// End; now if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Seconds of a step; a hundredth of the time if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_s: Option<u32>,
    /// Only these hosts; several with commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only hosts with these labels, `KEY=VALUE`; several with commas, all of which a host must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only this disk, mount point, interface or container (by its id or its name).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only containers of this Compose project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Only containers of this Compose service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What becomes one series: `series` (each its own), `host`, `stack`, `service` or `all`; `series` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How series become one: `sum`, `mean` or `max`. If absent, shares are averaged and everything else is added up.
    /// Percentiles are always taken over all values together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine: Option<String>,
}

/// An answer from the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricsHistory {
    /// What was asked for.
    pub metric: String,
    /// What of it.
    pub function: String,
    /// Begin of the first step.
    pub from: Timestamp,
    /// Seconds of a step.
    pub step_s: u32,
    /// The series.
    pub series: Vec<MetricsSeries>,
}

/// A series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricsSeries {
    /// The host, if it is of one host.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// Its name.
    #[serde(default)]
    pub host: String,
    /// Disk, mount point, interface, thermometer or container, if it is of one.
    #[serde(default)]
    pub key: String,
    /// Name of the container, if it is of one.
    #[serde(default)]
    pub name: String,
    /// Compose project, if it is of one.
    #[serde(default)]
    pub stack: String,
    /// Compose service, if it is of one.
    #[serde(default)]
    pub service: String,
    /// A value for each step, in bytes, seconds, shares or ones; nothing where nothing was measured.
    pub values: Vec<Option<f64>>,
}
