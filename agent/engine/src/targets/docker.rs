//! Docker, and Podman's Docker-compatible API, from API 1.41 up.
//!
//! `connect` finds the engine and its version, `observe` and `containers` read, `spec` maps a Compose service to a
//! create request, `execute` carries operations out (`pull` and `build` with their streams), `events` and `logs` follow.
//! No path names a version: the engine answers in its own newest one, so fields are gated by the version it names.
//! The client library lends its models of requests; its client is not used, as it cannot carry all that a file may say.

mod api;
mod archive;
mod build;
mod client;
mod connect;
mod containers;
mod create;
mod door;
mod error;
mod events;
mod execute;
mod files;
mod frames;
mod hangup;
mod inspect;
mod logs;
mod networks;
mod observe;
mod pull;
mod saved;
mod session;
mod settings;
mod spec;
mod tell;
mod volumes;
mod wire;

use std::{os::fd::OwnedFd, path::PathBuf, sync::Mutex, time::Duration};

use futures_util::{future::BoxFuture, stream::BoxStream};
use windflow_model::{ContainerSummary, EngineInfo, FilePlace, TargetKind, VolumeSummary};

pub use self::client::client_config_dir;
use self::{client::ClientConfig, connect::Address};
use super::{
    ArchivePut, AttachRequest, Commit, Door, Ending, Evidence, ExecRequest, FileStat, LogLine, LogRequest,
    ObserveQuery, Observed, ObservedVolume, Operation, Processes, SavedNetwork, Session, SessionId, Stream,
    Target, TargetError, TargetEvent, Ticker, Told, ToldQuery, Usage, Vitals,
};
use crate::plan::Settings;

/// Where the engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerOptions {
    /// As `DOCKER_HOST`: `unix:///path` or `tcp://host:port`. `None` means `unix:///var/run/docker.sock`.
    pub host: Option<String>,
    /// Directory of the Docker client's `config.json`, see [`client_config_dir`]. `None` means no credentials.
    pub client_config: Option<PathBuf>,
    /// How long a pull may stand still before it fails; `None` means [`PULL_STALL`].
    pub pull_stall: Option<Duration>,
    /// As `DOCKER_BUILDKIT`: false builds images with the classic builder only.
    pub buildkit: Option<bool>,
    /// Socket of the SSH agent that builds may use, as `SSH_AUTH_SOCK`.
    pub ssh_agent: Option<PathBuf>,
}

impl DockerOptions {
    /// Takes what concerns building from the environment: `DOCKER_BUILDKIT` and `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn with_builder(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let no = |text: String| matches!(text.to_lowercase().as_str(), "0" | "f" | "false");
        self.buildkit = given("DOCKER_BUILDKIT").map(|text| !no(text));
        self.ssh_agent = given("SSH_AUTH_SOCK").map(PathBuf::from);
        self
    }
}

/// How long a pull may stand still if nothing else is said: longer than an engine takes to check a large layer.
pub const PULL_STALL: Duration = Duration::from_secs(120);

/// A Docker or Podman engine.
#[derive(Debug)]
pub struct DockerTarget {
    address: Address,
    client_config: Option<PathBuf>,
    pull_stall: Duration,
    buildkit: Option<bool>,
    ssh_agent: Option<PathBuf>,
    info: Mutex<Option<EngineInfo>>,
}

impl DockerTarget {
    /// Understands the address; the engine need not be there yet.
    ///
    /// # Errors
    /// [`super::TargetErrorKind::Host`] if the address cannot be understood.
    pub fn connect(options: DockerOptions) -> Result<Self, TargetError> {
        let address = Address::parse(options.host.as_deref())?;
        Ok(Self {
            address,
            client_config: options.client_config,
            pull_stall: options.pull_stall.unwrap_or(PULL_STALL),
            buildkit: options.buildkit,
            ssh_agent: options.ssh_agent,
            info: Mutex::default(),
        })
    }

    async fn client_config(&self) -> ClientConfig {
        ClientConfig::read(self.client_config.as_deref()).await
    }
}

impl Target for DockerTarget {
    fn kind(&self) -> TargetKind {
        TargetKind::Docker
    }

    fn info(&self) -> BoxFuture<'_, Result<EngineInfo, TargetError>> {
        Box::pin(self.fetch_info())
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        Box::pin(tell::ping(self))
    }

    fn observe<'a>(&'a self, query: &'a ObserveQuery) -> BoxFuture<'a, Result<Observed, TargetError>> {
        Box::pin(observe::observe(self, query))
    }

    fn settings<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<Settings>, TargetError>> {
        Box::pin(settings::of(self, container))
    }

    fn execute<'a>(
        &'a self,
        operation: &'a Operation,
        ticker: Ticker,
    ) -> BoxFuture<'a, Result<Evidence, TargetError>> {
        Box::pin(execute::execute(self, operation, ticker))
    }

    fn containers(&self) -> BoxFuture<'_, Result<Vec<ContainerSummary>, TargetError>> {
        Box::pin(containers::list(self))
    }

    fn network_saved<'a>(
        &'a self,
        network: &'a str,
        containers: &'a [String],
    ) -> BoxFuture<'a, Result<SavedNetwork, TargetError>> {
        Box::pin(saved::network(self, network, containers))
    }

    fn vitals<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<Vitals>, TargetError>> {
        Box::pin(saved::vitals(self, container))
    }

    fn events(&self) -> BoxFuture<'_, Result<BoxStream<'static, TargetEvent>, TargetError>> {
        Box::pin(events::open(self))
    }

    fn logs(
        &self,
        request: LogRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<LogLine, TargetError>>, TargetError>> {
        Box::pin(logs::open(self, request))
    }

    fn log_files<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>, TargetError>> {
        Box::pin(logs::files(self, container))
    }

    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Session, TargetError>> {
        Box::pin(session::exec(self, request))
    }

    fn attach(&self, request: AttachRequest) -> BoxFuture<'_, Result<Session, TargetError>> {
        Box::pin(session::attach(self, request))
    }

    fn resize<'a>(
        &'a self,
        id: &'a SessionId,
        columns: u16,
        rows: u16,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(session::resize(self, id, columns, rows))
    }

    fn exec_code<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<i64, TargetError>> {
        Box::pin(session::exec_code(self, id))
    }

    fn exec_end<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(hangup::exec_end(self, id))
    }

    fn wait<'a>(
        &'a self,
        container: &'a str,
        ending: Ending,
    ) -> BoxFuture<'a, Result<BoxFuture<'static, Result<i64, TargetError>>, TargetError>> {
        Box::pin(session::wait(self, container, ending))
    }

    fn top<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Processes, TargetError>> {
        Box::pin(session::top(self, container))
    }

    fn told(&self, query: ToldQuery) -> BoxFuture<'_, Result<Stream<Told>, TargetError>> {
        Box::pin(tell::told(self, query))
    }

    fn usage<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Usage, TargetError>> {
        Box::pin(tell::usage(self, container))
    }

    fn export<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Stream<bytes::Bytes>, TargetError>> {
        Box::pin(tell::export(self, container))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<String, TargetError>> {
        Box::pin(tell::commit(self, commit))
    }

    fn file_stat<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Option<FileStat>, TargetError>> {
        Box::pin(archive::stat(self, container, path))
    }

    fn archive_get<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> BoxFuture<'a, Result<Stream<bytes::Bytes>, TargetError>> {
        Box::pin(archive::get(self, container, path))
    }

    fn archive_put(&self, put: ArchivePut) -> BoxFuture<'_, Result<(), TargetError>> {
        Box::pin(archive::put(self, put))
    }

    fn volume<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObservedVolume>, TargetError>> {
        Box::pin(async move { Ok(observe::volume(self, name).await?.map(observe::observed_volume)) })
    }

    fn volumes(&self) -> BoxFuture<'_, Result<Vec<VolumeSummary>, TargetError>> {
        Box::pin(volumes::list(self))
    }

    fn root_of<'a>(&'a self, place: &'a FilePlace) -> BoxFuture<'a, Result<Option<OwnedFd>, TargetError>> {
        Box::pin(volumes::root_of(self, place))
    }

    fn door_open<'a>(
        &'a self,
        volume: &'a str,
        name: &'a str,
        life: &'a str,
    ) -> BoxFuture<'a, Result<Door, TargetError>> {
        Box::pin(door::open(self, volume, name, life))
    }

    fn door_close<'a>(&'a self, door: &'a Door) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(door::close(self, door))
    }

    fn doors_sweep<'a>(&'a self, life: &'a str) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(door::sweep(self, life))
    }
}
