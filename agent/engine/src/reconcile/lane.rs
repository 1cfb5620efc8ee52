//! What one lane does: bring the held revision about, or repair.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use windflow_compose::model::Project;
use windflow_kit::{BackoffOptions, Chain, Stop};
use windflow_model::{
    Code, DeploymentEvent, DeploymentState, Failure, OpId, Plan, ResourceKind, StackName, Step,
};

use super::{
    back,
    context::{Early, Kind, Run, Shared, World},
    exec,
    prepare::{input, loaded, removal, seen, settled, stops_ended},
    tidy,
};
use crate::{
    journal::Moved,
    order::{ApplyError, Order},
    plan::{self, Mode, Phase, Planned},
};

/// Between two attempts while the engine does not answer.
pub(super) const RETRY: BackoffOptions =
    BackoffOptions::between(Duration::from_millis(200), Duration::from_secs(5));

/// How often a host that is not as planned is planned for, in one go.
pub(super) const WAYS: u32 = 3;

/// What a lane is for.
#[derive(Debug)]
pub(super) enum Job {
    /// Bring the held revision about.
    Deploy { op: OpId },
    /// Bring back what went missing, or tidy up where no revision stands.
    Repair { killed: BTreeSet<String> },
}

/// A lane has ended.
#[derive(Debug)]
pub(super) struct LaneEnd {
    pub(super) stack: StackName,
}

/// Tells the loop even if the lane panics.
struct Tell {
    stack: StackName,
    ends: mpsc::Sender<LaneEnd>,
}

impl Drop for Tell {
    fn drop(&mut self) {
        // The queue is as long as lanes are likely to be many; a lost end would leave the stack without a lane.
        if self
            .ends
            .try_send(LaneEnd {
                stack: self.stack.clone(),
            })
            .is_err()
        {
            tracing::error!(stack = %self.stack, "the end of a lane was lost; restart the agent");
        }
    }
}

pub(super) async fn run(
    shared: Arc<Shared>,
    stack: StackName,
    job: Job,
    halt: Stop,
    ends: mpsc::Sender<LaneEnd>,
) {
    let _tell = Tell {
        stack: stack.clone(),
        ends,
    };
    let ended = match job {
        Job::Deploy { op } => deploy(&shared, &stack, op, &halt).await,
        Job::Repair { killed } => repair(&shared, &stack, killed, &halt).await,
    };
    if let Err(error) = ended {
        tracing::error!(%stack, error = %Chain(&error), "the journal cannot be used; trying again");
        halt.run(tokio::time::sleep(Duration::from_secs(2))).await;
    }
}

async fn deploy(
    shared: &Arc<Shared>,
    stack: &StackName,
    op: OpId,
    halt: &Stop,
) -> Result<(), crate::journal::JournalError> {
    let Some(record) = shared
        .journal
        .record(stack)
        .await
        .filter(|record| record.op == op)
    else {
        return Ok(());
    };
    let Some(order) = shared.journal.order(stack, record.rev).await? else {
        let failure = Failure::new(
            Code::HostFailure,
            format!("the journal has lost the files of {stack} {}", record.rev),
        );
        let event = DeploymentEvent::Failed { failure };
        shared
            .journal
            .finish(stack, op, event, &windflow_model::Steps::default(), None)
            .await?;
        return Ok(());
    };
    let run = Arc::new(Run::new(Arc::clone(shared), order, halt.clone(), Kind::Deploy));
    for (_, entry) in shared
        .journal
        .steps(stack, op)
        .await?
        .into_iter()
        .filter(|(_, entry)| entry.done.is_none())
    {
        run.note(format!("was interrupted and is looked at again: {}", entry.what));
    }
    if let DeploymentState::RollingBack { failure, to } = record.state {
        // Killed on the way back: it goes on from what is there.
        let to = to.or(record.good).unwrap_or_default();
        return back::run(&run, failure, to, halt).await;
    }
    let bound = Duration::from_secs(u64::from(run.order.spec.policy.health_timeout_s.clamp(1, 600)));
    let mut delays = RETRY.build(shared.options.random.clone());
    let mut silent_since: Option<Instant> = None;
    loop {
        let failure = match attempt(&run).await {
            Ok(world) => {
                run.close();
                let event = DeploymentEvent::Succeeded;
                shared
                    .journal
                    .finish(stack, op, event, &run.steps(), Some(world))
                    .await?;
                return Ok(());
            }
            Err(Early::Halted) => return Ok(()),
            Err(Early::Journal(error)) => return Err(error),
            Err(Early::Failed(failure) | Early::Moved(failure) | Early::Left(failure)) => failure,
            Err(Early::Back { failure, to }) => return back::run(&run, failure, to, halt).await,
            Err(Early::Unreachable(failure)) => {
                let since = *silent_since.get_or_insert_with(|| {
                    let text = format!("{}; trying again for {} s", failure.message, bound.as_secs());
                    run.note(text);
                    Instant::now()
                });
                if since.elapsed() < bound {
                    tracing::warn!(%stack, failure = %failure.message, "engine does not answer; trying again");
                    if halt.run(tokio::time::sleep(delays.next_delay())).await.is_none() {
                        return Ok(());
                    }
                    continue;
                }
                failure
            }
        };
        // It has changed nothing, but found the host between two revisions: the last good one is better than that.
        let record = shared.journal.record(stack).await;
        if record.is_some_and(|record| record.op == op && record.loose && !record.touched)
            && let Some(to) = back::possible(&run, &Project::default(), None).await
        {
            return back::run(&run, failure, to, halt).await;
        }
        run.close();
        let event = DeploymentEvent::Failed { failure };
        shared
            .journal
            .finish(stack, op, event, &run.steps(), None)
            .await?;
        return Ok(());
    }
}

/// Ways through, until the host is as planned. Gives the digest of the world it left.
async fn attempt(run: &Arc<Run>) -> Result<String, Early> {
    // One plan and nothing else: what is not as planned is not planned for anew.
    let ways = if run.order.options.pin.is_some() { 1 } else { WAYS };
    for _ in 1..ways {
        let why = match way(run, false).await {
            Ok(Some(world)) => return Ok(world),
            Ok(None) => "it is not as planned".to_owned(),
            Err(Early::Moved(failure)) => failure.message,
            Err(early) => return Err(early),
        };
        run.note(format!(
            "the host changed meanwhile and is looked at again: {why}"
        ));
    }
    way(run, true).await?.ok_or_else(|| {
        let text = format!(
            "{} keeps changing on this host while it is deployed: something else works on it",
            run.order.stack
        );
        Early::Failed(Failure::new(Code::WorldMoved, text))
    })
}

/// One way through: load, observe, plan, carry out, look again. `None` if the host is not as planned: a request of an
/// earlier life of the agent, killed with the request on its way, may have come through after the look.
async fn way(run: &Arc<Run>, last: bool) -> Result<Option<String>, Early> {
    moved(run, DeploymentEvent::Preparing).await?;
    stops_ended(&run.shared, &run.order).await?;
    if run.order.want.is_absent() {
        let planned = removal(&run.shared, &run.order).await?;
        expected(run, &planned).await?;
        // Its hooks, if the files are still there to tell them.
        let known = loaded(&run.shared, &run.order, false).await.ok();
        let world = World {
            project: Arc::new(known.map(|known| known.project).unwrap_or_default()),
        };
        exec::carry_out(run, &world, Arc::new(planned), exec::Start::Plain, last).await?;
        let rest = removal(&run.shared, &run.order).await?;
        let container = |step: &Step| step.resource.kind == ResourceKind::Container;
        return Ok((!rest.plan.steps.iter().any(container)).then_some(rest.plan.pin.steps));
    }
    let loaded = loaded(&run.shared, &run.order, true).await?;
    for warning in &loaded.warnings {
        run.note(warning.to_string());
    }
    let mut input = input(&run.shared, &run.order, loaded, Mode::Deploy).await?;
    let query = plan::query(&input.project);
    let world = World {
        project: Arc::clone(&input.project),
    };
    let observed = seen(&run.shared, &input, &query).await?;
    let mut planned = plan::plan(&input, &observed)?;
    let pinned = expected(run, &planned).await?;
    let mut start = exec::Start::Plain;
    if planned.work.iter().any(|work| work.phase() == Phase::Images) {
        // Images first: only then is it known which containers change.
        let images = Arc::new(planned);
        let fetched = exec::images(run, &world, &images).await?;
        input.fetched = fetched.names;
        let observed = seen(&run.shared, &input, &query).await?;
        let rest = plan::plan(&input, &observed)?;
        if pinned {
            plan::same_after_images(&images.plan, &rest.plan)?;
        }
        planned = images.with_images_done(rest);
        start = exec::Start::ImagesDone(fetched.steps);
    }
    let idle = planned.plan.is_empty();
    exec::carry_out(run, &world, Arc::new(planned), start, last).await?;
    if idle {
        // Nothing was done: the host is as it was just seen.
        return Ok(Some(plan::world_digest(&observed)));
    }
    let left = settled(&run.shared, &query).await?;
    input.mode = Mode::Repair {
        killed: BTreeSet::new(),
    };
    let rest = plan::plan(&input, &left)?;
    Ok(rest.plan.is_empty().then(|| plan::world_digest(&left)))
}

async fn repair(
    shared: &Arc<Shared>,
    stack: &StackName,
    killed: BTreeSet<String>,
    halt: &Stop,
) -> Result<(), crate::journal::JournalError> {
    let Some(record) = shared
        .journal
        .record(stack)
        .await
        .filter(|record| record.is_tended())
    else {
        return Ok(());
    };
    let steady = record.steady();
    let Some(order) = shared.journal.order(stack, steady.unwrap_or(record.rev)).await? else {
        return Ok(());
    };
    let run = Arc::new(Run::new(Arc::clone(shared), order, halt.clone(), Kind::Repair));
    let ended = match steady {
        Some(_) => mend(&run, killed).await,
        None => tidy::run(&run).await,
    };
    match ended {
        Ok(()) | Err(Early::Halted) => Ok(()),
        Err(Early::Journal(error)) => Err(error),
        Err(
            Early::Unreachable(failure)
            | Early::Moved(failure)
            | Early::Failed(failure)
            | Early::Left(failure)
            | Early::Back { failure, .. },
        ) => {
            tracing::warn!(%stack, failure = %failure, "a repair did not work out; it is tried again later");
            Ok(())
        }
    }
}

async fn mend(run: &Arc<Run>, killed: BTreeSet<String>) -> Result<(), Early> {
    stops_ended(&run.shared, &run.order).await?;
    let loaded = loaded(&run.shared, &run.order, false).await?;
    let mut input = input(&run.shared, &run.order, loaded, Mode::Repair { killed }).await?;
    let query = plan::query(&input.project);
    let observed = settled(&run.shared, &query).await?;
    let mut planned = plan::plan(&input, &observed)?;
    if planned.plan.is_empty() {
        return Ok(());
    }
    tracing::info!(stack = %run.order.stack, summary = ?planned.plan.summary(), "host differs from what is held; repairing");
    let world = World {
        project: Arc::clone(&input.project),
    };
    let mut start = exec::Start::Plain;
    if planned.work.iter().any(|work| work.phase() == Phase::Images) {
        let images = Arc::new(planned);
        let fetched = exec::images(run, &world, &images).await?;
        input.fetched = fetched.names;
        let observed = settled(&run.shared, &query).await?;
        planned = images.with_images_done(plan::plan(&input, &observed)?);
        start = exec::Start::ImagesDone(fetched.steps);
    }
    exec::carry_out(run, &world, Arc::new(planned), start, true).await
}

/// What an order would do; changes nothing.
pub(super) async fn preview(shared: &Arc<Shared>, order: &Order) -> Result<Plan, Failure> {
    let held = shared.journal.record(&order.stack).await;
    if let Some(held) = held.filter(|held| held.owner != order.owner && !held.is_gone()) {
        let refusal = ApplyError::NameHeld {
            stack: order.stack.clone(),
            held_by: held.owner,
        };
        return Err(refusal.into());
    }
    let planned = if order.want.is_absent() {
        removal(shared, order).await.map_err(failure_of)?
    } else {
        let loaded = loaded(shared, order, false).await.map_err(failure_of)?;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let input = input(shared, order, loaded, Mode::Deploy)
            .await
            .map_err(failure_of)?;
        let query = plan::query(&input.project);
        let observed = seen(shared, &input, &query).await.map_err(failure_of)?;
        let mut planned = plan::plan(&input, &observed)?;
        warnings.append(&mut planned.plan.warnings);
        planned.plan.warnings = warnings;
        planned
    };
    Ok(planned.plan)
}

fn failure_of(early: Early) -> Failure {
    match early {
        Early::Failed(failure)
        | Early::Moved(failure)
        | Early::Left(failure)
        | Early::Unreachable(failure)
        | Early::Back { failure, .. } => failure,
        Early::Journal(error) => error.into(),
        Early::Halted => Failure::new(Code::HostFailure, "the engine of this agent has stopped"),
    }
}

async fn moved(run: &Run, event: DeploymentEvent) -> Result<(), Early> {
    let moved = run.shared.journal.event(run.stack(), run.op, event, None).await?;
    // An event that comes too late for its phase is fine (a second attempt); the end of the operation is not.
    if moved == Moved::No && !run.shared.journal.is_current(run.stack(), run.op).await {
        return Err(Early::Halted);
    }
    Ok(())
}

/// Whether the order carries a plan; stops where anything that plan was made from has moved since. What this operation
/// itself has changed, in this life of the agent or one before, does not count.
async fn expected(run: &Run, planned: &Planned) -> Result<bool, Failure> {
    let Some(pin) = &run.order.options.pin else {
        return Ok(false);
    };
    let record = run.shared.journal.record(run.stack()).await;
    if record.is_some_and(|record| record.touched) {
        return Ok(false);
    }
    let moved = pin.moved(&planned.plan.pin);
    if moved.is_empty() {
        return Ok(true);
    }
    Err(plan::moved(&run.order.stack, &moved))
}
