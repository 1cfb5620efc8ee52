//! Where a stack can run on a host.

use serde::{Deserialize, Serialize};

/// A kind of target behind the engine's `Target` trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A Docker or Podman engine, API 1.41 or newer.
    #[default]
    Docker,
    /// Simulated containers in the agent's memory, for tests, demonstrations and sizing.
    Fake,
}
