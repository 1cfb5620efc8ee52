//! The controller is killed before every transaction of a rollout, and every commit's answer is lost once: the rollout
//! goes on where it was and does the same as if nothing had happened.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use windflow_api::{RolloutCreate, RolloutView};
use windflow_kit::Clock;
use windflow_model::{
    AgentId, DeploymentEvent as E, RolloutState, SpecFile, StackSpec, Targets,
    rollout::{Amount, OnFailure, Pause, RolloutPlan},
};
use windflow_store::{
    BoxFuture, Committed, Integrity, Key, MemStore, Page, Prefix, Record, RedbOptions, RedbStore,
    SharedStore, Store, StoreError, Txn, Watch,
};

use super::{
    super::world::{NOW_MS, World, YAML, enrol_request},
    broken,
    crowd::{Answer, Host},
};
use crate::{app::records::AuditRecord, context::OpContext};

/// What happens to the transaction with the number zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// The controller is gone before it.
    Killed,
    /// It happens, and nobody hears of it.
    AnswerLost,
}

/// A real store that does what it should for so many transactions.
#[derive(Debug)]
struct Frail {
    inner: SharedStore,
    left: AtomicI64,
    blow: Blow,
}

impl Frail {
    fn alive(&self) -> Result<(), StoreError> {
        if self.blow == Blow::Killed && self.left.load(Ordering::Relaxed) < 0 {
            return Err(StoreError::Closed);
        }
        Ok(())
    }
}

impl Store for Frail {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            self.alive()?;
            self.inner.get(key).await
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            self.alive()?;
            self.inner.scan(prefix, after, limit).await
        })
    }

    fn scan_back<'a>(
        &'a self,
        prefix: &'a Prefix,
        before: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            self.alive()?;
            self.inner.scan_back(prefix, before, limit).await
        })
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            let number = self.left.fetch_sub(1, Ordering::Relaxed);
            self.alive()?;
            let done = self.inner.txn(txn).await;
            if number == 0 && self.blow == Blow::AnswerLost && done.is_ok() {
                return Err(StoreError::Unknown {
                    path: "redb".into(),
                    source: Arc::new(std::io::Error::other("lost")),
                });
            }
            done
        })
    }

    fn watch(&self, prefix: &Prefix) -> Watch {
        self.inner.watch(prefix)
    }

    fn integrity(&self) -> BoxFuture<'_, Result<Integrity, StoreError>> {
        self.inner.integrity()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // A store in memory is kept for the next start; one on disk is let go of.
        if Arc::strong_count(&self.inner) > 1 {
            return Box::pin(async {});
        }
        self.inner.close()
    }

    fn clock(&self) -> &Clock {
        self.inner.clock()
    }

    fn txn_door(&self) -> &dyn Store {
        self
    }
}

/// What one run came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    state: RolloutState,
    succeeded: u32,
    /// Which spec each host has in the end, by the first revision that carried it; 0 is none.
    has: Vec<u64>,
    /// Hosts that were never told, or not in time to change anything.
    unchanged: u32,
    /// What the audit says of the rollout.
    audit: Vec<String>,
}

struct Run {
    outcome: Outcome,
    /// Transactions from the creation on.
    transactions: i64,
    blows: u32,
}

const HOSTS: u8 = 6;

/// Opens what is on disk, as a new start of the controller does.
type Disk = Box<dyn Fn(&Clock) -> SharedStore>;

/// Kept in memory: a start is nothing but a new application.
fn in_memory() -> Disk {
    let kept: OnceLock<SharedStore> = OnceLock::new();
    Box::new(move |clock| {
        let new = || Arc::new(MemStore::new(clock.clone())) as SharedStore;
        Arc::clone(kept.get_or_init(new))
    })
}

/// On disk, closed and opened again.
fn on_disk() -> Disk {
    let dir = tempfile::tempdir().unwrap();
    Box::new(move |clock| {
        let options = RedbOptions {
            clock: clock.clone(),
            ..RedbOptions::default()
        };
        Arc::new(RedbStore::open(dir.path(), options).unwrap())
    })
}

async fn run(disk: Disk, fails: Option<usize>, blow: Blow, at: i64) -> Run {
    let op = OpContext::system("test");
    let clock = Clock::manual(NOW_MS);
    let open = |left: i64| -> Arc<Frail> {
        Arc::new(Frail {
            inner: disk(&clock),
            left: AtomicI64::new(left),
            blow,
        })
    };
    let mut store = open(i64::MAX);
    let mut world = World::over(Arc::clone(&store) as SharedStore, clock.clone());
    let spec = |yaml: &str| StackSpec {
        files: vec![SpecFile {
            path: "compose.yaml".into(),
            content: yaml.into(),
        }],
        ..StackSpec::default()
    };
    let name = "web".parse().unwrap();
    let stack = world.app.stack_create(&op, name, spec(YAML), None).await.unwrap();
    let id = stack.stack.id;
    let mut agents = Vec::new();
    for key in 0..HOSTS {
        use windflow_api::EnrolmentTokenCreate;
        let token = world
            .app
            .token_create(&op, EnrolmentTokenCreate::default())
            .await
            .unwrap();
        let request = enrol_request(token.1.expose(), key);
        agents.push(world.app.agent_enrol(request).await.unwrap().agent);
        clock.advance(Duration::from_secs(60));
    }
    // All but the last one have a revision already; so the last one goes back to nothing.
    let (had, answer): (_, Answer) = (agents[..5].to_vec(), Box::new(|_, _| Some(E::Succeeded)));
    let mut hosts: Vec<_> = agents.iter().map(|_| Host::default()).collect();
    let request = windflow_api::DeployRequest {
        agents: had,
        rev: None,
        pins: Vec::new(),
    };
    world.app.deployment_create(&op, id, request, None).await.unwrap();
    world.hosts.connected.lock().unwrap().clone_from(&agents);
    for (agent, host) in agents.iter().zip(&mut hosts) {
        host.serve(&world.app, *agent, &answer).await.unwrap();
    }
    let version = world.app.stack_view(&op, id).await.unwrap().version;
    let newer = spec("services: {web: {image: b}}");
    world.app.stack_update(&op, id, version, newer).await.unwrap();

    let bad = fails.map(|place| agents[place]);
    let answer: Answer = Box::new(move |agent, sent| {
        let fails = Some(agent) == bad && sent.rev.0 == 2;
        Some(if fails { broken() } else { E::Succeeded })
    });
    let create = RolloutCreate {
        stack: id,
        targets: Targets {
            agents: agents.clone(),
            ..Targets::default()
        },
        plan: RolloutPlan {
            canary: Some(Amount::Count(1)),
            wave: Amount::Count(3),
            pause: Pause::Time { seconds: 10 },
            gate_s: 5,
            on_failure: OnFailure::Rollback,
            ..RolloutPlan::default()
        },
        rev: None,
    };
    store.left.store(at, Ordering::Relaxed);
    let began = at;
    let (mut blows, mut transactions) = (0, 0);
    let mut made: Option<RolloutView> = None;
    let mut dead = false;
    for _ in 0..300 {
        if std::mem::take(&mut dead) {
            transactions += began - store.left.load(Ordering::Relaxed);
            blows += 1;
            store.close().await;
            drop((world, store));
            store = open(i64::MAX);
            world = World::over(Arc::clone(&store) as SharedStore, clock.clone());
            world.hosts.connected.lock().unwrap().clone_from(&agents);
            for (agent, host) in agents.iter().zip(&hosts) {
                host.resume(&world.app, *agent).await.unwrap();
            }
        }
        if made.is_none() {
            // Nobody got an answer: the caller looks, and asks again if there is none.
            let query = windflow_api::RolloutQuery::default();
            made = match world.app.rollout_list(&op, &query).await {
                Ok(list) if !list.items.is_empty() => list.items.into_iter().next(),
                Ok(_) => world.app.rollout_create(&op, create.clone(), None).await.ok(),
                Err(_) => None,
            };
            dead = made.is_none();
            continue;
        }
        dead = round(&world, &agents, &mut hosts, &answer).await;
        let Some(view) = &made else { continue };
        let Ok(now) = world.app.rollout_view(&op, view.rollout.id).await else {
            continue;
        };
        if now.rollout.state.is_terminal() && now.rollout.sealed.is_some() && !dead {
            break;
        }
        clock.advance(Duration::from_secs(5));
    }
    if blow == Blow::AnswerLost {
        blows = u32::from(store.left.load(Ordering::Relaxed) < 0);
    }
    if at == i64::MAX {
        transactions = began - store.left.load(Ordering::Relaxed);
    }
    let id_of = made.unwrap().rollout.id;
    let view = world.app.rollout_view(&op, id_of).await.unwrap();
    let audits = world
        .app
        .all::<AuditRecord>("test", &Prefix::of([op.org.to_string().as_str(), "audit"]))
        .await
        .unwrap();
    let audit = audits
        .into_iter()
        .filter(|one| one.value.object == id_of.to_string());
    let audit = audit.filter(|one| one.value.action != "rollout_take_back");
    let audit = audit.map(|one| format!("{} {}", one.value.action, one.value.detail));
    // Within a millisecond their order is not kept.
    let mut audit: Vec<_> = audit.collect();
    audit.sort();
    for host in &hosts {
        let revs: Vec<_> = host.sent().iter().map(|sent| sent.rev).collect();
        assert!(
            revs.is_sorted_by(|a, b| a < b),
            "sent twice or out of order: {revs:?}"
        );
    }
    let latest = world.app.stack_view(&op, id).await.unwrap().stack.latest_rev;
    assert_eq!(
        latest.0,
        2 + view.rollout.reverts.len() as u64,
        "a revision was minted twice"
    );
    let summary = view.summary;
    let outcome = Outcome {
        state: view.rollout.state.clone(),
        succeeded: summary.succeeded,
        has: hosts.iter().map(has).collect(),
        // Which of the two a host of the failing wave is depends on whether it was asked in time.
        unchanged: summary.untouched + summary.cancelled + summary.rolled_back,
        audit,
    };
    assert_eq!(view.rollout.sealed, Some(view.summary));
    store.close().await;
    drop((world, store));
    Run {
        outcome,
        transactions,
        blows,
    }
}

/// The spec that a host was told to run last. Revision 3 is the first one's again.
fn has(host: &Host) -> u64 {
    match host.sent().last() {
        Some(last) if last.want.is_absent() => 0,
        Some(last) if last.rev.0 == 3 => 1,
        Some(last) => last.rev.0,
        None => 0,
    }
}

/// `true` if the controller died.
async fn round(world: &World, agents: &[AgentId], hosts: &mut [Host], answer: &Answer) -> bool {
    if world.app.rollouts_advance().await.is_err() {
        return true;
    }
    for (agent, host) in agents.iter().zip(hosts) {
        if host.serve(&world.app, *agent, answer).await.is_err() {
            return true;
        }
    }
    false
}

/// Where a rollout stood when the controller was killed is told by the number of the transaction.
async fn sweep(disk: fn() -> Disk, every: usize) {
    for fails in [None, Some(2)] {
        let whole = run(disk(), fails, Blow::Killed, i64::MAX).await;
        let expected = if fails.is_some() {
            "rolled_back"
        } else {
            "succeeded"
        };
        assert_eq!(whole.outcome.state.name(), expected, "{:?}", whole.outcome);
        assert!(whole.transactions > 25, "{}", whole.transactions);
        for blow in [Blow::Killed, Blow::AnswerLost] {
            for at in (0..whole.transactions).step_by(every) {
                let struck = run(disk(), fails, blow, at).await;
                assert_eq!(struck.blows, 1, "{blow:?} at {at} did not strike");
                assert_eq!(struck.outcome, whole.outcome, "{blow:?} at {at}");
            }
        }
    }
}

#[tokio::test]
async fn killed_before_every_transaction_it_goes_on_where_it_was() {
    sweep(in_memory, 1).await;
}

#[tokio::test]
async fn killed_and_opened_again_from_disk() {
    sweep(on_disk, 12).await;
}
