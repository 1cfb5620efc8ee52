//! Log lines on their way from a container to a reader, and what a reader asks for.

mod field;
mod level;
mod literal;
mod matcher;
mod printable;

use serde::{Deserialize, Serialize};

pub use self::{
    field::{FieldOperator, FieldTest, FieldTestError},
    level::LogLevel,
    matcher::{LogMatcher, LogSearchError},
    printable::{printable, printable_lines},
};
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

/// What a reader asks for: lines in the order in which they were written, or, with [`LogQuery::search`], the newest that match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct LogQuery {
    /// Name of the stack (Compose project); `None` means every container of the host.
    pub stack: Option<String>,
    /// Only these services; empty means all.
    pub services: Vec<String>,
    /// Only the containers of these names; empty means all.
    pub containers: Vec<String>,
    /// Last lines per container before following; `None` means all that the engine keeps. A search reads all.
    pub tail: Option<u32>,
    /// Go on with new lines, and with containers that appear later.
    pub follow: bool,
    /// Only lines at or after this point.
    pub since: Option<Timestamp>,
    /// Only lines before this point; nothing is followed then.
    pub until: Option<Timestamp>,
    /// Only this output.
    pub source: Option<LogSource>,
    /// Only lines that match.
    pub search: Option<LogSearch>,
}

/// Which lines match: those for which all of it holds. A line of which Docker keeps several parts (16 KiB each) is searched part
/// by part; sequences that colour it are not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct LogSearch {
    /// Texts, each of which the line holds.
    pub texts: Vec<String>,
    /// A regular expression that is found in the line (the syntax of the Rust crate `regex`, classes of ASCII only).
    pub regex: Option<String>,
    /// Whether texts and expression tell capital letters from small ones.
    pub case_sensitive: bool,
    /// At least of this level, as the line tells it itself.
    pub level: Option<LogLevel>,
    /// Tests of fields of lines that are JSON objects.
    pub fields: Vec<FieldTest>,
    /// Matches of a host after which older ones are not looked for; 0 means [`LogSearch::LIMIT`]. Not with `follow`.
    pub limit: u32,
}

impl LogSearch {
    /// Matches of each host that are looked for if nothing else is said.
    pub const LIMIT: u32 = 1000;
    /// Most that may be asked for.
    pub const MOST: u32 = 10_000;

    /// Whether anything is looked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.texts.is_empty() || self.regex.is_some() || self.level.is_some() || !self.fields.is_empty()
    }

    /// Matches after which a host may stop.
    #[must_use]
    pub fn enough(&self) -> u32 {
        match self.limit {
            0 => Self::LIMIT,
            limit => limit.min(Self::MOST),
        }
    }
}

impl Document for LogQuery {
    const NAME: &'static str = "log query";
    /// 2: what a host of schema 1 would pass over, and answer with all lines.
    const SCHEMA: u16 = 2;
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
    /// What a search has looked at, once it is over.
    Searched(LogSearched),
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

/// What a search has looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LogSearched {
    /// Containers that were looked into.
    pub containers: u32,
    /// Bytes of their logs that were read.
    pub bytes: u64,
    /// Lines that matched.
    pub matches: u64,
    /// The search is complete from this point on; older lines of some container were not looked at. `None`: everything that the
    /// engine keeps was. With nothing in `stopped_by`, a container could not be searched, as a `gap` has told.
    pub complete_from: Option<Timestamp>,
    /// Why it stopped there.
    pub stopped_by: Option<SearchBound>,
}

impl Document for LogSearched {
    const NAME: &'static str = "summary of a search";
    const SCHEMA: u16 = 1;
}

/// What ends a search before all is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SearchBound {
    /// As many matches as were asked for.
    Matches,
    /// The host has read as much as it may for one search.
    Bytes,
    /// The host has searched as long as it may.
    Time,
}

impl Document for LogEvent {
    const NAME: &'static str = "log event";
    const SCHEMA: u16 = 1;
}
