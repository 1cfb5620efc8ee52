//! Waiting until containers are what they should be.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::time::Instant;
use windflow_compose::model::{Condition, Project, Service};
use windflow_kit::seeded::{self, Bug};
use windflow_model::{
    CheckKind, ContainerState, ContainerSummary, FailedCheck, Health, printable, printable_lines,
};

use super::context::{Run, World};
use crate::{
    plan::Until,
    targets::{Evidence, LogRequest, TargetError, TargetErrorKind, Tick, Ticker},
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// A container that is restarted over and over for this long will not come up by waiting.
const CRASHING: Duration = Duration::from_secs(10);
/// An engine that goes away ends its containers first, and those that take their time keep it for a while (dockerd gives each
/// ten seconds). Until then an end that the restart policy does not answer says nothing of the container.
const ENGINE_ENDS: Duration = Duration::from_secs(15);
/// Last lines of output that go into a failure.
const LAST_LINES: u32 = 10;
/// Characters of such a line.
const LINE: usize = 300;
/// How long the engine is asked about a container that has failed.
const ASKED: Duration = Duration::from_secs(3);

/// What was seen of one container.
#[derive(Default)]
struct Seen {
    running_since: Option<Instant>,
    restarting_since: Option<Instant>,
    ended_since: Option<Instant>,
    there: bool,
}

enum Verdict {
    Good,
    NotYet(&'static str),
    Bad(TargetErrorKind, String),
}

pub(super) async fn until(
    run: &Arc<Run>,
    world: &World,
    service: &str,
    ids: &[String],
    until: Until,
    ticker: &Ticker,
) -> Result<Evidence, TargetError> {
    if seeded::is(Bug::SuccessUnverified) {
        return Ok(Evidence::default());
    }
    let bound = Duration::from_secs(u64::from(run.order.spec.policy.health_timeout_s.max(1)));
    let started = Instant::now();
    let rules = Rules::of(run, world, service, until);
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    loop {
        let list = run.shared.list.get(started).await?;
        let (mut good, mut why, mut late) = (0_u64, String::new(), None);
        for id in ids {
            let found = list.iter().find(|container| container.id == *id);
            let seen = seen.entry(id).or_default();
            match judge(found, &rules, seen) {
                Verdict::Good => good += 1,
                Verdict::NotYet(word) => {
                    why = format!(
                        "{} {word}",
                        found.map_or(service, |container| container.name.as_str())
                    );
                    late = Some((id, word));
                }
                Verdict::Bad(kind, text) => return Err(failed(run, service, id, found, kind, text).await),
            }
        }
        let total = u64::try_from(ids.len()).unwrap_or(0);
        if good == total {
            return Ok(Evidence::default());
        }
        ticker.tick(Tick {
            current: good,
            total,
            unit: "items",
            detail: why.clone(),
            layers: Vec::new(),
        });
        if started.elapsed() >= bound {
            let text = format!("service {service}: after {} s {why}", bound.as_secs());
            let mut error = TargetError::new(TargetErrorKind::Unhealthy, text);
            if let Some((id, word)) = late {
                let found = list.iter().find(|container| container.id == *id);
                let seen = format!("{word} after {} s", bound.as_secs());
                error.check = Some(Box::new(
                    check(run, service, id, found, CheckKind::Time, seen).await,
                ));
                error.what.push_str(&story(error.check.as_deref()));
            }
            return Err(error);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Watches what is good: it must stay so for that long.
pub(super) async fn watch(
    run: &Arc<Run>,
    world: &World,
    service: &str,
    ids: &[String],
    seconds: u32,
    ticker: &Ticker,
) -> Result<Evidence, TargetError> {
    if seeded::is(Bug::SuccessUnverified) {
        return Ok(Evidence::default());
    }
    let bound = Duration::from_secs(u64::from(seconds));
    let started = Instant::now();
    let rules = Rules::of(run, world, service, Until::Good);
    let policy = &run.order.spec.policy.rollback;
    let mut before: BTreeMap<&str, u32> = BTreeMap::new();
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    loop {
        let list = run.shared.list.get(started).await?;
        for id in ids {
            let found = list.iter().find(|container| container.id == *id);
            let restarts = match run.shared.target.vitals(id).await? {
                Some(vitals) => vitals.restarts,
                None => 0,
            };
            let first = *before.entry(id).or_insert(restarts);
            let more = restarts.saturating_sub(first);
            if more > policy.restarts {
                let text = format!("was restarted {more} times in {} s", started.elapsed().as_secs());
                let error = failed(run, service, id, found, TargetErrorKind::ContainerExited, text);
                return Err(as_restarts(error.await));
            }
            let seen = seen.entry(id).or_default();
            match judge(found, &rules, seen) {
                Verdict::Bad(TargetErrorKind::ContainerExited, _) if !policy.exited => {}
                Verdict::Bad(kind, text) => return Err(failed(run, service, id, found, kind, text).await),
                Verdict::Good | Verdict::NotYet(_) => {}
            }
        }
        let elapsed = started.elapsed();
        if elapsed >= bound {
            return Ok(Evidence::default());
        }
        ticker.tick(Tick {
            current: elapsed.as_secs(),
            total: u64::from(seconds),
            unit: "items",
            detail: "watched".to_owned(),
            layers: Vec::new(),
        });
        tokio::time::sleep(LOOK).await;
    }
}

fn as_restarts(mut error: TargetError) -> TargetError {
    if let Some(check) = &mut error.check {
        check.kind = CheckKind::Restarts;
    }
    error
}

/// What a container must be like.
struct Rules<'r> {
    spec: Option<&'r Service>,
    until: Until,
    settle: Duration,
    /// Whether health counts.
    health: bool,
}

impl<'r> Rules<'r> {
    fn of(run: &Run, world: &'r World, service: &str, until: Until) -> Self {
        // Where an end is no success, there is no spec that could say so.
        let ends = !run.order.options.strict_wait || awaited_end(&world.project, service);
        Self {
            spec: world.project.services.get(service).filter(|_| ends),
            until,
            settle: run.shared.options.settle,
            health: until == Until::Healthy || run.order.spec.policy.rollback.unhealthy,
        }
    }
}

async fn failed(
    run: &Run,
    service: &str,
    id: &str,
    found: Option<&ContainerSummary>,
    kind: TargetErrorKind,
    text: String,
) -> TargetError {
    let what = if kind == TargetErrorKind::Unhealthy {
        CheckKind::Health
    } else {
        CheckKind::Exit
    };
    let check = check(run, service, id, found, what, text).await;
    let text = format!(
        "container {} {}{}",
        check.container,
        check.seen,
        story(Some(&check))
    );
    TargetError {
        check: Some(Box::new(check)),
        ..TargetError::new(kind, text)
    }
}

/// What the container said last, and its health check.
async fn check(
    run: &Run,
    service: &str,
    id: &str,
    found: Option<&ContainerSummary>,
    kind: CheckKind,
    seen: String,
) -> FailedCheck {
    let asked = tokio::time::timeout(ASKED, run.shared.target.vitals(id)).await;
    let vitals = asked.ok().and_then(Result::ok).flatten().unwrap_or_default();
    let health = found.is_some_and(|container| container.health != Health::None);
    let ended = found.and_then(|container| container.exit_code);
    FailedCheck {
        service: service.to_owned(),
        container: found.map_or_else(|| service.to_owned(), |container| container.name.clone()),
        kind,
        seen,
        command: vitals.command.filter(|_| health),
        exit_code: if health { vitals.exit_code } else { ended },
        output: if health {
            printable_lines(&vitals.output)
        } else {
            String::new()
        },
        log: last_lines(run, id).await,
    }
}

/// For the message: what the check said, and the last lines.
fn story(check: Option<&FailedCheck>) -> String {
    let Some(check) = check else { return String::new() };
    let mut text = String::new();
    if let Some(command) = &check.command {
        text.push_str(&format!(": its health check `{command}`"));
        match check.exit_code {
            Some(code) => text.push_str(&format!(" ended with exit code {code}")),
            None => text.push_str(" has not run yet"),
        }
        if !check.output.is_empty() {
            text.push_str(&format!(" and said: {}", check.output));
        }
    }
    if !check.log.is_empty() {
        text.push_str(&format!("; its last output:\n{}", check.log.join("\n")));
    }
    text
}

fn judge(found: Option<&ContainerSummary>, rules: &Rules<'_>, seen: &mut Seen) -> Verdict {
    let Some(container) = found else {
        return if seen.there {
            Verdict::Bad(TargetErrorKind::ContainerExited, "is gone".to_owned())
        } else {
            // The list may be a moment older than the container.
            Verdict::NotYet("is not in the list yet")
        };
    };
    seen.there = true;
    match container.state {
        ContainerState::Running => running(container, rules, seen),
        ContainerState::Exited | ContainerState::Dead => {
            let since = *seen.ended_since.get_or_insert_with(Instant::now);
            match ended(container, rules.spec, rules.until) {
                Verdict::Bad(..)
                    if rules.spec.is_some_and(Service::is_always_restarted)
                        && since.elapsed() < ENGINE_ENDS =>
                {
                    Verdict::NotYet("has ended, and the engine does not start it again")
                }
                verdict => verdict,
            }
        }
        ContainerState::Restarting => {
            (seen.running_since, seen.ended_since) = (None, None);
            let since = *seen.restarting_since.get_or_insert_with(Instant::now);
            if since.elapsed() > CRASHING {
                Verdict::Bad(
                    TargetErrorKind::ContainerExited,
                    format!("ends again and again ({})", container.status),
                )
            } else {
                Verdict::NotYet("is being restarted")
            }
        }
        ContainerState::Paused => Verdict::Bad(TargetErrorKind::Unhealthy, "is paused".to_owned()),
        ContainerState::Removing => {
            Verdict::Bad(TargetErrorKind::ContainerExited, "is being removed".to_owned())
        }
        ContainerState::Created | ContainerState::Unknown => Verdict::NotYet("has not started yet"),
    }
}

fn running(container: &ContainerSummary, rules: &Rules<'_>, seen: &mut Seen) -> Verdict {
    seen.ended_since = None;
    let health = if rules.health {
        container.health
    } else {
        Health::None
    };
    match (rules.until, health) {
        (Until::Completed, _) => Verdict::NotYet("has not ended yet"),
        (_, Health::Healthy) => Verdict::Good,
        (_, Health::Unhealthy) => Verdict::Bad(TargetErrorKind::Unhealthy, "is unhealthy".to_owned()),
        (_, Health::Starting) => Verdict::NotYet("is not healthy yet"),
        (Until::Healthy, Health::None) => Verdict::Bad(
            TargetErrorKind::Unhealthy,
            "has no health check that could pass".to_owned(),
        ),
        (Until::Good, Health::None) => {
            let since = *seen.running_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= rules.settle || !is_young(&container.status) {
                Verdict::Good
            } else {
                Verdict::NotYet("has just started")
            }
        }
    }
}

/// By the engine's status line: up for at most a second or two.
fn is_young(status: &str) -> bool {
    ["Up Less than a second", "Up 1 second", "Up 2 seconds"]
        .iter()
        .any(|text| status.starts_with(text))
        || !status.starts_with("Up")
}

/// Whether another service waits for the end of this one.
fn awaited_end(project: &Project, service: &str) -> bool {
    let dependencies = project.services.values().flat_map(|other| &other.depends_on);
    let mut of_it = dependencies.filter(|(name, _)| *name == service);
    of_it.any(|(_, dependency)| dependency.condition == Condition::CompletedSuccessfully)
}

fn ended(container: &ContainerSummary, spec: Option<&Service>, until: Until) -> Verdict {
    let code = container.exit_code.unwrap_or(-1);
    let stays_down = spec.is_some_and(|spec| {
        matches!(
            spec.restart.as_deref().unwrap_or("no").split(':').next(),
            Some("no" | "on-failure")
        )
    });
    match until {
        Until::Completed if code == 0 => Verdict::Good,
        // Its nature: a job that has done its work.
        Until::Good if code == 0 && stays_down => Verdict::Good,
        _ => Verdict::Bad(
            TargetErrorKind::ContainerExited,
            format!("ended with exit code {code}"),
        ),
    }
}

/// The end of its output: what the reader wants to see first.
async fn last_lines(run: &Run, id: &str) -> Vec<String> {
    let request = LogRequest {
        container: id.to_owned(),
        tail: Some(LAST_LINES),
        ..LogRequest::default()
    };
    let read = async {
        let lines = run.shared.target.logs(request).await.ok()?;
        let lines: Vec<String> = lines
            .filter_map(|line| std::future::ready(line.ok().map(|line| line.text)))
            .collect()
            .await;
        Some(lines)
    };
    let lines = tokio::time::timeout(ASKED, read).await.ok().flatten();
    let lines = lines.unwrap_or_default().into_iter();
    // Long lines are cut: the failure goes through the journal and over the link. It is printed as it is.
    let shown = |line: String| printable(&line, false).chars().take(LINE).collect();
    lines.map(shown).collect()
}

#[cfg(test)]
mod tests;
