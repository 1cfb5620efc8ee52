//! Recordings of terminals: what was shown, when, and in which size. What was typed is not recorded: passwords are typed.
//!
//! ```text
//! App::terminal_create ─► recorder (a task for each; watches the terminal as a reader of its own) ─► recordings/ORG/ID.rec
//! lists, replays ◄─ index in memory ◄─ read at the start ◄──────────────────────────────────────────────┘
//! ```
//! [`cast`] makes asciicast lines of output, [`file`](mod@file) keeps them encrypted, here is which there are and for how long.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use windflow_kit::{Chain, Random};
use windflow_model::{AgentId, OrgId, TerminalId, Timestamp};

use crate::{app::lock, vault::Vault};

pub(crate) mod cast;
mod file;
mod recorder;
#[cfg(test)]
mod tests;

pub use file::RecordingError;
pub(crate) use file::{Head, Tail};
use file::{Piece, Reader, Writer};
pub(crate) use recorder::{Outcome, Recorder};

const DAY_MS: i64 = 86_400_000;

/// Which terminals are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recorded {
    /// None.
    #[default]
    Off,
    /// Those on hosts themselves.
    Host,
    /// All.
    All,
}

/// What is recorded, and for how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingOptions {
    /// Which terminals.
    pub which: Recorded,
    /// No terminal without its recording.
    pub required: bool,
    /// Days.
    pub days: u32,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Default for RecordingOptions {
    fn default() -> Self {
        Self {
            which: Recorded::Off,
            required: false,
            days: 90,
            bytes: 2 << 30,
        }
    }
}

/// The recordings of an organisation. Clones share them.
#[derive(Clone)]
pub struct Recordings(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    org: OrgId,
    vault: Vault,
    random: Random,
    options: RecordingOptions,
    index: Mutex<BTreeMap<TerminalId, Entry>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) head: Arc<Head>,
    pub(crate) bytes: u64,
    /// `None`: it is written, or was not ended.
    pub(crate) tail: Option<Tail>,
    pub(crate) running: bool,
}

impl fmt::Debug for Recordings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recordings")
            .field("dir", &self.0.dir)
            .finish_non_exhaustive()
    }
}

impl Recordings {
    /// Opens the folder, makes it if it is not there.
    ///
    /// # Errors
    /// The folder cannot be used. A file that cannot is left out, and told in the log.
    pub fn open(
        dir: PathBuf,
        org: OrgId,
        (vault, random): (Vault, Random),
        options: RecordingOptions,
    ) -> std::io::Result<Self> {
        fs_err::create_dir_all(&dir)?;
        let mut index = BTreeMap::new();
        for found in fs_err::read_dir(&dir)? {
            let found = found?;
            let path = found.path();
            let Some(id) = id_of(&path) else { continue };
            let read = Reader::open(&path, &vault, org, id).and_then(|(head, mut reader)| {
                let tail = reader.tail()?;
                Ok((head, tail))
            });
            match read {
                Ok((head, tail)) => {
                    let entry = Entry {
                        head: Arc::new(head),
                        bytes: found.metadata()?.len(),
                        tail,
                        running: false,
                    };
                    index.insert(id, entry);
                }
                Err(error) => tracing::warn!(error = %Chain(&error), "a recording is left out"),
            }
        }
        Ok(Self(Arc::new(Inner {
            dir,
            org,
            vault,
            random,
            options,
            index: Mutex::new(index),
        })))
    }

    /// What is recorded.
    #[must_use]
    pub fn options(&self) -> RecordingOptions {
        self.0.options
    }

    fn path(&self, id: TerminalId) -> PathBuf {
        self.0.dir.join(format!("{id}.rec"))
    }

    /// Begins one; holds its thread.
    fn begin(&self, head: Head) -> Result<Writer, RecordingError> {
        let id = head.id;
        let writer = Writer::create(self.path(id), &self.0.vault, &self.0.random, &head)?;
        let entry = Entry {
            head: Arc::new(head),
            bytes: writer.bytes(),
            tail: None,
            running: true,
        };
        lock(&self.0.index).insert(id, entry);
        Ok(writer)
    }

    /// Notes how far it is.
    fn note(&self, id: TerminalId, bytes: u64, tail: Option<Tail>, running: bool) {
        if let Some(entry) = lock(&self.0.index).get_mut(&id) {
            entry.bytes = bytes;
            entry.tail = tail;
            entry.running = running;
        }
    }

    /// One of them.
    pub(crate) fn entry(&self, id: TerminalId) -> Option<Entry> {
        lock(&self.0.index).get(&id).cloned()
    }

    /// Those that fit, the newest first, from behind `behind` on; ids rise with time.
    pub(crate) fn list(
        &self,
        behind: Option<TerminalId>,
        most: usize,
        fits: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let index = lock(&self.0.index);
        let newest = index
            .iter()
            .rev()
            .filter(|(id, entry)| behind.is_none_or(|behind| **id < behind) && fits(entry));
        newest.map(|(_, entry)| entry.clone()).take(most).collect()
    }

    /// Reads one from its begin; holds its thread.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub(crate) fn read(&self, id: TerminalId) -> Result<Play, RecordingError> {
        let (head, reader) = Reader::open(&self.path(id), &self.0.vault, self.0.org, id)?;
        let first = cast::head(head.size, head.started_at, &title(&head), &head.command);
        Ok(Play {
            first: Some(first.into_bytes()),
            reader,
        })
    }

    /// SHA-256 of one as it is on disk; holds its thread.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn digest(&self, id: TerminalId) -> Result<String, RecordingError> {
        file::digest(&self.path(id)).map(hex::encode)
    }

    /// Those that have to go: too old, or too much, the oldest first.
    pub(crate) fn too_many(&self, now: Timestamp) -> Vec<TerminalId> {
        let index = lock(&self.0.index);
        let mut bytes: u64 = index.values().map(|entry| entry.bytes).sum();
        let oldest = now
            .as_millis()
            .saturating_sub(i64::from(self.0.options.days) * DAY_MS);
        let mut ended: Vec<_> = index.iter().filter(|(_, entry)| !entry.running).collect();
        // Ids of one millisecond are in no order.
        ended.sort_by_key(|(id, entry)| (entry.head.started_at, **id));
        let mut gone = Vec::new();
        for (id, entry) in ended {
            if bytes <= self.0.options.bytes && entry.head.started_at.as_millis() >= oldest {
                break;
            }
            bytes = bytes.saturating_sub(entry.bytes);
            gone.push(*id);
        }
        gone
    }

    /// Removes one; holds its thread.
    ///
    /// # Errors
    /// The disk does not let it go.
    pub(crate) fn remove(&self, id: TerminalId) -> std::io::Result<()> {
        match fs_err::remove_file(self.path(id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        lock(&self.0.index).remove(&id);
        Ok(())
    }
}

fn id_of(path: &Path) -> Option<TerminalId> {
    path.file_name()?.to_str()?.strip_suffix(".rec")?.parse().ok()
}

/// Where it was, for people.
pub(crate) fn title(head: &Head) -> String {
    match &head.host_user {
        Some(user) => format!("{user} on {}", head.agent_name),
        None => format!("{} on {}", head.container, head.agent_name),
    }
}

/// Whether it is of this host.
pub(crate) fn of_agent(entry: &Entry, agent: Option<AgentId>) -> bool {
    agent.is_none_or(|agent| entry.head.agent == agent)
}

/// A recording as text, piece by piece.
pub(crate) struct Play {
    first: Option<Vec<u8>>,
    reader: Reader,
}

impl Play {
    /// The next lines; `None` at the end, also of one that was not ended. Holds its thread.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, RecordingError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match self.reader.next()? {
            Piece::Lines(lines) => Ok(Some(lines)),
            Piece::Tail(_) | Piece::Torn => Ok(None),
        }
    }
}
