//! Names of the labels on everything the engine creates.
//!
//! Compose's labels are set exactly as docker compose sets them, so that its commands work on our stacks and ours on
//! its. Decisions are made by WindFlow's own.

/// Compose: the project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Compose: the service.
pub const SERVICE: &str = "com.docker.compose.service";
/// Compose: number of the container within its service.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// Compose: `True` on `run` containers.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// Compose: what makes a `run` container's name unique.
pub const SLUG: &str = "com.docker.compose.slug";
/// Compose: its own configuration hash. `ps`, `ls` and `down` look for the label, not its value.
pub const COMPOSE_HASH: &str = "com.docker.compose.config-hash";
/// Compose: digest of the image.
pub const IMAGE: &str = "com.docker.compose.image";
/// Compose: `service:condition:restart`, comma separated.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Compose: the project directory.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Compose: the Compose files, comma separated.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// Compose: the files of `--env-file`, comma separated.
pub const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
/// Compose: its version.
pub const VERSION: &str = "com.docker.compose.version";
/// Compose: name of the container that this one replaces.
pub const REPLACE: &str = "com.docker.compose.replace";
/// Compose: the network's key.
pub const NETWORK: &str = "com.docker.compose.network";
/// Compose: the volume's key.
pub const VOLUME: &str = "com.docker.compose.volume";

/// Ours: the stack's name.
pub const WF_STACK: &str = "io.windflow.stack";
/// Ours: the revision that created it.
pub const WF_REV: &str = "io.windflow.rev";
/// Ours: the operation that created it.
pub const WF_OP: &str = "io.windflow.op";
/// Ours: the service.
pub const WF_SERVICE: &str = "io.windflow.service";
/// Ours: hash of the canonical configuration, `1:` and 64 hex digits.
pub const WF_HASH: &str = "io.windflow.config-hash";
/// Ours: short hashes by key, so that a plan can name the keys that changed.
pub const WF_KEYS: &str = "io.windflow.config-keys";
/// Ours: id of the container that this one replaces.
pub const WF_REPLACES: &str = "io.windflow.replaces";
/// Ours: the image reference as the file has it.
pub const WF_IMAGE_REF: &str = "io.windflow.image.ref";

/// How labels begin that come from no file: Compose's, ours, Docker Desktop's.
pub const OWN: [&str; 3] = ["com.docker.", "io.windflow.", "desktop.docker."];

use std::collections::BTreeMap;

use windflow_compose::model::{Network, Project, Service, Values, Volume};

use super::{PlanInput, hash::ServiceHash, theirs};

type Labels = BTreeMap<String, String>;

fn own(input: &PlanInput) -> Labels {
    let stamp = &input.stamp;
    BTreeMap::from([
        (PROJECT.to_owned(), input.project.name.clone()),
        (VERSION.to_owned(), windflow_kit::build::VERSION.to_owned()),
        (WF_STACK.to_owned(), stamp.stack.to_string()),
        (WF_REV.to_owned(), stamp.rev.to_string()),
        (WF_OP.to_owned(), stamp.op.to_string()),
    ])
}

pub(super) fn network(input: &PlanInput, key: &str, network: &Network, hash: &str) -> Labels {
    resource(
        input,
        (NETWORK, key),
        &network.labels,
        theirs::network(network),
        hash,
    )
}

pub(super) fn volume(input: &PlanInput, key: &str, volume: &Volume, hash: &str) -> Labels {
    resource(input, (VOLUME, key), &volume.labels, theirs::volume(volume), hash)
}

fn resource(
    input: &PlanInput,
    (kind, key): (&str, &str),
    user: &Values,
    theirs: String,
    hash: &str,
) -> Labels {
    let mut labels = user.clone();
    labels.extend(own(input));
    labels.insert(kind.to_owned(), key.to_owned());
    labels.insert(COMPOSE_HASH.to_owned(), theirs);
    labels.insert(WF_HASH.to_owned(), hash.to_owned());
    labels
}

/// What tells one container from its siblings.
pub(crate) struct ContainerLabels<'a> {
    pub(crate) service: &'a str,
    /// From 1; 0 for a container that `run` makes, which has none.
    pub(crate) number: u32,
    pub(crate) hash: &'a ServiceHash,
    pub(crate) image: &'a str,
    pub(crate) image_id: Option<&'a str>,
    /// Id of the container it replaces.
    pub(crate) replaces: Option<&'a str>,
}

pub(crate) fn container(input: &PlanInput, spec: &Service, of: &ContainerLabels<'_>) -> Labels {
    let project: &Project = &input.project;
    let mut labels = spec.labels.clone();
    labels.extend(own(input));
    let mut set = |name: &str, value: String| drop(labels.insert(name.to_owned(), value));
    set(SERVICE, of.service.to_owned());
    if of.number > 0 {
        set(NUMBER, of.number.to_string());
    }
    set(ONEOFF, "False".to_owned());
    set(COMPOSE_HASH, theirs::service(spec, &BTreeMap::new()));
    set(WF_SERVICE, of.service.to_owned());
    set(WF_HASH, of.hash.full.clone());
    set(WF_KEYS, of.hash.keys.clone());
    set(WF_IMAGE_REF, of.image.to_owned());
    if let Some(id) = of.image_id {
        set(IMAGE, id.to_owned());
    }
    let depends: Vec<String> = spec
        .depends_on
        .iter()
        .filter(|(name, _)| super::services::is_selected(input, name))
        // One that is not required may be switched off.
        .filter(|(name, _)| project.services.contains_key(*name))
        .map(|(name, dependency)| format!("{name}:{}:{}", dependency.condition.as_str(), dependency.restart))
        .collect();
    set(DEPENDS_ON, depends.join(","));
    set(WORKING_DIR, project.working_dir.clone());
    set(CONFIG_FILES, project.compose_files.join(","));
    if !project.environment_files.is_empty() {
        set(ENVIRONMENT_FILE, project.environment_files.join(","));
    }
    if let Some(old) = of.replaces {
        set(REPLACE, format!("{}-{}", of.service, of.number));
        set(WF_REPLACES, old.to_owned());
    }
    labels
}
