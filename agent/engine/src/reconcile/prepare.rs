//! What a plan is made from: the project of the order, and the host.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use windflow_compose::Loaded;
use windflow_kit::blocking;
use windflow_model::{Code, ContainerState, Failure, Want};

use super::context::{Early, Shared};
use crate::{
    load,
    order::Order,
    plan::{self, ContentDigests, Known, Mode, PlanInput, Planned, RemovalInput, Stamp},
    targets::{ObserveQuery, Observed, ObservedContainer, Operation, TargetError, TargetErrorKind, Ticker},
};

/// Longest wait for removals that are under way.
const REMOVAL: Duration = Duration::from_secs(60);
/// Containers asked for their settings at the same time.
const AT_ONCE: usize = 8;
/// Between two looks at them.
const LOOK: Duration = Duration::from_millis(200);

/// The project of an order; `write` puts its files where containers mount them from.
pub(super) async fn loaded(shared: &Arc<Shared>, order: &Order, write: bool) -> Result<Loaded, Early> {
    let read = read(shared, order, write).await?;
    if let Some(files) = read.files.filter(|_| write) {
        let project = windflow_compose::print::yaml(&read.loaded.project);
        shared.journal.read_from(order, files, &project).await?;
    }
    Ok(read.loaded)
}

async fn read(shared: &Arc<Shared>, order: &Order, write: bool) -> Result<load::Read, Early> {
    let (order, work_dir) = (order.clone(), shared.options.work_dir.clone());
    let work = blocking::run(move || {
        let read = load::load(&order, &work_dir)?;
        if write {
            load::materialise(&order, &work_dir)?;
        }
        Ok::<_, Failure>(read)
    });
    match work.await {
        Ok(read) => Ok(read?),
        Err(error) => Err(Failure::new(
            Code::HostFailure,
            format!("loading the project broke off: {error}"),
        )
        .into()),
    }
}

/// What a plan is made from, but the host.
pub(super) async fn input(
    shared: &Arc<Shared>,
    order: &Order,
    loaded: Loaded,
    mode: Mode,
) -> Result<PlanInput, Early> {
    let project = Arc::new(loaded.project);
    let (secret, of) = (*shared.journal.secret(), Arc::clone(&project));
    let digests = blocking::run(move || {
        ContentDigests::of(&of, &secret, |path| {
            match fs_err::read(path) {
                Ok(bytes) => Ok(Some(bytes)),
                // It may be there for the engine, which has the last word when it mounts the file.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Failure::new(Code::HostFailure, error.to_string())),
            }
        })
    });
    let contents = match digests.await {
        Ok(contents) => contents?,
        Err(error) => {
            return Err(
                Failure::new(Code::HostFailure, format!("reading configs broke off: {error}")).into(),
            );
        }
    };
    Ok(PlanInput {
        project,
        locations: loaded.locations,
        options: order.options.clone(),
        policy: order.spec.policy.clone(),
        stamp: Stamp {
            stack: order.stack.clone(),
            rev: order.rev,
            op: order.op,
        },
        contents,
        mode,
        fetched: BTreeSet::new(),
        now: shared.options.clock.now_ms().div_euclid(1000),
    })
}

/// What is there, once nothing is being removed any more: what goes away is neither there nor gone.
pub(super) async fn settled(shared: &Arc<Shared>, query: &ObserveQuery) -> Result<Observed, Early> {
    let since = Instant::now();
    loop {
        let observed = shared.target.observe(query).await?;
        let going = |container: &ObservedContainer| container.state == ContainerState::Removing;
        if since.elapsed() > REMOVAL || !observed.containers.iter().any(going) {
            return Ok(observed);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Brings stops to their end that were asked for and that nobody has seen end: by a life of the agent that was killed, or
/// over a connection that broke. The engine may still be at it, and a container that is kept because it runs would end a
/// moment later. What is wanted is started again by the plan that is made then.
pub(super) async fn stops_ended(shared: &Arc<Shared>, order: &Order) -> Result<(), Early> {
    let asked = shared.journal.ending(&order.stack);
    if asked.is_empty() {
        return Ok(());
    }
    let there = settled(shared, &label_query(order)).await?;
    let up: BTreeSet<_> = there
        .containers
        .into_iter()
        .filter(ObservedContainer::is_up)
        .map(|one| one.id)
        .collect();
    let stack = &order.stack;
    let end = async |id: String| {
        if up.contains(&id) {
            tracing::info!(%stack, container = %id, "a stop of this container may still be under way: ending it first");
            let stop = Operation::Stop {
                id: id.clone(),
                timeout: None,
            };
            match shared.target.execute(&stop, Ticker::none()).await {
                Err(error) if error.kind != TargetErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        shared.journal.ended(stack, &id);
        Ok(())
    };
    let mut ends = stream::iter(asked.into_iter().map(end)).buffer_unordered(AT_ONCE);
    while let Some(ended) = ends.next().await {
        ended?;
    }
    Ok(())
}

/// [`settled`], with what it takes to say why containers are replaced.
pub(super) async fn seen(
    shared: &Arc<Shared>,
    input: &PlanInput,
    query: &ObserveQuery,
) -> Result<Observed, Early> {
    let mut observed = settled(shared, query).await?;
    let asked = stream::iter(plan::unexplained(input, &observed))
        .map(|id| async move { Ok::<_, TargetError>((shared.target.settings(&id).await?, id)) })
        .buffer_unordered(AT_ONCE);
    let told: BTreeMap<String, _> = asked
        .map_ok(|(settings, id)| (id, settings))
        .try_collect()
        .await?;
    for container in &mut observed.containers {
        if let Some(settings) = told.get(&container.id) {
            container.settings.clone_from(settings);
        }
    }
    Ok(observed)
}

pub(super) fn label_query(order: &Order) -> ObserveQuery {
    ObserveQuery {
        project: order.stack.to_string(),
        ..ObserveQuery::default()
    }
}

/// The plan of a removal.
pub(super) async fn removal(shared: &Arc<Shared>, order: &Order) -> Result<Planned, Early> {
    let observed = settled(shared, &label_query(order)).await?;
    // Orphans can only be told where the file is there to tell.
    let known = match order.options.remove_orphans {
        Some(_) => loaded(shared, order, false).await.ok(),
        None => None,
    };
    let services = known.map(|known| Known {
        enabled: known.project.services.into_keys().collect(),
        disabled: known.project.disabled_services.into_keys().collect(),
    });
    debug_assert!(order.want != Want::Present);
    let input = RemovalInput {
        stack: order.stack.clone(),
        want: order.want,
        options: order.options.clone(),
        services,
        remove_orphans: order.options.remove_orphans.unwrap_or(true),
    };
    Ok(plan::removal(&input, &observed))
}
