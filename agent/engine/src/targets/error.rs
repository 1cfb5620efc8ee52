//! What can go wrong on a target.

use std::fmt;

use windflow_kit::{BoxError, error::chain};
use windflow_model::{Code, FailedCheck, Failure};

/// A class of error on a target; it decides whether to try again and which code users see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetErrorKind {
    /// No answer from the engine: it may come back.
    Unreachable,
    /// The engine's socket is there and may not be opened.
    Forbidden,
    /// The thing is not there.
    NotFound,
    /// The name is taken.
    NameTaken,
    /// A host port is taken.
    PortTaken,
    /// An image could not be pulled.
    ImagePull,
    /// An image could not be built.
    BuildFailed,
    /// No space left on the host.
    DiskFull,
    /// The engine is too old or too new for what was asked.
    EngineVersion,
    /// Understood, and not carried out here.
    Unsupported,
    /// A container did not run or did not become healthy in time.
    Unhealthy,
    /// A container ended although it should run.
    ContainerExited,
    /// Any other refusal of the engine.
    Engine,
    /// Something on the host, not the engine, failed.
    Host,
}

/// A failed observation or operation.
#[derive(Debug)]
pub struct TargetError {
    /// Its class.
    pub kind: TargetErrorKind,
    /// What was tried, with the thing's name.
    pub what: String,
    /// What the engine or the system said.
    pub source: Option<BoxError>,
    /// The container that did not do what it should.
    pub check: Option<Box<FailedCheck>>,
}

impl TargetError {
    /// An error without a cause below it.
    #[must_use]
    pub fn new(kind: TargetErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            source: None,
            check: None,
        }
    }

    /// An error with its cause.
    #[must_use]
    pub fn caused(kind: TargetErrorKind, what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            what: what.into(),
            source: Some(source.into()),
            check: None,
        }
    }

    /// Whether the engine did not answer at all.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.kind == TargetErrorKind::Unreachable
    }

    /// The code users see.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self.kind {
            TargetErrorKind::Unreachable | TargetErrorKind::Forbidden => Code::EngineUnreachable,
            TargetErrorKind::NameTaken => Code::NameTaken,
            TargetErrorKind::PortTaken => Code::PortTaken,
            TargetErrorKind::ImagePull => Code::ImagePull,
            TargetErrorKind::BuildFailed => Code::BuildFailed,
            TargetErrorKind::DiskFull => Code::DiskFull,
            TargetErrorKind::EngineVersion => Code::EngineVersion,
            TargetErrorKind::Unsupported => Code::Unsupported,
            TargetErrorKind::Unhealthy => Code::Unhealthy,
            TargetErrorKind::ContainerExited => Code::ContainerExited,
            TargetErrorKind::NotFound | TargetErrorKind::Engine => Code::Engine,
            TargetErrorKind::Host => Code::HostFailure,
        }
    }

    /// The failure users see: code, the whole story, remedy.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let text = match &self.source {
            Some(source) => format!("{}: {}", self.what, chain(source)),
            None => self.what.clone(),
        };
        Failure {
            check: self.check.clone(),
            ..Failure::new(self.code(), text)
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for TargetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        error.failure()
    }
}
