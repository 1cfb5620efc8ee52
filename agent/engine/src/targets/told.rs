//! What is asked of containers beyond their work: events, use of the host, their files as a whole.

use std::collections::BTreeMap;

use futures_util::stream::BoxStream;
use windflow_model::Timestamp;

use super::TargetError;

/// Pieces of an answer as they come.
pub type Stream<T> = BoxStream<'static, Result<T, TargetError>>;

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldQuery {
    /// Of what.
    pub scope: ToldScope,
    /// Also those since then; only new ones if `None`.
    pub since: Option<Timestamp>,
    /// Until then; for ever if `None`.
    pub until: Option<Timestamp>,
}

/// What events are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToldScope {
    /// Everything that the engine has.
    #[default]
    All,
    /// The containers of a Compose project.
    Project(String),
}

/// An event, as the engine tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// When, in nanoseconds since 1970.
    pub at: i64,
    /// `container`, `image`, `volume`, `network`.
    pub kind: String,
    /// `start`, `die`, `exec_create: true`, ….
    pub action: String,
    /// The container's id, or what the others are called by.
    pub container: String,
    /// The container's labels, its name and image, and what belongs to the action.
    pub attributes: BTreeMap<String, String>,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Per cent of one processor.
    pub cpu: f64,
    /// Bytes of memory, without what is only cached files.
    pub memory: u64,
    /// Bytes of memory it may have.
    pub memory_limit: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes read from disks.
    pub read: u64,
    /// Bytes written to disks.
    pub written: u64,
    /// Processes and threads.
    pub tasks: u64,
}

/// An image of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// The container's id.
    pub container: String,
    /// `NAME[:TAG]`; without one the image has only its id.
    pub name: Option<String>,
    /// Who made it.
    pub author: String,
    /// What for.
    pub message: String,
    /// Lines of a Dockerfile to apply: `CMD`, `ENV`, ….
    pub changes: Vec<String>,
    /// Whether the container is frozen meanwhile.
    pub pause: bool,
}
