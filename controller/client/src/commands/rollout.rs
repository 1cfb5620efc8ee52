//! Rollouts: what they are, how they are followed, and what their end means for the exit code.

use std::time::Duration;

use comfy_table::Cell;
use windflow_api::{RolloutCancel, RolloutHost, RolloutQuery, RolloutView, RolloutWaves};
use windflow_model::{
    HostState, RolloutState, Summary, Timestamp,
    rollout::{Before, EndReason, PauseCause},
};

use super::{Session, confirm};
use crate::{
    cli::{RolloutCommand, WaitArgs},
    error::{Error, Exit, Result},
    http::Client,
    output::{Output, Tone, note},
};

/// Pause between two looks at a rollout.
const LOOK: Duration = Duration::from_secs(1);
/// Looks that may fail one after the other before following is given up.
const LOOKS_LIMIT: u32 = 60;

/// `windflow rollout …`.
pub(super) async fn run(session: &Session<'_>, command: RolloutCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        RolloutCommand::List { stack, state } => {
            let query = RolloutQuery {
                stack: match stack {
                    Some(text) => Some(client.stack_find(&text).await?.stack.id),
                    None => None,
                },
                state,
                ..RolloutQuery::default()
            };
            let views = client.rollout_list(&query).await?;
            session.out.none(
                views.is_empty(),
                "no such rollouts; `windflow stack deploy NAME --selector … --canary 1` makes one",
            );
            session.out.show(&views, |out| table(out, &views))
        }
        RolloutCommand::Show { rollout } => {
            let view = find(&client, &rollout).await?;
            show(session, &client, &view).await
        }
        RolloutCommand::Watch { rollout, timeout } => {
            let view = find(&client, &rollout).await?;
            let wait = WaitArgs {
                timeout,
                ..WaitArgs::default()
            };
            conclude(session, &client, view, &wait).await
        }
        RolloutCommand::Pause { rollout } => act(session, &client, &rollout, "pause").await,
        RolloutCommand::Resume { rollout } => act(session, &client, &rollout, "resume").await,
        RolloutCommand::Promote { rollout } => act(session, &client, &rollout, "promote").await,
        RolloutCommand::Cancel {
            rollout,
            rollback,
            yes,
        } => {
            let view = find(&client, &rollout).await?;
            let name = &view.rollout.stack_name;
            confirm(
                &if rollback {
                    format!("Take {name} back on every host that this rollout has changed?")
                } else {
                    format!("End the rollout of {name}?")
                },
                yes,
            )?;
            let request = RolloutCancel { rollback };
            let view = client.rollout_cancel(view.rollout.id, &request).await?;
            session
                .out
                .show(&view, |out| table(out, std::slice::from_ref(&view)))
        }
    }
}

/// By id, or the newest one of a stack.
async fn find(client: &Client, text: &str) -> Result<RolloutView> {
    if let Ok(id) = text.parse() {
        return client.rollout_show(id).await;
    }
    let query = RolloutQuery {
        stack: Some(client.stack_find(text).await?.stack.id),
        ..RolloutQuery::default()
    };
    let newest = client.rollout_list(&query).await?.into_iter().next();
    let newest = newest.ok_or_else(|| {
        Error::new(Exit::NotFound, format!("there was no rollout of {text} yet"))
            .hint("`windflow rollout list` shows all.")
    })?;
    client.rollout_show(newest.rollout.id).await
}

async fn act(session: &Session<'_>, client: &Client, text: &str, act: &str) -> Result<()> {
    let view = find(client, text).await?;
    // One that waits is moved only if it still waits for the same: two people do not promote two waves.
    let waits = matches!(view.rollout.state, RolloutState::Paused { .. });
    let version = waits.then_some(view.version);
    let view = client.rollout_act(view.rollout.id, act, version).await?;
    session
        .out
        .show(&view, |out| table(out, std::slice::from_ref(&view)))
}

/// What follows a rollout that was made: print and end, or follow and judge.
pub(super) async fn conclude(
    session: &Session<'_>,
    client: &Client,
    view: RolloutView,
    wait: &WaitArgs,
) -> Result<()> {
    if wait.detach {
        return session
            .out
            .show(&view, |out| table(out, std::slice::from_ref(&view)));
    }
    let id = view.rollout.id;
    let following = follow(client, view);
    let view = match wait.timeout {
        None => following.await?,
        Some(limit) => tokio::time::timeout(limit, following).await.map_err(|_| {
            Error::failed(format!(
                "not ended after {} s; the rollout goes on",
                limit.as_secs()
            ))
            .hint(format!("`windflow rollout show {id}` says where it stands."))
        })??,
    };
    show(session, client, &view).await?;
    verdict(&view)
}

async fn follow(client: &Client, mut view: RolloutView) -> Result<RolloutView> {
    let (mut said, mut failed) = (String::new(), 0);
    loop {
        let line = format!("{}: {}", standing(&view), sums(&view.summary));
        if line != said {
            note(&line);
            if let RolloutState::Paused { until: None, .. } = view.rollout.state {
                note(&format!(
                    "go on with `windflow rollout resume {}`",
                    view.rollout.id
                ));
            }
            said = line;
        }
        if view.rollout.state.is_terminal() {
            return Ok(view);
        }
        tokio::time::sleep(LOOK).await;
        match client.rollout_show(view.rollout.id).await {
            Ok(new) => (view, failed) = (new, 0),
            // Refused for good; only a controller that is away is waited for.
            Err(error) if error.exit != Exit::Unreachable && error.status != Some(503) => return Err(error),
            Err(error) if failed >= LOOKS_LIMIT => return Err(error),
            Err(_) => failed += 1,
        }
    }
}

/// The end of a rollout, for the exit code: what the plan tolerates is no failure of the rollout.
fn verdict(view: &RolloutView) -> Result<()> {
    let (rollout, sum) = (&view.rollout, &view.summary);
    let hint = format!("`windflow rollout show {}` names the hosts.", rollout.id);
    match &rollout.state {
        RolloutState::Succeeded => Ok(()),
        RolloutState::Incomplete => {
            note(&format!(
                "{} of {} hosts do not have it; the plan allows that",
                sum.total - sum.succeeded,
                sum.total
            ));
            Ok(())
        }
        _ => Err(Error::failed(format!(
            "the rollout of {} {}: {}",
            rollout.stack_name,
            standing(view),
            sums(sum)
        ))
        .hint(hint)),
    }
}

/// Where it stands, in words.
fn standing(view: &RolloutView) -> String {
    let of = view.rollout.waves.len();
    let ended = |why: &EndReason| match why {
        EndReason::Failures { failed, limit } => format!("{failed} failed, {limit} tolerated"),
        EndReason::Person { by } => format!("by {}", by.name),
    };
    match &view.rollout.state {
        RolloutState::Pending => "begins".to_owned(),
        RolloutState::Running { wave } => format!("wave {wave}/{of}"),
        RolloutState::Gate { wave, since: Some(_) } => format!("wave {wave}/{of} at the gate"),
        RolloutState::Gate { wave, since: None } => format!("wave {wave}/{of} at the gate, not all well"),
        RolloutState::Paused { wave, why, until } => {
            let why = match why {
                PauseCause::Person { by } => format!("by {}", by.name),
                PauseCause::Between => match until {
                    Some(until) => format!("until {until}"),
                    None => "for a person".to_owned(),
                },
                PauseCause::Unproven => "no host of the wave before came up with it".to_owned(),
                PauseCause::Overtaken { hosts } => {
                    format!("somebody deployed a newer revision to {hosts} of its hosts")
                }
            };
            format!("paused before or in wave {wave}/{of} ({why})")
        }
        RolloutState::Succeeded => "succeeded".to_owned(),
        RolloutState::Incomplete => "incomplete".to_owned(),
        RolloutState::Stopped { why } => format!("stopped ({})", ended(why)),
        RolloutState::Cancelled { by } => format!("cancelled (by {})", by.name),
        RolloutState::RollingBack { why } => format!("rolling back ({})", ended(why)),
        RolloutState::RolledBack { why } => format!("rolled back ({})", ended(why)),
        RolloutState::RollbackFailed { why, hosts } => {
            format!("rollback failed on {hosts} host(s) ({})", ended(why))
        }
    }
}

/// `3 succeeded, 1 failed, 4 waiting`.
fn sums(summary: &Summary) -> String {
    let parts = summary.parts().into_iter().filter(|(.., hosts)| *hosts > 0);
    let words: Vec<_> = parts
        .map(|(_, name, hosts)| format!("{hosts} {}", name.replace('_', " ")))
        .collect();
    words.join(", ")
}

const fn tone(state: &RolloutState) -> Tone {
    match state {
        RolloutState::Succeeded => Tone::Good,
        RolloutState::Stopped { .. }
        | RolloutState::RolledBack { .. }
        | RolloutState::RollbackFailed { .. } => Tone::Bad,
        RolloutState::Cancelled { .. } => Tone::Plain,
        _ => Tone::Busy,
    }
}

const fn host_tone(state: HostState) -> Tone {
    match state {
        HostState::Succeeded => Tone::Good,
        HostState::Failed | HostState::RollbackFailed | HostState::RolledBack => Tone::Bad,
        HostState::Running | HostState::RollingBack | HostState::Unknown | HostState::Unreachable => {
            Tone::Busy
        }
        _ => Tone::Plain,
    }
}

fn table(out: &Output, views: &[RolloutView]) -> String {
    let rows = views.iter().map(|view| {
        let rollout = &view.rollout;
        vec![
            Cell::new(rollout.id),
            Cell::new(&rollout.stack_name),
            Cell::new(rollout.rev),
            out.cell(standing(view), tone(&rollout.state)),
            Cell::new(sums(&view.summary)),
            Cell::new(out.ago(rollout.state_at)),
        ]
    });
    out.table(&["ID", "STACK", "REV", "STATE", "HOSTS", "SINCE"], rows.collect())
}

async fn show(session: &Session<'_>, client: &Client, view: &RolloutView) -> Result<()> {
    let hosts = client.rollout_hosts(view.rollout.id).await?;
    let all = serde_json::json!({ "rollout": view, "hosts": hosts });
    session.out.show(&all, |out| {
        let mut text = table(out, std::slice::from_ref(view));
        let waves = (1..).zip(view.rollout.waves.iter().zip(&view.wave_summaries));
        let rows = waves.map(|(wave, (size, summary)): (u32, _)| {
            vec![Cell::new(wave), Cell::new(size), Cell::new(sums(summary))]
        });
        text.push_str("\n\n");
        text.push_str(&out.table(&["WAVE", "SIZE", "HOSTS"], rows.collect()));
        text.push_str("\n\n");
        text.push_str(&out.table(
            &["WAVE", "HOST", "STATE", "BEFORE", "WHY"],
            hosts.iter().map(|host| row(out, host)).collect(),
        ));
        text
    })
}

fn row(out: &Output, host: &RolloutHost) -> Vec<Cell> {
    let before = match &host.before {
        Some(Before::Rev { rev }) => rev.to_string(),
        Some(Before::Nothing) => "none".to_owned(),
        _ => "-".to_owned(),
    };
    let age = |since: Timestamp| format!(", silent for {}", out.ago(since).trim_end_matches(" ago"));
    let word = serde_json::to_value(host.state).ok();
    let word = word.as_ref().and_then(|word| word.as_str()).unwrap_or("?");
    let silent = host.silent_since.map(age).unwrap_or_default();
    vec![
        Cell::new(host.wave),
        Cell::new(&host.name),
        out.cell(
            format!("{}{silent}", word.replace('_', " ")),
            host_tone(host.state),
        ),
        Cell::new(before),
        Cell::new(host.reason.as_deref().unwrap_or("-")),
    ]
}

/// Who would be in which wave.
pub(super) fn waves(session: &Session<'_>, waves: &RolloutWaves) -> Result<()> {
    session.out.none(waves.hosts.is_empty(), "no host is meant");
    session.out.show(waves, |out| {
        let rows = waves.hosts.iter().map(|host| {
            let there = if host.connected {
                out.cell("connected", Tone::Good)
            } else {
                out.cell("offline", Tone::Busy)
            };
            vec![Cell::new(host.wave), Cell::new(&host.name), there]
        });
        out.table(&["WAVE", "HOST", "NOW"], rows.collect())
    })
}
