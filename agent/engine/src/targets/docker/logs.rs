//! The output of one container, over a connection of its own: a slow reader holds up nothing else.

use std::{path::PathBuf, pin::Pin};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Incoming};
use windflow_kit::task::TaskHandle;
use windflow_model::LogSource;

use super::{DockerTarget, error::refused, frames::Lines, inspect, wire};
use crate::targets::{LogLine, LogRequest, TargetError, TargetErrorKind};

pub(super) async fn open(
    target: &DockerTarget,
    request: LogRequest,
) -> Result<BoxStream<'static, Result<LogLine, TargetError>>, TargetError> {
    let id = request.container.clone();
    let what = format!("read the log of container {}", id.get(..12).unwrap_or(&id));
    let Some(found) = inspect::container(target, &id).await? else {
        let text = format!("cannot {what}: there is no such container");
        return Err(TargetError::new(TargetErrorKind::NotFound, text));
    };
    let raw = found.config.tty;
    let request = Request::get(path(&request));
    let (head, body, driver) = wire::begin(target, request, Full::<Bytes>::default(), &what).await?;
    if !head.status.is_success() {
        let body = body.collect().await.map_err(|error| target.gone(&what, error))?;
        return Err(refused(&what, head.status.as_u16(), &body.to_bytes()));
    }
    let state = Reading {
        body,
        lines: Lines::new(raw),
        done: false,
        what,
        _driver: driver,
    };
    Ok(batches(state).map(stream::iter).flatten().boxed())
}

/// The file of the driver `json-file`. Podman tells of that driver as well, and means another format by it: its files have other
/// names.
pub(super) async fn files(target: &DockerTarget, id: &str) -> Result<Option<PathBuf>, TargetError> {
    let found = inspect::container(target, id).await?;
    let found = found.filter(|found| found.host_config.log_config.kind == "json-file");
    Ok(found
        .map(|found| PathBuf::from(found.log_path))
        .filter(|path| path.is_absolute() && path.to_string_lossy().ends_with("-json.log")))
}

fn path(request: &LogRequest) -> String {
    let tail = request
        .tail
        .map_or_else(|| "all".to_owned(), |tail| tail.to_string());
    let since = request.since.map_or_else(|| "0".to_owned(), wire::time);
    let until = request.until.map_or_else(|| "0".to_owned(), wire::time);
    let wants = |source| u8::from(request.source.is_none_or(|wanted| wanted == source));
    format!(
        "/containers/{}/logs?stdout={}&stderr={}&timestamps=1&follow={}&tail={tail}&since={since}&until={until}",
        request.container,
        wants(LogSource::Stdout),
        wants(LogSource::Stderr),
        u8::from(request.follow)
    )
}

struct Reading {
    body: Incoming,
    lines: Lines,
    done: bool,
    what: String,
    /// Ends the connection with the reading.
    _driver: TaskHandle<()>,
}

type Batch = Vec<Result<LogLine, TargetError>>;

/// One batch of lines for each piece of the body.
fn batches(reading: Reading) -> Pin<Box<dyn Stream<Item = Batch> + Send>> {
    Box::pin(stream::unfold(reading, |mut reading| async move {
        if reading.done {
            return None;
        }
        let mut lines = Vec::new();
        match reading.body.frame().await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    reading.lines.feed(data, &mut lines);
                }
            }
            Some(Err(error)) => {
                reading.done = true;
                reading.lines.finish(&mut lines);
                let text = format!("cannot {}: the engine broke it off", reading.what);
                let mut batch: Batch = lines.into_iter().map(Ok).collect();
                batch.push(Err(TargetError::caused(
                    TargetErrorKind::Unreachable,
                    text,
                    error,
                )));
                return Some((batch, reading));
            }
            None => {
                reading.done = true;
                reading.lines.finish(&mut lines);
            }
        }
        Some((lines.into_iter().map(Ok).collect(), reading))
    }))
}
