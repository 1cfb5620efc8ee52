//! Versions of the engine's API.

use windflow_model::EngineInfo;

use crate::targets::{TargetError, TargetErrorKind};

/// The minor number of `1.x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Api(pub(super) u32);

impl Api {
    /// The oldest version this target works with: engine 20.10.
    pub(super) const OLDEST: Self = Self(41);

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        (major == "1").then(|| minor.parse().ok().map(Self))?
    }

    pub(super) fn of(info: &EngineInfo) -> Self {
        Self::parse(&info.api_version).unwrap_or(Self::OLDEST)
    }

    /// Refuses a key that this engine does not know: one clear error, never "send and hope".
    pub(super) fn need(self, least: u32, service: &str, key: &str) -> Result<(), TargetError> {
        self.need_at(least, &format!("services.{service}.{key}"))
    }

    /// The same for a key anywhere in the file.
    pub(super) fn need_at(self, least: u32, path: &str) -> Result<(), TargetError> {
        if self.0 >= least {
            return Ok(());
        }
        let engine = match least {
            42 => " (Docker 23)",
            43 => " (Docker 24)",
            44 => " (Docker 25)",
            45 => " (Docker 26)",
            46 => " (Docker 27)",
            48 => " (Docker 28.0)",
            49 => " (Docker 28.1)",
            _ => "",
        };
        let text = format!("{path} needs engine API 1.{least}{engine}, this engine has {self}");
        Err(TargetError::new(TargetErrorKind::EngineVersion, text))
    }
}

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.0)
    }
}
