//! The `build` section of a service.

use super::{Bytes, FileReference, OptionalValues, Ulimit, Values, canonical};
use std::collections::BTreeMap;

canonical! {
    /// How the image of a service is built.
    pub struct Build {
        /// Absolute directory, or URL.
        pub context: Option<String>,
        /// Dockerfile, relative to the context. Absent only if `dockerfile_inline` is set.
        pub dockerfile: Option<String>,
        /// Content of the Dockerfile.
        pub dockerfile_inline: Option<String>,
        /// Extra privileges of the build.
        pub entitlements: Vec<String>,
        /// Build arguments.
        pub args: OptionalValues,
        /// Provenance attestation.
        pub provenance: Option<String>,
        /// SBOM attestation.
        pub sbom: Option<String>,
        /// SSH agents and keys: `id` or `id=path`.
        pub ssh: Vec<String>,
        /// Labels of the image.
        pub labels: Values,
        /// Cache sources.
        pub cache_from: Vec<String>,
        /// Cache destinations.
        pub cache_to: Vec<String>,
        /// True to build without the cache.
        pub no_cache: bool,
        /// Stages to build without the cache.
        pub no_cache_filter: Vec<String>,
        /// Further contexts by name: absolute path, URL or `service:NAME`.
        pub additional_contexts: Values,
        /// True to pull base images always.
        pub pull: bool,
        /// Host entries as `host=ip`, sorted.
        pub extra_hosts: Vec<String>,
        /// Isolation technology.
        pub isolation: Option<String>,
        /// Network of `RUN` steps.
        pub network: Option<String>,
        /// Stage to build.
        pub target: Option<String>,
        /// Secrets of the build.
        pub secrets: Vec<FileReference>,
        /// Size of `/dev/shm`.
        pub shm_size: Bytes,
        /// Further tags of the image.
        pub tags: Vec<String>,
        /// Resource limits by name.
        pub ulimits: BTreeMap<String, Ulimit>,
        /// Platforms to build for.
        pub platforms: Vec<String>,
        /// True for a privileged build.
        pub privileged: bool,
    }
}

impl Build {
    /// Services whose images are additional contexts, so that they are built first.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        let places = self.additional_contexts.values();
        places.filter_map(|place| place.strip_prefix("service:"))
    }
}
