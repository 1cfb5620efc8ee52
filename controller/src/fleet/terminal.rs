//! Terminals on a host: one stream each, both ways, with nothing in between but what QUIC holds.

use std::time::Duration;

use windflow_kit::error::Chain;
use windflow_model::{
    Code, Failure, TerminalAttach, TerminalEnd, TerminalOpened, TerminalQuery, TerminalSize,
};
use windflow_protocol::{StreamOpen, TerminalInput, TerminalItem, terminal::MAX_PIECE};
use windflow_transport::{FrameReader, FrameWriter, quinn::Connection, streams::TERMINAL};

use super::streams::{broken, late, seal};

/// The first answer.
const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// A terminal that is attached to. Dropping it leaves the process for its time of grace.
pub struct TerminalStream {
    /// What the host says of it.
    pub opened: TerminalOpened,
    reader: FrameReader,
    writer: FrameWriter,
}

impl std::fmt::Debug for TerminalStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TerminalStream")
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}

/// What comes from it. What is not asked for holds the process back.
pub struct TerminalOutput(FrameReader);

/// What goes to it.
pub struct TerminalTyping(FrameWriter);

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Output.
    Output {
        /// Position of the first byte.
        from: u64,
        /// Whether it is standard error.
        stderr: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Output that is missing.
    Gap {
        /// Position of the first lost byte.
        from: u64,
        /// How many.
        lost: u64,
    },
    /// So many bytes of input have been taken.
    Taken(u64),
    /// It is over.
    Ended(TerminalEnd),
    /// The host went away, or gave up.
    Lost(Failure),
}

async fn dial(connection: &Connection, header: StreamOpen) -> Result<(FrameReader, FrameWriter), Failure> {
    let (send, receive) = connection
        .open_bi()
        .await
        .map_err(|error| broken("the terminal", &error))?;
    let mut writer = FrameWriter::new(send);
    writer
        .send(&header)
        .await
        .map_err(|error| broken("the terminal", &error))?;
    Ok((FrameReader::new(receive), writer))
}

async fn opened(reader: &mut FrameReader) -> Result<TerminalOpened, Failure> {
    match reader
        .next::<TerminalItem>()
        .await
        .map_err(|error| broken("the terminal", &error))?
    {
        Some(TerminalItem::Opened(opened)) => opened
            .open()
            .map_err(|error| Failure::new(Code::Internal, Chain(&error).to_string())),
        Some(TerminalItem::Failed(failure)) => Err(failure.into()),
        _ => Err(Failure::new(Code::HostFailure, "the host opened no terminal")),
    }
}

pub(super) async fn open(connection: Connection, query: TerminalQuery) -> Result<TerminalOpened, Failure> {
    let ask = async {
        let (mut reader, mut writer) = dial(&connection, StreamOpen::Terminal(seal(&query)?)).await?;
        writer.finish();
        opened(&mut reader).await
    };
    tokio::time::timeout(OPEN_WITHIN, ask)
        .await
        .unwrap_or_else(|_| Err(late("the terminal", OPEN_WITHIN)))
}

pub(super) async fn attach(
    connection: Connection,
    attach: TerminalAttach,
) -> Result<TerminalStream, Failure> {
    let ask = async {
        let (mut reader, writer) = dial(&connection, StreamOpen::TerminalAttach(seal(&attach)?)).await?;
        let opened = opened(&mut reader).await?;
        if opened.tty {
            // Keys pass everything else; what goes through pipes has time.
            writer.prefer(TERMINAL);
        }
        Ok(TerminalStream {
            opened,
            reader,
            writer,
        })
    };
    tokio::time::timeout(OPEN_WITHIN, ask)
        .await
        .unwrap_or_else(|_| Err(late("the terminal", OPEN_WITHIN)))
}

impl TerminalStream {
    /// Both directions, for two who do not wait for one another.
    #[must_use]
    pub fn split(self) -> (TerminalOutput, TerminalTyping) {
        (TerminalOutput(self.reader), TerminalTyping(self.writer))
    }
}

impl TerminalOutput {
    /// What comes next. May be dropped and called again.
    pub async fn next(&mut self) -> Shown {
        match self.0.next::<TerminalItem>().await {
            Ok(Some(item)) => read(item),
            Ok(None) => Shown::Lost(Failure::new(
                Code::HostFailure,
                "the host ended the terminal's stream",
            )),
            Err(error) => Shown::Lost(broken("the terminal", &error)),
        }
    }
}

fn read(item: TerminalItem) -> Shown {
    match item {
        TerminalItem::Output { from, stderr, bytes } => Shown::Output { from, stderr, bytes },
        TerminalItem::Gap { from, lost } => Shown::Gap { from, lost },
        TerminalItem::Taken { input } => Shown::Taken(input),
        TerminalItem::Ended(end) => match end.open() {
            Ok(end) => Shown::Ended(end),
            Err(error) => Shown::Lost(Failure::new(Code::Internal, Chain(&error).to_string())),
        },
        TerminalItem::Failed(failure) => Shown::Lost(failure.into()),
        TerminalItem::Opened(_) => Shown::Lost(Failure::new(
            Code::HostFailure,
            "protocol error: a terminal was opened twice",
        )),
    }
}

impl TerminalTyping {
    async fn send(&mut self, input: TerminalInput) -> Result<(), Failure> {
        self.0
            .send(&input)
            .await
            .map_err(|error| broken("the terminal", &error))
    }

    /// Hands over what was typed; waits while the process does not read.
    ///
    /// # Errors
    /// The stream is over.
    pub async fn input(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for piece in bytes.chunks(MAX_PIECE) {
            self.send(TerminalInput::Input(piece.to_vec())).await?;
        }
        Ok(())
    }

    /// There is no more input.
    ///
    /// # Errors
    /// The stream is over.
    pub async fn end_of_input(&mut self) -> Result<(), Failure> {
        self.send(TerminalInput::EndOfInput).await
    }

    /// Tells the size of the terminal.
    ///
    /// # Errors
    /// The stream is over.
    pub async fn resize(&mut self, size: TerminalSize) -> Result<(), Failure> {
        let TerminalSize { columns, rows } = size;
        self.send(TerminalInput::Resize { columns, rows }).await
    }

    /// The reader has the output up to here.
    ///
    /// # Errors
    /// The stream is over.
    pub async fn seen(&mut self, position: u64) -> Result<(), Failure> {
        self.send(TerminalInput::Seen { position }).await
    }

    /// Ends the process; behind its end: somebody has heard of it.
    ///
    /// # Errors
    /// The stream is over.
    pub async fn close(&mut self) -> Result<(), Failure> {
        self.send(TerminalInput::Close).await
    }
}
