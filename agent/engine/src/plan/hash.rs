//! WindFlow's own configuration hash.
//!
//! Over canonical JSON with sorted keys, so neither field order nor the engine's version changes it. It leaves out what
//! does not change a container (build, pull policy, scale, dependencies, profiles) and takes in what compose forgets:
//! the contents of configs and secrets, and the real names of networks and volumes. The image is compared by its id at
//! the engine, not by this hash, so that a plan can say "image changed" by itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use windflow_compose::collect::IntoMap as _;
use windflow_compose::model::{Network, Project, Service, Volume, to_json};

use crate::targets::Observed;

/// Version of the form; a new form recreates nothing, it only stops comparing by key.
const FORM: &str = "1";

/// Digests of contents by `configs.NAME` and `secrets.NAME`; see [`ContentDigests::of`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentDigests(pub BTreeMap<String, String>);

impl ContentDigests {
    /// Digests every content with a key of the host: labels are readable, and a short secret could be guessed from a
    /// plain hash. `read` gives the bytes of a file, `None` if there is none.
    ///
    /// # Errors
    /// What `read` says of a config or secret file.
    pub fn of<E>(
        project: &Project,
        key: &[u8; 32],
        read: impl Fn(&str) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Self, E> {
        let mut out = BTreeMap::new();
        for (name, config) in &project.configs {
            let bytes = match (&config.content, &config.file) {
                (Some(content), _) => content.clone().into_bytes(),
                (None, Some(file)) => read(file)?.unwrap_or_default(),
                (None, None) => continue,
            };
            out.insert(format!("configs.{name}"), keyed(key, &bytes));
        }
        for (name, secret) in &project.secrets {
            let bytes = match (secret.content.reveal(), &secret.file) {
                (Some(content), _) => content.as_bytes().to_vec(),
                (None, Some(file)) => read(file)?.unwrap_or_default(),
                (None, None) => continue,
            };
            out.insert(format!("secrets.{name}"), keyed(key, &bytes));
        }
        Ok(Self(out))
    }
}

fn keyed(key: &[u8; 32], bytes: &[u8]) -> String {
    let inner = Sha256::new()
        .chain_update(key)
        .chain_update(b"inner")
        .chain_update(bytes)
        .finalize();
    hex::encode(
        Sha256::new()
            .chain_update(key)
            .chain_update(b"outer")
            .chain_update(inner)
            .finalize(),
    )
}

/// The hash of a service and, short, of each of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceHash {
    /// `1:` and 64 hex digits.
    pub(super) full: String,
    /// `key=8 hex digits`, comma separated.
    pub(super) keys: String,
}

pub(crate) fn service(project: &Project, service: &Service, contents: &ContentDigests) -> ServiceHash {
    let keys = canonical_service(project, service, contents);
    let short: Vec<String> = keys
        .iter()
        .map(|(key, value)| format!("{key}={}", digest_of(value).split_at(8).0))
        .collect();
    ServiceHash {
        full: format!("{FORM}:{}", digest_of(&Value::Object(keys))),
        keys: short.join(","),
    }
}

fn canonical_service(project: &Project, service: &Service, contents: &ContentDigests) -> Map<String, Value> {
    let mut keys = match to_json(service) {
        Value::Object(keys) => keys,
        _ => Map::new(),
    };
    for left_out in [
        "build",
        "develop",
        "pull_policy",
        "pull_refresh_after",
        "scale",
        "depends_on",
        "profiles",
        "attach",
        "models",
    ] {
        keys.shift_remove(left_out);
    }
    if let Some(Value::Object(deploy)) = keys.get_mut("deploy") {
        for left_out in [
            "replicas",
            "labels",
            "mode",
            "placement",
            "update_config",
            "rollback_config",
            "endpoint_mode",
        ] {
            deploy.shift_remove(left_out);
        }
        if deploy.is_empty() {
            keys.shift_remove("deploy");
        }
    }
    let names = |keys: Vec<&String>, real: &dyn Fn(&str) -> Option<String>| -> Value {
        keys.into_iter()
            .map(|key| (key.clone(), Value::from(real(key))))
            .collect::<Map<_, _>>()
            .into()
    };
    if !service.networks.is_empty() {
        let real = |key: &str| project.networks.get(key).map(|network| network.name.clone());
        keys.insert(
            "networks (names)".to_owned(),
            names(service.networks.keys().collect(), &real),
        );
    }
    let volumes: Vec<&String> = service
        .volumes
        .iter()
        .filter_map(|mount| mount.source.as_ref())
        .collect();
    let volumes: Vec<&String> = volumes
        .into_iter()
        .filter(|key| project.volumes.contains_key(*key))
        .collect();
    if !volumes.is_empty() {
        let real = |key: &str| project.volumes.get(key).map(|volume| volume.name.clone());
        keys.insert("volumes (names)".to_owned(), names(volumes, &real));
    }
    let referenced = service
        .configs
        .iter()
        .map(|file| format!("configs.{}", file.source));
    let referenced = referenced.chain(
        service
            .secrets
            .iter()
            .map(|file| format!("secrets.{}", file.source)),
    );
    for reference in referenced {
        if let Some(digest) = contents.0.get(&reference) {
            keys.insert(format!("{reference} (content)"), Value::from(digest.clone()));
        }
    }
    keys
}

/// Which keys differ between two labels made by [`service`]. Empty if the old one has none.
pub(super) fn changed_keys(old: &str, new: &str) -> Vec<String> {
    let parse = |text: &str| -> BTreeMap<String, String> {
        text.split(',')
            .filter_map(|part| part.rsplit_once('='))
            .map(|(key, hash)| (key.into(), hash.into()))
            .into_map()
    };
    let (old, new) = (parse(old), parse(new));
    if old.is_empty() {
        return Vec::new();
    }
    let mut keys: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| old.get(key) != new.get(key));
    keys
}

pub(super) fn network(network: &Network) -> String {
    let value = to_json(network);
    format!("{FORM}:{}", digest_of(&value))
}

pub(super) fn volume(volume: &Volume) -> String {
    let value = to_json(volume);
    format!("{FORM}:{}", digest_of(&value))
}

/// Digest of the part of the world that plans depend on, in whatever order it was listed.
#[must_use]
pub fn world_digest(observed: &Observed) -> String {
    let observed = super::sorted(observed);
    let containers: Vec<Value> = observed
        .containers
        .iter()
        .map(|c| {
            json!([
                c.id,
                c.name,
                c.image_id,
                c.is_up(),
                c.networks.keys().collect::<Vec<_>>()
            ])
        })
        .collect();
    let networks: Vec<Value> = observed.networks.iter().map(|n| json!([n.id, n.name])).collect();
    let volumes: Vec<Value> = observed.volumes.iter().map(|v| json!(v.name)).collect();
    let images: Vec<Value> = observed
        .images
        .iter()
        .map(|(name, image)| json!([name, image.id]))
        .collect();
    short_digest(&json!([containers, networks, volumes, images]))
}

/// 16 hex digits.
pub(super) fn short_digest(value: &Value) -> String {
    digest_of(value).split_at(16).0.to_owned()
}

fn digest_of(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// JSON with sorted keys.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_is_irrelevant_and_values_are_not() {
        let a = json!({"a": 1, "b": {"c": 2, "d": 3}});
        let b: Value = serde_json::from_str(r#"{"b":{"d":3,"c":2},"a":1}"#).unwrap();
        assert_eq!(digest_of(&a), digest_of(&b));
        assert_ne!(digest_of(&a), digest_of(&json!({"a": 1, "b": {"c": 2, "d": 4}})));
        assert_ne!(digest_of(&json!(["ab"])), digest_of(&json!(["a", "b"])));
    }

    #[test]
    fn names_the_keys_that_changed() {
        let project = Project::default();
        let one = Service {
            image: Some("a".into()),
            tty: true,
            ..Service::default()
        };
        let two = Service {
            image: Some("b".into()),
            tty: true,
            init: Some(true),
            ..Service::default()
        };
        let hash = |service: &Service| super::service(&project, service, &ContentDigests::default());
        assert_eq!(
            changed_keys(&hash(&one).keys, &hash(&two).keys),
            ["image", "init"]
        );
        let scaled = Service {
            scale: Some(3),
            ..one.clone()
        };
        assert_eq!(hash(&one), hash(&scaled));
    }
}
