//! A store whose disk is full for a moment, and what must not be lost by it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use windflow_kit::Clock;
use windflow_model::{DeploymentState, Rev};
use windflow_store::{
    BoxFuture, Committed, Integrity, Key, MemStore, Op, Page, Prefix, Record, Store, StoreError, Txn, Watch,
};

use crate::bench::Bench;

/// Has no room for the first transaction that says that something was replaced.
#[derive(Debug)]
struct Filling {
    inner: MemStore,
    full: Arc<AtomicBool>,
}

impl Store for Filling {
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
        let says = |op: &Op| match op {
            Op::Put { value, .. } => String::from_utf8_lossy(value).contains("superseded"),
            Op::Delete { .. } => false,
        };
        if txn.ops().iter().any(says) && self.full.swap(false, Ordering::Relaxed) {
            let path = "journal".into();
            return Box::pin(std::future::ready(Err(StoreError::Full { path })));
        }
        self.inner.txn(txn)
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

/// The disk is full when a revision that was replaced stops, and has room again for the next one: the end of the first is told
/// all the same.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_replaced_revision_is_told_when_there_is_room_again() {
    let full = Arc::new(AtomicBool::new(true));
    let bench = Bench::with_store(|clock| {
        Arc::new(Filling {
            inner: MemStore::new(clock),
            full: Arc::clone(&full),
        })
    })
    .await;
    let slow = |n: u64| format!("services: {{ a: {{ image: fake/slow, environment: {{ N: '{n}' }} }} }}");
    let orders = [1, 2, 3].map(|rev| bench.order("web", rev, &slow(rev)));
    let begun = async |op| {
        bench
            .until("it is at work", || async {
                let held = bench.handle.held();
                let held = held.iter().find(|held| held.op == op);
                held.is_some_and(|held| {
                    matches!(
                        held.state,
                        DeploymentState::Applying { .. } | DeploymentState::Verifying
                    )
                })
            })
            .await;
    };
    bench.handle.apply(orders[0].clone()).await.unwrap();
    begun(orders[0].op).await;
    bench.handle.apply(orders[1].clone()).await.unwrap();
    begun(orders[1].op).await;
    assert!(!full.load(Ordering::Relaxed), "the disk was never full");
    bench.handle.apply(orders[2].clone()).await.unwrap();
    for order in &orders[..2] {
        let ended = bench.ended(&order.stack, order.op).await;
        assert!(
            matches!(ended, DeploymentState::Superseded { by } if by > order.rev),
            "{}: {ended:?}",
            order.rev
        );
    }
    assert_eq!(
        bench.ended(&orders[2].stack, orders[2].op).await,
        DeploymentState::Succeeded,
        "{}",
        Rev(3)
    );
    bench.end().await;
}
