//! The newest samples in the text format of Prometheus: counters as they are, in base units.

use std::{collections::BTreeMap, fmt::Write as _};

use windflow_model::{
    AgentId,
    metrics::{KNOWN, Kind, Known, Scope, Subject, Unit},
};

use super::{STALE, Telemetry};
use crate::app::lock;

impl Telemetry {
    /// Figures of the telemetry itself, and the newest of all hosts whose names are given. What is stale is left out.
    #[must_use]
    pub fn text(&self, names: &BTreeMap<AgentId, String>) -> String {
        let mut text = self.own_text();
        let now_ms = self.0.clock.now_ms();
        let stale = i64::try_from(STALE.as_millis()).unwrap_or(i64::MAX);
        let mut hosts = Vec::new();
        for (agent, host) in self.hosts() {
            let host = lock(&host);
            if let (Some(name), Some((_, newest))) = (names.get(&agent), host.pair())
                && now_ms.saturating_sub(host.received_ms) <= stale
            {
                hosts.push((labels(agent, name), newest));
            }
        }
        hosts.sort_by(|(a, _), (b, _)| a.cmp(b));
        for known in KNOWN {
            let mut lines = String::new();
            for (labels, sample) in &hosts {
                for (at, group) in sample
                    .layout
                    .placed()
                    .filter(|(_, group)| group.scope == known.scope)
                {
                    let column = group.metrics.iter().position(|metric| *metric == known.metric);
                    let Some(value) = column.and_then(|column| sample.values.get(at + column)) else {
                        continue;
                    };
                    let value = *value as f64 / known.unit.per_base();
                    let subject = subject(group.scope, &group.subject);
                    // Writing to a String does not fail.
                    let _ = writeln!(lines, "{}{{{labels}{subject}}} {value}", name(known));
                }
            }
            if !lines.is_empty() {
                head(&mut text, &name(known), known.kind, known.help);
                text.push_str(&lines);
            }
        }
        text
    }

    fn own_text(&self) -> String {
        let figures = *lock(&self.0.figures);
        let mut text = String::new();
        let rows = [
            (
                "windflow_metrics_samples_total",
                Kind::Counter,
                "Samples of hosts that came.",
                figures.samples,
            ),
            (
                "windflow_metrics_values_total",
                Kind::Counter,
                "Values in them.",
                figures.values,
            ),
            (
                "windflow_metrics_lost_total",
                Kind::Counter,
                "Samples that never came, by their numbers.",
                self.lost(),
            ),
            (
                "windflow_metrics_writes_total",
                Kind::Counter,
                "Writes of the history, each with its fsync.",
                figures.flushes,
            ),
            (
                "windflow_metrics_write_failures_total",
                Kind::Counter,
                "Writes of the history that failed.",
                figures.failures,
            ),
            (
                "windflow_metrics_block_values_total",
                Kind::Counter,
                "Values that were put into blocks of the history.",
                figures.block_values,
            ),
            (
                "windflow_metrics_disk_bytes",
                Kind::Gauge,
                "Size of the history on disk.",
                figures.bytes,
            ),
        ];
        for (name, kind, help, value) in rows {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
        head(
            &mut text,
            "windflow_metrics_write_seconds",
            Kind::Gauge,
            "How long the last write of the history took.",
        );
        let _ = writeln!(
            text,
            "windflow_metrics_write_seconds {}",
            figures.flush_ms as f64 / 1_000.0
        );
        text
    }

    fn lost(&self) -> u64 {
        self.hosts().iter().map(|(_, host)| lock(host).lost).sum()
    }
}

fn head(text: &mut String, name: &str, kind: Kind, help: &str) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// The name that Prometheus expects: base units, and `_total` behind what only rises.
fn name(known: &Known) -> String {
    let base = match known.unit {
        Unit::Milliseconds => known.name.trim_end_matches("_ms").to_owned() + "_seconds",
        Unit::Microseconds => known.name.trim_end_matches("_us").to_owned() + "_seconds",
        Unit::Millidegrees => known.name.trim_end_matches("_millidegrees").to_owned() + "_celsius",
        Unit::Count | Unit::Bytes | Unit::Hundredths => known.name.to_owned(),
    };
    match known.kind {
        Kind::Counter => format!("windflow_{base}_total"),
        Kind::Gauge => format!("windflow_{base}"),
    }
}

fn labels(agent: AgentId, name: &str) -> String {
    format!("agent=\"{agent}\",host=\"{}\"", escaped(name))
}

fn subject(scope: Scope, subject: &Subject) -> String {
    let key = escaped(&subject.key);
    match scope {
        Scope::Host | Scope::Other(_) => String::new(),
        Scope::Disk => format!(",device=\"{key}\""),
        Scope::Filesystem => format!(",mount=\"{key}\""),
        Scope::Network => format!(",interface=\"{key}\""),
        Scope::Temperature => format!(",sensor=\"{key}\""),
        Scope::Container => format!(
            ",container=\"{key}\",name=\"{}\",stack=\"{}\",service=\"{}\"",
            escaped(&subject.name),
            escaped(&subject.stack),
            escaped(&subject.service)
        ),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_as_prometheus_wants_them() {
        let check = |from: &str, to: &str| {
            let known = KNOWN.iter().find(|known| known.name == from).unwrap();
            assert_eq!(name(known), to);
        };
        check("cpu_user_ms", "windflow_cpu_user_seconds_total");
        check("memory_total_bytes", "windflow_memory_total_bytes");
        check("container_cpu_us", "windflow_container_cpu_seconds_total");
        check("temperature_millidegrees", "windflow_temperature_celsius");
        check("load_1", "windflow_load_1");
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        for known in KNOWN {
            let name = name(known);
            assert!(
                name.bytes()
                    .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()),
                "{name}"
            );
        }
    }
}
