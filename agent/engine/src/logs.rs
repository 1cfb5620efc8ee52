//! Merges the output of containers into one numbered stream.
//!
//! ```text
//! "log-container" per container ──line (mpsc 1024 and 512 KiB, shared)──► LogStream ──► reader
//! "log-follow" finds containers that appear later, holds the handles of all readers
//! ```
//! A reader that stalls is waited for: its lines stay where the engine keeps them, so it misses nothing when it goes on, and
//! costs no work until then. Nothing but this one query waits for it: every container has files or a connection of its own.
//!
//! Where the engine keeps lines in files that this process may read ([`files`]), they are read there; elsewhere through the engine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use windflow_kit::{
    blocking,
    clock::Clock,
    error::Chain,
    task::{TaskHandle, spawn_scoped},
};
use windflow_model::{
    Code, ContainerSummary, Failure, LogEvent, LogMatcher, LogQuery, LogSearch, LogSearched, Timestamp,
    container::ContainerList,
};

mod files;
mod search;

use self::files::{Forward, Growth, Range};
use crate::{
    handle::LogStream,
    targets::{LogLine, LogRequest, Target},
};

/// Lines between the containers and the reader, and bytes of them; one more line may be in each container's hands.
const LINES: usize = 1024;
const BYTES: usize = 512 << 10;

/// Between two looks at files that are followed: short while something comes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

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
    lines: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
}

impl Outlet {
    /// Room for a line of so many bytes; `None` once the reader has gone.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes.clamp(1, BYTES)).unwrap_or(1);
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
        let (lines, inbox) = mpsc::channel(LINES);
        let outlet = Outlet {
            lines,
            room: Arc::new(Semaphore::new(BYTES)),
        };
        if let Some(matcher) = matcher.clone().filter(|_| !query.follow) {
            let now = Timestamp::from_millis(clock.now_ms());
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
        let follow = spawn_scoped(
            "log-follow",
            feed(target, containers, query, matcher, chosen, outlet),
        );
        Ok(number(inbox, follow))
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
async fn feed(
    target: Arc<dyn Target>,
    mut containers: watch::Receiver<Arc<ContainerList>>,
    query: LogQuery,
    matcher: Option<Arc<LogMatcher>>,
    mut chosen: Vec<ContainerSummary>,
    outlet: Outlet,
) {
    let mut readers: BTreeMap<String, TaskHandle<()>> = BTreeMap::new();
    let mut first = true;
    loop {
        for container in chosen.drain(..) {
            // A container that was seen is read again only if it ended and runs once more.
            let again = readers.get(&container.id).is_some_and(|reader| {
                reader.is_finished() && container.state == windflow_model::ContainerState::Running
            });
            if readers.contains_key(&container.id) && !again {
                continue;
            }
            let request = LogRequest {
                container: container.id.clone(),
                // What a later container has said since its start belongs to the reader; a second reading only adds.
                tail: if again {
                    Some(0)
                } else if first {
                    query.tail
                } else {
                    None
                },
                follow: query.follow,
                since: query.since,
                until: query.until,
                source: query.source,
            };
            let id = container.id.clone();
            let reader = Reader {
                container,
                matcher: matcher.clone(),
                outlet: outlet.clone(),
            };
            let read = reader.run(Arc::clone(&target), request);
            readers.insert(id, spawn_scoped("log-container", read));
        }
        first = false;
        if !query.follow {
            for (_, reader) in std::mem::take(&mut readers) {
                let _ = reader.await;
            }
            return;
        }
        tokio::select! {
            changed = containers.changed() => if changed.is_err() { return },
            () = outlet.lines.closed() => return,
        }
        let list = Arc::clone(&containers.borrow_and_update());
        chosen = list
            .containers
            .iter()
            .filter(|container| is_asked(&query, container))
            .cloned()
            .collect();
        // A container that has not started has said nothing yet.
        chosen.retain(|container| container.state != windflow_model::ContainerState::Created);
    }
}

/// What is said of one container, on its way to the reader.
struct Reader {
    container: ContainerSummary,
    matcher: Option<Arc<LogMatcher>>,
    outlet: Outlet,
}

impl Reader {
    /// Sends a line that matches; `false` once nobody reads any more.
    async fn line(&self, found: LogLine) -> bool {
        if self
            .matcher
            .as_ref()
            .is_some_and(|matcher| !matcher.matches(&found.text))
        {
            return true;
        }
        let Some(room) = self.outlet.room(found.text.len()).await else {
            return false;
        };
        let item = line(&self.container, found, room);
        self.outlet.lines.send(item).await.is_ok()
    }

    async fn note(&self, text: String) -> bool {
        self.outlet.lines.send(Item::Note(text)).await.is_ok()
    }

    async fn run(self, target: Arc<dyn Target>, request: LogRequest) {
        // The engine's files where they can be read: it is several times as fast, no work of the engine's, and nothing is lost
        // when they rotate.
        if let Some(files) = self.files(&*target, &request).await {
            return self.read_files(files, request.follow).await;
        }
        let mut stream = match target.logs(request).await {
            Ok(stream) => stream,
            Err(error) => {
                let problem = error.failure().message;
                self.note(problem).await;
                return;
            }
        };
        while let Some(next) = stream.next().await {
            let next = next.map_err(|error| error.failure().message);
            let goes_on = match next {
                Ok(found) => self.line(found).await,
                Err(problem) => self.note(problem).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn files(&self, target: &dyn Target, request: &LogRequest) -> Option<Forward> {
        let range = Range {
            source: request.source,
            since: request.since,
            until: request.until,
        };
        let tail = request.tail;
        files::open(target, &request.container, move |path| {
            Forward::open(path, tail, range)
        })
        .await
    }

    /// Sends what is in the files, and what comes into them until the container is removed or nobody reads any more.
    async fn read_files(&self, mut files: Forward, follow: bool) {
        let mut pause = LONGEST_PAUSE;
        loop {
            let step = blocking::run(move || {
                let mut lines = Vec::new();
                let more = files.step(&mut lines);
                (files, lines, more)
            });
            let (lines, mut more);
            (files, lines, more) = match step.await {
                Ok(done) => done,
                Err(_) => {
                    self.note("the reading of its log broke off".to_owned()).await;
                    return;
                }
            };
            for found in lines {
                if !self.line(found).await {
                    return;
                }
            }
            while let Ok(false) = more {
                if !follow {
                    return;
                }
                let growth = files.look();
                (more, pause) = match growth {
                    Ok(Growth::More) => (Ok(true), SHORTEST_PAUSE),
                    Ok(Growth::MoreAfterLoss) => {
                        let lost = "lines of its log rotated away before they were read".to_owned();
                        if !self.note(lost).await {
                            return;
                        }
                        (Ok(true), SHORTEST_PAUSE)
                    }
                    Ok(Growth::Gone) => return,
                    Ok(Growth::Nothing) => {
                        tokio::select! {
                            () = tokio::time::sleep(pause) => {}
                            () = self.outlet.lines.closed() => return,
                        }
                        (Ok(false), (pause * 5 / 4).min(LONGEST_PAUSE))
                    }
                    Err(error) => (Err(error), pause),
                };
            }
            if let Err(error) = more {
                let problem = Chain(&error).to_string();
                self.note(problem).await;
                return;
            }
        }
    }
}

/// Numbers the lines where they meet.
fn number(inbox: mpsc::Receiver<Item>, follow: TaskHandle<()>) -> LogStream {
    let state = (inbox, follow, 0_u64, false);
    let events = stream::unfold(state, |(mut inbox, follow, mut seq, done)| async move {
        if done {
            return None;
        }
        let event = match inbox.recv().await {
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
                return Some((event, (inbox, follow, seq, true)));
            }
        };
        Some((event, (inbox, follow, seq, false)))
    });
    // Readers look whether more is ready, also behind the end.
    Box::pin(events.fuse())
}
