//! The canonical project: what a set of Compose files means once everything is resolved.
//!
//! Every value here is in its long form: sizes are [`Bytes`], durations [`Span`], short syntaxes are expanded, relative
//! paths are absolute, names are the engine's real names. Serialising a [`Project`] gives the canonical document
//! (`print` turns it into exactly what `docker compose config` prints), deserialising that document gives the project back.

mod build;
mod deploy;
mod resource;
mod scalar;
mod service;

pub use build::Build;
pub use deploy::{
    Deploy, DeviceRequest, DiscreteResource, GenericResource, Limit, Placement, PlacementPreference,
    Reservation, Resources, RestartPolicy, UpdateConfig,
};
pub use resource::{Config, Ipam, IpamPool, Model, Network, Secret, SecretText, Volume};
pub use scalar::{Bytes, FileMode, Span};
pub use service::{
    BindOptions, BlkioConfig, Condition, CredentialSpec, Dependency, Develop, Device, EnvFile, FileReference,
    Healthcheck, Hook, ImageOptions, Logging, Mount, MountKind, NetworkAttachment, Port, Provider,
    PullPolicy, Service, ServiceModel, ThrottleDevice, TmpfsOptions, Ulimit, VolumeOptions, Watch,
    WeightDevice,
};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `x-*` keys, kept as they were written.
pub type Extensions = BTreeMap<String, serde_json::Value>;

/// A map whose values may be absent: `KEY` alone, without a value, is `None`.
pub type OptionalValues = BTreeMap<String, Option<String>>;

/// A map of names to texts (labels, driver options, sysctls).
pub type Values = BTreeMap<String, String>;

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Declares a canonical object: every field is optional when read and left out when it has its default value, and
/// `x-*` keys are kept in `extensions`.
macro_rules! canonical {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident : $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "crate::model::is_default")]
                pub $field: $type,
            )*
            /// `x-*` keys of this object.
            #[serde(flatten)]
            pub extensions: crate::model::Extensions,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut fields = crate::model::Fields::deserialize(deserializer)?;
                let mut out = Self::default();
                $(fields.take(stringify!($field), &mut out.$field).map_err(serde::de::Error::custom)?;)*
                out.extensions = fields.rest();
                Ok(out)
            }
        }
    };
}
pub(crate) use canonical;

/// A part of the model as JSON, by way of text: the model is written by one serialiser only, which is a large part of it.
#[must_use]
pub fn to_json(part: &impl Serialize) -> serde_json::Value {
    let text = serde_json::to_string(part).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The fields of an object that are still to be read.
///
/// Serde's own derive makes a state machine of each struct, and a larger one where the rest is kept: for all structs of
/// the model together that was a twentieth of the agent.
pub(crate) struct Fields(serde_json::Map<String, serde_json::Value>);

impl Fields {
    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Map::deserialize(deserializer).map(Self)
    }

    /// Reads a field if it is there.
    #[inline(never)]
    pub(crate) fn take<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        into: &mut T,
    ) -> Result<(), serde_json::Error> {
        // The names of Rust that are words of Rust, too.
        let name = name.strip_prefix("r#").unwrap_or(name);
        if let Some(value) = self.0.remove(name) {
            *into = T::deserialize(value)?;
        }
        Ok(())
    }

    /// What no field has taken.
    pub(crate) fn rest(self) -> Extensions {
        self.0.into_iter().collect()
    }
}

/// A whole project: the result of loading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Project {
    /// Project name: `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// Enabled services by name.
    pub services: BTreeMap<String, Service>,
    /// Networks in use, by their key in the file.
    #[serde(skip_serializing_if = "is_default")]
    pub networks: BTreeMap<String, Network>,
    /// Volumes in use, by their key in the file.
    #[serde(skip_serializing_if = "is_default")]
    pub volumes: BTreeMap<String, Volume>,
    /// Secrets in use, by their key in the file.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: BTreeMap<String, Secret>,
    /// Configs in use, by their key in the file.
    #[serde(skip_serializing_if = "is_default")]
    pub configs: BTreeMap<String, Config>,
    /// Language models by key (understood, carried out by nothing here: the engine refuses them by name).
    #[serde(skip_serializing_if = "is_default")]
    pub models: BTreeMap<String, Model>,
    /// Top-level `x-*` keys.
    #[serde(flatten)]
    pub extensions: Extensions,
    /// Services that no active profile switches on (or that were not selected). Their containers are not orphans.
    #[serde(skip)]
    pub disabled_services: BTreeMap<String, Service>,
    /// Absolute project directory: the base of relative paths.
    #[serde(skip)]
    pub working_dir: String,
    /// Absolute paths of the files given, in order (the value of the `config_files` label).
    #[serde(skip)]
    pub compose_files: Vec<String>,
    /// Absolute paths of the explicit `--env-file`s (the value of the `environment_file` label).
    #[serde(skip)]
    pub environment_files: Vec<String>,
    /// Active profiles.
    #[serde(skip)]
    pub profiles: Vec<String>,
    /// Whether names are made with underscores, as the first docker-compose did (`COMPOSE_COMPATIBILITY`).
    #[serde(skip)]
    pub compatibility: bool,
}

impl Project {
    /// What stands between the parts of the names of containers and built images.
    #[must_use]
    pub const fn separator(&self) -> &'static str {
        if self.compatibility { "_" } else { "-" }
    }

    /// An enabled or disabled service by name.
    #[must_use]
    pub fn any_service(&self, name: &str) -> Option<&Service> {
        self.services
            .get(name)
            .or_else(|| self.disabled_services.get(name))
    }
}
