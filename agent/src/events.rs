//! What happens on this host, kept until the controller has it on disk.
//!
//! ```text
//! EngineHandle::events ──► task "events" ──► waiting (bounded) ──watch──► link ──► controller
//!                             └── events.json: how far the controller has them ◄── acked (watch) ◄── link
//! ```
//! Over a restart of the agent the engine's own memory is asked again from there; what does not fit is counted, and said.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use windflow_engine::{EngineHandle, Happened};
use windflow_kit::{Chain, Clock, Stop, blocking};
use windflow_model::{HostEvent, HostEventKind, Timestamp};

/// Events that wait for the controller, at most: some hours of a busy host, in 2 MiB as a rule.
const ROOM: usize = 4_096;
/// The note, in the state directory.
const NOTE: &str = "events.json";

/// The events of this host, not yet followed.
#[derive(Debug)]
pub struct Events {
    handle: EventsHandle,
    acked: watch::Receiver<Option<i64>>,
    note: PathBuf,
    clock: Clock,
}

/// Gives the events that wait. Clones share them.
#[derive(Debug, Clone)]
pub struct EventsHandle {
    life: u64,
    waiting: Arc<Mutex<Waiting>>,
    newest: watch::Sender<u64>,
    acked: watch::Sender<Option<i64>>,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Waits>,
    /// Number of the newest event.
    last: u64,
    /// The controller has them up to here.
    acked: u64,
}

#[derive(Debug)]
struct Waits {
    event: HostEvent,
    /// The engine's time of it (ns); `None` of what the agent itself has seen.
    engine_time: Option<i64>,
}

/// How far the controller has the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    /// The engine's time, in nanoseconds since 1970.
    after: Option<i64>,
}

impl Events {
    /// Of this run of the agent, which is told from others by its number.
    #[must_use]
    pub fn new(state_dir: &Path, life: u64, clock: Clock) -> (Self, EventsHandle) {
        let (acked, changes) = watch::channel(None);
        let handle = EventsHandle {
            life,
            waiting: Arc::default(),
            newest: watch::Sender::new(0),
            acked,
        };
        let events = Self {
            handle: handle.clone(),
            acked: changes,
            note: state_dir.join(NOTE),
            clock,
        };
        (events, handle)
    }

    /// Follows the engine until `stop`.
    pub async fn run(self, engine: EngineHandle, stop: Stop) {
        let note = self.note.clone();
        let mut noted = blocking::run(move || read(&note)).await.unwrap_or_default();
        if noted.after.is_none() {
            // The first run: from here on nothing is left out, also if it is killed before anything was acknowledged.
            noted.after = Some(self.clock.now_ms().saturating_mul(1_000_000));
            self.note(noted).await;
        }
        let version = windflow_kit::build::VERSION.to_owned();
        self.handle
            .push(HostEventKind::Agent { version }, self.clock.now_ms(), None);
        tokio::join!(self.follow(&engine, noted, &stop), self.keep(noted, &stop));
    }

    async fn follow(&self, engine: &EngineHandle, noted: Note, stop: &Stop) {
        let mut events = engine.events(noted.after);
        while let Some(Some(Happened { at, kind })) = stop.run(events.next()).await {
            let engine_time = (!matches!(kind, HostEventKind::Engine { .. })).then_some(at);
            self.handle.push(kind, at.div_euclid(1_000_000), engine_time);
        }
    }

    /// Writes down how far the controller has them.
    async fn keep(&self, mut noted: Note, stop: &Stop) {
        let mut acked = self.acked.clone();
        while let Some(Ok(())) = stop.run(acked.changed()).await {
            let note = Note {
                after: noted.after.max(*acked.borrow_and_update()),
            };
            if note == noted {
                continue;
            }
            noted = note;
            self.note(noted).await;
        }
    }

    /// Without fsync: an older note costs repeats, which the controller knows.
    async fn note(&self, note: Note) {
        let path = self.note.clone();
        let written = blocking::run(move || write(&path, note)).await;
        let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = written {
            tracing::warn!(error = %Chain(&error), "events will be told again after a restart");
        }
    }
}

fn read(path: &Path) -> Note {
    let text = fs_err::read(path).unwrap_or_default();
    // One that is not there, or was torn by a power cut, costs what the engine still knew.
    serde_json::from_slice(&text).unwrap_or_default()
}

fn write(path: &Path, note: Note) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs_err::write(&new, serde_json::to_vec(&note)?)?;
    fs_err::rename(&new, path)
}

impl EventsHandle {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, kind: HostEventKind, at_ms: i64, engine_time: Option<i64>) {
        let mut waiting = self.waiting();
        waiting.last += 1;
        let seq = waiting.last;
        let at = Timestamp::from_millis(at_ms);
        waiting.events.push_back(Waits {
            event: HostEvent { seq, at, kind },
            engine_time,
        });
        if waiting.events.len() > ROOM {
            waiting.events.pop_front();
        }
        drop(waiting);
        self.newest.send_replace(seq);
    }

    /// Number of this run of the agent.
    #[must_use]
    pub const fn life(&self) -> u64 {
        self.life
    }

    /// The number of the newest event, as it changes.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The oldest events that the controller does not have, and that come after `after`. Where some were dropped for want of room,
    /// the first one says how many.
    #[must_use]
    pub fn after(&self, after: u64, most: usize) -> Vec<HostEvent> {
        let waiting = self.waiting();
        let after = after.max(waiting.acked);
        let rest = waiting.events.iter().filter(|waits| waits.event.seq > after);
        let mut events: Vec<HostEvent> = rest.take(most).map(|waits| waits.event.clone()).collect();
        if let Some(first) = events.first()
            && first.seq > after + 1
        {
            let missed = HostEvent {
                seq: first.seq - 1,
                at: first.at,
                kind: HostEventKind::Missed {
                    lost: Some(first.seq - 1 - after),
                },
            };
            events.insert(0, missed);
        }
        events
    }

    /// The controller has them up to this number, on disk.
    pub fn acked(&self, upto: u64) {
        let mut waiting = self.waiting();
        waiting.acked = waiting.acked.max(upto.min(waiting.last));
        let acked = waiting.acked;
        let mut newest = None;
        while waiting
            .events
            .front()
            .is_some_and(|waits| waits.event.seq <= acked)
        {
            let gone = waiting.events.pop_front();
            newest = newest.max(gone.and_then(|waits| waits.engine_time));
        }
        drop(waiting);
        if newest.is_some() {
            self.acked.send_if_modified(|before| {
                let higher = newest > *before;
                if higher {
                    *before = newest;
                }
                higher
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(n: u64) -> HostEventKind {
        HostEventKind::Volume {
            action: windflow_model::ResourceAction::Created,
            volume: n.to_string(),
        }
    }

    fn events() -> EventsHandle {
        Events::new(Path::new("/nowhere"), 3, Clock::manual(0)).1
    }

    #[test]
    fn events_wait_until_they_are_acknowledged() {
        let events = events();
        (1..=10).for_each(|n| events.push(volume(n), 0, Some(i64::try_from(n).unwrap())));
        let seqs = |after, most| {
            let found = events.after(after, most);
            found.iter().map(|event| event.seq).collect::<Vec<_>>()
        };
        assert_eq!(seqs(0, 3), [1, 2, 3]);
        assert_eq!(seqs(3, 3), [4, 5, 6]);
        events.acked(4);
        assert_eq!(
            seqs(0, 3),
            [5, 6, 7],
            "a new session begins behind what is acknowledged"
        );
        events.acked(2);
        assert_eq!(seqs(0, 1), [5]);
        assert_eq!(*events.acked.borrow(), Some(4));
        events.acked(99);
        assert!(seqs(0, 3).is_empty());
        events.push(volume(11), 0, None);
        assert_eq!(seqs(0, 3), [11], "what was never told is not acknowledged");
        assert_eq!(*events.newest().borrow(), 11);
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let events = events();
        let all = u64::try_from(ROOM).unwrap() + 7;
        (1..=all).for_each(|n| events.push(volume(n), 0, None));
        let first = events.after(0, 2);
        assert_eq!(
            (first[0].seq, &first[0].kind),
            (7, &HostEventKind::Missed { lost: Some(7) })
        );
        assert_eq!((first[1].seq, first[2].seq), (8, 9));
        let from = events.after(7, 2);
        assert_eq!((from[0].seq, from.len()), (8, 2), "it is said once");
    }

    #[test]
    fn the_note_survives_and_a_torn_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NOTE);
        assert_eq!(read(&path), Note::default());
        let note = Note { after: Some(7) };
        write(&path, note).unwrap();
        assert_eq!(read(&path), note);
        fs_err::write(&path, "{\"aft").unwrap();
        assert_eq!(read(&path), Note::default());
    }
}
