//! Follows deployments until they end: a bar per deployment and per moving step on a terminal, plain lines otherwise.
//!
//! ```text
//! deployment_events(dep 1) ─┐
//! deployment_events(dep 2) ─┼─ join → Board (bars or lines on stderr) → the last view of each
//! deployment_events(dep n) ─┘   a broken feed is opened again; its snapshot makes up for the gap
//! ```

use std::{collections::BTreeMap, io::IsTerminal as _, time::Duration};

use futures_util::future::join_all;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use windflow_api::DeploymentView;
use windflow_model::{Action, AgentId, DeploymentState, StepState, StepView, Steps};

use crate::{
    error::{Error, Exit, Result},
    http::Client,
    live::DeploymentFeedEvent,
    output::note,
};

/// Pause before a broken feed is opened again.
const REOPEN: Duration = Duration::from_secs(2);
/// Feeds that may break one after the other without news before following is given up.
const REOPEN_LIMIT: u32 = 30;

/// Follows all deployments to their end, at most `timeout`. Returns the last view of each.
///
/// # Errors
/// If the time runs out, or the controller stays away.
pub async fn follow(
    client: &Client,
    deployments: Vec<DeploymentView>,
    names: &BTreeMap<AgentId, String>,
    timeout: Option<Duration>,
) -> Result<Vec<DeploymentView>> {
    let bars = MultiProgress::new();
    let live = std::io::stderr().is_terminal();
    let feeds = deployments.into_iter().map(|view| {
        let name = names
            .get(&view.deployment.agent)
            .cloned()
            .unwrap_or_else(|| view.deployment.agent.to_string());
        let board = Board::new(name, live.then(|| bars.clone()));
        follow_one(client, view, board)
    });
    let all = join_all(feeds);
    let results = match timeout {
        None => all.await,
        Some(limit) => tokio::time::timeout(limit, all).await.map_err(|_| {
            Error::failed(format!(
                "not ended after {} s; the deployments go on",
                limit.as_secs()
            ))
            .hint("`windflow deployment list --state active` shows them.")
        })?,
    };
    results.into_iter().collect()
}

/// The verdict of ended deployments, for the exit code.
///
/// # Errors
/// If any did not end well, with its reason.
pub fn verdict(views: &[DeploymentView], names: &BTreeMap<AgentId, String>) -> Result<()> {
    let mut lines = Vec::new();
    let mut hint = String::new();
    for view in views {
        let deployment = &view.deployment;
        if deployment.state == DeploymentState::Succeeded {
            continue;
        }
        let host = names
            .get(&deployment.agent)
            .cloned()
            .unwrap_or_else(|| deployment.agent.to_string());
        let why = match (&deployment.state, deployment.state.failure()) {
            (_, Some(failure)) => {
                hint.clone_from(&failure.hint);
                format!(": {failure}")
            }
            (DeploymentState::Superseded { by }, _) => format!(" by revision {by}"),
            (DeploymentState::Diverged { held }, _) => format!(": the host holds revision {held}"),
            _ => String::new(),
        };
        let state = ending(&deployment.state);
        lines.push(format!("{} on {host} {state}{why}", deployment.stack_name));
        if let DeploymentState::RollbackFailed { undo: Some(undo), .. } = &deployment.state {
            lines.push(format!("the way back failed: {undo}"));
            hint = "The host is neither as before nor as wanted: look at its containers, then deploy a revision that works.".to_owned();
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::failed(lines.join("\n")).hint(hint))
}

/// A state in words, with the revision that a way back leads to.
#[must_use]
pub fn ending(state: &DeploymentState) -> String {
    let word = state.name().replace('_', " ");
    match state {
        DeploymentState::RollingBack { to: Some(to), .. }
        | DeploymentState::RolledBack { to: Some(to), .. } => {
            format!("{word} to revision {to}")
        }
        _ => word,
    }
}

async fn follow_one(client: &Client, mut view: DeploymentView, mut board: Board) -> Result<DeploymentView> {
    let mut broken = 0;
    loop {
        match client.deployment_events(view.deployment.id).await {
            Ok(mut feed) => {
                while let Some(event) = feed.next().await {
                    broken = 0;
                    match event {
                        DeploymentFeedEvent::Snapshot(new) | DeploymentFeedEvent::State(new) => view = *new,
                        DeploymentFeedEvent::Progress(progress) => view.deployment.steps.fold(&progress),
                        DeploymentFeedEvent::End => break,
                    }
                    board.show(&view);
                }
            }
            // Refused for good; only a controller that is away is waited for.
            Err(error) if error.exit != Exit::Unreachable && error.status != Some(503) => return Err(error),
            Err(error) if broken >= REOPEN_LIMIT => return Err(error),
            Err(_) => {}
        }
        if view.deployment.state.is_terminal() {
            board.finish(&view);
            return Ok(view);
        }
        broken += 1;
        tokio::time::sleep(REOPEN).await;
    }
}

/// What is shown of one deployment.
struct Board {
    host: String,
    bars: Option<MultiProgress>,
    main: Option<ProgressBar>,
    steps: BTreeMap<u32, ProgressBar>,
    said: BTreeMap<u32, StepState>,
    state: &'static str,
}

impl Board {
    fn new(host: String, bars: Option<MultiProgress>) -> Self {
        let main = bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style("{spinner:.cyan} {prefix} {msg}"));
            bar.set_prefix(host.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            host,
            bars,
            main,
            steps: BTreeMap::new(),
            said: BTreeMap::new(),
            state: "",
        }
    }

    fn show(&mut self, view: &DeploymentView) {
        let name = view.deployment.state.name();
        let state = ending(&view.deployment.state);
        if let Some(main) = &self.main {
            let (done, total) = ended(&view.deployment.steps);
            main.set_message(if total > 0 {
                let next = view.deployment.steps.next_words();
                let next = next.map_or_else(String::new, |next| format!("; {next}"));
                format!("{state} {done}/{total}{next}")
            } else {
                state.clone()
            });
        }
        let news = self.main.is_none() && name != self.state;
        self.state = name;
        // An end is the last thing said, a beginning the first.
        let last = view.deployment.state.is_terminal();
        if news && !last {
            note(&format!("{}: {state}", self.host));
        }
        for step in &view.deployment.steps.steps {
            // A wait is shown while it lasts: it says what is not there yet.
            if step.step.action != Action::Keep {
                self.step(step);
            }
        }
        if news && last {
            note(&format!("{}: {state}", self.host));
        }
    }

    fn step(&mut self, view: &StepView) {
        let id = view.step.id.0;
        let says = view.step.action.changes() || view.state == StepState::Failed;
        if let (Some(bars), Some(main)) = (&self.bars, &self.main) {
            match view.state {
                StepState::Running => {
                    let bar = self.steps.entry(id).or_insert_with(|| {
                        let bar = bars.insert_after(main, ProgressBar::new(0));
                        bar.enable_steady_tick(Duration::from_millis(120));
                        bar
                    });
                    let pull = view.total > 0 && view.unit == "bytes";
                    bar.set_style(style(if pull {
                        "    {spinner:.dim} {msg} {bar:24.cyan/dim} {bytes}/{total_bytes}"
                    } else {
                        "    {spinner:.dim} {msg}"
                    }));
                    bar.set_length(view.total);
                    bar.set_position(view.current);
                    bar.set_message(view.line());
                }
                StepState::Done | StepState::Failed | StepState::Skipped => {
                    if let Some(bar) = self.steps.remove(&id) {
                        bar.finish_and_clear();
                    }
                    if view.state != StepState::Skipped
                        && says
                        && self.said.insert(id, view.state) != Some(view.state)
                    {
                        let mark = if view.state == StepState::Done {
                            '✓'
                        } else {
                            '✗'
                        };
                        // A terminal that is gone is noticed at the next line.
                        let _ = bars.println(format!("  {mark} {}: {}", self.host, view.line()));
                    }
                }
                StepState::Pending => {}
            }
            return;
        }
        if matches!(view.state, StepState::Done | StepState::Failed)
            && says
            && self.said.insert(id, view.state) != Some(view.state)
        {
            note(&format!("{}: {}", self.host, view.line()));
        }
    }

    fn finish(&mut self, view: &DeploymentView) {
        self.show(view);
        for bar in std::mem::take(&mut self.steps).into_values() {
            bar.finish_and_clear();
        }
        if let Some(main) = &self.main {
            main.finish_and_clear();
            note(&format!("{}: {}", self.host, ending(&view.deployment.state)));
        }
    }
}

/// Steps that have ended, of those that do something.
fn ended(steps: &Steps) -> (usize, usize) {
    let all = || steps.steps.iter().filter(|view| view.step.action != Action::Keep);
    let done = all().filter(|view| matches!(view.state, StepState::Done | StepState::Skipped));
    (done.count(), all().count())
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
