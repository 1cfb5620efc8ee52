//! The journal alone, on a store that can be made to lose answers.

mod history;
mod moves;
mod orders;
mod record;
mod reports;
mod steps;

use std::sync::PoisonError;

use uuid::Uuid;
use windflow_kit::Random;
use windflow_model::{Code, DeploymentId, Rev, SpecFile, StackId, StackSpec, Want};
use windflow_store::{BoxFuture, Committed, Integrity, MemStore, Page, Record, Watch};

use super::{accept::Accepted, *};
use crate::order::{Acceptance, ApplyOptions, Order, Source};

const START_MS: i64 = 1_795_264_511_042;

/// What becomes of the next transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trick {
    /// It is written, and nobody hears of it.
    AnswerLost,
    /// It is not written, and nobody hears of that.
    RequestLost,
    /// There is no room for it.
    Full,
}

#[derive(Debug)]
struct Awkward {
    inner: MemStore,
    next: std::sync::Mutex<Option<Trick>>,
}

impl Awkward {
    fn will(&self, trick: Trick) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(trick);
    }
}

impl Store for Awkward {
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
        let trick = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            let path = std::path::PathBuf::from("journal");
            if trick == Some(Trick::Full) {
                return Err(StoreError::Full { path });
            }
            if trick != Some(Trick::RequestLost) {
                let committed = self.inner.txn(txn).await?;
                if trick.is_none() {
                    return Ok(committed);
                }
            }
            let source = Arc::new(std::io::Error::other("no answer"));
            Err(StoreError::Unknown { path, source })
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

/// A journal, and the orders of one stack of the controller.
struct Desk {
    journal: Journal,
    store: Arc<Awkward>,
    view: Arc<View>,
    clock: Clock,
}

fn web() -> StackName {
    "web".parse().unwrap()
}

/// The operation of a revision, unless a test says otherwise.
fn op(rev: u64) -> OpId {
    OpId::from_uuid(Uuid::from_u128(u128::from(rev) + 100))
}

fn failure() -> Failure {
    Failure::new(Code::ImagePull, "no such image")
}

fn order(rev: u64) -> Order {
    let spec = StackSpec {
        files: vec![SpecFile {
            path: "compose.yaml".into(),
            content: format!("# {rev}\nservices: {{ a: {{ image: x }} }}"),
        }],
        ..StackSpec::default()
    };
    Order {
        stack: web(),
        owner: Some(StackId::from_uuid(Uuid::from_u128(1))),
        deployment: Some(DeploymentId::from_uuid(Uuid::from_u128(u128::from(rev) + 200))),
        rev: Rev(rev),
        op: op(rev),
        want: Want::Present,
        digest: spec.digest(),
        spec,
        source: Source::Files,
        options: ApplyOptions::default(),
    }
}

/// The same of a stack of local mode.
fn local(rev: u64) -> Order {
    Order {
        owner: None,
        deployment: None,
        ..order(rev)
    }
}

fn removal(rev: u64) -> Order {
    Order {
        want: Want::Absent,
        ..order(rev)
    }
}

impl Desk {
    async fn open() -> Self {
        let clock = Clock::manual(START_MS);
        let store = Arc::new(Awkward {
            inner: MemStore::new(clock.clone()),
            next: std::sync::Mutex::default(),
        });
        Self::on(store, clock).await
    }

    async fn on(store: Arc<Awkward>, clock: Clock) -> Self {
        let view = Arc::new(View::default());
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        let random = Random::seeded(3);
        let journal = Journal::open(shared, Arc::clone(&view), clock.clone(), &random)
            .await
            .unwrap();
        Self {
            journal,
            store,
            view,
            clock,
        }
    }

    /// The next life of the agent.
    async fn again(self) -> Self {
        Self::on(self.store, self.clock).await
    }

    async fn accept(&self, order: &Order, running: Option<OpId>) -> Accepted {
        self.journal.accept(order, running).await.unwrap()
    }

    async fn event(&self, rev: u64, event: DeploymentEvent) -> Moved {
        self.journal.event(&web(), op(rev), event, None).await.unwrap()
    }

    async fn finish(&self, rev: u64, event: DeploymentEvent) -> Moved {
        let steps = Steps::default();
        let ended = self.journal.finish(&web(), op(rev), event, &steps, None).await;
        ended.unwrap()
    }

    /// Takes an order and lets it end well.
    async fn done(&self, order: &Order) {
        assert_eq!(self.accept(order, None).await.acceptance, Acceptance::Accepted);
        let moved = self.finish(order.rev.0, DeploymentEvent::Succeeded).await;
        assert_eq!(moved, Moved::Yes, "{}", order.rev);
    }

    async fn record(&self) -> StackRecord {
        self.journal.record(&web()).await.unwrap()
    }

    /// What waits for the controller: number, revision, event.
    fn reports(&self) -> Vec<(u64, u64, DeploymentEvent)> {
        let state = self.view.state();
        let reports = state.reports.iter();
        reports
            .map(|(seq, report)| {
                assert_eq!(*seq, report.seq);
                (*seq, report.rev.0, report.event.clone())
            })
            .collect()
    }
}
