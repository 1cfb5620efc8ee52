//! Files of a container: `HEAD`, `GET` and `PUT` of its `archive`, for containers that run and that do not.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::{Request, StatusCode, body::Frame, header};
use serde::Deserialize;
use windflow_model::{FileEntry, FileKind, Timestamp};

use super::{DockerTarget, connect::READ_TIMEOUT, error::refused, execute::short, wire};
use crate::targets::{ArchivePut, FileStat, Stream, TargetError, TargetErrorKind};

/// An engine that sends nothing of a tar for so long has stopped.
const STALL: Duration = Duration::from_secs(120);
/// Where `HEAD` tells what is there.
const STAT: &str = "x-docker-container-path-stat";

/// As the engine tells it; the mode is one of Go's `FileMode`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stat {
    name: String,
    size: i64,
    mode: u32,
    mtime: String,
    #[serde(default)]
    link_target: String,
}

/// What is at a path; `None` if nothing is, or the container is gone.
pub(super) async fn stat(
    target: &DockerTarget,
    container: &str,
    path: &str,
) -> Result<Option<FileStat>, TargetError> {
    let what = format!("look at {path} in container {}", short(container));
    let request = Request::head(place(container, path, &[]));
    let asked = wire::begin(target, request, Full::<Bytes>::default(), &what);
    let (head, _, _driver) = match tokio::time::timeout(READ_TIMEOUT, asked).await {
        Ok(answer) => answer?,
        Err(late) => return Err(target.gone(&what, late)),
    };
    if head.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !head.status.is_success() {
        // An answer to HEAD has no body to say why.
        return Err(refused(&what, head.status.as_u16(), b"the engine refused"));
    }
    let told = head.headers.get(STAT).map(|value| STANDARD.decode(value));
    let told = told.and_then(Result::ok).unwrap_or_default();
    let stat: Stat = serde_json::from_slice(&told)
        .map_err(|error| TargetError::caused(TargetErrorKind::Engine, format!("cannot {what}"), error))?;
    Ok(Some(stat.into()))
}

impl From<Stat> for FileStat {
    fn from(stat: Stat) -> Self {
        let is = |bit: u32| stat.mode & (1 << bit) != 0;
        let kind = match () {
            () if is(31) => FileKind::Folder,
            () if is(27) => FileKind::Link,
            // Device, pipe, socket, anything else.
            () if is(26) || is(25) || is(24) || is(19) => FileKind::Other,
            () => FileKind::File,
        };
        let special = [(23, 0o4000), (22, 0o2000), (20, 0o1000)];
        let special = special
            .into_iter()
            .filter(|(bit, _)| is(*bit))
            .map(|(_, mode)| mode);
        let leads_to = (!stat.link_target.is_empty()).then_some(stat.link_target);
        Self {
            entry: FileEntry {
                name: stat.name.trim_matches('/').to_owned(),
                kind,
                size: if kind == FileKind::File {
                    u64::try_from(stat.size).unwrap_or(0)
                } else {
                    0
                },
                mode: stat.mode & 0o777 | special.sum::<u32>(),
                modified: stat.mtime.parse::<Timestamp>().ok(),
                target: leads_to.clone().filter(|_| kind == FileKind::Link),
            },
            leads_to,
        }
    }
}

/// What is at a path, as a tar.
pub(super) async fn get(
    target: &DockerTarget,
    container: &str,
    path: &str,
) -> Result<Stream<Bytes>, TargetError> {
    let what = format!("read {path} in container {}", short(container));
    wire::pieces(target, Request::get(place(container, path, &[])), what, STALL).await
}

/// Unpacks a tar.
pub(super) async fn put(target: &DockerTarget, put: ArchivePut) -> Result<(), TargetError> {
    let ArchivePut {
        container,
        path,
        keep_owner,
        tar,
    } = put;
    let what = format!("write to {path} in container {}", short(&container));
    let mut options = vec![("noOverwriteDirNonDir", "true")];
    options.extend(keep_owner.then_some(("copyUIDGID", "true")));
    let request =
        Request::put(place(&container, &path, &options)).header(header::CONTENT_TYPE, "application/x-tar");
    let body = StreamBody::new(tar.map_ok(Frame::data));
    let (head, body, _driver) = wire::begin(target, request, body, &what).await?;
    let answer = body.collect().await.map_err(|error| target.gone(&what, error))?;
    if head.status.is_success() {
        return Ok(());
    }
    Err(refused(&what, head.status.as_u16(), &answer.to_bytes()))
}

fn place(container: &str, path: &str, options: &[(&str, &str)]) -> String {
    let query = [("path", path)].into_iter().chain(options.iter().copied());
    format!("/containers/{container}/archive{}", wire::query(query))
}
