//! Log lines on their way from a container to a reader.

use serde::{Deserialize, Serialize};

use crate::{doc::Document, time::Timestamp};

/// Which output of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// Standard output (or the terminal).
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LogQuery {
    /// Name of the stack (Compose project).
    pub stack: String,
    /// Only these services; empty means all.
    #[serde(default)]
    pub services: Vec<String>,
    /// Last lines per container before following; `None` means all that the engine keeps.
    #[serde(default)]
    pub tail: Option<u32>,
    /// Go on with new lines, and with containers that appear later.
    #[serde(default)]
    pub follow: bool,
    /// Only lines at or after this point.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl Document for LogQuery {
    const NAME: &'static str = "log query";
    const SCHEMA: u16 = 1;
}

/// One item of a log stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LogEvent {
    /// One line.
    Line {
        /// Number within the stream, from 0 without holes.
        seq: u64,
        /// Service, or the container's name outside Compose.
        service: String,
        /// Container name.
        container: String,
        /// Which output.
        source: LogSource,
        /// The engine's time of the line.
        at: Option<Timestamp>,
        /// The text without its line end; invalid UTF-8 is replaced. At most 256 KiB, longer lines are cut in pieces.
        text: String,
    },
    /// Lines were lost on purpose because a bound was hit.
    Gap {
        /// Sequence number of the first lost line.
        from: u64,
        /// How many lines are missing.
        lost: u64,
        /// Which bound.
        reason: String,
    },
    /// The stream is over.
    End {
        /// Why, for the reader.
        reason: String,
    },
}

impl LogEvent {
    /// Reason of an end at which nothing is missing: every line that was asked for has been sent.
    pub const COMPLETE: &'static str = "all containers have been read";
}

impl Document for LogEvent {
    const NAME: &'static str = "log event";
    const SCHEMA: u16 = 1;
}
