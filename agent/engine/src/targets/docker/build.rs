//! Building an image with the engine's classic builder.
//!
//! The context goes up as a tar while it is written, the builder's output comes down line by line. What only BuildKit
//! can do is refused by name: its protocol is gRPC over a hijacked connection, whose library would cost more than a
//! tenth of the agent.

mod context;
mod ignore;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::Request;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use windflow_compose::model::{Build, Project, Ulimit};

use self::context::{Context, OUTSIDE, PIECES};
use super::{DockerTarget, client::header, error::broken_off, observe, spec::platform, wire};
use crate::{
    plan::labels,
    targets::{Evidence, TargetError, TargetErrorKind as Kind, Tick, Ticker},
};

/// How long a build may say nothing: one step may compile for long.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(6 * 60 * 60);
/// Last lines of output that go into a failure.
const LAST_LINES: usize = 10;

type Body = BoxBody<Bytes, std::io::Error>;

pub(super) async fn build(
    target: &DockerTarget,
    project: &Project,
    service: &str,
    image: &str,
    ticker: &Ticker,
) -> Result<Evidence, TargetError> {
    let spec = project.services.get(service);
    let Some((spec, build)) = spec.and_then(|spec| Some((spec, spec.build.clone()?))) else {
        let text = format!("service {service} has no build section");
        return Err(TargetError::new(Kind::BuildFailed, text));
    };
    refuse(service, &build)?;
    let what = format!("build image {image} of service {service}");
    let config = target.client_config().await;
    let (dockerfile, remote, body) = body(&build, &what).await?;
    let mut args = config.proxies(&target.address.to_string());
    args.extend(
        build
            .args
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?))),
    );
    let mut labels = build.labels.clone();
    for (label, value) in [
        (labels::PROJECT, project.name.as_str()),
        (labels::SERVICE, service),
        (labels::VERSION, windflow_kit::build::VERSION),
    ] {
        labels.insert(label.to_owned(), value.to_owned());
    }
    let own = build.platforms.first().or(spec.platform.as_ref());
    let platform = own
        .filter(|text| !text.is_empty())
        .map(|text| platform::normal(text));
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
        ("t", image.to_owned()),
        ("rm", flag(true)),
        ("forcerm", flag(true)),
        ("dockerfile", dockerfile),
        ("remote", remote.unwrap_or_default()),
        ("nocache", flag(build.no_cache)),
        ("pull", flag(build.pull)),
        ("buildargs", list(args.is_empty(), json!(args))),
        ("labels", json!(labels).to_string()),
        ("networkmode", build.network.clone().unwrap_or_default()),
        ("platform", platform.unwrap_or_default()),
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
    query.extend(build.tags.iter().map(|tag| ("t", tag.clone())));
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
        .header("X-Registry-Config", header(&config.all().await?));
    let mut messages: wire::Messages = wire::messages(target, request, body, &what, SILENCE)
        .await
        .map_err(|error| broken(config.told(error), &[]))?;
    let (mut steps, mut tail) = (0, Vec::new());
    while let Some(mut message) = messages.next().await.map_err(|error| broken(error, &tail))? {
        if let Some(error) = message.error() {
            let error = broken_off(&what, &error);
            return Err(broken(config.told(error), &tail));
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
        ticker.tick(Tick {
            layers: Vec::new(),
            current: steps,
            total: of(text).unwrap_or(0),
            unit: "items",
            detail: text.to_owned(),
        });
    }
    let id = observe::image(target, image).await?.map(|image| image.id);
    if id.is_none() {
        let text = format!("cannot {what}: the engine says nothing and the image is not there");
        return Err(broken(TargetError::new(Kind::BuildFailed, text), &tail));
    }
    Ok(Evidence {
        id,
        warnings: warnings(service, &build),
    })
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

/// The address of a context that does not lie on this host.
fn remote(build: &Build) -> Option<&str> {
    let context = build.context.as_deref()?;
    let known = context.contains("://") || context.starts_with("git@") || context.starts_with("github.com/");
    known.then_some(context)
}

/// Whatever went wrong, it is the build that failed, unless the engine is gone or the disk full.
fn broken(error: TargetError, tail: &[String]) -> TargetError {
    let kind = match error.kind {
        kind @ (Kind::Unreachable | Kind::DiskFull) => kind,
        _ => Kind::BuildFailed,
    };
    let what = if tail.is_empty() {
        error.what
    } else {
        format!("{}; last output:\n{}", error.what, tail.join("\n"))
    };
    TargetError { kind, what, ..error }
}

/// What only BuildKit can do is refused by name.
fn refuse(service: &str, build: &Build) -> Result<(), TargetError> {
    let inline_remote = build.dockerfile_inline.is_some() && remote(build).is_some();
    for (used, key) in [
        (!build.secrets.is_empty(), "secrets"),
        (!build.ssh.is_empty(), "ssh"),
        (!build.additional_contexts.is_empty(), "additional_contexts"),
        (build.privileged, "privileged"),
        (build.platforms.len() > 1, "platforms (more than one)"),
        (!build.entitlements.is_empty(), "entitlements"),
        (!build.cache_to.is_empty(), "cache_to"),
        (!build.no_cache_filter.is_empty(), "no_cache_filter"),
        (inline_remote, "dockerfile_inline (with a context from elsewhere)"),
    ] {
        if used {
            let text = format!(
                "services.{service}.build.{key} needs BuildKit, and images are built with the engine's classic builder: \
                 build this image beforehand and name it in `image`"
            );
            return Err(TargetError::new(Kind::Unsupported, text));
        }
    }
    if build.dockerfile.as_deref() == Some(OUTSIDE) {
        let text = format!("services.{service}.build.dockerfile: the name {OUTSIDE} is taken");
        return Err(TargetError::new(Kind::Unsupported, text));
    }
    Ok(())
}

/// What the classic builder leaves out without another image coming of it.
fn warnings(service: &str, build: &Build) -> Vec<String> {
    let wanted = |value: &Option<String>| value.as_deref().is_some_and(|text| !matches!(text, "" | "false"));
    [
        ("provenance", wanted(&build.provenance)),
        ("sbom", wanted(&build.sbom)),
    ]
    .into_iter()
    .filter(|(_, wanted)| *wanted)
    .map(|(key, _)| format!("services.{service}.build.{key}: the classic builder attests nothing"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_key() {
        let check = |build: Build, word: &str| {
            let error = refuse("web", &build).unwrap_err();
            assert!(
                error.to_string().contains(&format!("services.web.build.{word}")),
                "{error}"
            );
        };
        check(
            Build {
                privileged: true,
                ..Build::default()
            },
            "privileged",
        );
        check(
            Build {
                ssh: vec!["default".into()],
                ..Build::default()
            },
            "ssh",
        );
        check(
            Build {
                platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
                ..Build::default()
            },
            "platforms",
        );
        refuse("web", &Build::default()).unwrap();
    }

    #[test]
    fn steps_are_counted() {
        let check = |line: &str, is: Option<u64>| assert_eq!(of(line), is, "{line}");
        check("Step 2/7 : RUN x", Some(7));
        check("Step x", None);
        check(" ---> Running in 0", None);
    }
}
