//! Which images must be fetched or built.

use windflow_compose::model::{Build, Project, PullPolicy, Service};
use windflow_model::{Action, Code, Failure, ResourceKind, StepId};

use super::{
    Mode,
    builder::{Builder, NewStep},
    work::Work,
};
use crate::order::PullMode;

/// The image reference of a service: its own, or `{project}-{service}` for one that is only built.
#[must_use]
pub fn image_of(project: &Project, service: &str) -> String {
    let own = project
        .services
        .get(service)
        .and_then(|service| service.image.clone())
        .filter(|image| !image.is_empty());
    own.unwrap_or_else(|| [project.name.as_str(), service].join(project.separator()))
}

enum Need {
    Nothing,
    Pull(&'static str),
    Build(&'static str),
    Missing(&'static str),
}

pub(super) fn plan(builder: &mut Builder<'_>) -> Result<(), Failure> {
    let project = builder.input.project.clone();
    for name in project.services.keys() {
        if super::services::needs_image(builder.input, name) {
            image(builder, &project, name, &mut Vec::new())?;
        }
    }
    Ok(())
}

/// Plans the image of a service, after those that it is built from; gives its step, if it has one. `above` are the
/// services whose images wait for it.
fn image<'p>(
    builder: &mut Builder<'_>,
    project: &'p Project,
    name: &'p str,
    above: &mut Vec<&'p str>,
) -> Result<Option<StepId>, Failure> {
    let Some(service) = project.services.get(name) else {
        return Ok(None);
    };
    let image = image_of(project, name);
    let slot = format!("image:{image}");
    if let Some(step) = builder.provides.get(&slot) {
        return Ok(Some(*step));
    }
    let key = format!("services.{name}.image");
    let (action, work, text) = match need(builder, service, &image) {
        Need::Nothing => return Ok(None),
        Need::Missing(text) => {
            return Err(Failure::new(
                Code::ImagePull,
                format!("image {image} of service {name}: {text}"),
            ));
        }
        Need::Pull(text) => {
            let or_build = service.build.as_ref().filter(|_| !builder.input.options.no_build);
            let work = Work::Pull {
                image: image.clone(),
                platform: service.platform.clone(),
                or_build: or_build.map(|_| name.to_owned()),
            };
            (Action::Pull, work, text)
        }
        Need::Build(text) => (
            Action::Build,
            Work::Build {
                service: name.to_owned(),
                image: image.clone(),
            },
            text,
        ),
    };
    let mut after = Vec::new();
    if !matches!(&work, Work::Pull { or_build: None, .. }) {
        above.push(name);
        for base in service.build.iter().flat_map(Build::services) {
            if above.contains(&base) {
                let text = format!(
                    "services.{name}.build.additional_contexts: the images are built from each other: {} -> {base}",
                    above.join(" -> ")
                );
                return Err(Failure::new(Code::ComposeInvalid, text));
            }
            after.extend(self::image(builder, project, base, above)?);
        }
        above.pop();
    }
    let reason = builder.because(text, key);
    let step = NewStep {
        kind: ResourceKind::Image,
        name: &image,
        action,
        service: Some(name),
        reason,
        after,
    };
    let id = builder.step(step, work);
    builder.provides.insert(slot, id);
    Ok(Some(id))
}

fn need(builder: &Builder<'_>, service: &Service, image: &str) -> Need {
    let input = builder.input;
    if input.fetched.contains(image) {
        return Need::Nothing;
    }
    let there = builder.observed.images.get(image);
    if input.mode != Mode::Deploy {
        // A repair brings back what ran; it takes newer images only when there is none at all.
        return match (there, &service.build) {
            (Some(_), _) => Need::Nothing,
            (None, Some(_)) => Need::Build("the image is gone"),
            (None, None) => Need::Pull("the image is gone"),
        };
    }
    let builds = service.build.is_some() && !input.options.no_build;
    let policy = match (input.options.pull, &service.pull_policy) {
        (Some(PullMode::Always), _) => PullPolicy::Always,
        (Some(PullMode::Missing), _) => PullPolicy::Missing,
        (Some(PullMode::Never), _) => PullPolicy::Never,
        (None, None) if input.policy.pull_always => PullPolicy::Always,
        (None, _) => service.pull(),
    };
    if builds && (input.options.build || policy == PullPolicy::Build) {
        return Need::Build("a build was asked for");
    }
    match policy {
        PullPolicy::Never if there.is_none() && !builds => {
            Need::Missing("it is not on the host, and the pull policy is never")
        }
        PullPolicy::Build if there.is_none() => {
            Need::Missing("it is not on the host, and nothing may build it")
        }
        PullPolicy::Never | PullPolicy::Build if there.is_some() => Need::Nothing,
        // A built image has no registry to ask.
        PullPolicy::Always if !builds || service.image.is_some() => Need::Pull("the pull policy is always"),
        PullPolicy::Every(age)
            if there.is_some_and(|image| older(image.tagged, age, input.now)) && !builds =>
        {
            Need::Pull("the image is older than the pull policy allows")
        }
        _ if there.is_some() => Need::Nothing,
        _ if builds => Need::Build("the image is not on the host"),
        _ => Need::Pull("the image is not on the host"),
    }
}

fn older(tagged: i64, age: std::time::Duration, now: i64) -> bool {
    now.saturating_sub(tagged) > i64::try_from(age.as_secs()).unwrap_or(i64::MAX)
}
