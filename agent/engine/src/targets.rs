//! Where stacks run: the trait [`Target`] and its implementations.
//!
//! A target observes, and carries out one [`Operation`] at a time. It decides nothing: what to do comes from the pure
//! `plan`, when to do it from the reconciler.

pub mod docker;
mod error;
pub mod fake;
mod files;
mod observed;
mod operation;
mod session;
mod told;

use std::{fmt, os::fd::OwnedFd, path::PathBuf};

use futures_util::{future::BoxFuture, stream::BoxStream};
use windflow_model::{
    ContainerSummary, EngineInfo, FilePlace, LogSource, TargetKind, Timestamp, VolumeSummary,
};

pub use self::{
    error::{TargetError, TargetErrorKind},
    files::{ArchivePut, Door, FileStat},
    observed::{
        Endpoint, ImageKey, ObserveQuery, Observed, ObservedContainer, ObservedImage, ObservedMount,
        ObservedNetwork, ObservedPort, ObservedVolume,
    },
    operation::{ContainerCreate, Evidence, OneOff, Operation, SavedNetwork, Tick, Ticker},
    session::{AttachRequest, Ending, ExecRequest, Output, Processes, Session, SessionId},
    told::{Commit, Stream, Told, ToldQuery, ToldScope, Usage},
};
use crate::plan::Settings;

/// A place where containers run.
pub trait Target: fmt::Debug + Send + Sync + 'static {
    /// Which kind it is.
    fn kind(&self) -> TargetKind;

    /// Asks the engine who it is: a round trip, so also the proof that it answers.
    fn info(&self) -> BoxFuture<'_, Result<EngineInfo, TargetError>>;

    /// A round trip: the engine answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        Box::pin(async { self.info().await.map(drop) })
    }

    /// What is there of one project: one snapshot, in any order.
    fn observe<'a>(&'a self, query: &'a ObserveQuery) -> BoxFuture<'a, Result<Observed, TargetError>>;

    /// What a container is set to, by Compose key, in the form of [`settings_of`](crate::plan::settings_of); `None` if it
    /// is gone or the target cannot tell.
    fn settings<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<Settings>, TargetError>>;

    /// Carries one operation out. Repeating an operation that was applied already is no error where the engine lets
    /// it be told (a network that is there, a container that is gone). `ticker` takes progress and never blocks.
    fn execute<'a>(
        &'a self,
        operation: &'a Operation,
        ticker: Ticker,
    ) -> BoxFuture<'a, Result<Evidence, TargetError>>;

    /// All containers of the host.
    fn containers(&self) -> BoxFuture<'_, Result<Vec<ContainerSummary>, TargetError>>;

    /// A network with its settings and the places of these containers on it, for [`Operation::NetworkRestore`].
    fn network_saved<'a>(
        &'a self,
        network: &'a str,
        containers: &'a [String],
    ) -> BoxFuture<'a, Result<SavedNetwork, TargetError>>;

    /// What can be told of a container's health beyond the list; `None` if it is not there.
    fn vitals<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<Vitals>, TargetError>>;

    /// Changes of containers from now on, until the connection breaks (the stream then ends).
    fn events(&self) -> BoxFuture<'_, Result<BoxStream<'static, TargetEvent>, TargetError>>;

    /// Output of one container.
    fn logs(
        &self,
        request: LogRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<LogLine, TargetError>>, TargetError>>;

    /// The newest file of a container's output, if the engine keeps it in files of its driver `json-file`; older ones are beside
    /// it. Whether this process may read it is seen by trying.
    fn log_files<'a>(&'a self, _container: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>, TargetError>> {
        Box::pin(async { Ok(None) })
    }

    /// Runs a command in a container that runs.
    fn exec(&self, _request: ExecRequest) -> BoxFuture<'_, Result<Session, TargetError>> {
        Box::pin(unsupported("exec"))
    }

    /// Connects to a container's own process. Before its start nothing of its output is missed.
    fn attach(&self, _request: AttachRequest) -> BoxFuture<'_, Result<Session, TargetError>> {
        Box::pin(unsupported("attach"))
    }

    /// Tells a terminal's size.
    fn resize<'a>(
        &'a self,
        _id: &'a SessionId,
        _columns: u16,
        _rows: u16,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(unsupported("resize"))
    }

    /// The exit code of a command whose session has ended.
    fn exec_code<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<i64, TargetError>> {
        Box::pin(unsupported("exec"))
    }

    /// Ends a command that may still run: it is hung up on, and killed if it does not go.
    fn exec_end<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(unsupported("exec"))
    }

    /// Begins to wait for a container; the future it gives ends with the exit code.
    fn wait<'a>(
        &'a self,
        _container: &'a str,
        _ending: Ending,
    ) -> BoxFuture<'a, Result<BoxFuture<'static, Result<i64, TargetError>>, TargetError>> {
        Box::pin(unsupported("wait"))
    }

    /// The processes of a container.
    fn top<'a>(&'a self, _container: &'a str) -> BoxFuture<'a, Result<Processes, TargetError>> {
        Box::pin(unsupported("top"))
    }

    /// What the engine tells, in its own words, until the time asked for or for ever.
    fn told(&self, _query: ToldQuery) -> BoxFuture<'_, Result<Stream<Told>, TargetError>> {
        Box::pin(unsupported("events"))
    }

    /// What a running container uses now; takes about a second, the processor's share is measured over it.
    fn usage<'a>(&'a self, _container: &'a str) -> BoxFuture<'a, Result<Usage, TargetError>> {
        Box::pin(unsupported("stats"))
    }

    /// All files of a container as one tar, as they come.
    fn export<'a>(&'a self, _container: &'a str) -> BoxFuture<'a, Result<Stream<bytes::Bytes>, TargetError>> {
        Box::pin(unsupported("export"))
    }

    /// Makes an image of a container's files; gives the image's id.
    fn commit(&self, _commit: Commit) -> BoxFuture<'_, Result<String, TargetError>> {
        Box::pin(unsupported("commit"))
    }

    /// What is at a path of a container; `None` if nothing is.
    fn file_stat<'a>(
        &'a self,
        _container: &'a str,
        _path: &'a str,
    ) -> BoxFuture<'a, Result<Option<FileStat>, TargetError>> {
        Box::pin(unsupported("files"))
    }

    /// What is at a path of a container, as a tar; a link is a link.
    fn archive_get<'a>(
        &'a self,
        _container: &'a str,
        _path: &'a str,
    ) -> BoxFuture<'a, Result<Stream<bytes::Bytes>, TargetError>> {
        Box::pin(unsupported("files"))
    }

    /// Unpacks a tar in a directory of a container.
    fn archive_put(&self, _put: ArchivePut) -> BoxFuture<'_, Result<(), TargetError>> {
        Box::pin(unsupported("files"))
    }

    /// A named volume; `None` if there is none of this name.
    fn volume<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<Option<ObservedVolume>, TargetError>> {
        Box::pin(unsupported("volumes"))
    }

    /// The named volumes, with whoever mounts them.
    fn volumes(&self) -> BoxFuture<'_, Result<Vec<VolumeSummary>, TargetError>> {
        Box::pin(unsupported("volumes"))
    }

    /// The root of a container that runs (by its id) or of a volume, opened, if this process may look into it without the engine.
    fn root_of<'a>(&'a self, _place: &'a FilePlace) -> BoxFuture<'a, Result<Option<OwnedFd>, TargetError>> {
        Box::pin(async { Ok(None) })
    }

    /// Makes a volume visible through a container of this name, which never runs. `life` marks whose it is: `OWNER/LIFE`.
    fn door_open<'a>(
        &'a self,
        _volume: &'a str,
        _name: &'a str,
        _life: &'a str,
    ) -> BoxFuture<'a, Result<Door, TargetError>> {
        Box::pin(unsupported("volumes"))
    }

    /// Removes it.
    fn door_close<'a>(&'a self, _door: &'a Door) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(unsupported("volumes"))
    }

    /// Removes those that another life of the same owner has left open.
    fn doors_sweep<'a>(&'a self, _life: &'a str) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async { Ok(()) })
    }
}

async fn unsupported<T>(what: &'static str) -> Result<T, TargetError> {
    let text = format!("{what}: this target has no processes of its own");
    Err(TargetError::new(TargetErrorKind::Unsupported, text))
}

/// How a container has fared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vitals {
    /// How often the engine has restarted it.
    pub restarts: u32,
    /// Command of its health check.
    pub command: Option<String>,
    /// Exit code of the health check's last run.
    pub exit_code: Option<i64>,
    /// What that run said.
    pub output: String,
    /// When it was last started, in the engine's words: good only for comparing two looks.
    pub started: String,
}

/// A change of a container on the host, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetEvent {
    /// What happened.
    pub kind: TargetEventKind,
    /// The container's id.
    pub container: String,
    /// The Compose project, if it belongs to one.
    pub project: Option<String>,
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetEventKind {
    /// It runs.
    Started,
    /// Its process ended.
    Died,
    /// It was stopped on request (follows `Died`).
    Stopped,
    /// It is gone.
    Removed,
    /// Created, renamed, health changed, paused, …: look at the list again.
    Changed,
}

/// Which output of which container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// The container's id.
    pub container: String,
    /// Last lines; `None` means all.
    pub tail: Option<u32>,
    /// Go on with new lines.
    pub follow: bool,
    /// Only lines at or after this point.
    pub since: Option<Timestamp>,
    /// Only lines before this point.
    pub until: Option<Timestamp>,
    /// Only this output.
    pub source: Option<LogSource>,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Which output.
    pub source: LogSource,
    /// The engine's time of the line.
    pub at: Option<Timestamp>,
    /// The text without its line end.
    pub text: String,
}

impl LogLine {
    /// Longer ones are cut in pieces. Bytes.
    pub const LONGEST: usize = 256 << 10;
}
