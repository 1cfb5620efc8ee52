//! Names and labels as Prometheus wants them, and its text format. What shows samples to others (`/metrics` of controller and
//! agent, remote write) takes its names from here.

use std::fmt::Write as _;

use super::{KNOWN, Kind, Known, Sample, Scope, Subject, Unit};

/// Name of the series that says when a host was last measured, in seconds since 1970.
pub const SAMPLE_TIME: &str = "windflow_host_sample_time_seconds";

/// Labels that samples have: nobody may add others of these names.
pub const LABELS: &[&str] = &[
    "agent",
    "container",
    "device",
    "host",
    "interface",
    "mount",
    "name",
    "sensor",
    "service",
    "stack",
];

/// A label: its name and its value.
pub type Label<'a> = (&'static str, &'a str);

impl Known {
    /// The name that Prometheus expects: base units, and `_total` behind what only rises.
    #[must_use]
    pub fn exposed(&self) -> String {
        let base = match self.unit {
            Unit::Milliseconds => self.name.trim_end_matches("_ms").to_owned() + "_seconds",
            Unit::Microseconds => self.name.trim_end_matches("_us").to_owned() + "_seconds",
            Unit::Millidegrees => self.name.trim_end_matches("_millidegrees").to_owned() + "_celsius",
            Unit::Count | Unit::Bytes | Unit::Hundredths => self.name.to_owned(),
        };
        match self.kind {
            Kind::Counter => format!("windflow_{base}_total"),
            Kind::Gauge => format!("windflow_{base}"),
        }
    }
}

/// The labels that say which disk, interface, container; the values may be empty.
#[must_use]
pub fn labels(scope: Scope, subject: &Subject) -> Vec<Label<'_>> {
    let key = subject.key.as_str();
    match scope {
        Scope::Host | Scope::Other(_) => Vec::new(),
        Scope::Disk => vec![("device", key)],
        Scope::Filesystem => vec![("mount", key)],
        Scope::Network => vec![("interface", key)],
        Scope::Temperature => vec![("sensor", key)],
        Scope::Container => vec![
            ("container", key),
            ("name", &subject.name),
            ("stack", &subject.stack),
            ("service", &subject.service),
        ],
    }
}

/// Writes the newest samples of hosts, each with the labels of its host.
pub fn write_samples(out: &mut String, hosts: &[(Vec<Label<'_>>, &Sample)]) {
    if !hosts.is_empty() {
        write_head(
            out,
            SAMPLE_TIME,
            Kind::Gauge,
            "When the newest sample of the host was taken, in seconds since 1970.",
        );
    }
    for (host, sample) in hosts {
        write_row(out, SAMPLE_TIME, host, &[], sample.at_ms as f64 / 1_000.0);
    }
    for known in KNOWN {
        let name = known.exposed();
        let mut headed = false;
        for (host, sample) in hosts {
            let groups = sample.layout.placed();
            for (at, group) in groups.filter(|(_, group)| group.scope == known.scope) {
                let column = group.metrics.iter().position(|metric| *metric == known.metric);
                let Some(value) = column.and_then(|column| sample.values.get(at + column)) else {
                    continue;
                };
                if !std::mem::replace(&mut headed, true) {
                    write_head(out, &name, known.kind, known.help);
                }
                let value = *value as f64 / known.unit.per_base();
                write_row(out, &name, host, &labels(group.scope, &group.subject), value);
            }
        }
    }
}

/// Writes what a metric is.
pub fn write_head(out: &mut String, name: &str, kind: Kind, help: &str) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    // Writing to a String does not fail, here and below.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Writes a value with its labels.
pub fn write_row(out: &mut String, name: &str, host: &[Label<'_>], subject: &[Label<'_>], value: f64) {
    out.push_str(name);
    let mut before = '{';
    for (label, value) in host.iter().chain(subject) {
        let _ = write!(out, "{before}{label}=\"{}\"", escaped(value));
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::{Group, Layout, Metric};

    #[test]
    fn names_as_prometheus_wants_them() {
        let check = |from: &str, to: &str| {
            let known = KNOWN.iter().find(|known| known.name == from).unwrap();
            assert_eq!(known.exposed(), to);
        };
        check("cpu_user_ms", "windflow_cpu_user_seconds_total");
        check("memory_total_bytes", "windflow_memory_total_bytes");
        check("container_cpu_us", "windflow_container_cpu_seconds_total");
        check("temperature_millidegrees", "windflow_temperature_celsius");
        check("load_1", "windflow_load_1");
        for known in KNOWN {
            let name = known.exposed();
            let fits = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
            assert!(name.bytes().all(fits), "{name}");
            for (label, _) in labels(known.scope, &Subject::default()) {
                assert!(LABELS.contains(&label), "{label}");
            }
        }
        assert!(LABELS.is_sorted());
    }

    #[test]
    fn samples_as_text() {
        let layout = Layout {
            groups: vec![
                Group {
                    scope: Scope::Host,
                    subject: Subject::default(),
                    metrics: vec![Metric::LOAD_1],
                },
                Group {
                    scope: Scope::Disk,
                    subject: Subject::plain("a\"b\\c\nd"),
                    metrics: vec![Metric::DISK_READ],
                },
            ],
        };
        let sample = Sample {
            seq: 1,
            at_ms: 1_500,
            layout: Arc::new(layout),
            values: vec![150, 7],
        };
        let mut text = String::new();
        write_samples(&mut text, &[(vec![("host", "one")], &sample), (vec![], &sample)]);
        let rows: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "windflow_host_sample_time_seconds{host=\"one\"} 1.5",
            "windflow_host_sample_time_seconds 1.5",
            "windflow_load_1{host=\"one\"} 1.5",
            "windflow_load_1 1.5",
            "windflow_disk_read_bytes_total{host=\"one\",device=\"a\\\"b\\\\c\\nd\"} 7",
            "windflow_disk_read_bytes_total{device=\"a\\\"b\\\\c\\nd\"} 7",
        ];
        assert_eq!(rows, expected);
        assert_eq!(text.matches("# TYPE windflow_load_1 gauge\n").count(), 1);
    }
}
