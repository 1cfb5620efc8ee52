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
