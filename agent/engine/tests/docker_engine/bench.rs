//! An engine on a scratch journal, and a look at the host past it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard::{
    Docker,
    models::{ContainerSummary, Network},
    query_parameters::{
        ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions,
        RemoveVolumeOptions,
    },
};
use windflow_engine::{
    ApplyOptions, DockerOptions, DockerTarget, Engine, EngineHandle, EngineOptions, Order, Source, Target,
};
use windflow_kit::{Clock, OnFailure, Random, Stop, TaskSet};
use windflow_model::{DeploymentState, OpId, Rev, SpecFile, StackName, StackSpec, Want};
use windflow_store::{RedbOptions, RedbStore, Store};

/// Removes whatever a project has left when the test ends, also by a panic. It asks the engine under test to stop first,
/// or that would repair what is removed.
pub(crate) struct Guard {
    project: String,
    stop: Stop,
    /// Volumes that no label ties to the project.
    volumes: Mutex<BTreeSet<String>>,
}

impl Guard {
    pub(crate) fn new(project: &str, stop: Stop) -> Self {
        let project = project.to_owned();
        let volumes = Mutex::default();
        Self {
            project,
            stop,
            volumes,
        }
    }

    /// Removes these volumes too.
    pub(crate) fn also(&self, volumes: Vec<String>) {
        self.volumes.lock().unwrap().extend(volumes);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.trigger();
        let project = self.project.clone();
        let volumes = std::mem::take(&mut *self.volumes.lock().unwrap());
        // A thread with a runtime of its own: this one may be on its way down.
        let swept = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let docker = Docker::connect_with_unix_defaults().unwrap();
                let clean = async {
                    // Twice in a row: a request of the engine under test may still be on its way.
                    let mut clean = 0;
                    while clean < 2 {
                        clean = if sweep(&docker, &project).await {
                            clean + 1
                        } else {
                            0
                        };
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    for volume in &volumes {
                        let _ = docker.remove_volume(volume, None::<RemoveVolumeOptions>).await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(60), clean).await
            })
        });
        if !matches!(swept.join(), Ok(Ok(()))) {
            eprintln!("LEFT BEHIND: something of the project {}", self.project);
        }
    }
}

/// The engine under test and the host it works on.
pub(crate) struct Bench {
    pub(crate) handle: EngineHandle,
    pub(crate) docker: Docker,
    pub(crate) stack: StackName,
    tasks: TaskSet,
    rev: u64,
    _guard: Guard,
    dir: tempfile::TempDir,
}

/// `None`, with a line for the reader, where no engine answers.
pub(crate) async fn docker() -> Option<Docker> {
    let docker = Docker::connect_with_unix_defaults().ok()?;
    if docker.ping().await.is_ok() {
        return Some(docker);
    }
    assert!(
        std::env::var("WINDFLOW_TEST_DOCKER").as_deref() != Ok("1"),
        "no Docker engine answers at DOCKER_HOST or /var/run/docker.sock"
    );
    eprintln!("SKIPPED: no Docker engine answers at DOCKER_HOST or /var/run/docker.sock");
    None
}

/// An engine on a journal in `dir`. `dir/docker` is its directory of the Docker client's configuration.
pub(crate) async fn engine(dir: &Path) -> (Engine, EngineHandle) {
    engine_with(dir, None).await
}

async fn engine_with(dir: &Path, pull_stall: Option<Duration>) -> (Engine, EngineHandle) {
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(dir.join("state"), RedbOptions::default()).unwrap());
    // The engine that the test itself looks at.
    let options = DockerOptions {
        host: std::env::var("DOCKER_HOST").ok(),
        client_config: Some(dir.join("docker")),
        pull_stall,
        ..DockerOptions::default()
    };
    let target: Arc<dyn Target> = Arc::new(DockerTarget::connect(options).unwrap());
    let options = EngineOptions::new(store, dir.join("stacks"), Clock::system(), Random::system());
    options.build(target).await.unwrap()
}

impl Bench {
    pub(crate) async fn start(name: &str) -> Option<Self> {
        Self::start_with(name, None).await
    }

    /// `pull_stall`: how long a pull may stand still.
    pub(crate) async fn start_with(name: &str, pull_stall: Option<Duration>) -> Option<Self> {
        let docker = docker().await?;
        let _ = windflow_kit::trace::init("off", windflow_kit::trace::Format::Human);
        let stack: StackName = format!("wft-engine-{name}").parse().unwrap();
        sweep(&docker, stack.as_str()).await;
        let dir = tempfile::tempdir().unwrap();
        let (engine, handle) = engine_with(dir.path(), pull_stall).await;
        let tasks = TaskSet::new(Stop::new(), Random::system());
        let guard = Guard::new(stack.as_str(), tasks.stop().clone());
        tasks.spawn("engine", OnFailure::Log, engine.run(tasks.stop().clone()));
        let (mut progress, told_stop) = (handle.progress(), tasks.stop().clone());
        tasks.spawn("test-progress", OnFailure::Log, async move {
            while let Some(Ok(told)) = told_stop.run(progress.recv()).await {
                tracing::debug!(event = ?told.event, "progress");
            }
        });
        Some(Self {
            handle,
            docker,
            stack,
            tasks,
            rev: 0,
            _guard: guard,
            dir,
        })
    }

    pub(crate) fn order(&mut self, yaml: &str, want: Want) -> Order {
        self.rev += 1;
        order(&self.stack, self.rev, yaml, want)
    }

    /// Applies and waits for the end.
    pub(crate) async fn apply(&mut self, yaml: &str) -> DeploymentState {
        let order = self.order(yaml, Want::Present);
        self.run(order).await
    }

    pub(crate) async fn run(&self, order: Order) -> DeploymentState {
        let op = order.op;
        self.handle.apply(order).await.unwrap();
        ended(&self.handle, &self.stack, op).await
    }

    pub(crate) async fn containers(&self) -> Vec<ContainerSummary> {
        containers(&self.docker, self.stack.as_str()).await
    }

    /// The scratch directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Container ids by name.
    pub(crate) async fn ids(&self) -> BTreeMap<String, String> {
        let list = self.containers().await.into_iter();
        list.map(|container| (name(&container), container.id.unwrap_or_default()))
            .collect()
    }

    /// The engine must stop in time; the guard removes what is left.
    pub(crate) async fn end(self) {
        let drained = self.tasks.drain(Duration::from_secs(20)).await;
        assert!(drained.unfinished.is_empty(), "{:?}", drained.unfinished);
    }
}

pub(crate) fn name(container: &ContainerSummary) -> String {
    container
        .names
        .iter()
        .flatten()
        .next()
        .map(|name| name.trim_start_matches('/').to_owned())
        .unwrap_or_default()
}

pub(crate) fn order(stack: &StackName, rev: u64, yaml: &str, want: Want) -> Order {
    let mut spec = StackSpec {
        files: vec![SpecFile {
            path: "compose.yaml".into(),
            content: yaml.into(),
        }],
        ..StackSpec::default()
    };
    spec.policy.health_timeout_s = 30;
    Order {
        stack: stack.clone(),
        owner: None,
        deployment: None,
        rev: Rev(rev),
        op: OpId::from_uuid(Random::system().uuid_v7(&Clock::system()).unwrap()),
        want,
        digest: spec.digest(),
        spec,
        source: Source::Files,
        options: ApplyOptions::default(),
    }
}

/// Waits for the end of an operation, at most a minute.
pub(crate) async fn ended(handle: &EngineHandle, stack: &StackName, op: OpId) -> DeploymentState {
    let mut changed = handle.reports_changed();
    let wait = async {
        loop {
            changed.borrow_and_update();
            let held = handle.held().into_iter().find(|held| held.stack == *stack);
            match held {
                Some(held) if held.op == op && held.state.is_terminal() => return held.state,
                _ => changed.changed().await.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .expect("the operation ends")
}

fn by_project(project: &str) -> Option<HashMap<String, Vec<String>>> {
    Some(HashMap::from([(
        "label".to_owned(),
        vec![format!("com.docker.compose.project={project}")],
    )]))
}

pub(crate) async fn containers(docker: &Docker, project: &str) -> Vec<ContainerSummary> {
    let options = ListContainersOptions {
        all: true,
        filters: by_project(project),
        ..Default::default()
    };
    let mut list = docker.list_containers(Some(options)).await.unwrap();
    list.sort_by_key(name);
    list
}

/// Names of its networks; two of one name are two.
pub(crate) async fn networks(docker: &Docker, project: &str) -> Vec<String> {
    let list = network_list(docker, project).await.into_iter();
    list.filter_map(|network| network.name).collect()
}

async fn network_list(docker: &Docker, project: &str) -> Vec<Network> {
    let options = ListNetworksOptions {
        filters: by_project(project),
    };
    docker.list_networks(Some(options)).await.unwrap()
}

pub(crate) async fn volumes(docker: &Docker, project: &str) -> Vec<String> {
    let options = ListVolumesOptions {
        filters: by_project(project),
    };
    let list = docker.list_volumes(Some(options)).await.unwrap();
    list.volumes
        .unwrap_or_default()
        .into_iter()
        .map(|volume| volume.name)
        .collect()
}

/// Removes whatever a project has left; true if that was nothing.
pub(crate) async fn sweep(docker: &Docker, project: &str) -> bool {
    let (containers, networks, volumes) = (
        containers(docker, project).await,
        network_list(docker, project).await,
        volumes(docker, project).await,
    );
    for container in &containers {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            link: false,
        };
        let _ = docker
            .remove_container(container.id.as_deref().unwrap_or_default(), Some(options))
            .await;
    }
    for network in &networks {
        let _ = docker
            .remove_network(network.id.as_deref().unwrap_or_default())
            .await;
    }
    for volume in &volumes {
        let _ = docker.remove_volume(volume, None::<RemoveVolumeOptions>).await;
    }
    containers.is_empty() && networks.is_empty() && volumes.is_empty()
}
