//! Merges the output of containers into one numbered stream.
//!
//! ```text
//! "log-container" per container ──line (mpsc, bounded in lines and bytes)──► merge_by_time ─ LogStream ──► reader
//! "log-follow" finds containers that appear later, holds the handles of all readers
//! ```
//! What was written before comes in order of time, whichever container wrote it; what is written now comes at once.
//! A reader that stalls is waited for: its lines stay where the engine keeps them, so it misses nothing when it goes on, and
//! costs no work until then. Nothing but this one query waits for it: every container has files or a connection of its own.
//!
//! Where the engine keeps lines in files that this process may read ([`files`]), they are read there; elsewhere through the engine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, future::ready, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use windflow_kit::{
    clock::Clock,
    merge::{Place, merge_by_time},
    task::{TaskHandle, spawn_scoped},
};
use windflow_model::{
    Code, ContainerState, ContainerSummary, Failure, LogEvent, LogMatcher, LogQuery, LogSearch, LogSearched,
    Timestamp, container::ContainerList,
};

mod files;
mod reader;
mod search;

use self::reader::Reader;
use crate::{
    handle::LogStream,
    targets::{LogLine, LogRequest, Target},
};

/// Lines between all containers and the reader, and bytes of them; one more line may be in each container's hands.
const LINES: usize = 1024;
const BYTES: usize = 512 << 10;
/// What each container has of that at least.
const LEAST_LINES: usize = 32;
const LEAST_BYTES: usize = 16 << 10;
/// A container that has said nothing for this long has no more to say of what was before. Only of those that are followed through
/// the engine: where their files are read it is known.
const PATIENCE: Duration = Duration::from_millis(250);

enum Item {
    Line {
        service: String,
        container: String,
        line: LogLine,
        /// Its part of [`BYTES`], given back when it is taken.
        _room: OwnedSemaphorePermit,
    },
    Note(String),
    Searched(LogSearched),
}

/// What comes from one container; `None`: all that was written before is read.
type Word = Option<Item>;

fn place(word: &Word) -> Place<Timestamp> {
    match word {
        Some(Item::Line { line, .. }) => line.at.map_or(Place::Next, Place::At),
        Some(Item::Note(_) | Item::Searched(_)) => Place::Next,
        None => Place::Present,
    }
}

/// Logs of this host: what all readers share.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    target: Arc<dyn Target>,
    clock: Clock,
    /// Whose turn it is to search.
    turns: Arc<Semaphore>,
}

/// The way to the reader.
#[derive(Clone)]
struct Outlet {
    lines: mpsc::Sender<Word>,
    room: Arc<Semaphore>,
    bytes: usize,
}

/// The way from one container, or from a search, to where they meet.
type Inbox = ReceiverStream<Word>;

impl Outlet {
    /// One of so many.
    fn new(of: usize) -> (Self, Inbox) {
        let bytes = (BYTES / of.max(1)).max(LEAST_BYTES);
        let (lines, inbox) = mpsc::channel((LINES / of.max(1)).max(LEAST_LINES));
        let room = Arc::new(Semaphore::new(bytes));
        (Self { lines, room, bytes }, ReceiverStream::new(inbox))
    }

    /// Room for a line of so many bytes; `None` once the reader has gone.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes.clamp(1, self.bytes)).unwrap_or(1);
        tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(wanted) => room.ok(),
            () = self.lines.closed() => None,
        }
    }
}

impl Logs {
    pub(crate) fn new(target: Arc<dyn Target>, clock: Clock) -> Self {
        let turns = Arc::new(Semaphore::new(search::TURNS));
        Self { target, clock, turns }
    }

    /// Opens a stream.
    pub(crate) async fn open(
        self,
        containers: watch::Receiver<Arc<ContainerList>>,
        query: LogQuery,
    ) -> Result<LogStream, Failure> {
        let Self { target, clock, turns } = self;
        let matcher = query.search.as_ref().map(LogSearch::matcher).transpose();
        let matcher = matcher.map_err(|error| Failure::new(Code::BadRequest, error.to_string()))?;
        let matcher = matcher.map(Arc::new);
        let list = target.containers().await?;
        let chosen: Vec<ContainerSummary> = list
            .into_iter()
            .filter(|container| is_asked(&query, container))
            .collect();
        if let Some(matcher) = matcher.clone().filter(|_| !query.follow) {
            let now = Timestamp::from_millis(clock.now_ms());
            let (outlet, inbox) = Outlet::new(1);
            let search = search::Search::new(target, query, matcher, outlet, now);
            return Ok(number(
                inbox,
                spawn_scoped("log-search", search.run(chosen, turns)),
            ));
        }
        if chosen.is_empty() && !query.follow {
            let of = query
                .stack
                .map(|stack| format!(" of {stack}"))
                .unwrap_or_default();
            let text = format!("no container{of} that was asked for is on this host");
            return Err(Failure::new(Code::NotFound, text));
        }
        let share = chosen.len();
        let (join, later) = mpsc::channel(1);
        let mut feed = Feed {
            target,
            query,
            matcher,
            share,
            readers: BTreeMap::new(),
        };
        let first: Vec<Inbox> = chosen
            .into_iter()
            .filter_map(|container| feed.read(container, true))
            .collect();
        let patience = feed.query.follow.then_some(PATIENCE);
        let merged = merge_by_time(first, ReceiverStream::new(later), patience, place);
        Ok(number(
            merged,
            spawn_scoped("log-follow", feed.run(containers, join)),
        ))
    }
}

fn is_asked(query: &LogQuery, container: &ContainerSummary) -> bool {
    let service = container.service.as_deref().unwrap_or_default();
    query
        .stack
        .as_ref()
        .is_none_or(|stack| container.project.as_ref() == Some(stack))
        && (query.services.is_empty() || query.services.iter().any(|name| name == service))
        && (query.containers.is_empty() || query.containers.contains(&container.name))
}

fn line(container: &ContainerSummary, line: LogLine, room: OwnedSemaphorePermit) -> Item {
    let service = container.service.as_ref().unwrap_or(&container.name);
    Item::Line {
        service: service.clone(),
        container: container.name.clone(),
        line,
        _room: room,
    }
}

/// Reads all chosen containers, and those that appear later.
struct Feed {
    target: Arc<dyn Target>,
    query: LogQuery,
    matcher: Option<Arc<LogMatcher>>,
    /// How many share the room for lines.
    share: usize,
    readers: BTreeMap<String, TaskHandle<()>>,
}

impl Feed {
    /// Reads a container, unless it is read.
    fn read(&mut self, container: ContainerSummary, first: bool) -> Option<Inbox> {
        // A container that was seen is read again only if it ended and runs once more.
        let known = self.readers.get(&container.id);
        let again =
            known.is_some_and(|reader| reader.is_finished() && container.state == ContainerState::Running);
        if known.is_some() && !again {
            return None;
        }
        let request = LogRequest {
            container: container.id.clone(),
            // What a later container has said since its start belongs to the reader; a second reading only adds.
            tail: if again {
                Some(0)
            } else if first {
                self.query.tail
            } else {
                None
            },
            follow: self.query.follow,
            since: self.query.since,
            until: self.query.until,
            source: self.query.source,
        };
        let (outlet, inbox) = Outlet::new(self.share);
        let id = container.id.clone();
        let reader = Reader {
            container,
            matcher: self.matcher.clone(),
            outlet,
        };
        let read = reader.run(Arc::clone(&self.target), request);
        self.readers.insert(id, spawn_scoped("log-container", read));
        Some(inbox)
    }

    async fn run(mut self, mut containers: watch::Receiver<Arc<ContainerList>>, join: mpsc::Sender<Inbox>) {
        if !self.query.follow {
            // Nothing joins any more.
            drop(join);
            for (_, reader) in self.readers {
                let _ = reader.await;
            }
            return;
        }
        loop {
            tokio::select! {
                changed = containers.changed() => if changed.is_err() { return },
                () = join.closed() => return,
            }
            let list = Arc::clone(&containers.borrow_and_update());
            for container in &list.containers {
                // A container that has not started has said nothing yet.
                let asked = is_asked(&self.query, container) && container.state != ContainerState::Created;
                if asked
                    && let Some(inbox) = self.read(container.clone(), false)
                    && join.send(inbox).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

/// Numbers the lines where they meet.
fn number(items: impl Stream<Item = Word> + Unpin + Send + 'static, follow: TaskHandle<()>) -> LogStream {
    let items = items.filter_map(ready);
    let state = (items, follow, 0_u64, false);
    let events = stream::unfold(state, |(mut items, follow, mut seq, done)| async move {
        if done {
            return None;
        }
        let event = match items.next().await {
            Some(Item::Line {
                service,
                container,
                line,
                ..
            }) => {
                let event = LogEvent::Line {
                    seq,
                    service,
                    container,
                    source: line.source,
                    at: line.at,
                    text: line.text,
                };
                seq += 1;
                event
            }
            // One container that cannot be read does not end the others.
            Some(Item::Note(text)) => LogEvent::Gap {
                from: seq,
                lost: 0,
                reason: text,
            },
            Some(Item::Searched(searched)) => LogEvent::Searched(searched),
            None => {
                let event = LogEvent::End {
                    reason: LogEvent::COMPLETE.to_owned(),
                };
                return Some((event, (items, follow, seq, true)));
            }
        };
        Some((event, (items, follow, seq, false)))
    });
    // Readers look whether more is ready, also behind the end.
    Box::pin(events.fuse())
}
