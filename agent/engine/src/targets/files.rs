//! Files of a target, on their way out of it or into it.

use std::{fmt, io};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use windflow_model::FileEntry;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// Its name and so on.
    pub entry: FileEntry,
    /// Where a link leads in the end, as an absolute path in the container.
    pub leads_to: Option<String>,
}

/// A tar to be unpacked in a directory of a container.
pub struct ArchivePut {
    /// The container's id.
    pub container: String,
    /// The directory in it.
    pub path: String,
    /// Keep user and group of the tar.
    pub keep_owner: bool,
    /// The tar.
    pub tar: BoxStream<'static, io::Result<Bytes>>,
}

impl fmt::Debug for ArchivePut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchivePut")
            .field("container", &self.container)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A container that never runs: through it the engine lets its volume be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The container's id.
    pub container: String,
    /// Where the volume is in it.
    pub path: &'static str,
}
