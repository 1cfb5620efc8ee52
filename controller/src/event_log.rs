//! Events on disk: what happened, in order, over restarts. Nothing of it enters the store.
//!
//! ```text
//! EventBus::publish ─► waiting (bounded) ─► task "event-log" ─ one fsync for all that waits ─► events/RUN-NUMBER.log
//!                                                └─ kept (watch) ─► acknowledgements to hosts
//! queries, readers that come back ◄──────────────────────────────────────── files
//! ```
//! The task is the only writer. What could not be written waits and is tried again; where there is no room left, what comes
//! then is counted.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, watch};
use windflow_kit::{Chain, Stop, blocking};
use windflow_model::{AgentId, EventId, FleetEvent, FleetEventKind, HostEvent, HostEventKind};

use crate::app::lock;

mod file;
mod filter;
mod history;
#[cfg(test)]
mod tests;

use self::file::{Folder, Writer};
pub use self::filter::EventFilter;
pub(crate) use self::history::Past;

/// Events that wait for the disk, at most.
const ROOM: usize = 65_536;
/// Between two writes, each with one fsync: hosts do not wait for it, they only hear later that it is done.
const EVERY: Duration = Duration::from_millis(250);
/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// How long somebody waits for events to be on disk.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRetention {
    /// Days.
    pub days: u32,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Default for EventRetention {
    fn default() -> Self {
        Self {
            days: 30,
            bytes: 512 << 20,
        }
    }
}

/// What of each host's events is here.
pub(crate) type Known = BTreeMap<AgentId, OfHost>;

/// What of a host's events is here.
#[derive(Debug, Default)]
pub(crate) struct OfHost {
    /// The run of its agent, and the number of its newest event.
    upto: (u64, u64),
    /// The newest events, by what they say: an agent that was killed asks its engine again for what it does not know to be here.
    recent: VecDeque<u64>,
}

/// As many as an agent has under way, twice.
const RECENT: usize = 256;

impl OfHost {
    /// Takes an event; `false` if it is here already.
    pub(crate) fn take(&mut self, life: u64, event: &HostEvent) -> bool {
        let (of, upto) = self.upto;
        if of == life && event.seq <= upto {
            return false;
        }
        self.upto = (life, event.seq);
        let mut hasher = DefaultHasher::new();
        event.at.as_millis().hash(&mut hasher);
        serde_json::to_string(&event.kind)
            .unwrap_or_default()
            .hash(&mut hasher);
        let sum = hasher.finish();
        if of_engine(&event.kind) && self.recent.contains(&sum) {
            return false;
        }
        self.recent.push_back(sum);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        true
    }
}

/// Whether it is the engine that tells it, which may tell it again.
const fn of_engine(kind: &HostEventKind) -> bool {
    matches!(
        kind,
        HostEventKind::Container { .. }
            | HostEventKind::Image { .. }
            | HostEventKind::Volume { .. }
            | HostEventKind::Network { .. }
    )
}

/// The events on disk. Clones share them.
#[derive(Debug, Clone)]
pub struct EventLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// The newest event that is on disk.
    kept: watch::Sender<EventId>,
    /// Readings of files at once.
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<FleetEvent>>,
}

impl EventLog {
    /// Opens the folder, makes it if it is not there; what a power cut left half-written is cut off. Gives also how far the events
    /// of hosts are here.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub(crate) fn open(dir: PathBuf, retention: EventRetention) -> io::Result<(Self, Known)> {
        let folder = Folder::open(dir, retention)?;
        let known = folder.known()?;
        let log = Self(Arc::new(Inner {
            folder,
            waiting: Mutex::default(),
            wake: Notify::new(),
            kept: watch::Sender::new(EventId::default()),
            turns: Semaphore::new(history::AT_ONCE),
        }));
        Ok((log, known))
    }

    /// Takes an event to be written. Never waits.
    pub(crate) fn append(&self, event: Arc<FleetEvent>) {
        if !is_kept(&event.kind) {
            return;
        }
        let mut waiting = lock(&self.0.waiting);
        let full = waiting.events.len() >= ROOM;
        // What waits is never dropped: a host may be told that it is on disk. What finds no room is counted behind it.
        if full {
            let before = waiting.events.back().map(|last| last.kind.clone());
            let lost = match before {
                Some(FleetEventKind::Gap { lost }) => {
                    waiting.events.pop_back();
                    lost + 1
                }
                _ => 1,
            };
            let kind = FleetEventKind::Gap { lost };
            let (id, at) = (event.id, event.at);
            waiting.events.push_back(Arc::new(FleetEvent { id, at, kind }));
        } else {
            waiting.events.push_back(event);
        }
        drop(waiting);
        self.0.wake.notify_one();
    }

    /// Whether events of hosts are taken: half of the room is the controller's own.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.0.waiting).events.len() < ROOM / 2
    }

    /// Waits until all that was taken before is on disk; `false` if it is not by then.
    pub(crate) async fn flush(&self) -> bool {
        let newest = lock(&self.0.waiting).events.back().map(|event| event.id);
        let Some(newest) = newest else { return true };
        let mut kept = self.0.kept.subscribe();
        let reached = kept.wait_for(|kept| *kept >= newest);
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached.is_ok_and(|kept| kept.is_ok())
    }

    /// Writes until `stop`.
    pub(crate) async fn run(self, stop: Stop) {
        let mut writer = None;
        let mut failing = false;
        loop {
            let stopping = stop.run(self.0.wake.notified()).await.is_none();
            match self.write(&mut writer).await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("events are kept again");
                }
                Ok(()) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(error = %Chain(&error), "events cannot be kept; they wait");
                    }
                    writer = None;
                    self.0.wake.notify_one();
                    let _over = stop.run(tokio::time::sleep(AGAIN)).await;
                }
            }
            if stopping {
                return;
            }
            let _over = stop.run(tokio::time::sleep(EVERY)).await;
        }
    }

    /// Writes all that waits; it waits until it is on disk.
    async fn write(&self, writer: &mut Option<Writer>) -> io::Result<()> {
        let events: Vec<_> = lock(&self.0.waiting).events.iter().cloned().collect();
        let Some(last) = events.last().map(|event| event.id) else {
            return Ok(());
        };
        let (folder, mut held) = (self.0.folder.clone(), writer.take());
        let written = blocking::run(move || {
            folder.write(&mut held, &events)?;
            Ok::<_, io::Error>(held)
        });
        *writer = written.await.map_err(io::Error::other)??;
        let mut waiting = lock(&self.0.waiting);
        while waiting.events.front().is_some_and(|event| event.id <= last) {
            waiting.events.pop_front();
        }
        drop(waiting);
        self.0.kept.send_replace(last);
        Ok(())
    }
}

/// What only says "look again" is of no use later.
const fn is_kept(kind: &FleetEventKind) -> bool {
    !matches!(
        kind,
        FleetEventKind::ContainersChanged { .. }
            | FleetEventKind::AgentChanged { .. }
            | FleetEventKind::Gap { .. }
    )
}
