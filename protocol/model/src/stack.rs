//! A stack: the Compose project as a user wrote it, and how it wants to be deployed.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    doc::Document,
    id::{StackId, UserId},
    revision::{Rev, SpecDigest},
    time::Timestamp,
};

/// Why a text cannot name a stack.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} cannot name a stack: use 1 to 63 of a-z 0-9 _ -, beginning with a letter or digit (it becomes the Compose project name)"
)]
pub struct StackNameError(pub String);

/// A stack's name, which is its Compose project name on every host: `[a-z0-9][a-z0-9_-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackName(String);

impl StackName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for StackName {
    type Err = StackNameError;

    fn from_str(text: &str) -> Result<Self, StackNameError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = text.len() <= 63
            && text.chars().next().is_some_and(fits)
            && text.chars().all(|c| fits(c) || c == '_' || c == '-');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(StackNameError(text.to_owned()))
        }
    }
}

impl Serialize for StackName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StackName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for StackName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[a-z0-9][a-z0-9_-]{0,62}$"))
            .build()
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for StackName {}

/// One file of a stack, as text. The path is relative to the project directory and never leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SpecFile {
    /// Relative path with forward slashes, e.g. `compose.yaml` or `conf/app.env`.
    pub path: String,
    /// The text of the file, UTF-8.
    pub content: String,
}

/// What a user wants to run: the files, the environment for interpolation, and the policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StackSpec {
    /// The Compose files in merge order, as paths into `files`. Empty means: discover as `docker compose` does.
    #[serde(default)]
    pub compose_files: Vec<String>,
    /// Every file the project needs, Compose files first.
    pub files: Vec<SpecFile>,
    /// Variables for interpolation; they win over a `.env` among the files.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Active profiles.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// How to deploy.
    #[serde(default)]
    pub policy: DeployPolicy,
}

impl Document for StackSpec {
    const NAME: &'static str = "stack spec";
    const SCHEMA: u16 = 1;
}

impl StackSpec {
    /// SHA-256 of the canonical JSON. Two specs with one digest are the same desired state.
    #[must_use]
    pub fn digest(&self) -> SpecDigest {
        // Field order is fixed by the struct and maps are ordered, so the JSON is canonical.
        // A value of strings, booleans and numbers always has a JSON form.
        let json = serde_json::to_vec(self).unwrap_or_default();
        SpecDigest::from_bytes(Sha256::digest(&json).into())
    }

    /// The file with this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&SpecFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// How a deployment behaves on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DeployPolicy {
    /// Remove containers of the project whose service no longer exists.
    pub remove_orphans: bool,
    /// Pull images even if they are present (`pull_policy` of a service wins).
    pub pull_always: bool,
    /// Seconds a deployment may wait for services to run and become healthy before it fails. Range 1–86,400.
    pub health_timeout_s: u32,
    /// Seconds a deployment may wait in the queue for an offline host before it expires; 0 means for ever.
    pub queue_timeout_s: u32,
    /// In which order a container and its replacement change places.
    #[serde(skip_serializing_if = "is_default")]
    pub order: ReplaceOrder,
    /// When a revision that does not work out makes way for the last good one.
    #[serde(skip_serializing_if = "is_default")]
    pub rollback: RollbackPolicy,
}

/// In which order a container and its replacement change places. `deploy.update_config.order` of a service wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReplaceOrder {
    /// The new one starts and is good before the old one stops, where nothing of theirs can be had by one only (host
    /// ports, addresses, data they write); otherwise the old one stops first.
    #[default]
    Auto,
    /// The new one first even if both write the same data; never where the host makes it impossible.
    StartFirst,
    /// The old one stops first.
    StopFirst,
}

impl std::str::FromStr for ReplaceOrder {
    type Err = String;

    /// The words of `deploy.update_config.order`, and `auto`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "start-first" => Ok(Self::StartFirst),
            "stop-first" => Ok(Self::StopFirst),
            _ => Err("use auto, start-first or stop-first".to_owned()),
        }
    }
}

/// When a revision that does not work out makes way for the last good one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RollbackPolicy {
    /// Whether the host goes back by itself. Without it a failed deployment puts the containers it replaced back, and
    /// leaves the rest for a person to look at.
    pub automatic: bool,
    /// Seconds that a revision is watched once everything runs and is healthy, before the old containers are given up.
    /// Range 0–3,600.
    pub watch_s: u32,
    /// Whether a failing health check counts.
    pub unhealthy: bool,
    /// Whether a container that ends while it is watched counts.
    pub exited: bool,
    /// Restarts of one container while it is watched that do not count yet. Range 0–100.
    pub restarts: u32,
}

impl Default for RollbackPolicy {
    fn default() -> Self {
        Self {
            automatic: true,
            watch_s: 0,
            unhealthy: true,
            exited: true,
            restarts: 0,
        }
    }
}

/// A field with its default is not written: the digest of a spec from before the field stays what it was.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for DeployPolicy {
    fn default() -> Self {
        Self {
            remove_orphans: true,
            pull_always: false,
            health_timeout_s: 300,
            queue_timeout_s: 0,
            order: ReplaceOrder::Auto,
            rollback: RollbackPolicy::default(),
        }
    }
}

/// A stack as the controller keeps it: the spec that the next deploy will use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Stack {
    /// Id, never reused.
    pub id: StackId,
    /// Name, unique in the organisation.
    pub name: StackName,
    /// The spec as last saved.
    pub spec: StackSpec,
    /// Digest of `spec`.
    pub digest: SpecDigest,
    /// The newest revision that was minted; `Rev::ZERO` before the first deploy.
    pub latest_rev: Rev,
    /// When it was created.
    pub created_at: Timestamp,
    /// When the spec was last saved.
    pub updated_at: Timestamp,
    /// Who saved it last.
    pub updated_by: UserId,
}

impl Document for Stack {
    const NAME: &'static str = "stack";
    const SCHEMA: u16 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |text: &str, good: bool| assert_eq!(text.parse::<StackName>().is_ok(), good, "{text:?}");
        check("web", true);
        check("0-a_b", true);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
        check("", false);
        check("-web", false);
        check("Web", false);
        check("web/../x", false);
        check("wéb", false);
    }

    #[test]
    fn digest_sees_every_field() {
        let base = StackSpec {
            files: vec![SpecFile {
                path: "compose.yaml".into(),
                content: "services: {}\n".into(),
            }],
            ..StackSpec::default()
        };
        let mut other = base.clone();
        assert_eq!(base.digest(), other.digest());
        other.env.insert("TAG".into(), "2".into());
        assert_ne!(base.digest(), other.digest());
        let mut other = base.clone();
        other.policy.health_timeout_s = 1;
        assert_ne!(base.digest(), other.digest());
        let mut other = base.clone();
        other.policy.rollback.automatic = false;
        assert_ne!(base.digest(), other.digest());
        let mut other = base.clone();
        other.policy.order = ReplaceOrder::StopFirst;
        assert_ne!(base.digest(), other.digest());
    }

    /// A spec from before a policy had an order and a rollback has the same form, so the same digest, as ever.
    #[test]
    fn a_default_is_not_written() {
        let json = serde_json::to_string(&DeployPolicy::default()).unwrap();
        assert_eq!(
            json,
            r#"{"remove_orphans":true,"pull_always":false,"health_timeout_s":300,"queue_timeout_s":0}"#
        );
        let back: DeployPolicy = serde_json::from_str(r#"{"rollback":{"watch_s":5}}"#).unwrap();
        assert_eq!(back.rollback.watch_s, 5);
        assert!(back.rollback.automatic && back.order == ReplaceOrder::Auto);
    }
}
