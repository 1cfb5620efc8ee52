//! Named volumes, and the folders on this machine that places are.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;
use windflow_kit::blocking;
use windflow_model::{FilePlace, VolumeSummary};

use super::{DockerTarget, connect::Address, inspect, observe, wire};
use crate::{plan::labels, targets::TargetError};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Listed {
    names: Option<Vec<String>>,
    mounts: Option<Vec<Mounted>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Mounted {
    #[serde(rename = "Type")]
    kind: String,
    name: String,
}

/// All of the host, by name.
pub(super) async fn list(target: &DockerTarget) -> Result<Vec<VolumeSummary>, TargetError> {
    let (volumes, containers) = tokio::try_join!(
        observe::all_volumes(target),
        wire::json::<Vec<Listed>>(target, "/containers/json?all=1", "list volumes"),
    )?;
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for container in containers.unwrap_or_default() {
        let names = container.names.unwrap_or_default();
        let Some(name) = names.first().map(|name| name.trim_start_matches('/')) else {
            continue;
        };
        for mount in container.mounts.unwrap_or_default() {
            if mount.kind == "volume" {
                users.entry(mount.name).or_default().insert(name.to_owned());
            }
        }
    }
    let mut list: Vec<VolumeSummary> = volumes
        .into_iter()
        .map(|mut volume| VolumeSummary {
            containers: users
                .remove(&volume.name)
                .unwrap_or_default()
                .into_iter()
                .collect(),
            project: volume.labels.remove(labels::PROJECT),
            name: volume.name,
            driver: volume.driver,
        })
        .collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(list)
}

/// The folder of a place, if the engine is on this machine and this process may enter it.
pub(super) async fn root_of(
    target: &DockerTarget,
    place: &FilePlace,
) -> Result<Option<OwnedFd>, TargetError> {
    if !matches!(target.address, Address::Unix(_)) {
        return Ok(None);
    }
    match place {
        FilePlace::Volume { volume: name } => {
            let Some(found) = observe::volume(target, name).await? else {
                return Ok(None);
            };
            // With options it may be a file system that is mounted only while somebody uses it.
            let plain = found.driver == "local" && found.options.is_empty();
            let path = PathBuf::from(found.mountpoint);
            if !plain || !path.is_absolute() {
                return Ok(None);
            }
            Ok(open(path, None).await)
        }
        FilePlace::Container { container: id } => {
            let found = inspect::container(target, id).await?;
            let Some((id, pid)) =
                found.and_then(|found| Some((found.id, found.state.pid.filter(|pid| *pid > 0)?)))
            else {
                return Ok(None);
            };
            let path = PathBuf::from(format!("/proc/{pid}/root/"));
            Ok(open(path, Some((pid, id))).await)
        }
    }
}

/// Opens a folder; that of a process only if it is one of the container, as seen once it is open.
async fn open(path: PathBuf, of: Option<(i64, String)>) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = blocking::run(move || {
        let folder = rustix::fs::open(&path, flags, Mode::empty()).ok()?;
        match of {
            Some((pid, id)) if !is_of(pid, &id) => None,
            _ => Some(folder),
        }
    });
    opened.await.ok().flatten()
}

/// Whether a process is in the control group of a container. In another namespace of processes the number may mean any other.
fn is_of(pid: i64, id: &str) -> bool {
    let path = format!("/proc/{pid}/cgroup");
    fs_err::read_to_string(Path::new(&path)).is_ok_and(|groups| !id.is_empty() && groups.contains(id))
}
