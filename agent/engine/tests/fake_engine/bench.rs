//! An engine in memory, and a reader that holds every report against the state machine.

use std::{sync::Arc, time::Duration};

use windflow_engine::{
    ApplyOptions, EngineHandle, EngineOptions, FakeOptions, FakeTarget, LogStream, Order, Report, Source,
    Target,
};
use windflow_kit::{Clock, OnFailure, Random, Stop, TaskSet};
use windflow_model::{
    DeploymentId, DeploymentState, LogQuery, OpId, Rev, SpecFile, StackId, StackName, StackSpec, Want,
};
use windflow_store::{MemStore, Store};

pub(crate) struct Bench {
    pub(crate) handle: EngineHandle,
    pub(crate) target: Arc<FakeTarget>,
    pub(crate) store: Arc<dyn Store>,
    tasks: TaskSet,
    random: Random,
    clock: Clock,
    pub(crate) dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with_latency(Duration::from_millis(10)).await
    }

    pub(crate) async fn with_latency(latency: Duration) -> Self {
        Self::with(latency, None, |clock| Arc::new(MemStore::new(clock))).await
    }

    /// With a host in a file, beside which logs can be put.
    pub(crate) async fn with_host_in(folder: &std::path::Path) -> Self {
        let host = Some(folder.join("host.json"));
        Self::with(Duration::from_millis(10), host, |clock| {
            Arc::new(MemStore::new(clock))
        })
        .await
    }

    /// With a journal in a store of the test's own.
    pub(crate) async fn with_store(store: impl FnOnce(Clock) -> Arc<dyn Store>) -> Self {
        Self::with(Duration::from_millis(10), None, store).await
    }

    async fn with(
        latency: Duration,
        file: Option<std::path::PathBuf>,
        store: impl FnOnce(Clock) -> Arc<dyn Store>,
    ) -> Self {
        let clock = Clock::manual(1_795_264_511_042);
        let target = FakeTarget::open(FakeOptions {
            file,
            latency,
            clock: clock.clone(),
        })
        .unwrap();
        let store = store(clock.clone());
        let dir = tempfile::tempdir().unwrap();
        Self::on(Arc::new(target), store, clock, Random::seeded(7), dir).await
    }

    async fn on(
        target: Arc<FakeTarget>,
        store: Arc<dyn Store>,
        clock: Clock,
        random: Random,
        dir: tempfile::TempDir,
    ) -> Self {
        let options = EngineOptions::new(
            Arc::clone(&store),
            dir.path().join("stacks"),
            clock.clone(),
            random.clone(),
        );
        let (engine, handle) = options
            .build(Arc::clone(&target) as Arc<dyn Target>)
            .await
            .unwrap();
        let tasks = TaskSet::new(Stop::new(), random.clone());
        tasks.spawn("engine", OnFailure::Log, engine.run(tasks.stop().clone()));
        Self {
            handle,
            target,
            store,
            tasks,
            random,
            clock,
            dir,
        }
    }

    /// Ends the engine in the middle of what it does, and starts another on the same journal and host.
    pub(crate) async fn restart(self) -> Self {
        drop(self.handle);
        let drained = self.tasks.drain(Duration::from_secs(40)).await;
        assert!(drained.unfinished.is_empty(), "{:?}", drained.unfinished);
        // The same source of randomness: another one with the seed would give operations of this life the ids of the last.
        Self::on(self.target, self.store, self.clock, self.random, self.dir).await
    }

    /// The same, but nothing gets to its end: what is in hand is dropped.
    pub(crate) async fn killed(self) -> Self {
        drop(self.handle);
        self.tasks.drain(Duration::ZERO).await;
        Self::on(self.target, self.store, self.clock, self.random, self.dir).await
    }

    pub(crate) fn uuid(&self) -> uuid::Uuid {
        self.random.uuid_v7(&self.clock).unwrap()
    }

    pub(crate) fn order(&self, stack: &str, rev: u64, yaml: &str) -> Order {
        let mut spec = StackSpec {
            files: vec![SpecFile {
                path: "compose.yaml".into(),
                content: yaml.into(),
            }],
            ..StackSpec::default()
        };
        spec.policy.health_timeout_s = 60;
        Order {
            stack: stack.parse().unwrap(),
            owner: Some(StackId::from_uuid(uuid::Uuid::from_u128(
                u128::try_from(stack.len()).unwrap(),
            ))),
            deployment: Some(DeploymentId::from_uuid(self.uuid())),
            rev: Rev(rev),
            op: OpId::from_uuid(self.uuid()),
            want: Want::Present,
            digest: spec.digest(),
            spec,
            source: Source::Files,
            options: ApplyOptions::default(),
        }
    }

    pub(crate) async fn run(&self, order: Order) -> DeploymentState {
        let (stack, op) = (order.stack.clone(), order.op);
        self.handle.apply(order).await.unwrap();
        self.ended(&stack, op).await
    }

    /// A deploy that goes well.
    pub(crate) async fn deployed(&self, stack: &str, rev: u64, yaml: &str) {
        let state = self.run(self.order(stack, rev, yaml)).await;
        assert_eq!(state, DeploymentState::Succeeded, "{stack} {rev}: {yaml}");
    }

    /// A reader of all output of `web`, from now on and before.
    pub(crate) async fn follow(&self) -> LogStream {
        let query = LogQuery {
            stack: Some("web".into()),
            follow: true,
            ..LogQuery::default()
        };
        self.handle.logs(query).await.unwrap()
    }

    /// The final state of an operation, from its reports; every report on the way must be a legal step.
    pub(crate) async fn ended(&self, stack: &StackName, op: OpId) -> DeploymentState {
        let mut changed = self.handle.reports_changed();
        let (mut state, mut after) = (DeploymentState::Offered, 0);
        let wait = async {
            loop {
                changed.borrow_and_update();
                for report in self.reports(after) {
                    after = report.seq;
                    if report.op == op && report.stack == *stack {
                        let next = state.next(&report.event);
                        state = next.unwrap_or_else(|error| panic!("{error}: {:#?}", self.reports(0)));
                    }
                }
                if state.is_terminal() {
                    return state;
                }
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(600), wait)
            .await
            .expect("the operation ends")
    }

    pub(crate) fn reports(&self, after: u64) -> Vec<Report> {
        self.handle.reports(after, 1_000)
    }

    /// Names of the containers of a stack with their states.
    pub(crate) async fn containers(&self, stack: &str) -> Vec<(String, windflow_model::ContainerState)> {
        let list = self.target.containers().await.unwrap();
        let mine = list
            .into_iter()
            .filter(|container| container.project.as_deref() == Some(stack));
        mine.map(|container| (container.name, container.state)).collect()
    }

    pub(crate) async fn names(&self, stack: &str) -> Vec<String> {
        self.containers(stack)
            .await
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    /// Revisions of the containers of a stack.
    pub(crate) async fn revs(&self, stack: &str) -> Vec<u64> {
        let list = self.target.containers().await.unwrap();
        let mine = list
            .into_iter()
            .filter(|one| one.project.as_deref() == Some(stack));
        let mut revs: Vec<u64> = mine.filter_map(|one| one.rev).map(|rev| rev.0).collect();
        revs.sort_unstable();
        revs
    }

    /// Waits until something holds, in simulated time.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        for _ in 0..6_000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never: {what}");
    }

    pub(crate) async fn end(self) {
        let drained = self.tasks.drain(Duration::from_secs(40)).await;
        assert!(drained.unfinished.is_empty(), "{:?}", drained.unfinished);
    }
}
