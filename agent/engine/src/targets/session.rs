//! Being connected to a process: a command in a container, or the container's own.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use super::TargetError;

/// A command to run in a container that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The container's id.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// `KEY=value`; a key alone unsets the variable.
    pub env: Vec<String>,
    /// Instead of the container's working directory.
    pub working_dir: Option<String>,
    /// Instead of the container's user.
    pub user: Option<String>,
    /// With all privileges.
    pub privileged: bool,
    /// With a terminal.
    pub tty: bool,
    /// Read from [`Session::input`].
    pub stdin: bool,
    /// Start it and stay apart: the session has no output and no input.
    pub detach: bool,
}

/// What to connect to of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachRequest {
    /// The container's id; it need not run yet.
    pub container: String,
    /// Whether it has a terminal: its output is then one stream without frames.
    pub tty: bool,
    /// Write to its standard input.
    pub stdin: bool,
    /// Begin with what it has written so far.
    pub logs: bool,
    /// Keys that end the session and leave the process alone, instead of the engine's `ctrl-p,ctrl-q`.
    pub detach_keys: Option<String>,
}

/// What a session is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionId {
    /// A command, by the engine's id.
    Exec(String),
    /// A container.
    Container(String),
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output; with a terminal, all output.
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
}

/// A connection to a process. Dropping it cuts it; the process goes on.
pub struct Session {
    /// What it is connected to.
    pub id: SessionId,
    /// What the process writes, until it ends.
    pub output: BoxStream<'static, Result<Output, TargetError>>,
    /// What the process reads; shutting it down is the end of its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Not running: at once if it does not run now.
    NotRunning,
    /// The next end of its process: ask before the start.
    NextExit,
    /// Its removal.
    Removed,
}

/// The processes of a container, as its host's `ps` tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// Names of the columns.
    pub titles: Vec<String>,
    /// One row for each process.
    pub rows: Vec<Vec<String>>,
}
