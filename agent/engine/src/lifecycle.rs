//! What is done with containers that exist: start, stop, restart, kill, pause, wake, remove.
//!
//! Service by service in the order of their dependencies, which the project tells or, without files, the containers'
//! labels; the containers of one step of that order at the same time.

mod order;
mod ready;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream};
use windflow_compose::model::Project;
use windflow_model::{Code, ContainerState, Failure, StackName};

use crate::{
    hooks::{self, When},
    targets::{ObserveQuery, ObservedContainer, Operation, Target, TargetError, Ticker},
};

/// Containers of one step at the same time.
const PARALLEL: usize = 10;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Start what does not run, dependencies first and waited for.
    Start,
    /// Stop, dependants first.
    Stop,
    /// Stop and start again, running or not; so also those that depend on it with `restart: true`.
    Restart,
    /// Send a signal.
    Kill {
        /// `SIGKILL`, `HUP`, `9`, ….
        signal: String,
        /// Also containers of services that the project does not know.
        orphans: bool,
    },
    /// Freeze.
    Pause,
    /// Wake.
    Unpause,
    /// Remove what does not run.
    Remove {
        /// With anonymous volumes.
        volumes: bool,
    },
}

/// A one-shot on the containers of a stack.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    /// The stack.
    pub stack: StackName,
    /// What to do.
    pub act: Act,
    /// Only these services; all if empty.
    pub services: Vec<String>,
    /// Time a container gets to stop; its own if `None`.
    pub timeout: Option<Duration>,
    /// Restart: leave those that depend on it alone.
    pub no_deps: bool,
    /// The project, where its files are at hand: then only its services count, and hooks are run.
    pub project: Option<Arc<Project>>,
    /// Only tell which containers are concerned.
    pub dry_run: bool,
}

impl Lifecycle {
    /// For all services, from labels alone.
    #[must_use]
    pub fn new(stack: StackName, act: Act) -> Self {
        Self {
            stack,
            act,
            services: Vec::new(),
            timeout: None,
            no_deps: false,
            project: None,
            dry_run: false,
        }
    }
}

/// Does it. Gives the names of the containers concerned.
///
/// # Errors
/// The first failure; what is under way at that moment ends first.
pub async fn run(target: &Arc<dyn Target>, order: &Lifecycle) -> Result<Vec<String>, Failure> {
    let query = ObserveQuery {
        project: order.stack.to_string(),
        ..ObserveQuery::default()
    };
    let observed = target.observe(&query).await?;
    let with_one_offs = matches!(order.act, Act::Kill { .. });
    let containers: Vec<ObservedContainer> = observed
        .containers
        .into_iter()
        .filter(|container| with_one_offs || !container.is_oneoff())
        .filter(|container| is_known(order, container))
        .collect();
    let graph = order::Graph::of(order, &containers);
    let chosen = graph.chosen(order);
    for service in &order.services {
        let known = containers.iter().any(|c| c.service() == Some(service))
            || order
                .project
                .as_ref()
                .is_some_and(|project| project.any_service(service).is_some());
        if !known {
            return Err(Failure::new(
                Code::NotFound,
                format!("no such service: {service}"),
            ));
        }
    }
    let mut done = Vec::new();
    for step in graph.steps(&chosen, order.act == Act::Stop) {
        done.extend(one_step(target, order, &containers, &graph, step).await?);
    }
    Ok(done)
}

fn is_known(order: &Lifecycle, container: &ObservedContainer) -> bool {
    let Some(project) = &order.project else {
        return true;
    };
    let service = container.service().unwrap_or_default();
    project.services.contains_key(service)
        || order.services.iter().any(|name| name == service)
        || matches!(order.act, Act::Kill { orphans: true, .. })
}

async fn one_step(
    target: &Arc<dyn Target>,
    order: &Lifecycle,
    containers: &[ObservedContainer],
    graph: &order::Graph,
    services: BTreeSet<String>,
) -> Result<Vec<String>, Failure> {
    if matches!(order.act, Act::Start | Act::Restart) {
        for service in &services {
            if !order.dry_run {
                ready::dependencies(target, order, graph, service).await?;
            }
            let has = containers.iter().any(|c| c.service() == Some(service));
            if order.act == Act::Start && !has && wants_some(order, service) {
                let text = format!("service {service} has no container to start");
                return Err(Failure::new(Code::NotFound, text));
            }
        }
    }
    let concerned: Vec<&ObservedContainer> = containers
        .iter()
        .filter(|container| {
            container
                .service()
                .is_some_and(|service| services.contains(service))
        })
        .filter(|container| concerns(&order.act, container))
        .collect();
    let names = concerned.iter().map(|container| container.name.clone()).collect();
    if order.dry_run {
        return Ok(names);
    }
    let mut work: Vec<BoxFuture<'_, Result<(), TargetError>>> = Vec::new();
    for container in concerned {
        work.push(Box::pin(act(target, order, container)));
    }
    let results: Vec<Result<(), TargetError>> = stream::iter(work).buffer_unordered(PARALLEL).collect().await;
    results.into_iter().collect::<Result<(), TargetError>>()?;
    Ok(names)
}

fn wants_some(order: &Lifecycle, service: &str) -> bool {
    let spec = order
        .project
        .as_ref()
        .and_then(|project| project.services.get(service));
    spec.is_some_and(|spec| spec.replicas() > 0)
}

/// Whether there is anything to do for it.
fn concerns(act: &Act, container: &ObservedContainer) -> bool {
    let (up, paused) = (container.is_up(), container.state == ContainerState::Paused);
    match act {
        Act::Start => !up || paused,
        Act::Stop | Act::Kill { .. } => up,
        Act::Restart => true,
        Act::Pause => up && !paused,
        Act::Unpause => paused,
        Act::Remove { .. } => !up,
    }
}

async fn act(
    target: &Arc<dyn Target>,
    order: &Lifecycle,
    container: &ObservedContainer,
) -> Result<(), TargetError> {
    let id = container.id.clone();
    let service = container.service().unwrap_or_default();
    let hook = |when: When| async move {
        match &order.project {
            Some(project) => hooks::run(target, project, service, &container.id, when).await,
            None => Ok(()),
        }
    };
    let stops = matches!(order.act, Act::Stop | Act::Restart);
    if stops && container.state == ContainerState::Running {
        hook(When::Stopping).await?;
    }
    let operation = match &order.act {
        Act::Start => Operation::Start {
            id,
            files: order.project.clone().map(|project| (project, service.to_owned())),
        },
        Act::Stop => Operation::Stop {
            id,
            timeout: order.timeout,
        },
        Act::Restart => Operation::Restart {
            id,
            timeout: order.timeout,
        },
        Act::Kill { signal, .. } => Operation::Kill {
            id,
            signal: signal.clone(),
        },
        Act::Pause => Operation::Pause { id },
        Act::Unpause => Operation::Unpause { id },
        Act::Remove { volumes } => Operation::Remove {
            id,
            volumes: *volumes,
        },
    };
    target.execute(&operation, Ticker::none()).await?;
    if matches!(order.act, Act::Start | Act::Restart) {
        hook(When::Started).await?;
    }
    Ok(())
}
