//! Which builder of the engine builds an image.

use serde::Deserialize;
use windflow_compose::model::Build;

use super::{context::OUTSIDE, remote};
use crate::targets::{
    TargetError, TargetErrorKind as Kind,
    docker::{DockerTarget, api::Api, wire},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builder {
    BuildKit,
    Classic,
}

/// What is looked at of the engine's version.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Version {
    os: String,
}

pub(super) async fn builder(
    target: &DockerTarget,
    service: &str,
    build: &Build,
) -> Result<Builder, TargetError> {
    let without = if target.buildkit == Some(false) {
        Some("DOCKER_BUILDKIT switches it off")
    } else if target.is_podman().await? {
        Some("Podman has none")
    } else {
        let version = wire::json(target, "/version", "ask for the engine's version").await?;
        let version: Version = version.unwrap_or_default();
        (version.os == "windows").then_some("an engine on Windows has none")
    };
    choose(service, build, without, target.api().await?)
}

/// BuildKit, where the engine has it and it can do what is asked for; what only it can do is refused elsewhere.
fn choose(service: &str, build: &Build, without: Option<&str>, api: Api) -> Result<Builder, TargetError> {
    let unsupported = |text: String| Err(TargetError::new(Kind::Unsupported, text));
    let (needs, classic) = (needs(build), classic(build, api));
    let why = match (without, classic) {
        (None, None) => return Ok(Builder::BuildKit),
        (Some(why), _) => why.to_owned(),
        (None, Some(key)) => format!("on this engine build.{key} needs the classic builder"),
    };
    if let Some(key) = needs {
        return unsupported(format!(
            "services.{service}.build.{key} needs BuildKit, and {why}: build this image beforehand and name it in `image`"
        ));
    }
    if build.dockerfile.as_deref() == Some(OUTSIDE) {
        return unsupported(format!(
            "services.{service}.build.dockerfile: the name {OUTSIDE} is taken"
        ));
    }
    Ok(Builder::Classic)
}

/// What only BuildKit can do.
fn needs(build: &Build) -> Option<&'static str> {
    let inline_remote = build.dockerfile_inline.is_some() && remote(build).is_some();
    let keys = [
        (!build.secrets.is_empty(), "secrets"),
        (!build.ssh.is_empty(), "ssh"),
        (!build.additional_contexts.is_empty(), "additional_contexts"),
        (build.privileged, "privileged"),
        (build.platforms.len() > 1, "platforms (more than one)"),
        (!build.entitlements.is_empty(), "entitlements"),
        (!build.cache_to.is_empty(), "cache_to"),
        (!build.no_cache_filter.is_empty(), "no_cache_filter"),
        (inline_remote, "dockerfile_inline (with a context from elsewhere)"),
    ];
    keys.into_iter().find_map(|(used, key)| used.then_some(key))
}

/// What only the classic builder can do. The BuildKit of engines before API 1.42 reads neither limits nor the size of
/// `/dev/shm`, and says nothing.
fn classic(build: &Build, api: Api) -> Option<&'static str> {
    let old = api < Api(42);
    let network = !matches!(
        build.network.as_deref().unwrap_or_default(),
        "" | "default" | "none" | "host"
    );
    let gateway = build
        .extra_hosts
        .iter()
        .any(|host| host.ends_with("host-gateway"));
    let keys = [
        (old && !build.ulimits.is_empty(), "ulimits"),
        (old && build.shm_size.0 > 0, "shm_size"),
        (network, "network (of a name)"),
        (gateway, "extra_hosts (with host-gateway)"),
        (
            build.isolation.as_deref().is_some_and(|text| !text.is_empty()),
            "isolation",
        ),
    ];
    keys.into_iter().find_map(|(used, key)| used.then_some(key))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use windflow_compose::model::Ulimit;

    use super::*;

    fn limited() -> Build {
        Build {
            ulimits: BTreeMap::from([("nofile".into(), Ulimit::Single(9))]),
            ..Build::default()
        }
    }

    #[test]
    fn the_builder_that_can() {
        let check = |build: &Build, without: Option<&str>, api: Api, is: Builder| {
            assert_eq!(choose("web", build, without, api).unwrap(), is);
        };
        check(&Build::default(), None, Api::OLDEST, Builder::BuildKit);
        check(&Build::default(), Some("none"), Api::OLDEST, Builder::Classic);
        check(&limited(), None, Api::OLDEST, Builder::Classic);
        check(&limited(), None, Api(42), Builder::BuildKit);
        let gateway = Build {
            extra_hosts: vec!["host=host-gateway".into()],
            ..Build::default()
        };
        check(&gateway, None, Api(42), Builder::Classic);
    }

    #[test]
    fn refusals_name_the_key() {
        let check = |build: Build, without: Option<&str>, words: &[&str]| {
            let error = choose("web", &build, without, Api::OLDEST)
                .unwrap_err()
                .to_string();
            for word in words {
                assert!(error.contains(word), "{error}");
            }
        };
        let privileged = Build {
            privileged: true,
            ..Build::default()
        };
        check(
            privileged,
            Some("there is none"),
            &["services.web.build.privileged", "there is none"],
        );
        let platforms = Build {
            platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
            ..Build::default()
        };
        check(
            platforms,
            Some("there is none"),
            &["services.web.build.platforms"],
        );
        let both = Build {
            ssh: vec!["default".into()],
            ..limited()
        };
        check(both, None, &["services.web.build.ssh", "build.ulimits"]);
    }
}
