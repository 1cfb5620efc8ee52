//! Top-level resources: networks, volumes, secrets, configs and models.

use super::{Values, canonical};
use serde::{Deserialize, Serialize};
use std::fmt;

canonical! {
    /// A network of the project.
    pub struct Network {
        /// The engine's name of the network.
        pub name: String,
        /// Driver; absent means the engine's default (`bridge`).
        pub driver: Option<String>,
        /// Options for the driver.
        pub driver_opts: Values,
        /// Address management.
        pub ipam: Ipam,
        /// True if the network is made by somebody else and must exist.
        pub external: bool,
        /// True if the network has no way to the outside.
        pub internal: bool,
        /// True if stand-alone containers may join.
        pub attachable: bool,
        /// Labels.
        pub labels: Values,
        /// IPv4 on or off; absent leaves it to the engine.
        pub enable_ipv4: Option<bool>,
        /// IPv6 on or off; absent leaves it to the engine.
        pub enable_ipv6: Option<bool>,
    }
}

canonical! {
    /// Address management of a network.
    pub struct Ipam {
        /// IPAM driver.
        pub driver: Option<String>,
        /// Address pools.
        pub config: Vec<IpamPool>,
        /// Options for the IPAM driver.
        pub options: Values,
    }
}

canonical! {
    /// One address pool of a network.
    pub struct IpamPool {
        /// Subnet in CIDR form.
        pub subnet: Option<String>,
        /// Gateway address.
        pub gateway: Option<String>,
        /// Range from which container addresses are taken.
        pub ip_range: Option<String>,
        /// Addresses reserved for other uses, by name.
        pub aux_addresses: Values,
    }
}

canonical! {
    /// A named volume of the project.
    pub struct Volume {
        /// The engine's name of the volume.
        pub name: String,
        /// Driver; absent means `local`.
        pub driver: Option<String>,
        /// Options for the driver.
        pub driver_opts: Values,
        /// True if the volume is made by somebody else and must exist.
        pub external: bool,
        /// Labels.
        pub labels: Values,
    }
}

canonical! {
    /// A config: content that is given to containers as a file. Exactly one of `file`, `environment`, `content` or
    /// `external` is set.
    pub struct Config {
        /// Name of the config.
        pub name: String,
        /// Absolute path of the file that holds it.
        pub file: Option<String>,
        /// Environment variable that holds it; `content` then has its value.
        pub environment: Option<String>,
        /// The content, inline or from the environment variable.
        pub content: Option<String>,
        /// True if it is managed elsewhere (needs Swarm).
        pub external: bool,
        /// Labels.
        pub labels: Values,
        /// Template driver (needs Swarm).
        pub template_driver: Option<String>,
    }
}

canonical! {
    /// A secret: like a config, but its content is never printed.
    pub struct Secret {
        /// Name of the secret.
        pub name: String,
        /// Absolute path of the file that holds it.
        pub file: Option<String>,
        /// Environment variable that holds it; `content` then has its value.
        pub environment: Option<String>,
        /// The value of the environment variable. Never serialised.
        #[serde(skip)]
        pub content: SecretText,
        /// True if it is managed elsewhere (needs Swarm).
        pub external: bool,
        /// Labels.
        pub labels: Values,
        /// Secret driver (needs Swarm).
        pub driver: Option<String>,
        /// Options for the driver.
        pub driver_opts: Values,
        /// Template driver (needs Swarm).
        pub template_driver: Option<String>,
    }
}

/// The content of a secret, if it is known at load time. Its `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretText(Option<String>);

impl SecretText {
    /// Wraps a known content.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Some(text))
    }

    /// The content. Only for handing it to the container.
    #[must_use]
    pub fn reveal(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "SecretText(…)"
        } else {
            "SecretText(none)"
        })
    }
}

canonical! {
    /// A language model.
    pub struct Model {
        /// The engine's name of the model.
        pub name: Option<String>,
        /// Model reference.
        pub model: String,
        /// Context size in tokens.
        pub context_size: Option<i64>,
        /// Flags for the inference engine.
        pub runtime_flags: Vec<String>,
    }
}
