//! The store: versioned records under byte-string keys, changed by compare-and-swap.
//!
//! - [`Store`] is the whole contract: `get`, `scan`, `txn`, `watch`, leases, `integrity`. It is object-safe; a backend
//!   is chosen at run time and shared as [`SharedStore`].
//! - [`MemStore`] for tests, [`RedbStore`] for products, `SledStore` behind the feature `sled` (not durable across a
//!   power cut; see its module).
//! - [`Table`] puts JSON documents with a schema number on top.
//! - [`store_suite!`] is the one conformance suite; it runs over every backend.
//!
//! What every backend promises:
//! - A transaction that returned `Ok` survives a crash and a power cut. One that returned [`StoreError::Unknown`], or
//!   whose future was dropped, may have happened: read again before deciding.
//! - Every record carries a checksum over key, version and value, verified on every read. A flipped bit is
//!   [`StoreError::Corrupt`], never a wrong value.
//! - Versions rise strictly with every commit and are never reused, also for deleted keys.
//! - [`Watch`] means "look again". It carries no data and may wake for nothing.
//!
//! Small on purpose: at most [`MAX_OPS`] operations a transaction, [`MAX_VALUE`] bytes a value, so that an etcd backend
//! fits the same contract. Logs, metrics and blobs never enter it.
#![forbid(unsafe_code)]

mod error;
mod key;
mod lease;
mod mem;
mod record;
mod redb;
#[cfg(feature = "sled")]
mod sled;
mod store;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
mod table;
#[cfg(test)]
mod tests;
mod txn;
mod watch;

#[cfg(feature = "sled")]
pub use self::sled::SledStore;
pub use self::{
    error::StoreError,
    key::{Key, Prefix},
    lease::Lease,
    mem::MemStore,
    record::{Record, Version},
    redb::{RedbOptions, RedbStore, SimulatedDisk},
    store::{BoxFuture, Integrity, Page, SharedStore, Store},
    table::{Entry, EntryPage, Table},
    txn::{Committed, Expect, MAX_KEY, MAX_OPS, MAX_SCAN, MAX_TXN_BYTES, MAX_VALUE, Op, Txn},
    watch::Watch,
};
