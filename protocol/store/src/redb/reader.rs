//! The thread that serves reads.

use std::{ops::Bound, time::Duration};

use redb::{AccessGuard, ReadOnlyTable, ReadableDatabase as _};
use tokio::sync::mpsc;

use super::{
    Reply, batch,
    file::{File, caught},
    writer::{Change, Writer},
};
use crate::{
    error::StoreError,
    key::{Key, Prefix},
    record::{self, Record},
    store::{Page, page_of},
};

/// Most reads from one snapshot.
const BATCH: usize = 64;
/// How often, and after what wait, a read is tried again while the writer reopens the file: 1 s in all.
const TRIES: u32 = 20;
const WAIT: Duration = Duration::from_millis(50);

/// A request to the reader.
pub(super) enum Read {
    /// One record.
    Get { key: Key, reply: Reply<Option<Record>> },
    /// One page.
    Scan {
        prefix: Prefix,
        edge: Edge,
        limit: usize,
        reply: Reply<Page>,
    },
}

/// Where a scan begins, and which way it goes.
pub(super) enum Edge {
    /// Behind this key, to the last one.
    After(Option<Key>),
    /// Before this key, to the first one.
    Before(Option<Key>),
}

type Records = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Runs until the queue is closed and empty. `writer` is asked to reopen the file when its handle has failed.
pub(super) fn run(file: &File, mut queue: mpsc::Receiver<Read>, writer: &mpsc::WeakSender<Change>) {
    while let Some(first) = queue.blocking_recv() {
        // Taken before the snapshot is: whoever asked after a commit must see it.
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(read) = queue.try_recv()
        {
            batch.push(read);
        }
        for read in serve(file, batch) {
            again(file, read, writer);
        }
    }
}

/// Answers one read on the spot; on a handle that has failed, once more on a fresh one.
pub(super) fn here(file: &File, read: Read, writer: &Writer) {
    let mut left = serve(file, vec![read]);
    if !left.is_empty() {
        writer.revive();
        left = serve(file, left);
    }
    let error = file.unavailable(redb::Error::PreviousIo);
    left.into_iter().for_each(|read| refuse(read, &error));
}

/// Answers reads from one snapshot. Gives back those that met a handle that must be reopened.
fn serve(file: &File, batch: Vec<Read>) -> Vec<Read> {
    // Held to the end: whoever swaps or checks the handle needs all snapshots gone.
    let guard = file.read();
    let snapshot = caught(|| {
        let database = guard.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        Ok::<_, redb::Error>(database.begin_read()?.open_table(batch::RECORDS)?)
    });
    match snapshot {
        Ok(Ok(records)) => batch
            .into_iter()
            .filter_map(|read| serve_one(file, &records, read))
            .collect(),
        Ok(Err(_)) => batch,
        Err(panic) => {
            let error = file.damaged(panic);
            batch.into_iter().for_each(|read| refuse(read, &error));
            Vec::new()
        }
    }
}

fn serve_one(file: &File, records: &Records, read: Read) -> Option<Read> {
    match read {
        Read::Get { key, reply } => match attempt(file, || get(records, &key)) {
            Some(result) => drop(reply.send(result)),
            None => return Some(Read::Get { key, reply }),
        },
        Read::Scan {
            prefix,
            edge,
            limit,
            reply,
        } => match attempt(file, || scan(records, &prefix, &edge, limit)) {
            Some(result) => drop(reply.send(result)),
            None => {
                return Some(Read::Scan {
                    prefix,
                    edge,
                    limit,
                    reply,
                });
            }
        },
    }
    None
}

fn refuse(read: Read, error: &StoreError) {
    // The asker may have gone away.
    match read {
        Read::Get { reply, .. } => drop(reply.send(Err(error.clone()))),
        Read::Scan { reply, .. } => drop(reply.send(Err(error.clone()))),
    }
}

/// Asks the writer for a fresh handle and tries on it, for a while.
fn again(file: &File, read: Read, writer: &mpsc::WeakSender<Change>) {
    let mut batch = vec![read];
    for _ in 0..TRIES {
        if let Some(writer) = writer.upgrade() {
            // A full queue means that the writer is at work and will notice by itself.
            drop(writer.try_send(Change::Reopen));
        }
        std::thread::park_timeout(WAIT);
        batch = serve(file, batch);
        if batch.is_empty() {
            return;
        }
    }
    let error = file.unavailable(redb::Error::PreviousIo);
    batch.into_iter().for_each(|read| refuse(read, &error));
}

/// What a read can meet: a fault of the file, or of the record.
enum Fault {
    File(redb::Error),
    Record(StoreError),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::File(error.into())
    }
}

/// `None`: the handle has failed and must be reopened.
fn attempt<T>(file: &File, read: impl FnOnce() -> Result<T, Fault>) -> Option<Result<T, StoreError>> {
    match caught(read) {
        Ok(Ok(value)) => Some(Ok(value)),
        Ok(Err(Fault::Record(error))) => Some(Err(error)),
        Ok(Err(Fault::File(redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::Io(_)))) => {
            None
        }
        Ok(Err(Fault::File(error))) => Some(Err(file.error(error))),
        Err(panic) => Some(Err(file.damaged(panic))),
    }
}

fn get(records: &Records, key: &Key) -> Result<Option<Record>, Fault> {
    let Some(bytes) = records.get(key.as_bytes())? else {
        return Ok(None);
    };
    record::decode(key.as_bytes(), bytes.value())
        .map(Some)
        .map_err(Fault::Record)
}

fn scan(records: &Records, prefix: &Prefix, edge: &Edge, limit: usize) -> Result<Page, Fault> {
    let first = prefix.as_bytes();
    match edge {
        Edge::After(after) => {
            let start = match after {
                Some(after) if after.as_bytes() >= first => Bound::Excluded(after.as_bytes()),
                _ => Bound::Included(first),
            };
            let range = records.range::<&[u8]>((start, Bound::Unbounded))?;
            let below = range.map_while(|entry| match entry {
                Ok(entry) => entry.0.value().starts_with(first).then(|| open(entry)),
                Err(error) => Some(Err(Fault::from(error))),
            });
            page_of(below, limit)
        }
        Edge::Before(before) => {
            let top = prefix.top(before.as_ref());
            let end = top.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let range = records.range::<&[u8]>((Bound::Included(first), end))?;
            page_of(range.rev().map(|entry| open(entry?)), limit)
        }
    }
}

type Stored = AccessGuard<'static, &'static [u8]>;

fn open((key, value): (Stored, Stored)) -> Result<(Key, Record), Fault> {
    let record = record::decode(key.value(), value.value()).map_err(Fault::Record)?;
    Ok((Key::from_bytes(key.value()), record))
}
