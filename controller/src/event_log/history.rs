//! Reading of what is on disk: forward for readers that come back, backward for lists.

use std::{io, path::PathBuf};

use windflow_kit::blocking;
use windflow_model::{EventId, FleetEvent, FleetEventKind, Timestamp};

use super::{
    EventFilter, EventLog,
    file::{Folder, Lines, first_at},
};

/// Readings of files at once.
pub(super) const AT_ONCE: usize = 4;
/// Events that are looked at in one step of a reader.
const STEP: usize = 2_048;
/// Files that are looked at for one page; what is not found in them is on the next one.
const FILES_A_PAGE: usize = 16;

/// A reader on its way from the past to the present.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// The last event that it has seen.
    pub(crate) last: EventId,
    /// Where it goes on.
    at: Option<(PathBuf, u64)>,
}

/// A step of a reader.
pub(crate) struct Step {
    pub(crate) past: Past,
    pub(crate) events: Vec<FleetEvent>,
    /// Nothing more is on disk.
    pub(crate) ended: bool,
}

impl EventLog {
    /// A reader that has seen everything up to `after`; the second value is whether events between were removed.
    pub(crate) async fn past_after(&self, after: EventId) -> io::Result<(Past, bool)> {
        let files = self.files().await?;
        let gone = files
            .first()
            .is_some_and(|(first, _)| *first > after && after != EventId::default());
        let at = files.into_iter().rev().find(|(first, _)| *first <= after);
        let past = Past {
            last: after,
            at: at.map(|(_, path)| (path, 0)),
        };
        Ok((past, gone))
    }

    /// A reader from a time on.
    pub(crate) async fn past_since(&self, since: Timestamp) -> io::Result<Past> {
        let folder = self.0.folder.clone();
        self.reading(move || {
            let mut at = None;
            for (_, path) in folder.files()? {
                if first_at(&path)?.is_some_and(|first| first > since) && at.is_some() {
                    break;
                }
                at = Some((path, 0));
            }
            let last = EventId::default();
            Ok(Past { last, at })
        })
        .await
    }

    /// The next events of a reader.
    pub(crate) async fn step(&self, past: Past) -> io::Result<Step> {
        let folder = self.0.folder.clone();
        self.reading(move || step(&folder, past)).await
    }

    /// A page of events, the newest first; the second value says where the next page begins, if there is one.
    pub(crate) async fn page(
        &self,
        filter: EventFilter,
        before: Option<EventId>,
        most: usize,
    ) -> io::Result<(Vec<FleetEvent>, Option<EventId>)> {
        // What has happened just now is wanted, too. On a disk that takes nothing there is none.
        let _there = self.flush().await;
        let folder = self.0.folder.clone();
        self.reading(move || page(&folder, &filter, before, most)).await
    }

    async fn files(&self) -> io::Result<Vec<(EventId, PathBuf)>> {
        let folder = self.0.folder.clone();
        self.reading(move || folder.files()).await
    }

    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // Nobody closes it.
        let _turn = self.0.turns.acquire().await;
        blocking::run(read).await.map_err(io::Error::other)?
    }
}

fn step(folder: &Folder, mut past: Past) -> io::Result<Step> {
    let mut events = Vec::new();
    let mut looked_at = 0;
    loop {
        let Some((path, place)) = past.at.clone() else {
            past.at = next_file(folder, None, past.last)?;
            match past.at {
                Some(_) => continue,
                None => {
                    return Ok(Step {
                        past,
                        events,
                        ended: true,
                    });
                }
            }
        };
        let mut lines = match Lines::open(&path, place) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Removed for want of room while it was read.
                let kind = FleetEventKind::Gap { lost: 0 };
                let (id, at) = (past.last, Timestamp::from_millis(0));
                events.push(FleetEvent { id, at, kind });
                past.at = next_file(folder, Some(&path), past.last)?;
                if past.at.is_none() {
                    return Ok(Step {
                        past,
                        events,
                        ended: true,
                    });
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        while let Some(event) = lines.next()? {
            looked_at += 1;
            if event.id > past.last {
                past.last = event.id;
                events.push(event);
            }
            if looked_at >= STEP {
                past.at = Some((path, lines.place));
                return Ok(Step {
                    past,
                    events,
                    ended: false,
                });
            }
        }
        match next_file(folder, Some(&path), past.last)? {
            Some(next) => past.at = Some(next),
            None => {
                past.at = Some((path, lines.place));
                return Ok(Step {
                    past,
                    events,
                    ended: true,
                });
            }
        }
    }
}

/// The file behind one, or the first that may hold events after one.
fn next_file(
    folder: &Folder,
    behind: Option<&PathBuf>,
    after: EventId,
) -> io::Result<Option<(PathBuf, u64)>> {
    let files = folder.files()?;
    let next = match behind {
        Some(path) => match files.iter().position(|(_, one)| one == path) {
            Some(at) => files.get(at + 1),
            None => files.iter().find(|(first, _)| *first > after),
        },
        None => files
            .iter()
            .rev()
            .find(|(first, _)| *first <= after)
            .or_else(|| files.first()),
    };
    Ok(next.map(|(_, path)| (path.clone(), 0)))
}

fn page(
    folder: &Folder,
    filter: &EventFilter,
    before: Option<EventId>,
    most: usize,
) -> io::Result<(Vec<FleetEvent>, Option<EventId>)> {
    let mut found: Vec<FleetEvent> = Vec::new();
    let files = folder.files()?;
    let wanted = files
        .iter()
        .rev()
        .filter(|(first, _)| before.is_none_or(|before| *first < before));
    for (looked_at, (first, path)) in wanted.enumerate() {
        if looked_at == FILES_A_PAGE {
            // Everything from the begin of the file before on has been looked at.
            return Ok((
                found,
                files.iter().find(|(one, _)| one > first).map(|(one, _)| *one),
            ));
        }
        let (mut here, mut begins) = (Vec::new(), None);
        match Lines::open(path, 0) {
            Ok(mut lines) => {
                while let Some(event) = lines.next()? {
                    begins.get_or_insert(event.at);
                    if before.is_none_or(|before| event.id < before) && filter.holds(&event) {
                        here.push(event);
                    }
                }
            }
            Err(error) => tracing::warn!(file = %path.display(), %error, "events in this file are left out"),
        }
        for event in here.into_iter().rev() {
            if found.len() == most {
                let next = found.last().map(|last| last.id);
                return Ok((found, next));
            }
            found.push(event);
        }
        if filter
            .since
            .zip(begins)
            .is_some_and(|(since, begins)| begins < since)
        {
            break;
        }
    }
    Ok((found, None))
}
