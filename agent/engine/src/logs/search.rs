//! Searches the logs of a host: the newest lines that match, container by container.
//!
//! ```text
//! "log-search" ──► files, read backward a step at a time on a blocking thread (`files`)
//!      │      └──► where there are none: the engine's stream, of which the newest matches are kept
//!      └─ line ──► LogStream ──► reader
//! ```
//! A search takes half a processor of its host, reads a bounded number of bytes for a bounded time, and waits for its turn: a host
//! has more to do than to be searched. What it did not look at, it tells.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use windflow_kit::{blocking, error::Chain};
use windflow_model::{ContainerSummary, LogMatcher, LogQuery, LogSearched, SearchBound, Timestamp};

use super::{
    Item, Outlet,
    files::{self, Backward, Range},
};
use crate::targets::{LogLine, LogRequest, Target};

/// Searches of a host at the same time; others wait.
pub(crate) const TURNS: usize = 2;
/// What one search may read.
const BYTES: u64 = 4 << 30;
/// How long it may take, waiting for its turn and for its reader included.
const TIME: Duration = Duration::from_secs(60);
/// Matches of a container that only the engine can read, which are kept until it has been read to its end.
const KEPT: usize = 8 << 20;
/// Read before the search pauses and looks whether it may go on.
const STEP: usize = 4 << 20;

pub(super) struct Search {
    target: Arc<dyn Target>,
    query: LogQuery,
    matcher: Arc<LogMatcher>,
    enough: usize,
    outlet: Outlet,
    /// The times of the newest matches, the oldest of them on top.
    newest: BinaryHeap<Reverse<Timestamp>>,
    /// Of some container, matches up to this were let go.
    let_go: Option<Timestamp>,
    /// Some container could not be searched, which was told.
    unread: bool,
    searched: LogSearched,
    deadline: Instant,
    now: Timestamp,
}

/// Why a container is left.
enum Left {
    /// It has been searched as far as is of interest.
    Done,
    /// The search is over.
    Bound(SearchBound),
    /// Nobody reads any more.
    Gone,
}

impl Search {
    pub(super) fn new(
        target: Arc<dyn Target>,
        query: LogQuery,
        matcher: Arc<LogMatcher>,
        outlet: Outlet,
        now: Timestamp,
    ) -> Self {
        let enough = query.search.as_ref().map_or(1, |search| search.enough());
        Self {
            target,
            query,
            matcher,
            enough: usize::try_from(enough).unwrap_or(1),
            outlet,
            newest: BinaryHeap::new(),
            let_go: None,
            unread: false,
            searched: LogSearched::default(),
            deadline: Instant::now() + TIME,
            now,
        }
    }

    pub(super) async fn run(mut self, containers: Vec<ContainerSummary>, turns: Arc<Semaphore>) {
        let turn = tokio::select! {
            turn = timeout_at(self.deadline, turns.acquire_owned()) => turn,
            () = self.outlet.lines.closed() => return,
        };
        let mut bound = turn.is_err().then_some(SearchBound::Time);
        for container in containers {
            if bound.is_some() {
                break;
            }
            self.searched.containers += 1;
            match self.container(&container).await {
                Left::Done => {}
                Left::Bound(hit) => bound = Some(hit),
                Left::Gone => return,
            }
        }
        self.conclude(bound);
        // What the reader takes it takes without keeping others from their turn.
        drop(turn);
        // If the reader has gone, nobody waits for it.
        let _gone = self.outlet.lines.send(Some(Item::Searched(self.searched))).await;
    }

    fn conclude(&mut self, bound: Option<SearchBound>) {
        // Of the oldest moment there may be more.
        let behind = |at: Timestamp| at.plus(Duration::from_millis(1));
        let floor = self.floor();
        (self.searched.stopped_by, self.searched.complete_from) = match (bound, self.let_go) {
            // Of some container nothing was looked at.
            (Some(bound), _) => (Some(bound), Some(self.now)),
            (None, let_go) if let_go > floor => (Some(SearchBound::Bytes), let_go.map(behind)),
            (None, _) => (floor.map(|_| SearchBound::Matches), floor.map(behind)),
        };
        if self.unread {
            self.searched.complete_from = Some(self.now);
        }
    }

    /// Matches up to this are of no interest: there are enough newer ones.
    fn floor(&self) -> Option<Timestamp> {
        let oldest = self.newest.peek().map(|Reverse(at)| *at);
        oldest.filter(|_| self.newest.len() >= self.enough)
    }

    async fn container(&mut self, container: &ContainerSummary) -> Left {
        let range = Range {
            source: self.query.source,
            since: self.query.since,
            until: self.query.until,
        };
        let matcher = Arc::clone(&self.matcher);
        let opened = files::open(&*self.target, &container.id, move |path| {
            Backward::open(path, matcher, range)
        });
        match opened.await {
            Some(files) => self.backward(container, files).await,
            None => self.forward(container).await,
        }
    }

    async fn backward(&mut self, container: &ContainerSummary, mut files: Backward) -> Left {
        loop {
            if let Some(floor) = self.floor() {
                files.raise(floor);
            }
            let (started, before) = (Instant::now(), files.bytes);
            let step = blocking::run(move || {
                let mut found = Vec::new();
                let more = files.step(STEP, &mut found);
                (files, found, more)
            });
            let (found, more);
            (files, found, more) = match step.await {
                Ok(done) => done,
                Err(_) => return self.note(container, "the search of its log broke off").await,
            };
            let spent = started.elapsed();
            self.searched.bytes += files.bytes - before;
            for line in found {
                match self.take(container, line).await {
                    Left::Done => {}
                    left => return left,
                }
            }
            match more {
                Ok(true) => {}
                Ok(false) => return Left::Done,
                Err(error) => {
                    let problem = Chain(&error).to_string();
                    return self.note(container, &problem).await;
                }
            }
            if let Some(bound) = self.bound() {
                return Left::Bound(bound);
            }
            // As long as it worked: half a processor is the host's own.
            tokio::select! {
                () = tokio::time::sleep(spent) => {}
                () = self.outlet.lines.closed() => return Left::Gone,
            }
        }
    }

    /// The engine tells the oldest first: the newest matches are kept until its end.
    async fn forward(&mut self, container: &ContainerSummary) -> Left {
        let request = LogRequest {
            container: container.id.clone(),
            tail: None,
            follow: false,
            since: self.query.since.max(self.floor()),
            until: self.query.until,
            source: self.query.source,
        };
        let mut stream = match self.target.logs(request).await {
            Ok(stream) => stream,
            Err(error) => {
                let problem = error.failure().message;
                return self.note(container, &problem).await;
            }
        };
        let (mut kept, mut size) = (VecDeque::<LogLine>::new(), 0);
        let mut left = Left::Done;
        loop {
            let next = tokio::select! {
                next = timeout_at(self.deadline, stream.next()) => next,
                () = self.outlet.lines.closed() => return Left::Gone,
            };
            match next {
                Ok(Some(Ok(line))) => {
                    self.searched.bytes += line.text.len() as u64;
                    if self.matcher.matches(&line.text) {
                        size += line.text.len();
                        kept.push_back(line);
                        if kept.len() > self.enough {
                            size -= kept.pop_front().map_or(0, |line| line.text.len());
                        }
                        while size > KEPT
                            && let Some(line) = kept.pop_front()
                        {
                            size -= line.text.len();
                            self.let_go = self.let_go.max(line.at);
                        }
                    }
                }
                Ok(Some(Err(error))) => {
                    let problem = error.failure().message;
                    match self.note(container, &problem).await {
                        Left::Done => {}
                        other => left = other,
                    }
                    break;
                }
                Ok(None) => break,
                Err(_) => {
                    left = Left::Bound(SearchBound::Time);
                    break;
                }
            }
            if let Some(bound) = self.bound() {
                left = Left::Bound(bound);
                break;
            }
        }
        // It is read to its end first, and what matched is shown even if a bound was hit.
        drop(stream);
        for line in kept.into_iter().rev() {
            match self.take(container, line).await {
                Left::Done => {}
                other => return other,
            }
        }
        left
    }

    fn bound(&self) -> Option<SearchBound> {
        if self.searched.bytes >= BYTES {
            return Some(SearchBound::Bytes);
        }
        (Instant::now() >= self.deadline).then_some(SearchBound::Time)
    }

    /// Sends a match, if there are not enough newer ones.
    async fn take(&mut self, container: &ContainerSummary, line: LogLine) -> Left {
        // What has no time is older than all that has.
        let at = line.at.unwrap_or(Timestamp::from_millis(0));
        if self.floor().is_some_and(|floor| at <= floor) {
            return Left::Done;
        }
        self.newest.push(Reverse(at));
        if self.newest.len() > self.enough {
            self.newest.pop();
        }
        self.searched.matches += 1;
        match timeout_at(self.deadline, self.outlet.room(line.text.len())).await {
            Ok(Some(room)) => self.send(super::line(container, line, room)).await,
            Ok(None) => Left::Gone,
            Err(_) => Left::Bound(SearchBound::Time),
        }
    }

    /// One container that cannot be searched does not end the others.
    async fn note(&mut self, container: &ContainerSummary, problem: &str) -> Left {
        self.unread = true;
        let text = format!("{}: {problem}", container.name);
        self.send(Item::Note(text)).await
    }

    /// A reader that stalls is waited for no longer than the search may take.
    async fn send(&self, item: Item) -> Left {
        match timeout_at(self.deadline, self.outlet.lines.send(Some(item))).await {
            Ok(Ok(())) => Left::Done,
            Ok(Err(_)) => Left::Gone,
            Err(_) => Left::Bound(SearchBound::Time),
        }
    }
}
