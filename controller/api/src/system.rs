//! The controller itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What this controller is and how hosts reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Info {
    /// Version, e.g. `0.1.0`.
    pub version: String,
    /// Version with commit and platform.
    #[serde(default)]
    pub build: String,
    /// Pin of the controller's CA: `sha256:` and the digest of its public key in base64.
    pub ca_pin: String,
    /// Address agents dial, `host:port` (UDP).
    pub quic_address: String,
    /// Address of the API and the web UI.
    #[serde(default)]
    pub url: String,
    /// Architectures for which an agent binary is served, e.g. `x86_64`.
    pub agent_archs: Vec<String>,
    /// Features that are switched on.
    pub features: Vec<String>,
}

/// Whether the controller can serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// `true` if the store answers and the agent listener runs.
    pub ready: bool,
    /// What is missing, for the reader.
    #[serde(default)]
    pub problems: Vec<String>,
}
