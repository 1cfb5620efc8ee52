//! Simulated samples: as many columns as an ordinary host has, moving as an ordinary host's do.

use std::{sync::Arc, time::Duration};

use windflow_kit::Random;
use windflow_model::metrics::{Group, KNOWN, Layout, Metric, Sample, Scope, Subject};
use windflow_protocol::{AgentFrame, metrics::Encoder};

use crate::{figures::Row, profile::real, run::Running};

/// What was begun before is done by then.
const SETTLE: Duration = Duration::from_secs(3);

/// Pace of all hosts; nothing is measured without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Between two samples of a host.
    pub(crate) every: Duration,
    /// Samples in a frame.
    pub(crate) together: usize,
}

/// What one host measures.
pub(crate) struct Meter {
    random: Random,
    layout: Arc<Layout>,
    values: Vec<i64>,
    seq: u64,
    waiting: Vec<Arc<Sample>>,
    encoder: Encoder,
    next: Option<Duration>,
}

/// What a host with one disk, one file system, one interface and `containers` containers has to tell.
pub(crate) fn layout(containers: usize) -> Arc<Layout> {
    let of = |scope: Scope, subject: Subject| Group {
        scope,
        subject,
        metrics: KNOWN
            .iter()
            .filter(|known| known.scope == scope)
            .map(|known| known.metric)
            .collect(),
    };
    let mut groups = vec![
        of(Scope::Host, Subject::default()),
        of(Scope::Disk, Subject::plain("vda")),
        of(Scope::Filesystem, Subject::plain("/")),
        of(Scope::Network, Subject::plain("eth0")),
    ];
    for number in 0..containers {
        groups.push(of(
            Scope::Container,
            Subject {
                key: format!("{number:012x}"),
                name: format!("shop-web-{number}"),
                stack: "shop".to_owned(),
                service: "web".to_owned(),
            },
        ));
    }
    Arc::new(Layout { groups })
}

impl Meter {
    pub(crate) fn new(random: Random, layout: Arc<Layout>) -> Self {
        let values = vec![1 << 30; layout.width()];
        Self {
            random,
            layout,
            values,
            seq: 0,
            waiting: Vec::new(),
            encoder: Encoder::default(),
            next: None,
        }
    }

    /// When the next sample is due. Hosts have different beats.
    pub(crate) fn due(&mut self, pace: Option<Pace>, now: Duration) -> Option<Duration> {
        let Some(pace) = pace else {
            self.next = None;
            return None;
        };
        let every = u64::try_from(pace.every.as_millis()).unwrap_or(u64::MAX);
        let first = || now + Duration::from_millis(self.random.up_to(every));
        let next = self.next.unwrap_or_else(first);
        self.next = Some(next);
        Some(next)
    }

    /// Takes a sample if it is due; gives a frame if there are enough of them, and how many are in it.
    pub(crate) fn tick(
        &mut self,
        pace: Option<Pace>,
        now: Duration,
        at_ms: i64,
    ) -> Option<(AgentFrame, usize)> {
        let pace = pace?;
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.next = Some(now + pace.every);
        self.seq += 1;
        self.walk(pace.every);
        self.waiting.push(Arc::new(Sample {
            seq: self.seq,
            at_ms,
            layout: Arc::clone(&self.layout),
            values: self.values.clone(),
        }));
        if self.waiting.len() < pace.together {
            return None;
        }
        let (batch, count) = self.encoder.encode(&self.waiting)?;
        self.waiting.drain(..count);
        Some((AgentFrame::Samples(batch), count))
    }

    /// A quarter of the columns stands still, counters rise with what happens, gauges wander by pages.
    fn walk(&mut self, every: Duration) {
        let ms = i64::try_from(every.as_millis()).unwrap_or(0);
        let layout = Arc::clone(&self.layout);
        let metrics = layout.groups.iter().flat_map(|group| &group.metrics);
        for (value, metric) in self.values.iter_mut().zip(metrics) {
            let chance = |most: u64| i64::try_from(self.random.up_to(most)).unwrap_or(0);
            *value += match *metric {
                Metric::MEMORY_TOTAL
                | Metric::SWAP_TOTAL
                | Metric::SWAP_FREE
                | Metric::CPU_STEAL
                | Metric::FILESYSTEM_TOTAL
                | Metric::NETWORK_RECEIVE_LOST
                | Metric::NETWORK_SEND_LOST
                | Metric::CONTAINER_THROTTLED
                | Metric::CONTAINER_MEMORY_LIMIT
                | Metric::CONTAINER_READ => 0,
                Metric::CPU_IDLE => ms * 4 - chance(40) * 10,
                Metric::CPU_USER | Metric::CPU_SYSTEM => chance(20) * 10,
                Metric::LOAD_1
                | Metric::LOAD_5
                | Metric::LOAD_15
                | Metric::TASKS
                | Metric::CONTAINER_TASKS => chance(4) - 2,
                metric if metric.is_counter() => chance(ms.unsigned_abs() * 4),
                _ => (chance(256) - 128) * 4_096,
            };
        }
    }
}

/// Bytes in the history's blocks, and values in them.
const BLOCKS: [&str; 2] = [
    "windflow_metrics_disk_bytes",
    "windflow_metrics_block_values_total",
];

impl Running {
    async fn blocks(&self) -> Option<[f64; 2]> {
        let mut found = [0.0; 2];
        for (slot, name) in found.iter_mut().zip(BLOCKS) {
            *slot = self.door.figure(name).await.ok()??;
        }
        Some(found)
    }

    /// Nothing for a while, then samples for a while.
    pub(crate) async fn metrics(&self, hold: Duration, pace: Pace) -> Vec<Row> {
        const BENCH: &str = "metrics";
        self.prober.rest(true);
        tokio::time::sleep(SETTLE).await;
        let quiet = self.watch(hold).await;
        let blocks = self.blocks().await;
        self.pace(Some(pace));
        // The first frames carry the columns' names.
        tokio::time::sleep(pace.every * u32::try_from(pace.together).unwrap_or(1) * 2).await;
        let busy = self.watch(hold).await;
        self.pace(None);
        let samples = real(busy.samples).max(1.0);
        let values = samples * real(self.columns);
        let seconds = hold.as_secs_f64().max(0.001);
        let note = format!(
            "{} columns, every {} s, {} in a frame",
            self.columns,
            pace.every.as_secs_f64(),
            pace.together
        );
        let mut rows = vec![
            Row::new(BENCH, "samples", "samples/s", samples / seconds).note(note),
            Row::new(
                BENCH,
                "frames on the wire",
                "B/sample",
                real(busy.bytes) / samples,
            ),
            Row::new(BENCH, "frames on the wire", "B/value", real(busy.bytes) / values),
        ];
        let more = (busy.wire - quiet.wire) / seconds / real(self.hosts) * 8.0;
        let idle = quiet.wire / seconds / real(self.hosts) * 8.0;
        rows.push(
            Row::new(BENCH, "wire per host, for samples", "b/s", more)
                .note(format!("beside {idle:.0} b/s without, with IP and UDP headers")),
        );
        if let (Some(quiet), Some(busy)) = (quiet.cpu, busy.cpu) {
            let used = busy.saturating_sub(quiet).as_secs_f64();
            let note = format!(
                "{:.2} % of a processor without samples, {:.2} % with",
                quiet.as_secs_f64() / seconds * 100.0,
                busy.as_secs_f64() / seconds * 100.0
            );
            rows.push(
                Row::new(BENCH, "controller's processor", "us/sample", used * 1e6 / samples).note(note),
            );
            rows.push(Row::new(
                BENCH,
                "controller's processor",
                "ns/value",
                used * 1e9 / values,
            ));
        }
        if let (Some([bytes, stored]), Some([bytes_now, stored_now])) = (blocks, self.blocks().await)
            && stored_now > stored
        {
            let each = (bytes_now - bytes) / (stored_now - stored);
            let note = format!(
                "{:.0} values in blocks; a block has 120 samples",
                stored_now - stored
            );
            rows.push(Row::new(BENCH, "disk", "B/value", each).note(note));
        }
        self.prober.rest(false);
        rows
    }

    async fn watch(&self, hold: Duration) -> Watched {
        self.board.begin();
        let (before, wire) = (self.usage(), self.board.wire());
        tokio::time::sleep(hold).await;
        let (after, counts) = (self.usage(), self.board.counts());
        let sent = self.board.wire().with_headers(self.remote) - wire.with_headers(self.remote);
        let cpu = after
            .zip(before)
            .and_then(|(after, before)| after.cpu.checked_sub(before.cpu));
        #[expect(clippy::cast_precision_loss, reason = "bytes of one run, for a figure")]
        let wire = sent as f64;
        Watched {
            samples: counts.samples,
            bytes: counts.sample_bytes,
            wire,
            cpu,
        }
    }
}

/// What happened in a while.
struct Watched {
    samples: usize,
    bytes: usize,
    wire: f64,
    cpu: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_for_so_many_samples() {
        let pace = Some(Pace {
            every: Duration::from_secs(10),
            together: 3,
        });
        let layout = layout(1);
        let mut meter = Meter::new(Random::seeded(1), layout);
        assert_eq!(meter.due(None, Duration::ZERO), None);
        let mut now = meter.due(pace, Duration::ZERO).unwrap();
        assert!(now <= Duration::from_secs(10));
        let mut frames = 0;
        for n in 1..=9 {
            let frame = meter.tick(pace, now, n * 10_000);
            assert_eq!(frame.is_some(), n % 3 == 0, "{n}");
            frames += usize::from(frame.is_some_and(|(_, count)| count == 3));
            // Too early: nothing.
            assert!(meter.tick(pace, now, 0).is_none());
            now = meter.due(pace, now).unwrap();
        }
        assert_eq!(frames, 3);
    }
}
