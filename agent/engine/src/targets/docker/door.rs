//! A container that never runs, through which the engine lets the files of a volume be seen and written: also of one that nobody
//! uses, that belongs to others than this process, or that a plug-in keeps.
//!
//! Its image is empty, so that a link that leads out of the volume leads nowhere.

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{DockerTarget, error::refused, execute::short, observe, wire};
use crate::{
    files::DOOR_LABEL,
    targets::{Door, TargetError, TargetErrorKind},
};

/// The empty image; nothing is fetched for it.
const REPOSITORY: &str = "windflow/files";
const TAG: &str = "1";
/// Where the volume is.
const PATH: &str = "/volume";
/// A tar with nothing in it: two blocks of zeros.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

/// Opens one.
pub(super) async fn open(
    target: &DockerTarget,
    volume: &str,
    name: &str,
    life: &str,
) -> Result<Door, TargetError> {
    let what = format!("look into volume {volume}");
    // A container that names one that is not there would make it.
    if observe::volume(target, volume).await?.is_none() {
        let text = format!("cannot {what}: there is no such volume on this host");
        return Err(TargetError::new(TargetErrorKind::NotFound, text));
    }
    let body = json!({
        "Image": format!("{REPOSITORY}:{TAG}"),
        "Cmd": ["never"],
        "NetworkDisabled": true,
        "Labels": { DOOR_LABEL: life },
        "HostConfig": {
            "NetworkMode": "none",
            // Nothing of the image is copied into an empty volume.
            "Mounts": [{ "Type": "volume", "Source": volume, "Target": PATH, "VolumeOptions": { "NoCopy": true } }],
        },
    });
    let path = format!("/containers/create{}", wire::query(vec![("name", name)]));
    let (mut status, mut answer) = wire::post(target, &path, &body, &what).await?;
    if status == StatusCode::NOT_FOUND {
        image(target).await?;
        (status, answer) = wire::post(target, &path, &body, &what).await?;
    }
    if !status.is_success() {
        return Err(refused(&what, status.as_u16(), &answer));
    }
    let made: Made = serde_json::from_slice(&answer)
        .map_err(|error| TargetError::caused(TargetErrorKind::Engine, format!("cannot {what}"), error))?;
    Ok(Door {
        container: made.id,
        path: PATH,
    })
}

async fn image(target: &DockerTarget) -> Result<(), TargetError> {
    let what = "make an empty image";
    let query = wire::query(vec![("fromSrc", "-"), ("repo", REPOSITORY), ("tag", TAG)]);
    let path = format!("/images/create{query}");
    wire::send(target, Method::POST, &path, Bytes::from_static(&EMPTY_TAR), what)
        .await?
        .done(what)
        .map(drop)
}

/// Removes one.
pub(super) async fn close(target: &DockerTarget, door: &Door) -> Result<(), TargetError> {
    let what = format!("remove container {}", short(&door.container));
    // Without its volumes: the one in it is somebody's.
    let path = format!("/containers/{}?force=1", door.container);
    let sent = wire::send(target, Method::DELETE, &path, Bytes::new(), &what).await?;
    if sent.is_missing() || sent.is_already() {
        return Ok(());
    }
    sent.done(&what).map(drop)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

/// Removes those of other lives of the same owner.
pub(super) async fn sweep(target: &DockerTarget, life: &str) -> Result<(), TargetError> {
    let filters = json!({ "label": [DOOR_LABEL] }).to_string();
    let query = wire::query(vec![("all", "1"), ("filters", filters.as_str())]);
    let found: Option<Vec<Listed>> =
        wire::json(target, &format!("/containers/json{query}"), "list containers").await?;
    for listed in found.unwrap_or_default() {
        let of = listed.labels.get(DOOR_LABEL);
        if of.is_some_and(|of| of != life && of.split('/').next() == life.split('/').next()) {
            let door = Door {
                container: listed.id,
                path: PATH,
            };
            close(target, &door).await?;
        }
    }
    Ok(())
}
