//! Figures and the newest samples in the text format of Prometheus.

use std::{collections::BTreeMap, fmt::Write as _};

use windflow_model::{
    AgentId,
    metrics::{
        Kind,
        text::{write_head, write_samples},
    },
};

use super::{STALE, Telemetry};
use crate::app::lock;

impl Telemetry {
    /// Figures of the telemetry itself, and the newest of all hosts whose names are given. What is stale is left out.
    #[must_use]
    pub fn text(&self, names: &BTreeMap<AgentId, String>) -> String {
        let mut text = self.own_text();
        text.push_str(&self.0.remote.text());
        let now_ms = self.0.clock.now_ms();
        let stale = i64::try_from(STALE.as_millis()).unwrap_or(i64::MAX);
        let mut hosts = Vec::new();
        for (agent, host) in self.hosts() {
            let host = lock(&host);
            if let (Some(name), Some((_, newest))) = (names.get(&agent), host.pair())
                && now_ms.saturating_sub(host.received_ms) <= stale
            {
                hosts.push((agent.to_string(), name, newest));
            }
        }
        hosts.sort_by(|(a, _, _), (b, _, _)| a.cmp(b));
        let hosts: Vec<_> = hosts
            .iter()
            .map(|(agent, name, newest)| {
                (
                    vec![("agent", agent.as_str()), ("host", name.as_str())],
                    &**newest,
                )
            })
            .collect();
        write_samples(&mut text, &hosts);
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
            write_head(&mut text, name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
        write_head(
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use windflow_model::metrics::{KNOWN, text};

    /// Texts of a document that are questions to a store.
    fn questions(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value {
                        Value::String(text) if matches!(key.as_str(), "expr" | "definition" | "query") => {
                            found.push(text.clone());
                        }
                        _ => questions(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| questions(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_dashboard_asks_for_what_is_written() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/grafana/windflow.json");
        let board: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        let mut asked = Vec::new();
        questions(&board, &mut asked);
        assert!(asked.len() > 20, "{asked:?}");
        let mut names: BTreeSet<String> = KNOWN.iter().map(|known| known.exposed()).collect();
        names.insert(text::SAMPLE_TIME.to_owned());
        for question in asked {
            let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            for name in question.split(word).filter(|word| word.starts_with("windflow_")) {
                assert!(names.contains(name), "{name} of {question:?} is not written");
            }
            // What is grouped by is a label that samples have.
            for group in question
                .split("by (")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                for label in group.split(", ") {
                    assert!(
                        text::LABELS.contains(&label),
                        "{label} of {question:?} is no label"
                    );
                }
            }
        }
    }
}
