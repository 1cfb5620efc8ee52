//! Building an image with the engine's classic builder.
//!
//! The context goes up as a tar while it is written, the builder's output comes down line by line.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::Request;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use windflow_compose::model::{Build, Ulimit};

use super::{
    Job, LAST_LINES, SILENCE,
    context::{Context, PIECES},
    remote, ticked,
};
use crate::targets::{
    TargetError, TargetErrorKind as Kind, Ticker,
    docker::{DockerTarget, client::header, error::broken_off, wire},
};

type Body = BoxBody<Bytes, std::io::Error>;

/// Builds; gives the failure with the last lines of output.
pub(super) async fn build(
    target: &DockerTarget,
    job: Job<'_>,
    ticker: &Ticker,
) -> Result<(), (TargetError, Vec<String>)> {
    let plain = |error: TargetError| (error, Vec::new());
    let build = &job.build;
    let (dockerfile, remote, body) = body(build, &job.what).await.map_err(plain)?;
    let ulimits: Vec<_> = build
        .ulimits
        .iter()
        .map(|(name, limit)| {
            let (soft, hard) = match *limit {
                Ulimit::Single(both) => (both, both),
                Ulimit::Range { soft, hard } => (soft, hard),
            };
            json!({ "Name": name, "Soft": soft, "Hard": hard })
        })
        .collect();
    let flag = |on: bool| if on { "1".to_owned() } else { String::new() };
    let list = |empty: bool, value: serde_json::Value| if empty { String::new() } else { value.to_string() };
    let mut query = vec![
        ("rm", flag(true)),
        ("forcerm", flag(true)),
        ("dockerfile", dockerfile),
        ("remote", remote.unwrap_or_default()),
        ("nocache", flag(build.no_cache)),
        ("pull", flag(build.pull)),
        ("buildargs", list(job.args.is_empty(), json!(job.args))),
        ("labels", json!(job.labels).to_string()),
        ("networkmode", build.network.clone().unwrap_or_default()),
        ("platform", job.platform.clone().unwrap_or_default()),
        ("target", build.target.clone().unwrap_or_default()),
        (
            "cachefrom",
            list(build.cache_from.is_empty(), json!(build.cache_from)),
        ),
        ("ulimits", list(ulimits.is_empty(), json!(ulimits))),
        ("isolation", build.isolation.clone().unwrap_or_default()),
        (
            "shmsize",
            if build.shm_size.0 > 0 {
                build.shm_size.0.to_string()
            } else {
                String::new()
            },
        ),
    ];
    query.extend(job.images.iter().map(|name| ("t", name.clone())));
    query.extend(
        build
            .extra_hosts
            .iter()
            .map(|host| ("extrahosts", host.replacen('=', ":", 1))),
    );
    let given = query.iter().filter(|(_, value)| !value.is_empty());
    let path = format!(
        "/build{}",
        wire::query(given.map(|(name, value)| (*name, value.as_str())))
    );
    let request = Request::post(path)
        .header("Content-Type", "application/x-tar")
        // A base image may come from any registry.
        .header(
            "X-Registry-Config",
            header(&job.config.all().await.map_err(plain)?),
        );
    let mut messages: wire::Messages = wire::messages(target, request, body, &job.what, SILENCE)
        .await
        .map_err(|error| plain(job.config.told(error)))?;
    let (mut steps, mut tail) = (0, Vec::new());
    while let Some(mut message) = messages.next().await.map_err(|error| (error, tail.clone()))? {
        if let Some(error) = message.error() {
            let error = broken_off(&job.what, &error);
            return Err((job.config.told(error), tail));
        }
        let Some(text) = message
            .stream
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
        else {
            continue;
        };
        steps += u64::from(text.starts_with("Step "));
        tail.push(text.to_owned());
        if tail.len() > LAST_LINES {
            tail.remove(0);
        }
        ticked(ticker, steps, of(text).unwrap_or(0), text.to_owned());
    }
    Ok(())
}

/// The number of steps, out of `Step 2/7 : RUN …`.
fn of(line: &str) -> Option<u64> {
    line.strip_prefix("Step ")?
        .split([' ', ':'])
        .next()?
        .split_once('/')?
        .1
        .parse()
        .ok()
}

/// Name of the Dockerfile, address of a context that the engine fetches itself, and what is sent.
async fn body(build: &Build, what: &str) -> Result<(String, Option<String>, Body), TargetError> {
    let fail = |error: windflow_kit::BoxError| {
        TargetError::caused(Kind::BuildFailed, format!("cannot {what}"), error)
    };
    if let Some(address) = remote(build) {
        let dockerfile = build.dockerfile.clone().unwrap_or_default();
        let nothing = Full::default().map_err(|never| match never {}).boxed();
        return Ok((dockerfile, Some(address.to_owned()), nothing));
    }
    let build = build.clone();
    let opened = tokio::task::spawn_blocking(move || Context::open(&build)).await;
    let context = opened
        .map_err(|error| fail(Box::new(error)))?
        .map_err(|error| fail(Box::new(error)))?;
    let dockerfile = context.dockerfile.clone();
    let (to, from) = mpsc::channel(PIECES);
    // It ends with its channel, whichever side that ends first.
    drop(tokio::task::spawn_blocking(move || context.send(to)));
    Ok((
        dockerfile,
        None,
        BoxBody::new(StreamBody::new(ReceiverStream::new(from))),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted() {
        let check = |line: &str, is: Option<u64>| assert_eq!(of(line), is, "{line}");
        check("Step 2/7 : RUN x", Some(7));
        check("Step x", None);
        check(" ---> Running in 0", None);
    }
}
