//! A stream about files: opened by the controller with [`StreamOpen::Files`](crate::StreamOpen).
//!
//! ```text
//! Volumes   ──► ◄── Volumes, or Failed
//! List      ──► ◄── Listing, or Failed
//! Read      ──► ◄── Listing (what is read, without what is in it), Data …, End; or Failed, also in the middle
//! Write     ──► ◄── Ready      Data …, End ──►      ◄── Written, or Failed at any time
//! ```
//! A reading that ends without `End`, and a writing without it, has been cut off: nothing of such a writing is in the place.

use serde::{Deserialize, Serialize};
use windflow_model::{Doc, FileListing, FilesWritten, VolumeList};

use crate::{codec::Frame, stream::StreamFailure};

/// Most bytes in one frame.
pub const MAX_DATA: usize = 64 << 10;

/// What the agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FileItem {
    /// The volumes of the host.
    Volumes(Doc<VolumeList>),
    /// What is at a path.
    Listing(Doc<FileListing>),
    /// The next bytes, at most [`MAX_DATA`].
    Data(Vec<u8>),
    /// There are no more bytes.
    End,
    /// It cannot be served. At the place of `Failed` among [`StreamItem`](crate::StreamItem): an agent that knows nothing
    /// of files answers with that one.
    Failed(StreamFailure),
    /// Bytes may come.
    Ready,
    /// They are in the place.
    Written(Doc<FilesWritten>),
}

impl Frame for FileItem {
    const KIND: &'static str = "file item";
    const VARIANTS: u32 = 7;
    /// A folder of ten thousand entries.
    const MAX: usize = 8 << 20;
}

/// What the controller says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileInput {
    /// The next bytes, at most [`MAX_DATA`].
    Data(Vec<u8>),
    /// There are no more.
    End,
}

impl Frame for FileInput {
    const KIND: &'static str = "file input";
    const VARIANTS: u32 = 2;
    const MAX: usize = 128 << 10;
}
