//! Transactions: what must hold, and what then changes.

use std::{collections::BTreeSet, fmt};

use crate::{
    error::StoreError,
    key::Key,
    record::{Record, Version},
};

/// Most operations, and most expectations, of one transaction. etcd's default limit is 128.
pub const MAX_OPS: usize = 100;
/// Most bytes of one value. etcd's default limit is 1.5 MiB per request.
pub const MAX_VALUE: usize = 1 << 20;
/// Most bytes of one key.
pub const MAX_KEY: usize = 1024;
/// Most bytes of all keys and values of one transaction: bounds what waits for a commit.
pub const MAX_TXN_BYTES: usize = 8 << 20;
/// Most records of one page of a scan.
pub const MAX_SCAN: usize = 1_000;

/// What a transaction expects of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is no record.
    Absent,
    /// There is a record, of whatever version.
    Present,
    /// The record was written by this commit.
    Version(Version),
}

impl Expect {
    /// That the record is as it was read: absent, or of that version.
    #[must_use]
    pub fn as_read(record: Option<&Record>) -> Self {
        record.map_or(Self::Absent, |record| Self::Version(record.version))
    }

    pub(crate) fn check(self, key: &Key, found: Option<Version>) -> Result<(), StoreError> {
        let holds = match self {
            Self::Absent => found.is_none(),
            Self::Present => found.is_some(),
            Self::Version(version) => found == Some(version),
        };
        if holds {
            Ok(())
        } else {
            Err(StoreError::Conflict {
                key: key.clone(),
                expected: self,
                found,
            })
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("none"),
            Self::Present => f.write_str("any version"),
            Self::Version(version) => write!(f, "version {version}"),
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a record, new or over an old one.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Vec<u8>,
    },
    /// Removes a record; nothing if there is none.
    Delete {
        /// Where.
        key: Key,
    },
}

impl Op {
    /// The key it changes.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Expectations and changes that happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    pub(crate) expects: Vec<(Key, Expect)>,
    pub(crate) ops: Vec<Op>,
}

/// A transaction that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Version of every record it wrote. A transaction without changes gets the version of the last commit.
    pub version: Version,
}

impl Txn {
    /// Nothing expected, nothing changed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Demands something of a record, whether it is changed or not.
    #[must_use]
    pub fn expect(mut self, key: Key, expect: Expect) -> Self {
        self.expects.push((key, expect));
        self
    }

    /// Writes a record.
    #[must_use]
    pub fn put(mut self, key: Key, value: impl Into<Vec<u8>>) -> Self {
        self.ops.push(Op::Put {
            key,
            value: value.into(),
        });
        self
    }

    /// Writes a record that must not be there yet.
    #[must_use]
    pub fn create(self, key: Key, value: impl Into<Vec<u8>>) -> Self {
        self.expect(key.clone(), Expect::Absent).put(key, value)
    }

    /// Writes over a record that must still have this version.
    #[must_use]
    pub fn update(self, key: Key, version: Version, value: impl Into<Vec<u8>>) -> Self {
        self.expect(key.clone(), Expect::Version(version)).put(key, value)
    }

    /// Removes a record.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.ops.push(Op::Delete { key });
        self
    }

    /// The changes, in order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub(crate) fn bytes(&self) -> usize {
        let ops = self.ops.iter().map(|op| match op {
            Op::Put { key, value } => key.as_bytes().len() + value.len(),
            Op::Delete { key } => key.as_bytes().len(),
        });
        ops.sum::<usize>()
            + self
                .expects
                .iter()
                .map(|(key, _)| key.as_bytes().len())
                .sum::<usize>()
    }

    /// Holds the transaction against the limits; every backend calls it first.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        within(
            "the number of operations in one transaction",
            self.ops.len(),
            MAX_OPS,
        )?;
        within(
            "the number of expectations in one transaction",
            self.expects.len(),
            MAX_OPS,
        )?;
        within(
            "the size of one transaction in bytes",
            self.bytes(),
            MAX_TXN_BYTES,
        )?;
        for (key, _) in &self.expects {
            within("the length of a key in bytes", key.as_bytes().len(), MAX_KEY)?;
        }
        let mut seen = BTreeSet::new();
        for op in &self.ops {
            within("the length of a key in bytes", op.key().as_bytes().len(), MAX_KEY)?;
            if let Op::Put { value, .. } = op {
                within("the size of a value in bytes", value.len(), MAX_VALUE)?;
            }
            if !seen.insert(op.key()) {
                return Err(StoreError::Twice {
                    key: op.key().clone(),
                });
            }
        }
        Ok(())
    }
}

const fn within(what: &'static str, size: usize, limit: usize) -> Result<(), StoreError> {
    if size <= limit {
        Ok(())
    } else {
        Err(StoreError::TooLarge { what, size, limit })
    }
}
