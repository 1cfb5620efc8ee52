//! Streams of their own: opened by the controller, one header frame, then items from the agent until `End`.

use serde::{Deserialize, Serialize};
use windflow_model::{
    Doc, Failure, FileQuery, LogEvent, LogQuery, LogSearched, LogSource, Plan, TerminalAttach, TerminalQuery,
    Timestamp,
};

use crate::{codec::Frame, control::Denial, work::Assignment};

/// What the controller opens a stream for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StreamOpen {
    /// Log lines: the agent answers `Lines` and `Gap`, then `End`.
    Logs(Doc<LogQuery>),
    /// What would a deployment do: the agent answers one `Plan` or `Failed`.
    Plan(Doc<Assignment>),
    /// Start a process and keep it for whoever attaches: the agent answers one `Opened` or `Failed` of
    /// [`TerminalItem`](crate::TerminalItem).
    Terminal(Doc<TerminalQuery>),
    /// Be connected to such a process; see [`crate::terminal`].
    TerminalAttach(Doc<TerminalAttach>),
    /// Look at files, hand them out, take them in; see [`crate::files`].
    Files(Doc<FileQuery>),
}

impl Frame for StreamOpen {
    const KIND: &'static str = "stream header";
    const VARIANTS: u32 = 5;
    /// As a control frame: a plan carries a spec.
    const MAX: usize = 4 << 20;
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StreamItem {
    /// Log lines with consecutive numbers.
    Lines {
        /// Number of the first.
        first: u64,
        /// The lines.
        lines: Vec<LogLine>,
    },
    /// Lines that were dropped because a bound was hit.
    Gap {
        /// Number of the first lost line.
        from: u64,
        /// How many.
        lost: u64,
        /// Which bound.
        reason: String,
    },
    /// The stream ended in good order.
    End {
        /// Why.
        reason: String,
    },
    /// The plan.
    Plan(Doc<Plan>),
    /// It cannot be served.
    Failed(StreamFailure),
    /// What a search in logs has looked at; `End` follows.
    Searched(Doc<LogSearched>),
}

impl Frame for StreamItem {
    const KIND: &'static str = "stream item";
    const VARIANTS: u32 = 6;
    /// A line is at most 256 KiB, a batch ends at [`MAX_BATCH_BYTES`]; plans may be larger.
    const MAX: usize = 4 << 20;
}

/// A batch of lines is sent once it holds this many bytes of text: 32 KiB is where batching stops paying.
pub const MAX_BATCH_BYTES: usize = 32 << 10;

/// One log line on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Service, or the container's name outside Compose.
    pub service: String,
    /// Container name.
    pub container: String,
    /// Whether it came from standard error.
    pub stderr: bool,
    /// The engine's time of the line.
    pub at: Option<Timestamp>,
    /// Its text without the line end.
    pub text: String,
}

impl LogLine {
    /// The line as the model speaks of it.
    #[must_use]
    pub fn into_event(self, seq: u64) -> LogEvent {
        LogEvent::Line {
            seq,
            service: self.service,
            container: self.container,
            source: if self.stderr {
                LogSource::Stderr
            } else {
                LogSource::Stdout
            },
            at: self.at,
            text: self.text,
        }
    }
}

/// A failure as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamFailure {
    /// `WF-` and four digits.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl From<Failure> for StreamFailure {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
            hint: failure.hint,
        }
    }
}

impl From<StreamFailure> for Failure {
    fn from(failure: StreamFailure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
            hint: failure.hint,
            check: None,
        }
    }
}

impl From<Denial> for StreamFailure {
    fn from(denial: Denial) -> Self {
        Self {
            code: denial.code,
            message: denial.message,
            hint: String::new(),
        }
    }
}
