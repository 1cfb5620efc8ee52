//! The way back: a revision that did not work out makes way for the last good one.
//!
//! It is planned like a deploy, of the good order against the host as it is, so a kill at any step is nothing special:
//! the state `rolling back` is in the journal before the first step, and the next life plans again. What the failed
//! operation made goes; containers from before stay, or get their name back and start; a network is made again as the
//! good revision has it. There is no way back from the way back: where it fails, it stops and says so.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;
use windflow_compose::model::Project;
use windflow_kit::{
    BackoffOptions, Stop,
    seeded::{self, Bug},
};
use windflow_model::{Code, DeploymentEvent, Failure, OpId, Rev};

use super::{
    context::{Early, Run, World},
    exec,
    lane::{RETRY, WAYS},
    prepare::{input, label_query, loaded, settled, stops_ended},
};
use crate::{
    journal::{JournalError, Moved},
    order::Order,
    plan::{self, FailureAction, Mode, Phase},
};

/// The revision to go back to after a failure at that service, if there is one and it is wanted.
pub(super) async fn possible(run: &Run, project: &Project, service: Option<&str>) -> Option<Rev> {
    if run.order.want.is_absent() {
        return None;
    }
    let asked = service.and_then(|service| plan::failure_action(project, service));
    let wanted = match asked {
        Some(FailureAction::Rollback) => true,
        Some(FailureAction::Pause) => false,
        Some(FailureAction::Continue) | None => run.order.spec.policy.rollback.automatic,
    };
    let record = run.shared.journal.record(run.stack()).await?;
    record.good.filter(|good| wanted && *good != record.rev)
}

/// Goes back from what `run` is an attempt at, and ends its deployment.
pub(super) async fn run(run: &Arc<Run>, failure: Failure, to: Rev, halt: &Stop) -> Result<(), JournalError> {
    run.close();
    run.note(format!("goes back to revision {to}"));
    let journal = &run.shared.journal;
    let (stack, failed) = (run.stack(), run.op);
    let event = DeploymentEvent::RollingBack {
        failure: failure.clone(),
        to: Some(to),
    };
    let moved = journal.event(stack, failed, event, Some(&run.steps())).await?;
    if moved == Moved::No && !journal.is_current(stack, failed).await {
        return Ok(());
    }
    let (undo, steps) = match journal.order(stack, to).await? {
        None => {
            let text = format!("the journal has lost the files of {stack} {to}");
            (Some(Failure::new(Code::HostFailure, text)), run.steps())
        }
        Some(order) if order.is_in_place() && order.spec.files.is_empty() => {
            let text = format!("the files of {stack} {to} were too large to be kept on this host");
            (Some(Failure::new(Code::HostFailure, text)), run.steps())
        }
        Some(order) => {
            let back = Arc::new(Run::back(run, proven(order, run), failure.clone(), to));
            let ended = if seeded::is(Bug::LostRollback) {
                Ok(())
            } else {
                go(&back, failed, halt).await
            };
            back.close();
            match ended {
                Ok(()) => (None, back.steps()),
                Err(Early::Halted) => return Ok(()),
                Err(Early::Journal(error)) => return Err(error),
                Err(
                    Early::Failed(why)
                    | Early::Moved(why)
                    | Early::Left(why)
                    | Early::Unreachable(why)
                    | Early::Back { failure: why, .. },
                ) => (Some(why), back.steps()),
            }
        }
    };
    let to = Some(to);
    let event = match undo {
        None => DeploymentEvent::RolledBack { failure, to },
        undo => DeploymentEvent::RollbackFailed { failure, to, undo },
    };
    journal.finish(stack, failed, event, &steps, None).await?;
    Ok(())
}

/// Who asked for a revision that is good wants the one before it to be so, too, in the same time.
fn proven(mut order: Order, failed: &Run) -> Order {
    if order.options.no_wait && !failed.order.options.no_wait {
        order.options.no_wait = false;
        order.spec.policy.health_timeout_s = failed.order.spec.policy.health_timeout_s;
    }
    order
}

/// A revision of some services comes back with those that ran beside them: the failed one may have touched them.
async fn selected(back: &Run, failed: OpId) -> Result<Order, Early> {
    let mut order = back.order.clone();
    if order.options.services.is_empty() {
        return Ok(order);
    }
    let chosen = std::mem::take(&mut order.options.services);
    let whole = loaded(&back.shared, &order, false).await?.project;
    let there = back.shared.target.observe(&label_query(&order)).await?;
    let failed = failed.to_string();
    let before = there.containers.iter().filter(|container| {
        !container.is_oneoff() && container.label(plan::labels::WF_OP) != Some(failed.as_str())
    });
    let beside = before.filter_map(|container| container.service());
    let beside: BTreeSet<&str> = beside
        .chain(chosen.iter().map(String::as_str))
        .filter(|service| whole.any_service(service).is_some())
        .collect();
    order.options.services = beside.into_iter().map(str::to_owned).collect();
    Ok(order)
}

/// Until it is there, or fails, or the engine stays away.
async fn go(back: &Arc<Run>, failed: OpId, halt: &Stop) -> Result<(), Early> {
    let bound = Duration::from_secs(u64::from(back.order.spec.policy.health_timeout_s.clamp(1, 600)));
    let mut delays = BackoffOptions::build(RETRY, back.shared.options.random.clone());
    let mut silent_since: Option<Instant> = None;
    let mut tries = 1;
    loop {
        let last = tries >= WAYS;
        match way(back, failed, last).await {
            Ok(true) => return Ok(()),
            Err(Early::Unreachable(failure)) => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= bound {
                    return Err(Early::Unreachable(failure));
                }
                if halt.run(tokio::time::sleep(delays.next_delay())).await.is_none() {
                    return Err(Early::Halted);
                }
                continue;
            }
            Ok(false) => {}
            Err(Early::Moved(_)) if !last => {}
            Err(early) => return Err(early),
        }
        if last {
            let text = format!(
                "{} keeps changing on this host: something else works on it",
                back.stack()
            );
            return Err(Early::Failed(Failure::new(Code::WorldMoved, text)));
        }
        tries += 1;
        back.note("the host changed meanwhile and is looked at again".to_owned());
    }
}

/// One way back: load, observe, plan, carry out, look again. Whether the host is as the good revision wants it.
async fn way(back: &Arc<Run>, failed: OpId, last: bool) -> Result<bool, Early> {
    let shared = &back.shared;
    stops_ended(shared, &back.order).await?;
    // Writes the files of the good revision over those of the failed one: containers mount them.
    let order = selected(back, failed).await?;
    let loaded = loaded(shared, &order, true).await?;
    let stopped = shared
        .journal
        .record(back.stack())
        .await
        .map(|record| record.stopped);
    let begun = shared.journal.steps(back.stack(), failed).await?;
    let mode = Mode::Back {
        failed,
        stopped: stopped.unwrap_or_default(),
        started: begun.iter().any(|(_, step)| step.what.starts_with("start ")),
    };
    let mut input = input(shared, &order, loaded, mode).await?;
    input.options.force_recreate = false;
    input.options.pin = None;
    let query = plan::query(&input.project);
    let world = World {
        project: Arc::clone(&input.project),
    };
    let observed = settled(shared, &query).await?;
    let mut planned = plan::plan(&input, &observed)?;
    let mut start = exec::Start::Plain;
    if planned.work.iter().any(|work| work.phase() == Phase::Images) {
        let images = Arc::new(planned);
        let fetched = exec::images(back, &world, &images).await?;
        input.fetched = fetched.names;
        let observed = settled(shared, &query).await?;
        planned = images.with_images_done(plan::plan(&input, &observed)?);
        start = exec::Start::ImagesDone(fetched.steps);
    } else {
        planned = planned.behind(back.before());
    }
    exec::carry_out(back, &world, Arc::new(planned), start, last).await?;
    let left = settled(shared, &query).await?;
    input.mode = Mode::Repair {
        killed: BTreeSet::new(),
    };
    Ok(plan::plan(&input, &left)?.plan.is_empty())
}
