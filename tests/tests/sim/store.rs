//! The real store on a simulated disk, slow as a disk is, with what it commits written down.

use std::{sync::Arc, time::Duration};

use windflow_kit::{Clock, Random};
use windflow_store::{
    BoxFuture, Committed, Integrity, Key, Op, Page, Prefix, Record, RedbStore, Store, StoreError, Txn, Watch,
};

use windflow_tests::{evidence::of_record, history::History};

use crate::{
    hosts::Machine,
    strike::{How, Strikes},
};

/// Longest time of a commit, on either side of its becoming durable: a crash may fall into both.
const SLOW_MS: u64 = 4;

/// How long a transaction that is held up takes.
const HELD_UP: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct SlowStore {
    pub(crate) inner: RedbStore,
    pub(crate) random: Random,
    pub(crate) who: String,
    pub(crate) history: History,
    pub(crate) strikes: Strikes,
}

impl SlowStore {
    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(self.random.up_to(SLOW_MS))).await;
    }

    /// What the transaction comes to, if the blow falls before it is written.
    async fn struck_before(&self, how: Option<How>) -> Option<Result<Committed, StoreError>> {
        match how? {
            How::KilledBefore => self.dies(how).await,
            How::FailsUnwritten => return Some(Err(self.unknown())),
            How::Full => {
                return Some(Err(StoreError::Full {
                    path: self.who.clone().into(),
                }));
            }
            How::Slow => tokio::time::sleep(HELD_UP).await,
            How::Panics => panic!("a blow"),
            How::KilledAfter | How::PowerCutAfter | How::FailsWritten => {}
        }
        None
    }

    /// The world takes the machine down before its next step; until then nothing goes on here.
    async fn dies(&self, how: Option<How>) {
        self.strikes.dooms(&self.who, how == Some(How::PowerCutAfter));
        std::future::pending::<()>().await;
    }

    fn unknown(&self) -> StoreError {
        StoreError::Unknown {
            path: self.who.clone().into(),
            source: Arc::new(std::io::Error::other("a blow")),
        }
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

    fn scan_back<'a>(
        &'a self,
        prefix: &'a Prefix,
        before: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.inner.scan_back(prefix, before, limit)
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            self.wait().await;
            let ops = txn.ops().to_vec();
            let how = self.strikes.meets(&self.who, &ops);
            if let Some(how) = how {
                self.history
                    .fault("world", format!("a blow at {}: {how:?}", self.who));
            }
            if let Some(ended) = self.struck_before(how).await {
                return ended;
            }
            let committed = self.inner.txn(txn).await;
            match &committed {
                Ok(_) => self.note(&ops),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => self.history.fault(&self.who, format!("store: {error}")),
            }
            match how {
                Some(How::KilledAfter | How::PowerCutAfter) => self.dies(how).await,
                Some(How::FailsWritten) => return Err(self.unknown()),
                _ => {}
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

/// The store of a process that starts on this machine.
pub(crate) fn open(machine: &Machine, clock: &Clock, random: Random) -> Result<Arc<SlowStore>, StoreError> {
    let options = windflow_store::RedbOptions {
        cache_bytes: 1 << 20,
        clock: clock.clone(),
        ..windflow_store::RedbOptions::default()
    };
    Ok(Arc::new(SlowStore {
        inner: RedbStore::simulated(machine.disk.open(), options)?,
        random,
        who: machine.name.clone(),
        history: machine.ground.history.clone(),
        strikes: machine.ground.strikes.clone(),
    }))
}
