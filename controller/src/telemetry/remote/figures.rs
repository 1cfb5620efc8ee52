//! Figures of remote write, for `/metrics`.

use std::{
    fmt::Write as _,
    sync::{Mutex, MutexGuard},
};

use windflow_model::metrics::{Kind, text::write_head};

use crate::app::lock;

/// What was done since the start; nothing where remote write is off.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Figures(Mutex<Count>);

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count {
    /// Whether remote write is on.
    pub(super) on: bool,
    /// Values that were taken by the store.
    pub(super) sent: u64,
    /// Bytes of the bodies of requests that were taken.
    pub(super) bytes: u64,
    /// Requests that were taken.
    pub(super) requests: u64,
    /// Requests that failed and are sent again.
    pub(super) failed: u64,
    /// Values that the store refused.
    pub(super) refused: u64,
    /// Values that were too old to be sent when the store came back.
    pub(super) too_old: u64,
    /// Hosts with samples that are not written.
    pub(super) hosts_waiting: u64,
    /// How far behind its newest sample the host is that waits longest, in milliseconds.
    pub(super) waiting_ms: i64,
    /// When a request was taken last, in milliseconds since 1970.
    pub(super) last_ms: i64,
}

impl Figures {
    pub(super) fn change(&self) -> MutexGuard<'_, Count> {
        lock(&self.0)
    }

    /// As text; empty where remote write is off.
    pub(in crate::telemetry) fn text(&self) -> String {
        let count = *lock(&self.0);
        let mut text = String::new();
        if !count.on {
            return text;
        }
        let mut rows = |name: &str, kind, help: &str, rows: &[(&str, f64)]| {
            let name = format!("windflow_remote_write_{name}");
            write_head(&mut text, &name, kind, help);
            for (labels, value) in rows {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let counted = [
            ("values_total", "Values that the store took.", count.sent),
            ("bytes_total", "Bytes of the requests that it took.", count.bytes),
            ("requests_total", "Requests that it took.", count.requests),
            (
                "failures_total",
                "Requests that failed and were sent again.",
                count.failed,
            ),
        ];
        for (name, help, value) in counted {
            rows(name, Kind::Counter, help, &[("", value as f64)]);
        }
        let dropped = [
            ("{reason=\"refused\"}", count.refused as f64),
            ("{reason=\"too_old\"}", count.too_old as f64),
        ];
        rows(
            "dropped_values_total",
            Kind::Counter,
            "Values that the store will not get.",
            &dropped,
        );
        let gauges = [
            (
                "waiting_hosts",
                "Hosts with samples that are not written yet.",
                count.hosts_waiting as f64,
            ),
            (
                "waiting_seconds",
                "Time between the newest sample of the host that waits longest and what of it was written.",
                count.waiting_ms as f64 / 1_000.0,
            ),
            (
                "last_success_timestamp_seconds",
                "When the store took a request last, in seconds since 1970; 0 for never.",
                count.last_ms as f64 / 1_000.0,
            ),
        ];
        for (name, help, value) in gauges {
            rows(name, Kind::Gauge, help, &[("", value)]);
        }
        text
    }
}
