//! What the link has done since the start, for `/metrics`.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

/// A number that is only ever shown.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: usize) {
        let value = u64::try_from(value).unwrap_or(u64::MAX);
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Handshakes and greetings in progress.
    pub(super) handshakes: Count,
    pub(super) begun: Count,
    pub(super) proofs: Count,
    pub(super) refused_source: Count,
    pub(super) failed: Count,
    pub(super) late: Count,
    pub(super) greeted: Count,
    pub(super) denied: Count,
    pub(super) joined: Count,
    pub(super) joins_later: Count,
    pub(super) joins_refused: Count,
}

impl Figures {
    /// In the text format of Prometheus.
    pub(super) fn text(&self) -> String {
        let begun = "windflow_link_handshakes_total";
        let rows: [(&str, &str, &str, &str, &Count); 11] = [
            (
                "gauge",
                "windflow_link_handshakes",
                "",
                "Handshakes and greetings in progress.",
                &self.handshakes,
            ),
            (
                "counter",
                begun,
                "{end=\"begun\"}",
                "First packets of hosts, by what was done with them.",
                &self.begun,
            ),
            ("", begun, "{end=\"address_to_prove\"}", "", &self.proofs),
            ("", begun, "{end=\"refused_source\"}", "", &self.refused_source),
            ("", begun, "{end=\"failed\"}", "", &self.failed),
            ("", begun, "{end=\"late\"}", "", &self.late),
            (
                "counter",
                "windflow_link_sessions_total",
                "",
                "Hosts that were let in.",
                &self.greeted,
            ),
            (
                "counter",
                "windflow_link_denied_total",
                "",
                "Hosts that were refused by name.",
                &self.denied,
            ),
            (
                "counter",
                "windflow_link_joins_total",
                "{end=\"joined\"}",
                "Requests in the lane of joining.",
                &self.joined,
            ),
            (
                "",
                "windflow_link_joins_total",
                "{end=\"sent_away\"}",
                "",
                &self.joins_later,
            ),
            (
                "",
                "windflow_link_joins_total",
                "{end=\"refused\"}",
                "",
                &self.joins_refused,
            ),
        ];
        let mut text = String::new();
        for (kind, name, labels, help, count) in rows {
            // Writing to a String does not fail.
            if !kind.is_empty() {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            }
            let _ = writeln!(text, "{name}{labels} {}", count.get());
        }
        text
    }
}
