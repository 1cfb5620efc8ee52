//! Terminals over streams: frames of the protocol here, [`Terminals`] there.
//!
//! ```text
//! Reader::next ──► FrameWriter      FrameReader ──► Reader::input      (one future each, so that neither waits for the other)
//! ```

use std::{collections::VecDeque, pin::pin, time::Duration};

use windflow_kit::error::Chain;
use windflow_model::{Code, Doc, Failure, TerminalAttach, TerminalQuery, TerminalSize};
use windflow_protocol::{
    TerminalInput, TerminalItem,
    terminal::{MAX_PIECE, MAX_UNTAKEN},
};
use windflow_transport::{FrameReader, FrameWriter, StreamError, streams::TERMINAL};

use super::streams::seal;
use crate::terminals::{Piece, Reader, Terminals};

/// After the controller has turned away, what it said before is still read for this long.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(super) async fn open(
    terminals: &Terminals,
    writer: &mut FrameWriter,
    query: Doc<TerminalQuery>,
) -> Result<(), StreamError> {
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
    let asked = attach
        .open()
        .map_err(|error| Failure::new(Code::Unsupported, Chain(&error).to_string()));
    let attached = asked.and_then(|attach| {
        let (opened, reader) = terminals.attach(attach.id, attach.from, attach.watch)?;
        Ok((opened.tty, seal(&opened)?, reader))
    });
    let (tty, opened, reader) = match attached {
        Ok(attached) => attached,
        Err(failure) => return writer.send(&failed(failure)).await,
    };
    if tty {
        // Keys pass everything else; what goes through pipes has time.
        writer.prefer(TERMINAL);
    }
    writer.send(&TerminalItem::Opened(opened)).await?;
    let gone = writer.unwanted();
    let mut taking = pin!(take(&reader, frames));
    tokio::select! {
        shown = show(&reader, writer) => {
            shown?;
            writer.finish();
            if reader.may_type() {
                // The end is kept until it is heard, or nobody is there to hear it.
                taking.await;
            }
            writer.delivered().await;
        }
        () = &mut taking => {}
        () = gone => {
            // Whoever closes it does not wait for the rest.
            let _all = tokio::time::timeout(LAST_WORDS, taking).await;
        }
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
/// but nothing else: what waits is bounded by what may be under way.
async fn take(reader: &Reader, frames: &mut FrameReader) {
    let mut waiting: VecDeque<TerminalInput> = VecDeque::new();
    let (mut bytes, mut ended) = (0, false);
    loop {
        let frame = tokio::select! {
            biased;
            () = hand_on(reader, waiting.front()), if !waiting.is_empty() => {
                if let Some(TerminalInput::Input(taken)) = waiting.pop_front() {
                    bytes -= taken.len();
                }
                continue;
            }
            frame = frames.next::<TerminalInput>() => frame,
        };
        match frame {
            Ok(Some(TerminalInput::Resize { columns, rows })) => {
                reader.resize(TerminalSize { columns, rows })
            }
            Ok(Some(TerminalInput::Close)) => reader.close(),
            Ok(Some(TerminalInput::Seen { position })) => reader.seen(position),
            // Behind the end of the input there is none, nor a second end.
            Ok(Some(TerminalInput::EndOfInput | TerminalInput::Input(_))) if ended => {}
            Ok(Some(TerminalInput::EndOfInput)) => {
                ended = true;
                waiting.push_back(TerminalInput::EndOfInput);
            }
            Ok(Some(TerminalInput::Input(piece))) => {
                bytes += piece.len();
                if bytes > MAX_UNTAKEN {
                    tracing::warn!(
                        bytes,
                        "a terminal's stream ends: more input than may be under way"
                    );
                    return;
                }
                match waiting.back_mut() {
                    // Single keys are not kept one by one.
                    Some(TerminalInput::Input(last)) if last.len() + piece.len() <= MAX_PIECE => {
                        last.extend(piece)
                    }
                    _ => waiting.push_back(TerminalInput::Input(piece)),
                }
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

fn failed(failure: Failure) -> TerminalItem {
    TerminalItem::Failed(failure.into())
}
