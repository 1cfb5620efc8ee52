//! Log lines: simulated hosts write at a fixed rate, whether anybody keeps up or not, and viewers read through the API.
//!
//! Every line says when it was due on the clock of the run. What a viewer sees of it late is late, whoever held it up: the
//! host, the link, the controller, the API or the viewer.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use windflow_kit::{BoxError, task::spawn_scoped};
use windflow_model::{AgentId, Code, Failure, LogEvent, StackId, Timestamp};
use windflow_protocol::{LogLine, StreamItem, StreamOpen, stream::MAX_BATCH_BYTES};
use windflow_transport::{
    FrameReader, FrameWriter, StreamError,
    quinn::{RecvStream, SendStream},
};

use crate::{
    board::Board,
    figures::{Row, ms, quantile},
    host::Ground,
    probe,
    profile::real,
    run::{BenchError, Running},
};

/// A log as the API gives it.
pub type LogFeed = BoxStream<'static, Result<LogEvent, BoxError>>;

/// How much is written and by how many it is read.
#[derive(Debug, Clone, Copy)]
pub struct LogLoad {
    /// Hosts whose log is read, each by a viewer of its own.
    pub viewers: usize,
    /// Lines that each of these hosts writes in a second.
    pub rate: u32,
    /// Length of a line in bytes.
    pub length: usize,
}

/// An engine hands over what has come since it looked last.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What was begun before is done by then.
const SETTLE: Duration = Duration::from_secs(3);
/// Requests in progress at once.
const AT_ONCE: usize = 16;
/// Of so many lines one is timed: enough for a percentile, and the run stays small.
const TIMED: u64 = 8;
/// A stream that says nothing for so long will say nothing more.
const SILENCE: Duration = Duration::from_secs(30);

/// Serves a stream that the controller has opened.
pub(crate) async fn serve(ground: Arc<Ground>, number: usize, send: SendStream, receive: RecvStream) {
    let (mut reader, mut writer) = (FrameReader::new(receive), FrameWriter::new(send));
    let served = match reader.next::<StreamOpen>().await {
        Ok(Some(StreamOpen::Logs(_))) => write(&ground, number, &mut writer).await,
        Ok(Some(_)) => {
            let failure = Failure::new(Code::Unsupported, "a simulated host has only logs");
            writer.send(&StreamItem::Failed(failure.into())).await
        }
        Ok(None) | Err(_) => return,
    };
    // The viewer has gone, or the connection.
    let _over = served;
}

async fn write(ground: &Ground, number: usize, writer: &mut FrameWriter) -> Result<(), StreamError> {
    let nothing = StreamItem::Lines {
        first: 0,
        lines: Vec::new(),
    };
    writer.send(&nothing).await?;
    let begun = ground.board.now();
    let container = format!("bench-{number:05}-web-1");
    let mut seq = 0;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let due = due(ground.log.rate, ground.board.now() - begun);
        while seq < due {
            let most = (MAX_BATCH_BYTES / ground.log.length.max(1)).max(1) as u64;
            let end = due.min(seq + most);
            let lines = (seq..end).map(|seq| LogLine {
                service: "web".to_owned(),
                container: container.clone(),
                stderr: false,
                at: Some(Timestamp::from_millis(ground.clock.now_ms())),
                text: text(begun + moment(ground.log.rate, seq), ground.log.length),
            });
            let lines = lines.collect();
            writer.send(&StreamItem::Lines { first: seq, lines }).await?;
            seq = end;
        }
    }
}

/// Lines that are due after so long.
fn due(rate: u32, after: Duration) -> u64 {
    u64::try_from(after.as_micros() * u128::from(rate) / 1_000_000).unwrap_or(u64::MAX)
}

/// When a line is due.
fn moment(rate: u32, seq: u64) -> Duration {
    Duration::from_micros((seq + 1).saturating_mul(1_000_000) / u64::from(rate.max(1)))
}

/// A line: when it was due, in microseconds of the run, and as many letters as are missing.
fn text(at: Duration, length: usize) -> String {
    let mut text = String::with_capacity(length);
    // Writing to a string does not fail.
    let _written = write!(text, "{:014}", at.as_micros());
    while text.len() < length {
        text.push_str(" GET /api/v1/things 200");
    }
    text.truncate(length.max(14));
    text
}

fn due_at(text: &str) -> Option<Duration> {
    Some(Duration::from_micros(text.get(..14)?.parse().ok()?))
}

/// What a viewer has seen.
#[derive(Debug, Default)]
struct Seen {
    lines: u64,
    missing: u64,
    behind: Vec<Duration>,
    ended: bool,
}

/// Reads until `end`, counting from `from`.
async fn view(mut feed: LogFeed, board: &Board, from: Duration, end: Duration) -> Seen {
    let mut seen = Seen::default();
    let mut next: Option<u64> = None;
    let until = board.origin() + end;
    loop {
        let event = tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => break,
            event = tokio::time::timeout(SILENCE, feed.next()) => event,
        };
        let now = board.now();
        match event {
            Ok(Some(Ok(LogEvent::Line { seq, text, .. }))) => {
                let expected = next.replace(seq + 1).unwrap_or(seq);
                if now < from {
                    continue;
                }
                seen.missing += seq.saturating_sub(expected);
                seen.lines += 1;
                if seen.lines.is_multiple_of(TIMED)
                    && let Some(due) = due_at(&text)
                {
                    seen.behind.push(now.saturating_sub(due));
                }
            }
            // What is missing shows in the next line's number.
            Ok(Some(Ok(LogEvent::Gap { .. } | LogEvent::Searched(_)))) => {}
            Ok(Some(Ok(LogEvent::End { .. }) | Err(_)) | None) | Err(_) => {
                seen.ended = true;
                break;
            }
        }
    }
    seen
}

impl Running {
    /// A stack on some hosts, whose logs are read for a while.
    pub(crate) async fn logs(
        &self,
        hold: Duration,
        apply: Duration,
        load: LogLoad,
    ) -> Result<Vec<Row>, BenchError> {
        const BENCH: &str = "logs";
        let api = |what: &'static str| move |source: BoxError| BenchError::Api { what, source };
        let agents: Vec<_> = self.agents().iter().copied().take(load.viewers.max(1)).collect();
        let stack = self.stack("logs").await?;
        let deploy = self.door.deploy(stack, agents.clone());
        self.wave(BENCH, "deploy", apply, agents.len(), deploy)
            .await
            .map_err(api("deploying"))?;
        let rows = self.read(BENCH, hold, load, stack, &agents).await;
        let undeploy = self.door.undeploy(stack, agents.clone());
        let away = self.wave(BENCH, "remove", apply, agents.len(), undeploy).await;
        away.map_err(api("removing the stack from the hosts"))?;
        self.forget(stack).await.map_err(api("forgetting the stack"))?;
        rows.map_err(api("opening a log"))
    }

    async fn read(
        &self,
        bench: &'static str,
        hold: Duration,
        load: LogLoad,
        stack: StackId,
        agents: &[AgentId],
    ) -> Result<Vec<Row>, BoxError> {
        let opened = stream::iter(agents).map(|agent| self.door.logs(stack, *agent));
        let mut opened = opened.buffer_unordered(AT_ONCE);
        let mut feeds = Vec::with_capacity(agents.len());
        while let Some(feed) = opened.next().await {
            feeds.push(feed?);
        }
        drop(opened);
        // Opening a hundred streams is no part of reading them.
        let from = self.board.now() + SETTLE;
        let end = from + hold;
        let begin = |feed| {
            let board = Arc::clone(&self.board);
            spawn_scoped("viewer", async move { view(feed, &board, from, end).await })
        };
        let viewers: Vec<_> = feeds.into_iter().map(begin).collect();
        tokio::time::sleep_until(self.board.origin() + from).await;
        let (before, wire) = (self.usage(), self.board.wire());
        tokio::time::sleep_until(self.board.origin() + end).await;
        let (after, sent) = (self.usage(), self.board.wire());
        let mut seen = Vec::with_capacity(viewers.len());
        for viewer in viewers {
            seen.push(viewer.await?);
        }

        let lines: u64 = seen.iter().map(|one| one.lines).sum();
        let missing: u64 = seen.iter().map(|one| one.missing).sum();
        let ended = seen.iter().filter(|one| one.ended).count();
        let behind: Vec<_> = seen.into_iter().flat_map(|one| one.behind).collect();
        #[expect(clippy::cast_precision_loss, reason = "counts of one run, for figures")]
        let (lines, missing) = (lines as f64, missing as f64);
        let seconds = hold.as_secs_f64().max(0.001);
        let offered = real(agents.len()) * f64::from(load.rate);
        let note = format!(
            "{} viewers, each of a host of its own that writes {} lines of {} bytes in a second: {offered:.0} in all",
            agents.len(),
            load.rate,
            load.length
        );
        let late = |name: &str, share| Row::new(bench, name, "ms", ms(quantile(&behind, share)));
        let mut rows = vec![
            Row::new(bench, "lines read", "lines/s", lines / seconds).note(note),
            Row::new(bench, "lines missing", "lines", missing),
            Row::new(bench, "streams that ended", "streams", real(ended)),
            late("behind, p50", 0.5)
                .note("from when a line is due on the host until it is in the viewer's hands"),
            late("behind, p95", 0.95),
            late("behind, p99", 0.99),
            late("behind, most", 1.0),
        ];
        #[expect(clippy::cast_precision_loss, reason = "bytes of one run, for a figure")]
        let bytes = (sent.with_headers(self.remote) - wire.with_headers(self.remote)) as f64;
        rows.push(
            Row::new(bench, "link", "B/line", bytes / lines.max(1.0))
                .note("with IP and UDP headers, both ways"),
        );
        if let (Some(before), Some(after)) = (before, after) {
            let used = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            let note = format!("{:.1} % of a processor", used / seconds * 100.0);
            let each = used * 1e6 / lines.max(1.0);
            rows.push(Row::new(bench, "controller's processor", "us/line", each).note(note));
            rows.extend(self.memory(bench, after));
        }
        rows.extend(probe::rows(bench, &self.prober.since(from)));
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_it_was_due() {
        for (rate, length) in [(1, 0), (10, 14), (999, 120), (100_000, 4_096)] {
            for seq in [0, 1, 7, 100_000] {
                let at = moment(rate, seq);
                let line = text(at, length);
                assert_eq!(
                    (due_at(&line), line.len()),
                    (Some(at), length.max(14)),
                    "{rate} {seq}"
                );
                // It is due at its moment, and not before.
                assert!(due(rate, at + Duration::from_micros(1)) > seq, "{rate} {seq}");
                assert!(
                    due(rate, at.saturating_sub(Duration::from_micros(2))) <= seq,
                    "{rate} {seq}"
                );
            }
        }
        assert_eq!(due_at("soon"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_counts_what_comes_and_what_does_not() {
        let board = Board::new(0, tokio::time::Instant::now());
        let line = |seq: u64| {
            Ok(LogEvent::Line {
                seq,
                service: String::new(),
                container: String::new(),
                source: windflow_model::LogSource::Stdout,
                at: None,
                text: text(Duration::ZERO, 20),
            })
        };
        let gap = Ok(LogEvent::Gap {
            from: 2,
            lost: 3,
            reason: String::new(),
        });
        let events = vec![line(0), line(1), gap, line(5), line(6)];
        let feed = stream::iter(events).chain(stream::pending()).boxed();
        let seen = view(feed, &board, Duration::ZERO, Duration::from_secs(1)).await;
        assert_eq!((seen.lines, seen.missing, seen.ended), (4, 3, false));
        let seen = view(
            stream::empty().boxed(),
            &board,
            Duration::ZERO,
            Duration::from_secs(9),
        )
        .await;
        assert!(seen.ended);
    }
}
