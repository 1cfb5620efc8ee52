//! Building an image: with the engine's BuildKit where it has one, else with its classic builder.
//!
//! What only one of them can do chooses that one; what neither can do is refused by name. BuildKit's own protocol is in
//! `buildkit`, in as little code as it takes.

mod buildkit;
mod choice;
mod classic;
mod context;
mod ignore;

use std::collections::BTreeMap;

use windflow_compose::model::{Build, Project};

use self::choice::Builder;
use super::{DockerTarget, client::ClientConfig, observe, spec::platform};
use crate::{
    plan::labels,
    targets::{Evidence, TargetError, TargetErrorKind as Kind, Tick, Ticker},
};

/// How long a build may say nothing: one step may compile for long.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(6 * 60 * 60);
/// Last lines of output that go into a failure.
const LAST_LINES: usize = 10;

/// One image to build.
struct Job<'j> {
    project: &'j Project,
    service: &'j str,
    build: Build,
    /// Completes "cannot …".
    what: String,
    args: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    platform: Option<String>,
    /// Every name that the image gets.
    images: Vec<String>,
    config: ClientConfig,
}

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
    let builder = choice::builder(target, service, &build).await?;
    let config = target.client_config().await;
    let mut args = config.proxies(&target.address.to_string());
    args.extend(
        build
            .args
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?))),
    );
    let mut labels: BTreeMap<String, String> = build.labels.clone().into_iter().collect();
    for (label, value) in [
        (labels::PROJECT, project.name.as_str()),
        (labels::SERVICE, service),
        (labels::VERSION, windflow_kit::build::VERSION),
    ] {
        labels.insert(label.to_owned(), value.to_owned());
    }
    let own: Vec<&String> = if build.platforms.is_empty() {
        spec.platform.iter().collect()
    } else {
        build.platforms.iter().collect()
    };
    let platforms: Vec<String> = own
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| platform::normal(text))
        .collect();
    let images = [image.to_owned()].into_iter().chain(build.tags.iter().cloned());
    let warnings = warnings(service, &build);
    let what = format!("build image {image} of service {service}");
    let job = Job {
        project,
        service,
        what: what.clone(),
        args,
        labels,
        platform: Some(platforms.join(",")).filter(|text| !text.is_empty()),
        images: images.collect(),
        config,
        build,
    };
    let built = match builder {
        Builder::BuildKit => buildkit::build(target, job, ticker).await,
        Builder::Classic => classic::build(target, job, ticker).await,
    };
    built.map_err(|(error, tail)| broken(error, &tail))?;
    let id = observe::image(target, image).await?.map(|image| image.id);
    if id.is_none() {
        let text = format!("cannot {what}: the engine says nothing and the image is not there");
        return Err(broken(TargetError::new(Kind::BuildFailed, text), &[]));
    }
    Ok(Evidence { id, warnings })
}

fn ticked(ticker: &Ticker, current: u64, total: u64, detail: String) {
    ticker.tick(Tick {
        layers: Vec::new(),
        current,
        total,
        unit: "items",
        detail,
    });
}

/// The address of a context that does not lie on this host.
fn remote(build: &Build) -> Option<&str> {
    let context = build.context.as_deref()?;
    let known = context.contains("://") || context.starts_with("git@") || context.starts_with("github.com/");
    known.then_some(context)
}

/// Whatever went wrong, it is the build that failed, unless the engine is gone, the disk full or the file asks for what
/// there is not.
fn broken(error: TargetError, tail: &[String]) -> TargetError {
    let kind = match error.kind {
        kind @ (Kind::Unreachable | Kind::DiskFull | Kind::Unsupported) => kind,
        _ => Kind::BuildFailed,
    };
    let what = if tail.is_empty() {
        error.what
    } else {
        format!("{}; last output:\n{}", error.what, tail.join("\n"))
    };
    TargetError { kind, what, ..error }
}

/// What no builder of an engine adds to an image without another image coming of it.
fn warnings(service: &str, build: &Build) -> Vec<String> {
    let wanted = |value: &Option<String>| value.as_deref().is_some_and(|text| !matches!(text, "" | "false"));
    [
        ("provenance", wanted(&build.provenance)),
        ("sbom", wanted(&build.sbom)),
    ]
    .into_iter()
    .filter(|(_, wanted)| *wanted)
    .map(|(key, _)| format!("services.{service}.build.{key}: images are built without attestations"))
    .collect()
}
