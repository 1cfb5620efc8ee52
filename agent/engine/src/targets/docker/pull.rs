//! Pulling an image, with progress in bytes over all its layers.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::time::Instant;
use windflow_model::Layer;

use super::{DockerTarget, client::header, error::broken_off, observe, spec::platform, wire};
use crate::targets::{Evidence, TargetError, TargetErrorKind, Tick, Ticker};

/// Splits a reference for the pull call: `repo` and `tag` or digest; without either the newest, as the CLI does.
fn split(image: &str) -> (String, String) {
    if let Some((repo, digest)) = image.split_once('@') {
        return (repo.to_owned(), digest.to_owned());
    }
    match image.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((repo, tag)) if !tag.contains('/') => (repo.to_owned(), tag.to_owned()),
        _ => (image.to_owned(), "latest".to_owned()),
    }
}

pub(super) async fn pull(
    target: &DockerTarget,
    image: &str,
    platform: Option<&str>,
    ticker: &Ticker,
) -> Result<Evidence, TargetError> {
    let (repo, tag) = split(image);
    let what = format!("pull image {image}");
    let platform = platform.filter(|text| !text.is_empty()).map(platform::normal);
    let mut query = vec![("fromImage", repo.as_str()), ("tag", tag.as_str())];
    query.extend(platform.as_deref().map(|platform| ("platform", platform)));
    let mut request = Request::post(format!("/images/create{}", wire::query(query)));
    let config = target.client_config().await;
    let refused = |error| refused(config.told(error));
    if let Some(credentials) = config.credentials_of(image).await? {
        request = request.header("X-Registry-Auth", header(&credentials));
    }
    let asked = wire::messages(
        target,
        request,
        Full::<Bytes>::default(),
        &what,
        target.pull_stall,
    );
    // The head of the answer comes with the first word of the registry.
    let begun = match tokio::time::timeout(target.pull_stall, asked).await {
        Ok(begun) => begun,
        Err(_) => Err(TargetError::new(
            TargetErrorKind::ImagePull,
            format!(
                "cannot {what}: the registry says nothing for {} s",
                target.pull_stall.as_secs()
            ),
        )),
    };
    let mut messages: wire::Messages = begun.map_err(refused)?;
    let mut layers: Vec<Layer> = Vec::new();
    let mut news = Instant::now();
    while let Some(mut message) = messages.next().await.map_err(refused)? {
        if let Some(error) = message.error() {
            return Err(refused(broken_off(&what, &error)));
        }
        let (Some(layer), Some(status)) = (message.id, message.status) else {
            continue;
        };
        // The engine counts down to its next attempt, and counts on: no byte has come for that.
        if !status.starts_with("Retrying") {
            news = Instant::now();
        } else if news.elapsed() >= target.pull_stall {
            let text = format!(
                "cannot {what}: it stands still, nothing has come for {} s",
                target.pull_stall.as_secs()
            );
            return Err(TargetError::new(TargetErrorKind::ImagePull, text));
        }
        let progress = message.progress.unwrap_or_default();
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        let (current, total) = (number(progress.current), number(progress.total));
        // The first line names the tag, not a layer.
        if status.starts_with("Pulling from") {
            continue;
        }
        let place = layers
            .iter()
            .position(|held| held.id == layer)
            .unwrap_or(layers.len());
        if place == layers.len() {
            layers.push(Layer {
                id: layer.clone(),
                ..Layer::default()
            });
        }
        if let Some(entry) = layers.get_mut(place) {
            match status.as_str() {
                "Downloading" if total > 0 => (entry.current, entry.total) = (current, total),
                "Download complete" | "Pull complete" | "Already exists" => entry.current = entry.total,
                _ => {}
            }
            entry.status = status.to_lowercase();
        }
        let sum = layers
            .iter()
            .fold((0, 0), |sum, layer| (sum.0 + layer.current, sum.1 + layer.total));
        ticker.tick(Tick {
            current: sum.0,
            total: sum.1,
            unit: "bytes",
            detail: format!("layer {layer}: {}", status.to_lowercase()),
            layers: layers.clone(),
        });
    }
    let id = observe::image(target, image).await?.map(|image| image.id);
    if id.is_none() {
        let text = format!("cannot {what}: the engine says nothing and the image is not there");
        return Err(TargetError::new(TargetErrorKind::ImagePull, text));
    }
    Ok(Evidence {
        id,
        warnings: Vec::new(),
    })
}

/// Whatever the registry says, it is the pull that failed, unless the engine is gone or the disk full.
fn refused(error: TargetError) -> TargetError {
    match error.kind {
        TargetErrorKind::Unreachable | TargetErrorKind::DiskFull => error,
        _ => TargetError {
            kind: TargetErrorKind::ImagePull,
            ..error
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let check = |image: &str, repo: &str, tag: &str| {
            assert_eq!(split(image), (repo.to_owned(), tag.to_owned()), "{image}");
        };
        check("busybox", "busybox", "latest");
        check("busybox:1", "busybox", "1");
        check("localhost:5000/a/b", "localhost:5000/a/b", "latest");
        check("localhost:5000/a/b:2", "localhost:5000/a/b", "2");
        check("a@sha256:00", "a", "sha256:00");
    }
}
