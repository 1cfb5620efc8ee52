//! The real store on a simulated disk, slow as a disk is, with what it commits written down.

use std::{sync::Arc, time::Duration};

use windflow_kit::{Clock, Random};
use windflow_store::{
    BoxFuture, Committed, Integrity, Key, Op, Page, Prefix, Record, RedbStore, Store, StoreError, Txn, Watch,
};

use windflow_tests::{evidence::of_record, history::History};

/// Longest time of a commit, on either side of its becoming durable: a crash may fall into both.
const SLOW_MS: u64 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct SlowStore {
    pub(crate) inner: RedbStore,
    pub(crate) random: Random,
    pub(crate) who: String,
    pub(crate) history: History,
}

impl SlowStore {
    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(self.random.up_to(SLOW_MS))).await;
    }

    fn note(&self, ops: &[Op]) {
        for op in ops {
            if let Op::Put { key, value } = op
                && let Some(what) = of_record(key, value)
            {
                self.history.note(&self.who, what);
            }
        }
    }
}

impl Store for SlowStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.inner.scan(prefix, after, limit)
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            self.wait().await;
            let ops = txn.ops().to_vec();
            let committed = self.inner.txn(txn).await;
            match &committed {
                Ok(_) => self.note(&ops),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => self.history.fault(&self.who, format!("store: {error}")),
            }
            self.wait().await;
            committed
        })
    }

    fn watch(&self, prefix: &Prefix) -> Watch {
        self.inner.watch(prefix)
    }

    fn integrity(&self) -> BoxFuture<'_, Result<Integrity, StoreError>> {
        self.inner.integrity()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }

    fn clock(&self) -> &Clock {
        self.inner.clock()
    }

    fn txn_door(&self) -> &dyn Store {
        self
    }
}

/// The store of a process that starts on this disk.
pub(crate) fn open(
    disk: &crate::disk::Disk,
    who: &str,
    clock: &Clock,
    random: &Random,
    history: &History,
) -> Result<Arc<SlowStore>, StoreError> {
    let options = windflow_store::RedbOptions {
        cache_bytes: 1 << 20,
        clock: clock.clone(),
        ..windflow_store::RedbOptions::default()
    };
    Ok(Arc::new(SlowStore {
        inner: RedbStore::simulated(disk.open(), options)?,
        random: random.clone(),
        who: who.to_owned(),
        history: history.clone(),
    }))
}
