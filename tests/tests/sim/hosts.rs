//! The processes of a run: the real controller and real agents, started as their `main` does, on simulated machines.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::sync::watch;
use windflow_agent::{
    enroll::{Identity, JoinRequest, join},
    link::LinkOptions,
};
use windflow_controller::{egress::EgressOptions, fleet::AdmissionOptions, jobs::Jobs, plane::PlaneOptions};
use windflow_engine::{EngineOptions, FakeOptions, FakeTarget};
use windflow_kit::{BackoffOptions, BoxError, Clock, OnFailure, Random, Secret, Stop, TaskSet};
use windflow_model::Inventory;
use windflow_store::SharedStore;
use windflow_tests::history::{History, What};
use windflow_transport::Network;

use crate::{
    disk::Disk,
    network::{Net, Weather},
    operator::{self, Request},
    store,
    strike::Strikes,
};

/// Hosts compare themselves more often than real ones: what is idle is simulated, too.
pub(crate) const DRIFT_EVERY: Duration = Duration::from_secs(15);

/// UDP port of the controller.
pub(crate) const PORT: u16 = 7443;

/// What all machines of a run share.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) seed: u64,
    /// Unix time at which the run begins, ms.
    pub(crate) begins_ms: i64,
    pub(crate) history: History,
    pub(crate) weather: Arc<Weather>,
    pub(crate) directory: Arc<Mutex<Directory>>,
    pub(crate) inbox: Arc<Mutex<VecDeque<(u64, Request)>>>,
    pub(crate) strikes: Strikes,
}

/// What the operator has learnt.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) pin: Option<String>,
    pub(crate) tokens: VecDeque<String>,
    /// What each request made.
    pub(crate) made: BTreeMap<u64, Vec<windflow_model::DeploymentId>>,
    pub(crate) stacks: BTreeMap<String, windflow_model::StackId>,
    pub(crate) agents: BTreeMap<String, windflow_model::AgentId>,
    /// Deployments that are not final, as the last list said.
    pub(crate) open: Option<usize>,
    /// Answers to requests.
    pub(crate) answered: u64,
}

/// A machine: what is left of it when its process is gone.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) ground: Ground,
    pub(crate) dir: PathBuf,
    pub(crate) disk: Disk,
    /// How far its clock is off, ms.
    pub(crate) clock_off: Arc<AtomicI64>,
    pub(crate) boots: Arc<AtomicU64>,
    /// The container engine of a host.
    pub(crate) target: Arc<Mutex<Option<Arc<FakeTarget>>>>,
}

impl Machine {
    pub(crate) fn new(name: &str, ground: &Ground, root: &std::path::Path) -> Self {
        let dir = root.join(name);
        fs_err::create_dir_all(&dir).unwrap();
        Self {
            name: name.to_owned(),
            ground: ground.clone(),
            dir,
            disk: Disk::default(),
            clock_off: Arc::default(),
            boots: Arc::default(),
            target: Arc::default(),
        }
    }

    fn clock(&self) -> Clock {
        let (history, off, begins) = (
            self.ground.history.clone(),
            Arc::clone(&self.clock_off),
            self.ground.begins_ms,
        );
        Clock::driven(move || {
            begins + i64::try_from(history.now()).unwrap_or(i64::MAX) + off.load(Ordering::Relaxed)
        })
    }

    /// For this life of this machine and for `what`: the same in every run of the seed.
    fn random(&self, what: &str) -> Random {
        let mut state = self.ground.seed ^ self.boots.load(Ordering::Relaxed).wrapping_mul(0x9e37_79b9);
        for byte in self.name.bytes().chain(what.bytes()) {
            state = state.rotate_left(5).wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
        }
        Random::seeded(state)
    }

    fn network(&self) -> Network {
        Network::simulated(Arc::new(Net {
            weather: Arc::clone(&self.ground.weather),
            random: self.random("network"),
        }))
    }

    fn starts(&self) {
        let boot = self.boots.fetch_add(1, Ordering::Relaxed) + 1;
        self.ground.history.note(&self.name, What::Started { boot });
    }
}

/// A panic that no task catches ends the process, and not the simulation.
async fn survived(process: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    let ended = std::panic::AssertUnwindSafe(process).catch_unwind().await;
    ended.unwrap_or_else(|_| Err("it panicked".into()))
}

/// A process that cannot start is started again by its service manager.
const AGAIN: Duration = Duration::from_secs(2);

pub(crate) async fn controller(machine: Machine) -> turmoil::Result {
    loop {
        machine.starts();
        if let Err(error) = survived(control(&machine)).await {
            let text = windflow_kit::error::Chain(&*error).to_string();
            machine
                .ground
                .history
                .fault(&machine.name, format!("ended: {text}"));
        }
        machine.disk.orphan();
        tokio::time::sleep(AGAIN).await;
    }
}

async fn control(machine: &Machine) -> Result<(), BoxError> {
    let (clock, random, ground) = (machine.clock(), machine.random("process"), &machine.ground);
    let store: SharedStore = store::open(machine, &clock, machine.random("disk"))?;
    let tasks = TaskSet::new(Stop::new(), random.clone());
    let plane = PlaneOptions {
        store,
        data_dir: machine.dir.clone(),
        clock,
        random,
        tasks: tasks.clone(),
        network: machine.network(),
        quic: SocketAddr::from(([0, 0, 0, 0], PORT)),
        names: vec!["controller".to_owned()],
        agent_certificate_life: Duration::from_secs(24 * 3_600),
        admission: AdmissionOptions::default(),
        egress: EgressOptions::default(),
        events: None,
        recordings: None,
    };
    let plane = plane.start().await?;
    Jobs::default().start(&plane.app, &tasks, machine.dir.join("setup-code"));
    ground.directory.lock().unwrap().pin = Some(plane.ca.pin());
    let stop = tasks.stop().clone();
    loop {
        let next = ground.inbox.lock().unwrap().pop_front();
        match next {
            Some((number, request)) => {
                let work = operator::serve(plane.app.clone(), ground.clone(), number, request);
                tasks.spawn("request", OnFailure::Log, work);
            }
            None => {
                let pause = tokio::time::sleep(Duration::from_millis(10));
                if stop.run(pause).await.is_none() {
                    let drained = tasks.drain(Duration::from_secs(5)).await;
                    return drained.failure.map_or(Ok(()), |failure| Err(failure.into()));
                }
            }
        }
    }
}

pub(crate) async fn agent(machine: Machine) -> turmoil::Result {
    loop {
        machine.starts();
        if let Err(error) = survived(host(&machine)).await {
            let text = windflow_kit::error::Chain(&*error).to_string();
            machine
                .ground
                .history
                .fault(&machine.name, format!("ended: {text}"));
        }
        machine.disk.orphan();
        tokio::time::sleep(AGAIN).await;
    }
}

async fn host(machine: &Machine) -> Result<(), BoxError> {
    let (clock, random, ground) = (machine.clock(), machine.random("process"), &machine.ground);
    let store = store::open(machine, &clock, machine.random("disk"))?;
    let target = engine_of(machine, &clock)?;
    let mut options = EngineOptions::new(store, machine.dir.join("work"), clock.clone(), random.clone());
    options.drift_every = DRIFT_EVERY;
    let (engine, handle) = options.build(target).await?;
    let tasks = TaskSet::new(Stop::new(), random.clone());
    tasks.spawn("engine", OnFailure::Exit, engine.run(tasks.stop().clone()));
    let network = machine.network();
    let identity = loop {
        if let Some(identity) = Identity::load(&machine.dir)? {
            break identity;
        }
        match joined(machine, &clock, &network).await {
            Ok(identity) => break identity,
            Err(error) => {
                ground
                    .history
                    .fault(&machine.name, format!("does not join: {error}"));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    let id = identity.membership.agent;
    let agent = id.to_string();
    ground.history.note(&machine.name, What::Joined { agent });
    ground
        .directory
        .lock()
        .unwrap()
        .agents
        .insert(machine.name.clone(), id);
    let policy = windflow_agent::policy::PolicyFile::new("/nowhere".into());
    let (_facts, inventory) = watch::channel(Arc::new(Inventory {
        hostname: machine.name.clone(),
        ..windflow_agent::host::inventory(&handle, &policy).await
    }));
    let options = LinkOptions {
        clock,
        random,
        build: windflow_kit::build::describe(),
        backoff: BackoffOptions::default(),
        network,
        // Nobody opens a terminal here.
        policy,
        intake: "/nowhere".into(),
    };
    let (link, _status) = options.build(handle, identity, inventory);
    tasks.spawn("link", OnFailure::Exit, link.run(tasks.stop().clone()));
    tasks.stop().stopped().await;
    let drained = tasks.drain(Duration::from_secs(5)).await;
    drained.failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// The engine lives on when the agent dies.
fn engine_of(machine: &Machine, clock: &Clock) -> Result<Arc<FakeTarget>, BoxError> {
    let target = Arc::new(FakeTarget::open(FakeOptions {
        file: Some(machine.dir.join("engine.json")),
        latency: Duration::from_millis(5),
        clock: clock.clone(),
    })?);
    *machine.target.lock().unwrap() = Some(Arc::clone(&target));
    Ok(target)
}

async fn joined(machine: &Machine, clock: &Clock, network: &Network) -> Result<Identity, BoxError> {
    let directory = &machine.ground.directory;
    let known = || {
        let mut known = directory.lock().unwrap();
        Some((known.pin.clone()?, known.tokens.pop_front()?))
    };
    let (pin, token) = loop {
        if let Some(known) = known() {
            break known;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let request = JoinRequest {
        address: format!("{}:{PORT}", turmoil::lookup("controller")),
        pins: vec![pin],
        token: Secret::new(token),
        hostname: machine.name.clone(),
        name: Some(machine.name.clone()),
        labels: BTreeMap::new(),
    };
    Ok(join(&machine.dir, request, clock, network).await?)
}
