//! A terminal's stream: opened by the controller for [`StreamOpen::TerminalAttach`](crate::StreamOpen), then
//! [`TerminalItem`] from the agent and [`TerminalInput`] from the controller until the agent says how it ended.
//!
//! ```text
//! Terminal(query)        ──►   ◄── Opened, or Failed; the stream is over, the process waits for somebody
//! TerminalAttach(id, from) ──► ◄── Opened, Output …, Gap …, Taken …, Ended      Input …, Seen …, Resize …, EndOfInput, Close ──►
//! ```
//! Bytes travel as they are: a character may be cut between two frames. What is not read is held back by QUIC. A stream
//! that ends without `Close` leaves the process, or its end, for its time of grace. The agent always reads: whoever types
//! keeps no more than [`MAX_UNTAKEN`] bytes of input under way.

use serde::{Deserialize, Serialize};
use windflow_model::{Doc, TerminalEnd, TerminalOpened};

use crate::{codec::Frame, stream::StreamFailure};

/// Most bytes of output or input in one frame.
pub const MAX_PIECE: usize = 32 << 10;
/// Most bytes of input that may be under way without the host's word that they were taken. `Seen` and `Close` come behind
/// them on the same stream, and a process that waits for room to write reads nothing.
pub const MAX_UNTAKEN: usize = 512 << 10;

/// What the agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TerminalItem {
    /// It runs.
    Opened(Doc<TerminalOpened>),
    /// Output.
    Output {
        /// Position of the first byte, counted over both outputs from 0.
        from: u64,
        /// Whether it is standard error.
        stderr: bool,
        /// At most [`MAX_PIECE`] bytes.
        bytes: Vec<u8>,
    },
    /// Output that is no longer kept.
    Gap {
        /// Position of the first lost byte.
        from: u64,
        /// How many bytes.
        lost: u64,
    },
    /// It is over.
    Ended(Doc<TerminalEnd>),
    /// It cannot be served. At the place of `Failed` among [`StreamItem`](crate::StreamItem): an agent that knows no
    /// terminals answers with that one.
    Failed(StreamFailure),
    /// Bytes of input that the process has been handed so far. Said now and then, to the one who types: what lies before
    /// need not be kept for a lost connection.
    Taken {
        /// Counted from the beginning.
        input: u64,
    },
}

impl Frame for TerminalItem {
    const KIND: &'static str = "terminal item";
    const VARIANTS: u32 = 6;
    /// A piece, or a document about it.
    const MAX: usize = 256 << 10;
}

/// What the controller says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TerminalInput {
    /// For the process to read, at most [`MAX_PIECE`] bytes.
    Input(Vec<u8>),
    /// There is no more to read.
    EndOfInput,
    /// The terminal has another size.
    Resize {
        /// Characters in a row.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// End the process now. Behind `Ended`: it has been heard, and nobody comes back for it.
    Close,
    /// The one who types has the output up to here. The process is held back while it is further ahead of them than is
    /// kept for a lost connection, so it is said at least every 32 KiB.
    Seen {
        /// Position behind the last byte.
        position: u64,
    },
}

impl Frame for TerminalInput {
    const KIND: &'static str = "terminal input";
    const VARIANTS: u32 = 5;
    const MAX: usize = 64 << 10;
}
