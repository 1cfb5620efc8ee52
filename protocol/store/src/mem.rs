//! Records in memory: for tests, and for `--target fake` runs that keep nothing.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use windflow_kit::Clock;

use crate::{
    error::StoreError,
    key::{Key, Prefix},
    record::{Record, Version},
    store::{BoxFuture, Integrity, Page, Store, page_of},
    txn::{Committed, Op, Txn},
    watch::{Watch, Watchers},
};

/// A store that forgets everything when dropped.
#[derive(Debug, Default)]
pub struct MemStore {
    state: Mutex<State>,
    watchers: Watchers,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Key, Record>,
    version: Version,
    closed: bool,
}

impl MemStore {
    /// An empty store whose leases expire by `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            Err(StoreError::Closed)
        } else {
            Ok(state)
        }
    }

    fn commit(&self, txn: Txn) -> Result<Committed, StoreError> {
        txn.check()?;
        let mut state = self.open()?;
        for (key, expect) in &txn.expects {
            expect.check(key, state.records.get(key).map(|record| record.version))?;
        }
        if txn.ops.is_empty() {
            return Ok(Committed {
                version: state.version,
            });
        }
        state.version += 1;
        let version = state.version;
        let mut changed = Vec::with_capacity(txn.ops.len());
        for op in txn.ops {
            changed.push(op.key().clone());
            match op {
                Op::Put { key, value } => drop(state.records.insert(key, Record { value, version })),
                Op::Delete { key } => drop(state.records.remove(&key)),
            }
        }
        drop(state);
        self.watchers.notify(changed.iter(), version);
        Ok(Committed { version })
    }

    fn page(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        let state = self.open()?;
        let first = Key::from_bytes(prefix.as_bytes());
        let start = match after {
            Some(after) if *after >= first => Bound::Excluded(after.clone()),
            _ => Bound::Included(first),
        };
        let below = state
            .records
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| prefix.holds(key));
        page_of(
            below.map(|(key, record)| Ok((key.clone(), record.clone()))),
            limit,
        )
    }

    fn page_back(&self, prefix: &Prefix, before: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        let state = self.open()?;
        let first = Bound::Included(Key::from_bytes(prefix.as_bytes()));
        let top = prefix.top(before).map(|top| Key::from_bytes(&top));
        let below = state
            .records
            .range((first, top.map_or(Bound::Unbounded, Bound::Excluded)));
        page_of(
            below.rev().map(|(key, record)| Ok((key.clone(), record.clone()))),
            limit,
        )
    }
}

impl Store for MemStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move { Ok(self.open()?.records.get(key).cloned()) })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move { self.page(prefix, after, limit) })
    }

    fn scan_back<'a>(
        &'a self,
        prefix: &'a Prefix,
        before: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move { self.page_back(prefix, before, limit) })
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move { self.commit(txn) })
    }

    fn watch(&self, prefix: &Prefix) -> Watch {
        let watch = self.watchers.add(prefix);
        if self.open().is_err() {
            self.watchers.close();
        }
        watch
    }

    fn integrity(&self) -> BoxFuture<'_, Result<Integrity, StoreError>> {
        Box::pin(async move {
            let records = u64::try_from(self.open()?.records.len()).unwrap_or(u64::MAX);
            Ok(Integrity {
                records,
                ..Integrity::default()
            })
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
            self.watchers.close();
        })
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn txn_door(&self) -> &dyn Store {
        self
    }
}
