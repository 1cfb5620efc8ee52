//! The file: opening, reopening, checking, and what redb's errors mean here.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    thread::JoinHandle,
};

use fs_err as fs;
use redb::{Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError};
use windflow_kit::LockError;

use super::{
    FILE_NAME, RedbOptions, batch,
    disk::{Backend, SimulatedDisk},
};
use crate::{error::StoreError, record, store::Integrity};

/// The database behind a lock which is taken for writing only to swap the handle.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// In place of the file.
    disk: Option<Arc<dyn SimulatedDisk>>,
    options: RedbOptions,
    database: RwLock<Option<Database>>,
}

/// Where the bytes are.
pub(super) enum Place {
    Dir(PathBuf),
    Simulated(Arc<dyn SimulatedDisk>),
}

/// Whether an open is the first of this process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    First,
    Again,
}

impl File {
    pub(super) fn open(place: Place, options: RedbOptions) -> Result<Self, StoreError> {
        let (path, disk) = match place {
            Place::Dir(dir) => (dir.join(FILE_NAME), None),
            Place::Simulated(disk) => (PathBuf::from(FILE_NAME), Some(disk)),
        };
        let file = Self {
            path,
            disk,
            options,
            database: RwLock::new(None),
        };
        let database = file.database(Open::First)?;
        *file.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn options(&self) -> &RedbOptions {
        &self.options
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one of the two threads.
    pub(super) fn thread(
        &self,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>, StoreError> {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|error| self.unavailable(error))
    }

    /// Drops the handle and opens the file anew: redb refuses all work on a handle that saw an IO error.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Dropped first: redb locks the file.
        *database = None;
        *database = Some(self.database(Open::Again)?);
        Ok(())
    }

    pub(super) fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn database(&self, open: Open) -> Result<Database, StoreError> {
        if open == Open::First && self.disk.is_none() {
            self.check_access()?;
        }
        let check = self.options.check_on_open && open == Open::First;
        let database = match self.opened(check) {
            // The check ends with a commit, which a full disk refuses; the file can still be read.
            Err(StoreError::Full { .. }) if check => {
                tracing::warn!(path = %self.path.display(), "the disk is full; the store is opened without its check");
                self.opened(false)?
            }
            result => result?,
        };
        if open == Open::First {
            caught(|| batch::prepare(&database))
                .map_err(|panic| self.damaged(panic))?
                .map_err(|error| self.error(error))?;
        }
        Ok(database)
    }

    fn opened(&self, check: bool) -> Result<Database, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(self.options.cache_bytes);
        builder.set_check_integrity_on_open(check);
        let path = self.path.clone();
        builder.set_repair_callback(move |session| {
            let (path, progress) = (path.display(), session.progress());
            // A check runs through the same code as a repair.
            if check {
                tracing::debug!(%path, progress, "checking the store");
            } else {
                tracing::warn!(%path, progress, "repairing the store after a crash");
            }
        });
        // redb may panic on a damaged file.
        let opened = caught(|| match &self.disk {
            Some(disk) => builder.create_with_backend(Backend(Arc::clone(disk))),
            None => builder.create(&self.path),
        });
        let opened = opened.map_err(|panic| self.damaged(panic))?;
        opened.map_err(|error| self.open_error(error))
    }

    /// Names a file that is not readable or writable, before redb wraps the error.
    fn check_access(&self) -> Result<(), StoreError> {
        let mut options = fs::OpenOptions::new();
        // Private: the store holds hashes, keys and compose files.
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path);
        opened.map(drop).map_err(|source| StoreError::Open {
            path: self.path.clone(),
            source: Arc::new(source),
        })
    }

    fn open_error(&self, error: DatabaseError) -> StoreError {
        match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(Arc::new(LockError::InUse {
                dir: self.path.parent().unwrap_or(&self.path).to_path_buf(),
                pid: None,
            })),
            DatabaseError::Storage(error) => self.error(error.into()),
            error @ DatabaseError::RepairAborted => self.damaged(error),
            error => StoreError::Open {
                path: self.path.clone(),
                source: Arc::new(error),
            },
        }
    }

    /// What a redb error means when it is certain that nothing was changed.
    pub(super) fn error(&self, error: redb::Error) -> StoreError {
        match error {
            redb::Error::Corrupted(_) => self.damaged(error),
            // What redb says of a file that is not its own.
            redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => self.damaged(source),
            redb::Error::Io(source) if is_full(&source) => StoreError::Full {
                path: self.path.clone(),
            },
            error => self.unavailable(error),
        }
    }

    pub(super) fn damaged(&self, source: impl Error + Send + Sync + 'static) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            source: Arc::new(source),
        }
    }

    pub(super) fn unavailable(&self, source: impl Error + Send + Sync + 'static) -> StoreError {
        StoreError::Unavailable {
            path: self.path.clone(),
            source: Arc::new(source),
        }
    }

    pub(super) fn unknown(&self, source: impl Error + Send + Sync + 'static) -> StoreError {
        StoreError::Unknown {
            path: self.path.clone(),
            source: Arc::new(source),
        }
    }

    /// Verifies redb's pages, then every record.
    pub(super) fn check(&self) -> Result<Integrity, StoreError> {
        let mut guard = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let database = guard.as_mut().ok_or(StoreError::Closed)?;
        let checked = caught(|| {
            let whole = database
                .check_integrity()
                .map_err(|error| self.open_error(error))?;
            let mut found = Integrity {
                repaired: !whole,
                ..Integrity::default()
            };
            let records = database
                .begin_read()
                .map_err(redb::Error::from)
                .and_then(|txn| Ok(txn.open_table(batch::RECORDS)?));
            let records = records.map_err(|error| self.error(error))?;
            for entry in records.iter().map_err(|error| self.error(error.into()))? {
                let (key, value) = entry.map_err(|error: StorageError| self.error(error.into()))?;
                found.note(
                    key.value(),
                    record::decode_version(key.value(), value.value()).is_ok(),
                );
            }
            Ok(found)
        });
        checked.unwrap_or_else(|panic| Err(self.damaged(panic)))
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// redb panicked, which it does on some damaged files.
#[derive(Debug, thiserror::Error)]
#[error("the database panicked: {0}")]
pub(super) struct Panicked(String);

/// Runs redb code that may panic.
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Unwind-safe in effect: after a panic the handle is replaced, or the store gives up on the file.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Panicked(
            text.or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default(),
        )
    })
}
