//! Records in one redb file: the default.
//!
//! ```text
//! callers ──Change (mpsc 1024)──► "store-write"  owns all writing: takes what is queued, commits it as one redb
//!    │                                │          transaction (group commit), reopens the file after an error
//!    │                                ├─ replies (oneshot each), then wakes the watches
//!    │                           RwLock<Option<Database>>   written only to reopen, check and close
//!    │                                │
//!    └────Read (mpsc 1024)────────► "store-read"   serves what is queued from one snapshot
//! ```
//! Both are plain threads: neither disk waits nor checksums run on the async workers. A full queue makes callers wait.
//! On a simulated disk there are no threads: the same code runs where it is called, so that a run repeats itself.
//!
//! redb forgets nothing it has committed (0 of 130 emulated power cuts lost a write; sled lost some in 57 of 60), but
//! its plain reads do not notice flipped bits: the checksums in [`crate::Record`]s do. After any IO error redb refuses
//! further work on the handle, so the writer reopens the file; a disk that was full is used again as soon as a write
//! fits.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::{mpsc, oneshot};
use windflow_kit::{Clock, DirLock};

use crate::{
    error::StoreError,
    key::{Key, Prefix},
    record::Record,
    store::{BoxFuture, Integrity, Page, Store},
    txn::{Committed, Txn},
    watch::{Watch, Watchers},
};

mod batch;
mod disk;
mod file;
mod reader;
mod writer;

pub use self::disk::SimulatedDisk;
use self::{
    file::{File, Place},
    reader::{Edge, Read},
    writer::{Change, Writer},
};

/// Name of the file inside the data directory.
const FILE_NAME: &str = "store.redb";

/// Waiting requests per thread before callers wait themselves.
const QUEUE: usize = 1_024;

/// How a redb store is opened.
#[derive(Debug, Clone)]
pub struct RedbOptions {
    /// Most memory for cached pages, in bytes. redb's own default is 1 GiB; agents use 16 MiB, controllers 64 MiB.
    pub cache_bytes: usize,
    /// Saves redb's free-page list with every commit: a second sync per commit, and a reopen after a crash that takes
    /// 0.5 ms instead of 269 ms at 200 MB.
    pub quick_repair: bool,
    /// Verifies redb's page checksums before the first use; reads the whole file: 0.1 s at 34 MB, 2 s at 270 MB (2 busy
    /// cores). Left out if the disk is full, because it ends with a commit. Without it redb trusts the file: a damaged
    /// page between the records is noticed only by `integrity`, or by a panic.
    pub check_on_open: bool,
    /// The clock leases expire by.
    pub clock: Clock,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 16 << 20,
            quick_repair: true,
            check_on_open: true,
            clock: Clock::system(),
        }
    }
}

/// A store in a file. Dropping it finishes what is queued and lets go of the directory.
#[derive(Debug)]
pub struct RedbStore {
    file: Arc<File>,
    watchers: Arc<Watchers>,
    clock: Clock,
    doors: Mutex<Option<Doors>>,
}

/// Where work is done. Taken out by closing.
#[derive(Debug)]
enum Doors {
    /// The ends of the queues, and what runs behind them.
    Queues {
        changes: mpsc::Sender<Change>,
        reads: mpsc::Sender<Read>,
        threads: Vec<JoinHandle<()>>,
        lock: Arc<DirLock>,
    },
    /// On the spot: a simulation.
    Here(Writer),
}

impl RedbStore {
    /// Takes the data directory (creating it if needed) and opens the store in it. Blocks: call it before the runtime
    /// is busy.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Open`], [`StoreError::Damaged`] or [`StoreError::Full`], each with the
    /// path and the remedy.
    pub fn open(dir: impl AsRef<Path>, options: RedbOptions) -> Result<Self, StoreError> {
        let lock = DirLock::acquire(dir).map_err(|error| StoreError::Locked(Arc::new(error)))?;
        Self::open_locked(Arc::new(lock), options)
    }

    /// Opens the store in a directory that is already held, and keeps holding it.
    ///
    /// # Errors
    /// As [`RedbStore::open`], without [`StoreError::Locked`] unless another program holds the file itself.
    pub fn open_locked(lock: Arc<DirLock>, options: RedbOptions) -> Result<Self, StoreError> {
        let clock = options.clock.clone();
        let file = Arc::new(File::open(Place::Dir(lock.dir().to_path_buf()), options)?);
        let watchers = Arc::new(Watchers::default());
        let (changes, change_queue) = mpsc::channel(QUEUE);
        let (reads, read_queue) = mpsc::channel(QUEUE);
        let writer = Writer {
            file: Arc::clone(&file),
            watchers: Arc::clone(&watchers),
            queue: change_queue,
        };
        let (read_file, nudge) = (Arc::clone(&file), changes.downgrade());
        let threads = vec![
            file.thread("store-write", move || writer.run())?,
            file.thread("store-read", move || reader::run(&read_file, read_queue, &nudge))?,
        ];
        let doors = Mutex::new(Some(Doors::Queues {
            changes,
            reads,
            threads,
            lock,
        }));
        Ok(Self {
            file,
            watchers,
            clock,
            doors,
        })
    }

    /// Opens the store on a disk that only exists in a simulation. Works without threads.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn simulated(disk: Arc<dyn SimulatedDisk>, options: RedbOptions) -> Result<Self, StoreError> {
        let clock = options.clock.clone();
        let file = Arc::new(File::open(Place::Simulated(disk), options)?);
        let watchers = Arc::new(Watchers::default());
        let writer = Writer {
            file: Arc::clone(&file),
            watchers: Arc::clone(&watchers),
            // Nothing ever waits: each change is done before the next one is asked for.
            queue: mpsc::channel(1).1,
        };
        Ok(Self {
            file,
            watchers,
            clock,
            doors: Mutex::new(Some(Doors::Here(writer))),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.file.path().to_path_buf()
    }

    fn doors<T>(&self, with: impl FnOnce(&mut Doors) -> T) -> Result<T, StoreError> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.as_mut().map(with).ok_or(StoreError::Closed)
    }

    async fn change<T>(&self, make: impl FnOnce(Reply<T>) -> Change) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let change = make(reply);
        let queued = self.doors(|doors| match doors {
            Doors::Queues { changes, .. } => Some((changes.clone(), change)),
            Doors::Here(writer) => {
                writer.work(change);
                None
            }
        })?;
        if let Some((changes, change)) = queued {
            changes.send(change).await.map_err(|_| StoreError::Closed)?;
        }
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn read<T>(&self, make: impl FnOnce(Reply<T>) -> Read) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let read = make(reply);
        let queued = self.doors(|doors| match doors {
            Doors::Queues { reads, .. } => Some((reads.clone(), read)),
            Doors::Here(writer) => {
                reader::here(&self.file, read, writer);
                None
            }
        })?;
        if let Some((reads, read)) = queued {
            reads.send(read).await.map_err(|_| StoreError::Closed)?;
        }
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Closes the queues; the threads end when those are empty.
    fn shut(&self) -> Option<Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where an answer goes; the asker may be gone.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Waits for the threads, then closes the file and lets the directory go.
fn settle(file: &File, watchers: &Watchers, doors: Doors) {
    let mut held = None;
    if let Doors::Queues {
        changes,
        reads,
        threads,
        lock,
    } = doors
    {
        drop((changes, reads));
        held = Some(lock);
        for thread in threads {
            // A panic was caught inside and answered; nothing is left to say.
            drop(thread.join());
        }
    }
    file.close();
    watchers.close();
    drop(held);
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        if let Some(parts) = self.shut() {
            settle(&self.file, &self.watchers, parts);
        }
    }
}

impl Store for RedbStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(self.read(|reply| Read::Get {
            key: key.clone(),
            reply,
        }))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        let (prefix, after) = (prefix.clone(), after.cloned());
        Box::pin(self.read(move |reply| Read::Scan {
            prefix,
            edge: Edge::After(after),
            limit,
            reply,
        }))
    }

    fn scan_back<'a>(
        &'a self,
        prefix: &'a Prefix,
        before: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        let (prefix, before) = (prefix.clone(), before.cloned());
        Box::pin(self.read(move |reply| Read::Scan {
            prefix,
            edge: Edge::Before(before),
            limit,
            reply,
        }))
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            txn.check()?;
            self.change(|reply| Change::Txn { txn, reply }).await
        })
    }

    fn watch(&self, prefix: &Prefix) -> Watch {
        let watch = self.watchers.add(prefix);
        if self.doors(|_| ()).is_err() {
            self.watchers.close();
        }
        watch
    }

    fn integrity(&self) -> BoxFuture<'_, Result<Integrity, StoreError>> {
        Box::pin(self.change(|reply| Change::Check { reply }))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some(parts) = self.shut() else { return };
            if matches!(parts, Doors::Here(_)) {
                return settle(&self.file, &self.watchers, parts);
            }
            let (file, watchers) = (Arc::clone(&self.file), Arc::clone(&self.watchers));
            // Joining waits for the last commit: not on an async worker.
            drop(tokio::task::spawn_blocking(move || settle(&file, &watchers, parts)).await);
        })
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn txn_door(&self) -> &dyn Store {
        self
    }
}
