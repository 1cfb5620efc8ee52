//! What becomes of each key: carried out, tied to a version of the engine's API, without effect, or refused.
//!
//! The language knows the shape of every key; here stands only what is not plainly carried out. `docs/compose.md` is made
//! of both. Keys without effect are warned of from this table. The engine refuses by itself, because it looks at values.

use crate::problem::Report;
use crate::shape::{self, Shape};
use crate::yaml::{Node, Value};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Carried out.
    Yes,
    /// Carried out; the text says how far.
    Partly(&'static str),
    /// Resolved while the files are loaded; the engine sees only the result.
    Language,
    /// Carried out by engines whose API is `1.N` or newer, and refused by name on older ones.
    Api(u32),
    /// Understood and without effect; the user is told why.
    NoEffect(&'static str),
    /// Understood and refused by name; the text says why.
    Refused(&'static str),
}

/// A key of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Keys from the top, with dots. `*` stands for a name that the author chooses, `[]` for an item of a list.
    pub path: String,
    /// What becomes of it.
    pub support: Support,
}

const SWARM: &str = "only a Swarm does this; this engine is used directly";
const BUILDKIT: &str = "by the engine's BuildKit, which Podman has not";
const ATTEST: &str = "images are built without attestations";
const PLUGIN: &str = "needs a plugin of docker compose";

/// The most exact rule counts; without one a key is carried out.
const RULES: &[(&str, Support)] = &[
    ("version", Support::NoEffect("obsolete; remove it")),
    ("name", Support::Language),
    ("include", Support::Language),
    ("models", Support::Refused(PLUGIN)),
    ("configs.*.external", Support::Refused(SWARM)),
    ("configs.*.template_driver", Support::Refused(SWARM)),
    ("configs.*.labels", Support::NoEffect(SWARM)),
    ("secrets.*.external", Support::Refused(SWARM)),
    ("secrets.*.template_driver", Support::Refused(SWARM)),
    ("secrets.*.labels", Support::NoEffect(SWARM)),
    ("secrets.*.driver", Support::Refused(SWARM)),
    ("secrets.*.driver_opts", Support::NoEffect(SWARM)),
    (
        "networks.*.ipam.options",
        Support::NoEffect("the reference drops it as well"),
    ),
    ("services.*.extends", Support::Language),
    ("services.*.profiles", Support::Language),
    ("services.*.env_file", Support::Language),
    ("services.*.label_file", Support::Language),
    ("services.*.annotations", Support::Api(43)),
    (
        "services.*.develop",
        Support::NoEffect("watching files is for development; deploy again after a change"),
    ),
    ("services.*.models", Support::Refused(PLUGIN)),
    ("services.*.provider", Support::Refused(PLUGIN)),
    (
        "services.*.pre_start",
        Support::Refused(
            "steps before a start need containers of their own; use a service with `service_completed_successfully`",
        ),
    ),
    (
        "services.*.credential_spec",
        Support::Refused("Windows containers are not carried out"),
    ),
    (
        "services.*.use_api_socket",
        Support::Refused("it would give the engine's socket, and so the host, to the container"),
    ),
    (
        "services.*.pull_refresh_after",
        Support::NoEffect("the reference reads it nowhere; use `pull_policy: every_<duration>`"),
    ),
    ("services.*.build.secrets", Support::Partly(BUILDKIT)),
    (
        "services.*.build.ssh",
        Support::Partly("by the engine's BuildKit, through an SSH agent; files of keys are refused"),
    ),
    (
        "services.*.build.additional_contexts",
        Support::Partly("by the engine's BuildKit, from Docker 23 on or with `# syntax=` in the Dockerfile"),
    ),
    ("services.*.build.privileged", Support::Partly(BUILDKIT)),
    ("services.*.build.entitlements", Support::Partly(BUILDKIT)),
    (
        "services.*.build.cache_to",
        Support::Partly("by the engine's BuildKit, as far as it allows; `type=local` is refused"),
    ),
    (
        "services.*.build.cache_from",
        Support::Partly("`type=local` is refused"),
    ),
    (
        "services.*.build.platforms",
        Support::Partly("several as far as the engine's BuildKit allows"),
    ),
    ("services.*.build.provenance", Support::NoEffect(ATTEST)),
    ("services.*.build.sbom", Support::NoEffect(ATTEST)),
    ("services.*.build.no_cache_filter", Support::Partly(BUILDKIT)),
    ("services.*.deploy.placement", Support::NoEffect(SWARM)),
    (
        "services.*.deploy.update_config",
        Support::Partly("order, parallelism, monitor and failure_action"),
    ),
    ("services.*.deploy.update_config.delay", Support::NoEffect(SWARM)),
    (
        "services.*.deploy.update_config.max_failure_ratio",
        Support::NoEffect(SWARM),
    ),
    ("services.*.deploy.rollback_config", Support::NoEffect(SWARM)),
    ("services.*.deploy.endpoint_mode", Support::NoEffect(SWARM)),
    ("services.*.deploy.labels", Support::NoEffect(SWARM)),
    (
        "services.*.deploy.mode",
        Support::Partly("replicated; the other modes need a Swarm"),
    ),
    (
        "services.*.deploy.resources.reservations.cpus",
        Support::NoEffect(SWARM),
    ),
    (
        "services.*.deploy.resources.reservations.generic_resources",
        Support::NoEffect(SWARM),
    ),
    ("services.*.healthcheck.start_interval", Support::Api(44)),
    ("services.*.networks.*.gw_priority", Support::Api(48)),
    ("services.*.networks.*.interface_name", Support::Api(49)),
    (
        "services.*.volumes[].type",
        Support::Partly("bind, volume, tmpfs, and image from API 1.48; npipe and cluster are refused"),
    ),
    ("services.*.volumes[].bind.recursive", Support::Api(44)),
    ("services.*.volumes[].volume.subpath", Support::Api(45)),
    ("services.*.volumes[].image", Support::Api(48)),
];

/// Every key of the language, in the order of its shape, with what becomes of it.
#[must_use]
pub fn keys() -> Vec<Key> {
    let mut out = Vec::new();
    walk(&shape::FILE, "", &mut out);
    out
}

fn walk(shape: &Shape, path: &str, out: &mut Vec<Key>) {
    match shape {
        Shape::Any2(shapes) => shapes.iter().for_each(|shape| walk(shape, path, out)),
        Shape::List(item) | Shape::Set(item) => walk(item, &format!("{path}[]"), out),
        Shape::Dict(_, item) => walk(item, &format!("{path}.*"), out),
        Shape::Object(keys, _) | Shape::Closed(keys, _) => {
            for (key, shape) in *keys {
                let path = crate::yaml::join(path, key);
                if out.iter().any(|known| known.path == path) {
                    continue;
                }
                out.push(Key {
                    support: of(&path),
                    path: path.clone(),
                });
                walk(shape, &path, out);
            }
        }
        _ => {}
    }
}

/// The rule of the key, or of the nearest key above it.
fn of(path: &str) -> Support {
    let above = |pattern: &str| {
        path.strip_prefix(pattern)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    RULES
        .iter()
        .filter(|(pattern, _)| above(pattern))
        .max_by_key(|(pattern, _)| pattern.len())
        .map_or(Support::Yes, |(_, support)| *support)
}

/// Warns of every key that is there and has no effect.
pub(crate) fn warn(tree: &Node, report: &mut Report) {
    for (pattern, support) in RULES {
        if let Support::NoEffect(why) = support {
            let keys: Vec<&str> = pattern.split('.').collect();
            find(tree, &keys, "", &mut |node, path| {
                report.warn(node.key, path, format!("the key has no effect: {why}"));
            });
        }
    }
}

fn find(node: &Node, keys: &[&str], path: &str, hear: &mut dyn FnMut(&Node, &str)) {
    let Some((key, rest)) = keys.split_first() else {
        return hear(node, path);
    };
    let Value::Map(map) = &node.value else { return };
    for (name, inner) in map
        .iter()
        .filter(|(name, _)| *key == "*" || *key == name.as_str())
    {
        find(inner, rest, &crate::yaml::join(path, name), hear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_about_a_key() {
        let keys = keys();
        for (pattern, support) in RULES {
            assert!(keys.iter().any(|key| key.path == *pattern), "{pattern}");
            // A warning is looked for by mappings alone.
            assert!(
                !matches!(support, Support::NoEffect(_)) || !pattern.contains('['),
                "{pattern}"
            );
        }
        assert!(keys.len() > 250, "{}", keys.len());
        let of = |path: &str| keys.iter().find(|key| key.path == path).map(|key| key.support);
        assert_eq!(of("services.*.image"), Some(Support::Yes));
        assert_eq!(of("services.*.develop.watch[].path"), of("services.*.develop"));
    }
}
