//! What the engine tells of one container, as far as it is of use here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{DockerTarget, execute::short, wire};
use crate::targets::TargetError;

/// A container by id or name; `None` if there is none.
pub(super) async fn container(target: &DockerTarget, id: &str) -> Result<Option<Container>, TargetError> {
    let path = format!("/containers/{id}/json");
    wire::json(target, &path, &format!("look at container {}", short(id))).await
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Container {
    pub(super) id: String,
    /// With a slash in front.
    pub(super) name: String,
    pub(super) state: State,
    pub(super) config: Config,
    pub(super) host_config: HostConfig,
    pub(super) mounts: Option<Vec<Mount>>,
    /// Where its output lies, if it does.
    pub(super) log_path: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) status: String,
    pub(super) exit_code: Option<i64>,
    /// Of its first process, as the engine's machine counts them.
    pub(super) pid: Option<i64>,
    pub(super) health: Option<Health>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Health {
    pub(super) status: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Config {
    /// Whether its output is that of a terminal, without frames.
    pub(super) tty: bool,
    pub(super) labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct HostConfig {
    pub(super) binds: Option<Vec<String>>,
    pub(super) log_config: LogConfig,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct LogConfig {
    /// Name of the driver.
    #[serde(rename = "Type")]
    pub(super) kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Mount {
    /// Of a volume.
    pub(super) name: Option<String>,
    pub(super) destination: String,
    #[serde(rename = "RW")]
    pub(super) writable: Option<bool>,
}
