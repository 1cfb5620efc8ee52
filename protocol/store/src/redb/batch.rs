//! One redb transaction: several of ours, each all or nothing, under one commit.

use redb::{Database, ReadableDatabase as _, ReadableTable, Table, TableDefinition, WriteTransaction};
use windflow_kit::seeded::{self, Bug};

use crate::{
    error::StoreError,
    record::{self, Version},
    txn::{Committed, Op, Txn},
};

pub(super) const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
/// One entry: the last version, in the form of a record (with checksum).
const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
const VERSION: &[u8] = b"version";

/// Why a batch failed, and how far it had come.
pub(super) enum BatchError {
    /// Before the commit: nothing was changed.
    Before(redb::Error),
    /// In the commit.
    Commit(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for BatchError {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

/// What became of each transaction, and the last version.
pub(super) struct Outcome {
    pub(super) results: Vec<Result<Committed, StoreError>>,
    pub(super) version: Version,
}

/// Makes the tables in a new file.
pub(super) fn prepare(database: &Database) -> Result<(), redb::Error> {
    let known = database.begin_read()?.list_tables()?.count();
    if known < 2 {
        let txn = database.begin_write()?;
        txn.open_table(RECORDS)?;
        txn.open_table(META)?;
        txn.commit()?;
    }
    Ok(())
}

/// The last version on disk.
pub(super) fn last_version(database: &Database) -> Result<Version, redb::Error> {
    Ok(version_in(&database.begin_read()?.open_table(META)?)?)
}

fn version_in(
    meta: &impl ReadableTable<&'static [u8], &'static [u8]>,
) -> Result<Version, redb::StorageError> {
    let Some(bytes) = meta.get(VERSION)? else {
        return Ok(0);
    };
    record::decode_version(VERSION, bytes.value())
        .map_err(|_| redb::StorageError::Corrupted("the version counter fails its checksum".to_owned()))
}

/// Runs the transactions in order and commits those that hold.
pub(super) fn commit(database: &Database, quick_repair: bool, txns: &[&Txn]) -> Result<Outcome, BatchError> {
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(quick_repair);
    let before = version_in(&txn.open_table(META)?)?;
    if seeded::is(Bug::AckBeforeSync) && before % 2 == 1 {
        txn.set_quick_repair(false);
        let _unsynced = txn.set_durability(redb::Durability::None);
    }
    let outcome = apply(&txn, before, txns)?;
    if outcome.version == before {
        txn.abort()?;
        return Ok(outcome);
    }
    txn.open_table(META)?
        .insert(VERSION, record::encode(VERSION, outcome.version, &[]).as_slice())?;
    txn.commit().map_err(|error| BatchError::Commit(error.into()))?;
    Ok(outcome)
}

fn apply(txn: &WriteTransaction, before: Version, txns: &[&Txn]) -> Result<Outcome, redb::Error> {
    let mut records = txn.open_table(RECORDS)?;
    let mut outcome = Outcome {
        results: Vec::with_capacity(txns.len()),
        version: before,
    };
    for txn in txns {
        let checked = expectations(&records, txn)?;
        if checked.is_ok() && !txn.ops.is_empty() {
            outcome.version += 1;
            change(&mut records, outcome.version, txn)?;
        }
        let version = outcome.version;
        outcome.results.push(checked.map(|()| Committed { version }));
    }
    Ok(outcome)
}

/// The inner result is about this transaction, the outer one about the file.
fn expectations(
    records: &Table<'_, &[u8], &[u8]>,
    txn: &Txn,
) -> Result<Result<(), StoreError>, redb::StorageError> {
    for (key, expect) in &txn.expects {
        let found = match records.get(key.as_bytes())? {
            Some(bytes) => match record::decode_version(key.as_bytes(), bytes.value()) {
                Ok(version) => Some(version),
                Err(error) => return Ok(Err(error)),
            },
            None => None,
        };
        if let Err(error) = expect.check(key, found) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn change(
    records: &mut Table<'_, &'static [u8], &'static [u8]>,
    version: Version,
    txn: &Txn,
) -> Result<(), redb::StorageError> {
    for op in &txn.ops {
        match op {
            Op::Put { key, value } => {
                let bytes = record::encode(key.as_bytes(), version, value);
                records.insert(key.as_bytes(), bytes.as_slice())?;
            }
            Op::Delete { key } => drop(records.remove(key.as_bytes())?),
        }
    }
    Ok(())
}
