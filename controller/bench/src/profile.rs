//! What is done with a connected fleet, and what comes of it.

use std::time::Duration;

use windflow_kit::BoxError;
use windflow_model::{AgentId, SpecFile, StackId, StackSpec};

use crate::{
    board::Board,
    figures::{Row, ms, quantile},
    probe,
    process::Usage,
    run::{BenchError, Running},
};

/// Longest wait for all hosts to be connected, back, or done, beside the time that their work takes.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long after the end of a phase its last requests are waited for.
const SETTLE: Duration = Duration::from_secs(1);

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of at most some millions, for figures"
)]
pub(crate) const fn real(count: usize) -> f64 {
    count as f64
}

fn rate(count: usize, took: Duration) -> f64 {
    real(count) / took.as_secs_f64().max(0.001)
}

/// Times after `from`, as rows.
fn spread(
    bench: &'static str,
    what: &str,
    times: &[Duration],
    from: Duration,
    shares: &[(&str, f64)],
) -> Vec<Row> {
    let after: Vec<_> = times.iter().map(|at| at.saturating_sub(from)).collect();
    let row = |(name, share): &(&str, f64)| {
        Row::new(
            bench,
            format!("{what}, {name}"),
            "ms",
            ms(quantile(&after, *share)),
        )
    };
    shares.iter().map(row).collect()
}

fn cpu(bench: &'static str, name: &str, before: Option<Usage>, after: Option<Usage>) -> Option<Row> {
    let used = after?.cpu.checked_sub(before?.cpu)?;
    Some(Row::new(bench, name, "ms", ms(used)))
}

fn missing(bench: &'static str, what: &str, count: usize, board: &Board) -> Row {
    let row = Row::new(bench, format!("hosts {what}"), "hosts", real(count));
    match count {
        0 => row,
        _ => row.note(format!("last trouble: {}", board.trouble())),
    }
}

impl Running {
    /// Waits until all are connected.
    pub(crate) async fn connect(&self) -> Vec<Row> {
        const BENCH: &str = "fleet-connect";
        let from = self.board.now();
        let before = self.usage();
        self.release();
        let all = self.board.until(PATIENCE, |counts| counts.up >= self.hosts).await;
        let (counts, backs) = (self.board.counts(), self.board.backs());
        let took = backs
            .iter()
            .max()
            .copied()
            .unwrap_or_default()
            .saturating_sub(from);
        let mut rows = spread(
            BENCH,
            "connected",
            &backs,
            from,
            &[("half", 0.5), ("p99", 0.99), ("all", 1.0)],
        );
        rows.push(Row::new(BENCH, "rate", "hosts/s", rate(backs.len(), took)));
        rows.push(Row::new(
            BENCH,
            "dials without success",
            "dials",
            real(counts.failed_dials),
        ));
        rows.extend(cpu(BENCH, "controller's processor time", before, self.usage()));
        tokio::time::sleep(SETTLE).await;
        rows.extend(probe::rows(BENCH, &self.prober.since(from)));
        if !all {
            rows.push(missing(
                BENCH,
                "never connected",
                self.hosts - counts.up,
                &self.board,
            ));
        }
        rows
    }

    /// Nothing happens for a while.
    pub(crate) async fn idle(&self, hold: Duration) -> Vec<Row> {
        const BENCH: &str = "fleet-idle";
        self.prober.rest(true);
        // What the connects have left to do is not idleness.
        tokio::time::sleep(SETTLE * 3).await;
        self.board.begin();
        let (from, wire, before) = (self.board.now(), self.board.wire(), self.usage());
        tokio::time::sleep(hold).await;
        let took = self.board.now() - from;
        let sent = self.board.wire().with_headers(self.remote) - wire.with_headers(self.remote);
        #[expect(clippy::cast_precision_loss, reason = "bytes of one run, for a figure")]
        let a_second = sent as f64 / took.as_secs_f64() / real(self.hosts);
        let datagrams = self.board.wire().datagrams - wire.datagrams;
        let note = format!(
            "{datagrams} datagrams in {} s, with IP and UDP headers",
            took.as_secs()
        );
        let mut rows = vec![
            Row::new(BENCH, "wire per host", "KB/h", a_second * 3.6).note(note),
            Row::new(BENCH, "wire per host", "b/s", a_second * 8.0),
        ];
        if let (Some(before), Some(after)) = (before, self.usage()) {
            let used = after.cpu.saturating_sub(before.cpu).as_secs_f64() / took.as_secs_f64() * 100.0;
            rows.push(Row::new(BENCH, "controller's processor", "% of one", used));
            let thousands = real(self.hosts) / 1_000.0;
            rows.push(Row::new(
                BENCH,
                "controller's processor per 1,000 hosts",
                "% of one",
                used / thousands,
            ));
            rows.extend(self.memory(BENCH, after));
        }
        rows.push(Row::new(
            BENCH,
            "connections lost",
            "hosts",
            real(self.board.counts().lost),
        ));
        // Then somebody looks for a moment.
        let from = self.board.now();
        self.prober.rest(false);
        tokio::time::sleep(SETTLE * 5).await;
        rows.extend(probe::rows(BENCH, &self.prober.since(from)));
        rows
    }

    pub(crate) fn memory(&self, bench: &'static str, now: Usage) -> Vec<Row> {
        #[expect(clippy::cast_precision_loss, reason = "bytes of one process, for a figure")]
        let (mega, kilo) = (|bytes: u64| bytes as f64 / 1e6, |bytes: u64| bytes as f64 / 1e3);
        let mut rows = vec![
            Row::new(bench, "controller's memory (RSS)", "MB", mega(now.resident)),
            Row::new(bench, "controller's memory, highest", "MB", mega(now.peak)),
        ];
        if let Some(start) = self.at_start {
            let more = now.resident.saturating_sub(start.resident);
            let each = kilo(more) / real(self.hosts);
            let note = format!("{:.1} MB before the first host connected", mega(start.resident));
            rows.push(Row::new(bench, "controller's memory per host", "KB", each).note(note));
        }
        rows
    }

    /// A new stack of one service.
    pub(crate) async fn stack(&self, what: &str) -> Result<StackId, BenchError> {
        let api = |what: &'static str| move |source: BoxError| BenchError::Api { what, source };
        let name = format!("{}-{what}", self.prefix).parse();
        let name = name.map_err(|error| api("naming the stack")(Box::new(error)))?;
        let spec = StackSpec {
            files: vec![SpecFile {
                path: "compose.yaml".to_owned(),
                content: "services:\n  web:\n    image: registry.example/web:1\n".to_owned(),
            }],
            ..StackSpec::default()
        };
        self.door
            .stack_make(name, spec)
            .await
            .map_err(api("making the stack"))
    }

    /// One stack to all hosts, and away again.
    pub(crate) async fn deploy_wave(&self, apply: Duration) -> Result<Vec<Row>, BenchError> {
        const BENCH: &str = "deploy-wave";
        let api = |what: &'static str| move |source: BoxError| BenchError::Api { what, source };
        let stack = self.stack("wave").await?;
        let deploy = self.door.deploy(stack, self.agents.clone());
        let mut rows = self
            .wave(BENCH, "deploy", apply, self.hosts, deploy)
            .await
            .map_err(api("deploying"))?;
        let undeploy = self.door.undeploy(stack, self.agents.clone());
        let away = self.wave(BENCH, "remove", apply, self.hosts, undeploy).await;
        rows.extend(away.map_err(api("removing the stack from the hosts"))?);
        self.forget(stack).await.map_err(api("forgetting the stack"))?;
        Ok(rows)
    }

    /// The last host has said that it is done; the controller needs a moment to have it written down everywhere.
    pub(crate) async fn forget(&self, stack: StackId) -> Result<(), BoxError> {
        let mut tries = 0;
        loop {
            match self.door.stack_forget(stack).await {
                Err(_) if tries < 20 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                result => return result,
            }
        }
    }

    /// A request that goes to so many hosts, until the last of them is done.
    pub(crate) async fn wave(
        &self,
        bench: &'static str,
        what: &str,
        apply: Duration,
        hosts: usize,
        request: crate::Reply<'_, ()>,
    ) -> Result<Vec<Row>, BoxError> {
        self.board.begin();
        let (from, before) = (self.board.now(), self.usage());
        request.await?;
        let answered = self.board.now() - from;
        let within = PATIENCE + apply * 2;
        let all = self.board.until(within, |counts| counts.finished >= hosts).await;
        let (accepted, ends) = (self.board.acceptances(), self.board.ends());
        let last = accepted
            .iter()
            .max()
            .copied()
            .unwrap_or_default()
            .saturating_sub(from);
        let shares = [("first", 0.0), ("p50", 0.5), ("p99", 0.99), ("all", 1.0)];
        let mut rows = vec![Row::new(
            bench,
            format!("{what}: answer to the request"),
            "ms",
            ms(answered),
        )];
        rows.extend(spread(
            bench,
            &format!("{what}: accepted"),
            &accepted,
            from,
            &shares,
        ));
        rows.push(Row::new(
            bench,
            format!("{what}: rate"),
            "hosts/s",
            rate(accepted.len(), last),
        ));
        let note = format!(
            "each host takes {:.1} to {:.1} s",
            apply.as_secs_f64() / 2.0,
            apply.as_secs_f64() * 1.5
        );
        let ended = spread(
            bench,
            &format!("{what}: finished"),
            &ends,
            from,
            &[("p50", 0.5), ("all", 1.0)],
        );
        rows.extend(ended.into_iter().map(|row| row.note(note.clone())));
        rows.extend(cpu(
            bench,
            &format!("{what}: controller's processor time"),
            before,
            self.usage(),
        ));
        tokio::time::sleep(SETTLE).await;
        rows.extend(
            probe::rows(bench, &self.prober.since(from))
                .into_iter()
                .map(|row| Row {
                    name: format!("{what}: {}", row.name),
                    ..row
                }),
        );
        if !all {
            rows.push(missing(bench, "not finished", hosts - ends.len(), &self.board));
        }
        Ok(rows)
    }

    /// All connections end at once, and all come back.
    pub(crate) async fn reconnect_storm(&self, restart: bool) -> Vec<Row> {
        const BENCH: &str = "reconnect-storm";
        self.board.begin();
        let mut rows = Vec::new();
        let before = self.usage();
        let from = if restart {
            let asked = self.board.now();
            self.say("restart the controller now (kill -9 is fine): waiting until the hosts lose it");
            if !self.board.until(PATIENCE, |counts| counts.lost > 0).await {
                rows.push(
                    Row::new(BENCH, "connections lost", "hosts", 0.0)
                        .note("the controller was not restarted"),
                );
                return rows;
            }
            let all_lost = |counts: crate::board::Counts| counts.lost >= self.hosts;
            self.board.until(PATIENCE, all_lost).await;
            self.outage(asked, &mut rows)
        } else {
            let from = self.board.now();
            self.cut();
            self.board
                .until(PATIENCE, |counts| counts.lost >= self.hosts)
                .await;
            from
        };
        let all = self.board.until(PATIENCE, |counts| counts.up >= self.hosts).await;
        let (counts, backs, losses) = (self.board.counts(), self.board.backs(), self.board.losses());
        let shares = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("last", 1.0)];
        rows.extend(spread(
            BENCH,
            "lost",
            &losses,
            from,
            &[("p50", 0.5), ("last", 1.0)],
        ));
        rows.extend(spread(BENCH, "back", &backs, from, &shares));
        rows.push(Row::new(
            BENCH,
            "dials without success",
            "dials",
            real(counts.failed_dials),
        ));
        rows.push(Row::new(
            BENCH,
            "noticed by silence only",
            "hosts",
            real(counts.by_silence),
        ));
        let now = self.usage();
        if restart {
            // A new process: its time since the start is that of the storm.
            rows.extend(cpu(
                BENCH,
                "controller's processor time",
                Some(Usage::default()),
                now,
            ));
        } else {
            rows.extend(cpu(BENCH, "controller's processor time", before, now));
        }
        if let Some(now) = now {
            rows.extend(self.memory(BENCH, now));
        }
        tokio::time::sleep(SETTLE).await;
        rows.extend(probe::rows(BENCH, &self.prober.since(from)));
        if !all {
            rows.push(missing(BENCH, "not back", self.hosts - counts.up, &self.board));
        }
        rows
    }

    /// When the controller went, by the requests that were not answered, and how long it was away.
    fn outage(&self, asked: Duration, rows: &mut Vec<Row>) -> Duration {
        let samples = self.prober.since(asked);
        let first_lost = self.board.losses().into_iter().min().unwrap_or(asked);
        let gone = samples.iter().filter(|one| !one.good).map(|one| one.at).min();
        let from = gone.map_or(first_lost, |gone| gone.min(first_lost));
        let again = samples.iter().filter(|one| one.good && one.at > from);
        if let Some(again) = again.map(|one| one.at + one.took).min() {
            rows.push(Row::new("reconnect-storm", "API away", "ms", ms(again - from)));
        }
        from
    }

    /// Every host that is connected.
    pub(crate) fn agents(&self) -> &[AgentId] {
        &self.agents
    }
}
