//! Mounts of a service.

use crate::model::{Bytes, Extensions, Values, canonical, is_default};
use serde::{Deserialize, Serialize};

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// What is mounted.
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// Absolute host path, key of a volume, or image. Absent: an anonymous volume, or tmpfs.
    #[serde(skip_serializing_if = "is_default")]
    pub source: Option<String>,
    /// Absolute path in the container.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// True: not writable.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Consistency requirement (platform specific).
    #[serde(skip_serializing_if = "is_default")]
    pub consistency: Option<String>,
    /// Options of a bind.
    #[serde(skip_serializing_if = "is_default")]
    pub bind: Option<BindOptions>,
    /// Options of a volume.
    #[serde(skip_serializing_if = "is_default")]
    pub volume: Option<VolumeOptions>,
    /// Options of a tmpfs.
    #[serde(skip_serializing_if = "is_default")]
    pub tmpfs: Option<TmpfsOptions>,
    /// Options of an image mount.
    #[serde(skip_serializing_if = "is_default")]
    pub image: Option<ImageOptions>,
    /// `x-*` keys.
    #[serde(flatten)]
    pub extensions: Extensions,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A host path.
    Bind,
    /// A named volume, or an anonymous one.
    #[default]
    Volume,
    /// Memory.
    Tmpfs,
    /// The files of an image (API 1.48).
    Image,
    /// A Windows pipe (refused by name).
    Npipe,
    /// A Swarm cluster volume (refused by name).
    Cluster,
}

canonical! {
    /// Options of a bind.
    pub struct BindOptions {
        /// `z` (shared) or `Z` (private).
        pub selinux: Option<String>,
        /// `shared`, `slave`, `private`, `rshared`, `rslave` or `rprivate`.
        pub propagation: Option<String>,
        /// True: a missing host path is made.
        pub create_host_path: bool,
        /// `enabled`, `disabled`, `writable` or `readonly`.
        pub recursive: Option<String>,
    }
}

canonical! {
    /// Options of a volume mount.
    pub struct VolumeOptions {
        /// Labels of an anonymous volume.
        pub labels: Values,
        /// True: the image's files are not copied into a new volume.
        pub nocopy: bool,
        /// Path in the volume (API 1.45).
        pub subpath: Option<String>,
    }
}

canonical! {
    /// Options of a tmpfs mount.
    pub struct TmpfsOptions {
        /// Size.
        pub size: Bytes,
        /// File mode, as a plain number: compose reads `1777` as decimal.
        pub mode: u32,
    }
}

canonical! {
    /// Options of an image mount.
    pub struct ImageOptions {
        /// Path in the image.
        pub subpath: Option<String>,
    }
}
