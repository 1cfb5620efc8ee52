//! What can go wrong in a store, and whether trying again helps.

use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

use windflow_model::DocError;

use crate::{key::Key, record::Version, txn::Expect};

/// Why an operation did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The record is not as the transaction expected. Nothing was changed: read again and decide anew.
    #[error("{key} has changed: expected {expected}, found {}", found.map_or_else(|| "none".to_owned(), |version| format!("version {version}")))]
    Conflict {
        /// The record.
        key: Key,
        /// What the transaction expected.
        expected: Expect,
        /// Version there, `None` if there is no record.
        found: Option<Version>,
    },
    /// Over a limit of the store. Nothing was changed.
    #[error("{what} is {size}, over the limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// One transaction changes a key twice. Nothing was changed.
    #[error("{key} is changed twice in one transaction")]
    Twice {
        /// The key.
        key: Key,
    },
    /// The record fails its checksum. Other records are not touched by it.
    #[error("the record {key} is damaged; restore it from a backup, or delete it")]
    Corrupt {
        /// The record.
        key: Key,
    },
    /// The file as a whole is damaged.
    #[error("{} is damaged; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// No space for the change. Nothing was changed; reads go on, and writes again once there is space.
    #[error("the disk of {} is full; free some space", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The commit reported an error and may still have happened. Read again before deciding.
    #[error("it is not known whether the change to {} was written", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What the backend says.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The backend cannot be used at the moment. Nothing was changed.
    #[error("{} cannot be used", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What the backend says.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The file cannot be opened for reading and writing.
    #[error("{} cannot be opened; give it to this user (chown) or choose another directory with --data-dir", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The data directory cannot be taken: in use, not writable, not creatable.
    // Its text is the whole story with the remedy; wrapping it would only repeat it.
    #[error(transparent)]
    Locked(Arc<windflow_kit::LockError>),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Somebody else holds the lease.
    #[error("{key} is held by {holder} for another {} s", left.as_secs())]
    Held {
        /// The lease.
        key: Key,
        /// Who holds it, as given at acquire.
        holder: String,
        /// Until it expires, if not renewed.
        left: Duration,
    },
    /// The record is whole, but its document cannot be read or made.
    #[error("the document {key} cannot be used")]
    Document {
        /// The record.
        key: Key,
        /// Why.
        #[source]
        source: Arc<DocError>,
    },
}

impl StoreError {
    /// Whether the *same* operation may succeed when tried again later. [`StoreError::Conflict`] and
    /// [`StoreError::Unknown`] are not: both need a fresh read first.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::Unavailable { .. } | Self::Held { .. }
        )
    }

    /// Whether it is a [`StoreError::Conflict`].
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}
