//! Streams that the controller opens: logs, plans, terminals and files, each in a task of its own.

use std::time::Duration;

use tokio::time::Instant;
use windflow_engine::EngineHandle;
use windflow_kit::{Gather, error::Chain};
use windflow_model::{Code, Doc, Document, Failure, LogEvent, LogQuery, LogSource};
use windflow_protocol::{LogLine, StreamItem, StreamOpen, stream::MAX_BATCH_BYTES};
use windflow_transport::{
    FrameReader, FrameWriter, StreamError,
    quinn::{RecvStream, SendStream},
};

use super::{Link, files, report, terminal};
use crate::{terminals::Terminals, transfers::Transfers};

/// A header that does not come is no reason to hold a stream.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// Log events taken at once: as many as fit into a frame.
const CHUNK: Gather = Gather {
    items: 512,
    bytes: MAX_BATCH_BYTES,
};
/// Between two writes of log lines, unless a whole chunk is ready. The first line after a pause goes at once.
const GATHER: Duration = Duration::from_millis(5);

/// Who serves what a stream is for.
pub(super) struct Servants {
    engine: EngineHandle,
    terminals: Terminals,
    transfers: Transfers,
}

impl Servants {
    pub(super) fn of(link: &Link) -> Self {
        Self {
            engine: link.engine.clone(),
            terminals: link.terminals.clone(),
            transfers: link.transfers.clone(),
        }
    }
}

pub(super) async fn serve(servants: Servants, send: SendStream, receive: RecvStream) {
    let Servants {
        engine,
        terminals,
        transfers,
    } = servants;
    let mut reader = FrameReader::new(receive);
    let mut writer = FrameWriter::new(send);
    let header = tokio::time::timeout(HEADER_WITHIN, reader.next::<StreamOpen>()).await;
    let served = match header {
        Ok(Ok(Some(StreamOpen::Plan(assignment)))) => plan(&engine, &mut writer, assignment).await,
        Ok(Ok(Some(StreamOpen::Logs(query)))) => logs(&engine, &mut writer, query).await,
        Ok(Ok(Some(StreamOpen::Terminal(query)))) => terminal::open(&terminals, &mut writer, query).await,
        Ok(Ok(Some(StreamOpen::TerminalAttach(attach)))) => {
            terminal::attach(&terminals, &mut writer, &mut reader, attach).await
        }
        Ok(Ok(Some(StreamOpen::Files(query)))) => {
            files::serve(&transfers, &mut writer, &mut reader, query).await
        }
        Ok(Ok(None)) | Ok(Err(_)) | Err(_) => {
            let failure = Failure::new(Code::Unsupported, "this agent does not know such a stream");
            writer.send(&StreamItem::Failed(failure.into())).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %Chain(&error), "stream ended early");
    }
    writer.finish();
    writer.delivered().await;
}

pub(super) fn seal<T: Document>(value: &T) -> Result<Doc<T>, Failure> {
    Doc::seal(value).map_err(|error| Failure::new(Code::HostFailure, Chain(&error).to_string()))
}

async fn plan(
    engine: &EngineHandle,
    writer: &mut FrameWriter,
    assignment: Doc<windflow_protocol::Assignment>,
) -> Result<(), StreamError> {
    let answer = match assignment.open() {
        Ok(assignment) => engine.plan(report::order(assignment)).await,
        Err(error) => Err(Failure::new(Code::Unsupported, Chain(&error).to_string())),
    };
    let sealed = answer.and_then(|plan| seal(&plan));
    let item = sealed.map_or_else(|failure| StreamItem::Failed(failure.into()), StreamItem::Plan);
    writer.send(&item).await
}

async fn logs(
    engine: &EngineHandle,
    writer: &mut FrameWriter,
    query: Doc<LogQuery>,
) -> Result<(), StreamError> {
    let opened = match query.open() {
        Ok(query) => engine.logs(query).await,
        Err(error) => Err(Failure::new(Code::Unsupported, Chain(&error).to_string())),
    };
    let mut lines = match opened {
        Ok(lines) => lines,
        Err(failure) => return writer.send(&StreamItem::Failed(failure.into())).await,
    };
    // Says at once that the stream is open.
    let nothing = StreamItem::Lines {
        first: 0,
        lines: Vec::new(),
    };
    writer.send(&nothing).await?;
    // What is ready together travels together. Lines that follow each other closely wait for each other a moment: a
    // packet for each line would cost both ends many times the work.
    let mut next_write = Instant::now();
    while let Some(mut events) = CHUNK.next(&mut lines, size).await {
        if Instant::now() < next_write {
            tokio::time::sleep_until(next_write).await;
            CHUNK.more(&mut lines, size, &mut events);
        }
        let mut batch = Batch::default();
        for event in events {
            match event {
                LogEvent::Line {
                    seq,
                    service,
                    container,
                    source,
                    at,
                    text,
                } => {
                    let line = LogLine {
                        service,
                        container,
                        stderr: source == LogSource::Stderr,
                        at,
                        text,
                    };
                    if batch.bytes >= MAX_BATCH_BYTES || !batch.follows(seq) {
                        batch.feed(writer)?;
                        writer.flush().await?;
                    }
                    batch.push(seq, line);
                }
                LogEvent::Gap { from, lost, reason } => {
                    batch.feed(writer)?;
                    writer.feed(&StreamItem::Gap { from, lost, reason })?;
                }
                LogEvent::Searched(searched) => {
                    batch.feed(writer)?;
                    match seal(&searched) {
                        Ok(searched) => writer.feed(&StreamItem::Searched(searched))?,
                        Err(failure) => return writer.send(&StreamItem::Failed(failure.into())).await,
                    }
                }
                LogEvent::End { reason } => {
                    batch.feed(writer)?;
                    return writer.send(&StreamItem::End { reason }).await;
                }
            }
        }
        batch.feed(writer)?;
        writer.flush().await?;
        next_write = Instant::now() + GATHER;
    }
    let end = StreamItem::End {
        reason: "the log ended".to_owned(),
    };
    writer.send(&end).await
}

fn size(event: &LogEvent) -> usize {
    match event {
        LogEvent::Line { text, .. } => text.len(),
        LogEvent::Gap { .. } | LogEvent::Searched(_) | LogEvent::End { .. } => 0,
    }
}

#[derive(Default)]
struct Batch {
    first: u64,
    bytes: usize,
    lines: Vec<LogLine>,
}

impl Batch {
    fn follows(&self, seq: u64) -> bool {
        let count = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        self.lines.is_empty() || self.first.saturating_add(count) == seq
    }

    fn push(&mut self, seq: u64, line: LogLine) {
        if self.lines.is_empty() {
            self.first = seq;
        }
        self.bytes += line.text.len();
        self.lines.push(line);
    }

    fn feed(&mut self, writer: &mut FrameWriter) -> Result<(), StreamError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        writer.feed(&StreamItem::Lines {
            first: self.first,
            lines: std::mem::take(&mut self.lines),
        })
    }
}
