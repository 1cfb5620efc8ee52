//! Terminals: a process on a host with somebody in front of it.

use serde::{Deserialize, Serialize};

use crate::{doc::Document, id::TerminalId};

/// Where the process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TerminalPlace {
    /// In a container of a service.
    Service {
        /// Name of the stack (Compose project).
        stack: String,
        /// The service.
        service: String,
        /// Number of the container within its service; without one, the first that runs.
        #[serde(default)]
        number: Option<u32>,
    },
    /// In this container.
    Container {
        /// Its id, or its name.
        container: String,
    },
    /// On the host itself, as the user that [`TerminalQuery::user`] names. Only for agents that say
    /// [`Capability::HOST_TERMINAL`](crate::Capability::HOST_TERMINAL); older ones refuse the whole query.
    Host,
}

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TerminalSize {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalQuery {
    /// Under which id it can be attached to.
    pub id: TerminalId,
    /// Where.
    pub place: TerminalPlace,
    /// Program and arguments; none means a shell of the container, or the login shell of the host's user.
    #[serde(default)]
    pub command: Vec<String>,
    /// Instead of the container's user; on the host, one of those that its policy names.
    #[serde(default)]
    pub user: Option<String>,
    /// Instead of the container's working directory, or of the user's home.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// `KEY=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// With a terminal; without one standard output and error stay apart, and nothing of them is ever left out.
    #[serde(default)]
    pub tty: bool,
    /// The process can read.
    #[serde(default)]
    pub stdin: bool,
    /// Size of the terminal.
    #[serde(default)]
    pub size: Option<TerminalSize>,
    /// Seconds the process is kept after its end was lost.
    #[serde(default)]
    pub grace_s: u32,
}

impl Document for TerminalQuery {
    const NAME: &'static str = "terminal query";
    const SCHEMA: u16 = 1;
}

/// Being connected to a terminal that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalAttach {
    /// Which.
    pub id: TerminalId,
    /// Position of the first byte of output that is wanted.
    #[serde(default)]
    pub from: u64,
    /// Look only. Others keep their place, and a watcher that is slow is left behind with a gap.
    #[serde(default)]
    pub watch: bool,
}

impl Document for TerminalAttach {
    const NAME: &'static str = "terminal attach";
    const SCHEMA: u16 = 1;
}

/// A terminal as its host knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TerminalOpened {
    /// Name of the container; empty on the host itself.
    pub container: String,
    /// The user of the host that it runs as; nobody in a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_user: Option<String>,
    /// Program and arguments that run.
    pub command: Vec<String>,
    /// With a terminal.
    pub tty: bool,
    /// Bytes of output so far.
    #[serde(default)]
    pub position: u64,
    /// Bytes of input that the host has taken: whoever comes back goes on behind them.
    #[serde(default)]
    pub input: u64,
}

impl Document for TerminalOpened {
    const NAME: &'static str = "terminal";
    const SCHEMA: u16 = 1;
}

/// Why a terminal is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TerminalCause {
    /// The process ended by itself.
    Exited,
    /// It was closed on request.
    Closed,
    /// Nobody typed for longer than the host allows.
    Idle,
    /// It was open for longer than the host allows.
    TooLong,
    /// Its end was lost, and nobody came back in time.
    Abandoned,
    /// Somebody else took its place; the process goes on.
    TakenOver,
    /// The agent was stopped.
    AgentStopped,
    /// The container's engine broke it off, or what started it on the host.
    Broken,
    /// A cause of a newer version.
    #[serde(other)]
    Other,
}

/// The end of a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TerminalEnd {
    /// Why.
    pub cause: TerminalCause,
    /// Exit code of the process, if it ended by itself.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// More about it, for people; may be empty.
    #[serde(default)]
    pub detail: String,
}

impl TerminalEnd {
    /// An end without an exit code.
    #[must_use]
    pub const fn of(cause: TerminalCause) -> Self {
        Self {
            cause,
            exit_code: None,
            detail: String::new(),
        }
    }
}

impl Document for TerminalEnd {
    const NAME: &'static str = "terminal end";
    const SCHEMA: u16 = 1;
}
