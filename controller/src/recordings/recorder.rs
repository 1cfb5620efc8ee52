//! What is written of one terminal while it is open.
//!
//! The recorder reads the terminal as one who watches: it holds nobody up, and goes on while the one who types is away. Lines
//! are gathered for a second or 64 KiB, then sealed and written. While the disk takes nothing they wait, up to a bound; what
//! is beyond it is left out, with a marker that says how much.

use std::time::Duration;

use tokio::time::Instant;
use windflow_kit::{Chain, blocking};
use windflow_model::{TerminalSize, Timestamp};

use super::{Head, RecordingError, Recordings, Tail, Writer, cast, cast::Cast};

/// Lines are written when so many bytes of them wait, or so long after the first.
const CHUNK: usize = 64 << 10;
const EVERY: Duration = Duration::from_secs(1);
/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// One recording may take so small a part of the room for all.
const SHARE: u64 = 8;
/// Lines that wait for a disk that takes nothing.
const MOST: usize = 512 << 10;

/// One recording that is written.
pub(crate) struct Recorder {
    shelf: Recordings,
    head: Head,
    /// Away while it writes.
    writer: Option<Writer>,
    cast: Cast,
    lines: String,
    /// When the lines that wait have to be written.
    due: Option<Instant>,
    /// Bytes of output that were left out for want of room, not yet told.
    dropped: u64,
    complete: bool,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// SHA-256 of the file.
    pub(crate) digest: String,
    /// Nothing is missing.
    pub(crate) complete: bool,
}

impl Recorder {
    /// Begins one.
    pub(crate) async fn begin(shelf: Recordings, head: Head) -> Result<Self, RecordingError> {
        let (on, of) = (shelf.clone(), head.clone());
        let writer = blocking::run(move || on.begin(of))
            .await
            .map_err(|error| RecordingError::Disk {
                path: shelf.path(head.id),
                source: std::io::Error::other(error),
            })??;
        Ok(Self {
            shelf,
            head,
            writer: Some(writer),
            cast: Cast::default(),
            lines: String::new(),
            due: None,
            dropped: 0,
            complete: true,
        })
    }

    fn after(&self, now: Timestamp) -> u64 {
        let passed = now.as_millis().saturating_sub(self.head.started_at.as_millis());
        u64::try_from(passed).unwrap_or(0)
    }

    /// Output was shown.
    pub(crate) fn output(&mut self, now: Timestamp, stderr: bool, bytes: &[u8]) {
        if self.lines.len() > MOST || self.is_full() {
            self.dropped += u64::try_from(bytes.len()).unwrap_or(0);
            self.complete = false;
            return;
        }
        let line = self.cast.output(self.after(now), stderr, bytes);
        self.push(&line);
    }

    /// Whether it holds as much as one recording may: one alone does not push the others out.
    pub(crate) fn is_full(&self) -> bool {
        let most = self.shelf.options().bytes / SHARE;
        self.writer.as_ref().is_some_and(|writer| writer.bytes() >= most)
    }

    /// The terminal has another size.
    pub(crate) fn resized(&mut self, now: Timestamp, size: TerminalSize) {
        let line = cast::resized(self.after(now), size);
        self.push(&line);
    }

    /// Output is missing: the recorder did not come to read it.
    pub(crate) fn gap(&mut self, now: Timestamp, lost: u64) {
        self.complete = false;
        let after = self.after(now);
        let lines =
            self.cast.rest(after) + &cast::marker(after, &format!("{lost} bytes of output are missing"));
        self.push(&lines);
    }

    /// Not all of it was seen.
    pub(crate) const fn cut(&mut self) {
        self.complete = false;
    }

    fn push(&mut self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        self.lines.push_str(lines);
        let now = Instant::now();
        if self.lines.len() >= CHUNK && self.due.is_none_or(|due| due < now + EVERY) {
            self.due = Some(now);
        }
        self.due.get_or_insert(now + EVERY);
    }

    /// Waits until something has to be written; for ever if nothing waits.
    pub(crate) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Writes what waits. A failure leaves it waiting, for another attempt.
    pub(crate) async fn write(&mut self, now: Timestamp) -> Result<(), RecordingError> {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let after = self.after(now);
            let text = format!("{dropped} bytes of output were not recorded: there was no room");
            let line = self.cast.rest(after) + &cast::marker(after, &text);
            self.push(&line);
        }
        self.due = None;
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return Ok(());
        }
        let (lines, done) = self
            .with(move |writer| {
                let done = writer.lines(&lines);
                (lines, done)
            })
            .await?;
        match done {
            Ok(()) => {
                self.note(None, true);
                Ok(())
            }
            Err(error) => {
                self.lines.insert_str(0, &lines);
                self.due = Some(Instant::now() + AGAIN);
                Err(error)
            }
        }
    }

    /// Ends it: what waits is written, and its end.
    pub(crate) async fn finish(mut self, now: Timestamp) -> Result<Outcome, RecordingError> {
        let rest = self.cast.rest(self.after(now));
        self.push(&rest);
        let ended = self.end(now).await;
        if ended.is_err() {
            self.note(None, false);
        }
        ended
    }

    async fn end(&mut self, now: Timestamp) -> Result<Outcome, RecordingError> {
        self.write(now).await?;
        let tail = Tail {
            ended_at: now,
            complete: self.complete,
        };
        let of = tail.clone();
        let digest = self.with(move |writer| writer.finish(&of)).await??;
        let complete = tail.complete;
        self.note(Some(tail), false);
        Ok(Outcome {
            digest: hex::encode(digest),
            complete,
        })
    }

    fn note(&self, tail: Option<Tail>, running: bool) {
        let bytes = self.writer.as_ref().map_or(0, Writer::bytes);
        self.shelf.note(self.head.id, bytes, tail, running);
    }

    /// Does something with the file on another thread.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Result<T, RecordingError> {
        let lost = |source: std::io::Error| RecordingError::Disk {
            path: self.shelf.path(self.head.id),
            source,
        };
        let Some(mut writer) = self.writer.take() else {
            return Err(lost(std::io::Error::other("it was given up")));
        };
        let work = move || {
            let done = work(&mut writer);
            (writer, done)
        };
        match blocking::run(work).await {
            Ok((writer, done)) => {
                self.writer = Some(writer);
                Ok(done)
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "a recording is given up");
                Err(lost(std::io::Error::other("writing it panicked")))
            }
        }
    }
}
