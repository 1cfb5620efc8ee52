//! The contract.

use std::{fmt, sync::Arc, time::Duration};

pub use futures_util::future::BoxFuture;
use windflow_kit::Clock;

use crate::{
    error::StoreError,
    key::{Key, Prefix},
    lease::{self, Lease},
    record::Record,
    txn::{Committed, Txn},
    watch::Watch,
};

/// A store chosen at run time.
pub type SharedStore = Arc<dyn Store>;

/// Versioned records, changed by compare-and-swap. The promises are in the crate's documentation.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// One record.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged record; [`StoreError::Unavailable`], [`StoreError::Damaged`],
    /// [`StoreError::Closed`].
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// Records below a prefix in the order of their keys, after a key, at most `limit` (capped at
    /// [`crate::MAX_SCAN`], at least 1). A page may be shorter than `limit` where values are large: go by
    /// [`Page::next`]. Each page is one moment; several pages are not.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// As [`Store::scan`], from the last key to the first: records before a key. [`Page::next`] is the next `before`.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan_back<'a>(
        &'a self,
        prefix: &'a Prefix,
        before: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// Checks all expectations and, if they hold, makes all changes durable; otherwise changes nothing. If the future
    /// is dropped the transaction may still happen.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::TooLarge`], [`StoreError::Twice`], [`StoreError::Full`] and
    /// [`StoreError::Unavailable`]: nothing was changed. [`StoreError::Unknown`]: read again before deciding.
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// Wakes when something below the prefix may have changed. Make the watch, *then* read, then wait.
    fn watch(&self, prefix: &Prefix) -> Watch;

    /// Verifies everything there is; reads and writes may wait meanwhile. For `doctor` and tests.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the file is beyond repair; otherwise as [`Store::get`] without `Corrupt`.
    fn integrity(&self) -> BoxFuture<'_, Result<Integrity, StoreError>>;

    /// Finishes what is queued and lets go of files and locks. Later calls answer [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;

    /// The clock leases expire by.
    fn clock(&self) -> &Clock;

    /// Takes `key` for `ttl` in the name of `holder`, unless somebody else holds it and has not let it expire.
    ///
    /// # Errors
    /// [`StoreError::Held`]; otherwise as [`Store::txn`].
    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(lease::acquire(self.txn_door(), key, holder, ttl))
    }

    /// Extends a lease to `ttl` from now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: it had expired and somebody else has taken it; stop what it protects.
    fn lease_renew<'a>(
        &'a self,
        lease: &'a mut Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(lease::renew(self.txn_door(), lease, ttl))
    }

    /// Gives a lease back. Nothing happens if somebody else has it by now.
    ///
    /// # Errors
    /// As [`Store::txn`].
    fn lease_release(&self, lease: Lease) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(lease::release(self.txn_door(), lease))
    }

    /// This store as a trait object; every backend returns `self`.
    fn txn_door(&self) -> &dyn Store;
}

/// A piece of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The records, by key; from the last one on if the scan was one from the end.
    pub records: Vec<(Key, Record)>,
    /// Where to go on (`after`, or `before` of a scan from the end), if there may be more.
    pub next: Option<Key>,
}

/// What a check of everything found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Integrity {
    /// Records read.
    pub records: u64,
    /// Damaged ones among them, at most 100 of them named.
    pub corrupt: Vec<Key>,
    /// Whether the file had to be repaired around the records.
    pub repaired: bool,
}

impl Integrity {
    /// Whether nothing was found.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.corrupt.is_empty() && !self.repaired
    }

    /// Notes one record; `decoded` is the result of opening it.
    pub(crate) fn note(&mut self, key: &[u8], whole: bool) {
        self.records += 1;
        if !whole && self.corrupt.len() < 100 {
            self.corrupt.push(Key::from_bytes(key));
        }
    }
}

/// Most bytes of values in one page: bounds what a scan holds in memory.
pub(crate) const PAGE_BYTES: usize = 8 << 20;

/// Collects a page from records in order of keys, wherever they come from.
pub(crate) fn page_of<E>(
    records: impl Iterator<Item = Result<(Key, Record), E>>,
    limit: usize,
) -> Result<Page, E> {
    let limit = limit.clamp(1, crate::MAX_SCAN);
    let (mut page, mut bytes) = (Page::default(), 0);
    for record in records {
        if page.records.len() >= limit || bytes >= PAGE_BYTES {
            page.next = page.records.last().map(|(key, _)| key.clone());
            break;
        }
        let (key, record) = record?;
        bytes += record.value.len() + key.as_bytes().len();
        page.records.push((key, record));
    }
    Ok(page)
}
