//! The thread that owns all writing.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    Reply,
    batch::{self, BatchError, Outcome},
    file::{File, caught, is_full},
};
use crate::{
    error::StoreError,
    record::Version,
    store::Integrity,
    txn::{Committed, Op, Txn},
    watch::Watchers,
};

/// Most transactions under one commit, and most bytes of them: bounds how long the first one waits for the others.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 8 << 20;

/// A request to the writer.
pub(super) enum Change {
    /// Commit this.
    Txn { txn: Txn, reply: Reply<Committed> },
    /// Verify everything.
    Check { reply: Reply<Integrity> },
    /// A read failed on the handle: reopen it.
    Reopen,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: Arc<File>,
    pub(super) watchers: Arc<Watchers>,
    pub(super) queue: mpsc::Receiver<Change>,
}

impl Writer {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            self.work(first);
        }
    }

    /// Does what is asked, and what it takes from the queue meanwhile.
    pub(super) fn work(&mut self, first: Change) {
        let mut next = Some(first);
        while let Some(change) = next.take() {
            match change {
                Change::Txn { txn, reply } => next = self.txns(txn, reply),
                // The asker may have gone away; so in every reply below.
                Change::Check { reply } => drop(reply.send(self.file.check())),
                Change::Reopen => self.revive(),
            }
        }
    }

    /// Reopens the file if its handle does not work any more.
    pub(super) fn revive(&self) {
        let works = self
            .file
            .read()
            .as_ref()
            .is_some_and(|database| batch::last_version(database).is_ok());
        if !works && let Err(error) = self.file.reopen() {
            tracing::warn!(error = %windflow_kit::Chain(&error), "the store cannot be reopened");
        }
    }

    /// Commits this transaction together with those that already wait. Gives back what it took but did not do.
    fn txns(&mut self, txn: Txn, reply: Reply<Committed>) -> Option<Change> {
        let (mut bytes, mut batch, mut left) = (txn.bytes(), vec![(txn, reply)], None);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            match self.queue.try_recv() {
                Ok(Change::Txn { txn, reply }) => {
                    bytes += txn.bytes();
                    batch.push((txn, reply));
                }
                Ok(other) => {
                    left = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let results = self.commit(&batch);
        for ((_, reply), result) in batch.into_iter().zip(results) {
            drop(reply.send(result));
        }
        left
    }

    fn commit(&self, batch: &[(Txn, Reply<Committed>)]) -> Vec<Result<Committed, StoreError>> {
        let txns: Vec<&Txn> = batch.iter().map(|(txn, _)| txn).collect();
        let outcome = match self.attempt(&txns) {
            // The handle had failed before, in a read or an earlier commit: once more on a fresh one.
            Err(Failure::Stale) => self
                .file
                .reopen()
                .map_err(Failure::Known)
                .and_then(|()| self.attempt(&txns)),
            other => other,
        };
        match outcome {
            Ok(outcome) => {
                self.wake(&txns, &outcome.results);
                outcome.results
            }
            Err(failure) => {
                let error = self.after(failure);
                tracing::warn!(error = %windflow_kit::Chain(&error), "the store could not write");
                vec![Err(error); txns.len()]
            }
        }
    }

    fn attempt(&self, txns: &[&Txn]) -> Result<Outcome, Failure> {
        let guard = self.file.read();
        let database = guard.as_ref().ok_or(Failure::Stale)?;
        let before = match batch::last_version(database) {
            Ok(version) => version,
            Err(error) => return Err(Failure::before(&self.file, error)),
        };
        match caught(|| batch::commit(database, self.file.options().quick_repair, txns)) {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(BatchError::Before(error))) => Err(Failure::before(&self.file, error)),
            Ok(Err(BatchError::Commit(error))) => {
                let full = matches!(&error, redb::Error::Io(source) if is_full(source));
                let error = self.file.unknown(error);
                Err(Failure::InCommit { full, before, error })
            }
            // A panic may have struck anywhere.
            Err(panic) => Err(Failure::InCommit {
                full: false,
                before,
                error: self.file.unknown(panic),
            }),
        }
    }

    /// Brings the file back after a failure and finds out what it means for the callers.
    fn after(&self, failure: Failure) -> StoreError {
        let reopened = self.file.reopen();
        match failure {
            Failure::Known(error) => error,
            Failure::Stale => reopened.err().unwrap_or(StoreError::Closed),
            Failure::InCommit { full, before, error } => {
                // Only the answer "not there" can be believed: after a failed sync, "there" may be in memory alone.
                let guard = self.file.read();
                let found = guard
                    .as_ref()
                    .and_then(|database| batch::last_version(database).ok());
                if found == Some(before) {
                    if full {
                        StoreError::Full {
                            path: self.file.path().to_path_buf(),
                        }
                    } else {
                        unchanged(error)
                    }
                } else {
                    self.watchers.notify_all(found.unwrap_or(before));
                    error
                }
            }
        }
    }

    fn wake(&self, txns: &[&Txn], results: &[Result<Committed, StoreError>]) {
        for (txn, result) in txns.iter().zip(results) {
            if let Ok(committed) = result
                && !txn.ops.is_empty()
            {
                self.watchers
                    .notify(txn.ops.iter().map(Op::key), committed.version);
            }
        }
    }
}

enum Failure {
    /// The handle is unusable because of an earlier error; nothing was tried.
    Stale,
    /// Nothing was changed, for this reason.
    Known(StoreError),
    /// In the commit; the version before it tells whether it happened.
    InCommit {
        full: bool,
        before: Version,
        error: StoreError,
    },
}

impl Failure {
    fn before(file: &File, error: redb::Error) -> Self {
        match error {
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Stale,
            error => Self::Known(file.error(error)),
        }
    }
}

/// An unknown commit that turned out not to have happened.
fn unchanged(error: StoreError) -> StoreError {
    match error {
        StoreError::Unknown { path, source } => StoreError::Unavailable { path, source },
        other => other,
    }
}
