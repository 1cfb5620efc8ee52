//! Finding the engine.

use std::{io::ErrorKind, path::PathBuf, sync::PoisonError, time::Duration};

use serde::Deserialize;
use windflow_model::{EngineInfo, EngineKind};

use super::{DockerTarget, api::Api, wire};
use crate::targets::{TargetError, TargetErrorKind};

const SOCKET: &str = "/var/run/docker.sock";
/// Longest time for a request that only reads.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl Address {
    pub(super) fn parse(host: Option<&str>) -> Result<Self, TargetError> {
        let host = host.map(str::trim).filter(|host| !host.is_empty());
        let Some(host) = host else {
            return Ok(Self::Unix(SOCKET.into()));
        };
        if let Some(path) = host.strip_prefix("unix://") {
            return Ok(Self::Unix(path.into()));
        }
        if let Some(rest) = host
            .strip_prefix("tcp://")
            .or_else(|| host.strip_prefix("http://"))
        {
            let rest = rest.trim_end_matches('/');
            let full = if rest
                .rsplit(':')
                .next()
                .is_some_and(|port| port.parse::<u16>().is_ok())
            {
                rest.to_owned()
            } else {
                format!("{rest}:2375")
            };
            return Ok(Self::Tcp(full));
        }
        if host.starts_with('/') {
            return Ok(Self::Unix(host.into()));
        }
        let text =
            format!("the engine address {host:?} is not understood: use unix:///path or tcp://host:port");
        Err(TargetError::new(TargetErrorKind::Host, text))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

/// The system's word below an error.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind)
}

/// What `/version` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Version {
    version: String,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    components: Option<Vec<Component>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Component {
    name: String,
}

impl DockerTarget {
    /// No answer, with what can be told of the reason. A socket that may not be opened is not waited for: nothing but a
    /// person changes that.
    pub(super) fn unreachable(&self, source: impl Into<windflow_kit::BoxError>) -> TargetError {
        let source = source.into();
        let (kind, why) = match io_kind(source.as_ref()) {
            Some(ErrorKind::PermissionDenied) => (
                TargetErrorKind::Forbidden,
                "this user may not open the socket; add it to the socket's group (usually docker) or run as root",
            ),
            Some(ErrorKind::NotFound) => (
                TargetErrorKind::Unreachable,
                "there is no such socket; start Docker or Podman, or name its socket in DOCKER_HOST",
            ),
            Some(ErrorKind::ConnectionRefused) => (
                TargetErrorKind::Unreachable,
                "nobody listens there; start the engine",
            ),
            _ => (TargetErrorKind::Unreachable, "no engine answers"),
        };
        TargetError::caused(kind, format!("the engine at {}: {why}", self.address), source)
    }

    /// No answer to a request; `what` completes "cannot …". The engine may come back as another one: it is asked anew.
    pub(super) fn gone(&self, what: &str, source: impl Into<windflow_kit::BoxError>) -> TargetError {
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let error = self.unreachable(source);
        TargetError {
            what: format!("cannot {what}: {}", error.what),
            ..error
        }
    }

    /// Asks for the version: the proof that the engine answers.
    pub(super) async fn fetch_info(&self) -> Result<EngineInfo, TargetError> {
        let found: Option<Version> = wire::json(self, "/version", "ask for the engine's version").await?;
        let version = found.unwrap_or_default();
        let podman = version
            .components
            .iter()
            .flatten()
            .any(|part| part.name.to_lowercase().contains("podman"));
        let info = EngineInfo {
            kind: if podman {
                EngineKind::Podman
            } else {
                EngineKind::Docker
            },
            version: version.version,
            api_version: version.api_version,
            min_api_version: version.min_api_version,
        };
        if Api::of(&info) < Api::OLDEST {
            let text = format!(
                "the engine at {} speaks API {}, at least 1.41 (Docker 20.10) is needed",
                self.address, info.api_version
            );
            return Err(TargetError::new(TargetErrorKind::EngineVersion, text));
        }
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = Some(info.clone());
        Ok(info)
    }

    /// The version as last seen, asked for if it never was.
    pub(super) async fn api(&self) -> Result<Api, TargetError> {
        let known = self.info.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(info) => Ok(Api::of(&info)),
            None => self.fetch_info().await.map(|info| Api::of(&info)),
        }
    }

    /// Whether Podman answers behind Docker's API.
    pub(super) async fn is_podman(&self) -> Result<bool, TargetError> {
        let known = self.info.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let info = match known {
            Some(info) => info,
            None => self.fetch_info().await?,
        };
        Ok(info.kind == EngineKind::Podman)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, shown: &str| {
            assert_eq!(Address::parse(Some(text)).unwrap().to_string(), shown, "{text}");
        };
        check("", "unix:///var/run/docker.sock");
        check("unix:///run/podman/podman.sock", "unix:///run/podman/podman.sock");
        check("/x.sock", "unix:///x.sock");
        check("tcp://10.0.0.7:2375", "tcp://10.0.0.7:2375");
        check("tcp://engine", "tcp://engine:2375");
        assert!(
            Address::parse(Some("ssh://me@host"))
                .unwrap_err()
                .to_string()
                .contains("unix:///path")
        );
    }
}
