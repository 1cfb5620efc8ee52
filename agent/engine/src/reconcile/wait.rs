//! Waiting until containers are what they should be.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::time::Instant;
use windflow_compose::model::{Condition, Project, Service};
use windflow_model::{ContainerState, ContainerSummary, Health};

use super::context::{Run, World};
use crate::{
    plan::{Planned, Until},
    targets::{Evidence, LogRequest, TargetError, TargetErrorKind, Tick, Ticker},
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// A container that is restarted over and over for this long will not come up by waiting.
const CRASHING: Duration = Duration::from_secs(10);
/// Last lines of output that go into a failure.
const LAST_LINES: u32 = 10;

/// What was seen of one container.
#[derive(Default)]
struct Seen {
    running_since: Option<Instant>,
    restarting_since: Option<Instant>,
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
    _planned: &Planned,
    service: &str,
    ids: &[String],
    until: Until,
    ticker: &Ticker,
) -> Result<Evidence, TargetError> {
    let bound = Duration::from_secs(u64::from(run.order.spec.policy.health_timeout_s.max(1)));
    let started = Instant::now();
    let spec = world.project.services.get(service);
    let strict = run.order.options.strict_wait;
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    loop {
        let list = run.shared.list.get().await?;
        let (mut good, mut why) = (0_u64, String::new());
        for id in ids {
            let found = list.iter().find(|container| container.id == *id);
            let seen = seen.entry(id).or_default();
            let stays = !strict || awaited_end(&world.project, service);
            match judge(
                found,
                spec.filter(|_| stays),
                until,
                seen,
                run.shared.options.settle,
            ) {
                Verdict::Good => good += 1,
                Verdict::NotYet(word) => {
                    why = format!(
                        "{} {word}",
                        found.map_or(service, |container| container.name.as_str())
                    );
                }
                Verdict::Bad(kind, text) => {
                    let name = found.map_or(service, |container| container.name.as_str());
                    let tail = last_lines(run, id).await;
                    return Err(TargetError::new(kind, format!("container {name} {text}{tail}")));
                }
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
            return Err(TargetError::new(TargetErrorKind::Unhealthy, text));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn judge(
    found: Option<&ContainerSummary>,
    spec: Option<&Service>,
    until: Until,
    seen: &mut Seen,
    settle: Duration,
) -> Verdict {
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
        ContainerState::Running => running(container, until, seen, settle),
        ContainerState::Exited | ContainerState::Dead => ended(container, spec, until),
        ContainerState::Restarting => {
            seen.running_since = None;
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

fn running(container: &ContainerSummary, until: Until, seen: &mut Seen, settle: Duration) -> Verdict {
    match (until, container.health) {
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
            if since.elapsed() >= settle || !is_young(&container.status) {
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
async fn last_lines(run: &Run, id: &str) -> String {
    let request = LogRequest {
        container: id.to_owned(),
        tail: Some(LAST_LINES),
        follow: false,
        since: None,
    };
    let read = async {
        let lines = run.shared.target.logs(request).await.ok()?;
        let lines: Vec<String> = lines
            .filter_map(|line| std::future::ready(line.ok().map(|line| line.text)))
            .collect()
            .await;
        let text = lines.join("\n");
        let from = text.len().saturating_sub(2048);
        let from = (from..text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        (!text.is_empty()).then(|| format!("; its last output:\n{}", text.split_at(from).1))
    };
    tokio::time::timeout(Duration::from_secs(3), read)
        .await
        .ok()
        .flatten()
        .unwrap_or_default()
}
