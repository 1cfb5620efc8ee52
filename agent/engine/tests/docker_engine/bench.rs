//! An engine on a scratch journal, and a look at the host past it.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bollard::{
    Docker,
    models::ContainerSummary,
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

/// The engine under test and the host it works on.
pub(crate) struct Bench {
    pub(crate) handle: EngineHandle,
    pub(crate) docker: Docker,
    pub(crate) stack: StackName,
    tasks: TaskSet,
    rev: u64,
    _dir: tempfile::TempDir,
}

/// `None`, with a line for the reader, where no engine answers.
pub(crate) async fn docker() -> Option<Docker> {
    let docker = Docker::connect_with_unix_defaults().ok()?;
    if docker.ping().await.is_ok() {
        return Some(docker);
    }
    assert!(
        std::env::var("WINDFLOW_TEST_DOCKER").as_deref() != Ok("1"),
        "no Docker engine answers at /var/run/docker.sock"
    );
    eprintln!("SKIPPED: no Docker engine answers at /var/run/docker.sock");
    None
}

/// An engine on a journal in `dir`.
pub(crate) async fn engine(dir: &Path) -> (Engine, EngineHandle) {
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(dir.join("state"), RedbOptions::default()).unwrap());
    let target: Arc<dyn Target> = Arc::new(DockerTarget::connect(DockerOptions::default()).unwrap());
    let options = EngineOptions::new(store, dir.join("stacks"), Clock::system(), Random::system());
    options.build(target).await.unwrap()
}

impl Bench {
    pub(crate) async fn start(name: &str) -> Option<Self> {
        let docker = docker().await?;
        let stack: StackName = format!("wft-engine-{name}").parse().unwrap();
        sweep(&docker, stack.as_str()).await;
        let dir = tempfile::tempdir().unwrap();
        let (engine, handle) = engine(dir.path()).await;
        let tasks = TaskSet::new(Stop::new(), Random::system());
        tasks.spawn("engine", OnFailure::Log, engine.run(tasks.stop().clone()));
        Some(Self {
            handle,
            docker,
            stack,
            tasks,
            rev: 0,
            _dir: dir,
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

    /// Container ids by name.
    pub(crate) async fn ids(&self) -> BTreeMap<String, String> {
        let list = self.containers().await.into_iter();
        list.map(|container| (name(&container), container.id.unwrap_or_default()))
            .collect()
    }

    pub(crate) async fn end(self) {
        sweep(&self.docker, self.stack.as_str()).await;
        let drained = self.tasks.drain(Duration::from_secs(20)).await;
        assert!(drained.unfinished.is_empty(), "{:?}", drained.unfinished);
        sweep(&self.docker, self.stack.as_str()).await;
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

pub(crate) async fn networks(docker: &Docker, project: &str) -> Vec<String> {
    let options = ListNetworksOptions {
        filters: by_project(project),
    };
    docker
        .list_networks(Some(options))
        .await
        .unwrap()
        .into_iter()
        .filter_map(|network| network.name)
        .collect()
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

/// Removes whatever a project has left.
pub(crate) async fn sweep(docker: &Docker, project: &str) {
    for container in containers(docker, project).await {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            link: false,
        };
        let _ = docker
            .remove_container(container.id.as_deref().unwrap_or_default(), Some(options))
            .await;
    }
    for network in networks(docker, project).await {
        let _ = docker.remove_network(&network).await;
    }
    for volume in volumes(docker, project).await {
        let _ = docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await;
    }
}
