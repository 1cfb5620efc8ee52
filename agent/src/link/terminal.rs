//! Terminals over streams: frames of the protocol here, [`Terminals`] there.
//!
//! ```text
//! Reader::next ──► FrameWriter      FrameReader ──► Reader::input      (one future each, so that neither waits for the other)
//! ```

use std::collections::VecDeque;

use windflow_kit::error::Chain;
use windflow_model::{Code, Doc, Document, Failure, TerminalAttach, TerminalQuery, TerminalSize};
use windflow_protocol::{TerminalInput, TerminalItem};
use windflow_transport::{FrameReader, FrameWriter, StreamError, streams::TERMINAL};

use crate::terminals::{Piece, Reader, Terminals};

/// Bytes of input that wait for a process that does not read; then the stream is held back.
const WAITING: usize = 64 << 10;
/// The same for tiny pieces.
const PIECES: usize = 256;

pub(super) async fn open(
    terminals: &Terminals,
    writer: &mut FrameWriter,
    query: Doc<TerminalQuery>,
) -> Result<(), StreamError> {
    writer.prefer(TERMINAL);
    let opened = match query.open() {
        Ok(query) => terminals.open(query).await,
        Err(error) => Err(Failure::new(Code::Unsupported, Chain(&error).to_string())),
    };
    let item = opened.and_then(|opened| Ok(TerminalItem::Opened(seal(&opened)?)));
    writer.send(&item.unwrap_or_else(failed)).await
}

pub(super) async fn attach(
    terminals: &Terminals,
    writer: &mut FrameWriter,
    frames: &mut FrameReader,
    attach: Doc<TerminalAttach>,
) -> Result<(), StreamError> {
    writer.prefer(TERMINAL);
    let asked = attach
        .open()
        .map_err(|error| Failure::new(Code::Unsupported, Chain(&error).to_string()));
    let attached = asked.and_then(|attach| {
        let (opened, reader) = terminals.attach(attach.id, attach.from, attach.watch)?;
        Ok((seal(&opened)?, reader))
    });
    let (opened, reader) = match attached {
        Ok(attached) => attached,
        Err(failure) => return writer.send(&failed(failure)).await,
    };
    writer.send(&TerminalItem::Opened(opened)).await?;
    let gone = writer.unwanted();
    tokio::select! {
        shown = show(&reader, writer) => {
            shown?;
            writer.finish();
            writer.delivered().await;
            reader.told();
        }
        () = take(&reader, frames) => {}
        () = gone => {}
    }
    Ok(())
}

/// Sends what the terminal shows, until its end.
async fn show(reader: &Reader, writer: &mut FrameWriter) -> Result<(), StreamError> {
    loop {
        let item = match reader.next().await {
            Piece::Output { from, stderr, bytes } => TerminalItem::Output { from, stderr, bytes },
            Piece::Gap { from, lost } => TerminalItem::Gap { from, lost },
            Piece::Taken(input) => TerminalItem::Taken { input },
            Piece::Ended(end) => {
                let item = seal(&end).map(TerminalItem::Ended);
                return writer.send(&item.unwrap_or_else(failed)).await;
            }
        };
        writer.send(&item).await?;
    }
}

/// Hands on what is typed, until the controller's end of the stream. A process that does not read holds up what is typed,
/// but neither a change of the size nor the wish to close it.
async fn take(reader: &Reader, frames: &mut FrameReader) {
    let mut waiting: VecDeque<TerminalInput> = VecDeque::new();
    let mut bytes = 0;
    loop {
        let frame = tokio::select! {
            biased;
            () = hand_on(reader, waiting.front()), if !waiting.is_empty() => {
                if let Some(TerminalInput::Input(taken)) = waiting.pop_front() {
                    bytes -= taken.len();
                }
                continue;
            }
            frame = frames.next::<TerminalInput>(), if bytes < WAITING && waiting.len() < PIECES => frame,
        };
        match frame {
            Ok(Some(TerminalInput::Resize { columns, rows })) => {
                reader.resize(TerminalSize { columns, rows })
            }
            Ok(Some(TerminalInput::Close)) => reader.close(),
            Ok(Some(TerminalInput::Seen { position })) => reader.seen(position),
            Ok(Some(input)) => {
                if let TerminalInput::Input(piece) = &input {
                    bytes += piece.len();
                }
                waiting.push_back(input);
            }
            Ok(None) | Err(_) => return,
        }
    }
}

async fn hand_on(reader: &Reader, input: Option<&TerminalInput>) {
    match input {
        Some(TerminalInput::Input(bytes)) => reader.input(bytes.clone()).await,
        Some(TerminalInput::EndOfInput) => reader.end_of_input().await,
        _ => {}
    }
}

fn seal<T: Document>(value: &T) -> Result<Doc<T>, Failure> {
    Doc::seal(value).map_err(|error| Failure::new(Code::HostFailure, Chain(&error).to_string()))
}

fn failed(failure: Failure) -> TerminalItem {
    TerminalItem::Failed(failure.into())
}
