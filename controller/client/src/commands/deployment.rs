//! Deployments.

use std::collections::BTreeMap;

use comfy_table::Cell;
use windflow_api::{DeploymentQuery, DeploymentView};
use windflow_model::{
    Action, AgentId, DeploymentId, DeploymentState, StepState, Want, deployment::DeploymentView as View,
};

use super::{Session, agent_names};
use crate::{
    cli::{DeploymentCommand, WaitArgs},
    error::{Error, Exit, Result},
    follow::{ending, follow, verdict},
    http::Client,
    output::{Output, Tone, note, state_tone},
};

fn parse_id(text: &str) -> Result<DeploymentId> {
    text.parse().map_err(|error| {
        Error::new(Exit::Usage, format!("{error}")).hint("`windflow deployment list` shows the ids.")
    })
}

/// `windflow deployment …`.
pub(super) async fn run(session: &Session<'_>, command: DeploymentCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        DeploymentCommand::List { stack, agent, state } => {
            let query = DeploymentQuery {
                stack: match stack {
                    Some(text) => Some(client.stack_find(&text).await?.stack.id),
                    None => None,
                },
                agent: match agent {
                    Some(text) => Some(client.agent_find(&text).await?.record.id),
                    None => None,
                },
                state,
                ..DeploymentQuery::default()
            };
            let views = client.deployment_list(&query).await?;
            session.out.none(views.is_empty(), "no such deployments");
            let names = agent_names(&client).await?;
            session.out.show(&views, |out| table(out, &views, &names))
        }
        DeploymentCommand::Show { deployment } => {
            let view = client.deployment_show(parse_id(&deployment)?).await?;
            let names = agent_names(&client).await?;
            session.out.show(&view, |out| text(out, &view, &names))
        }
        DeploymentCommand::Watch { deployment, timeout } => {
            let view = client.deployment_show(parse_id(&deployment)?).await?;
            let wait = WaitArgs {
                timeout,
                ..WaitArgs::default()
            };
            conclude(session, &client, vec![view], &wait).await
        }
        DeploymentCommand::Cancel { deployment } => {
            let view = client.deployment_cancel(parse_id(&deployment)?).await?;
            let state = view.deployment.state.name();
            note(&if view.deployment.state.is_terminal() {
                format!("the deployment is {state}")
            } else {
                format!("asked the host to take it back; it is {state} now")
            });
            let names = agent_names(&client).await?;
            session
                .out
                .show(&view, |out| table(out, std::slice::from_ref(&view), &names))
        }
    }
}

/// What follows every order: print and end, or follow and judge.
pub(super) async fn conclude(
    session: &Session<'_>,
    client: &Client,
    deployments: Vec<DeploymentView>,
    wait: &WaitArgs,
) -> Result<()> {
    let names = agent_names(client).await?;
    if wait.detach {
        return session
            .out
            .show(&deployments, |out| table(out, &deployments, &names));
    }
    let ended = follow(client, deployments, &names, wait.timeout).await?;
    session.out.show(&ended, |out| table(out, &ended, &names))?;
    verdict(&ended, &names)
}

fn host(names: &BTreeMap<AgentId, String>, id: AgentId) -> String {
    names
        .get(&id)
        .cloned()
        .unwrap_or_else(|| format!("{id} (removed)"))
}

fn state_cell(out: &Output, view: &DeploymentView) -> Cell {
    let state = &view.deployment.state;
    match &view.view {
        View::Unknown { last, since } => out.cell(
            format!("unknown (was {} {})", last.replace('_', " "), out.ago(*since)),
            Tone::Busy,
        ),
        View::Known => out.cell(ending(state), state_tone(state)),
    }
}

fn table(out: &Output, views: &[DeploymentView], names: &BTreeMap<AgentId, String>) -> String {
    let rows = views.iter().map(|view| {
        let deployment = &view.deployment;
        let what = match deployment.want {
            Want::Present => deployment.rev.to_string(),
            Want::Absent | Want::AbsentWithVolumes => format!("{} (remove)", deployment.rev),
        };
        vec![
            Cell::new(deployment.id),
            Cell::new(&deployment.stack_name),
            Cell::new(what),
            Cell::new(host(names, deployment.agent)),
            state_cell(out, view),
            Cell::new(out.ago(deployment.state_at)),
        ]
    });
    out.table(&["ID", "STACK", "REV", "HOST", "STATE", "SINCE"], rows.collect())
}

fn text(out: &Output, view: &DeploymentView, names: &BTreeMap<AgentId, String>) -> String {
    let deployment = &view.deployment;
    let mut text = table(out, std::slice::from_ref(view), names);
    if let Some(failure) = deployment.state.failure() {
        text.push_str(&format!("\n\nReason: {failure}\nHint:   {}", failure.hint));
        if let DeploymentState::RollbackFailed { undo: Some(undo), .. } = &deployment.state {
            text.push_str(&format!("\nThe way back failed: {undo}"));
        }
    }
    let steps = &deployment.steps;
    if !steps.steps.is_empty() {
        let rows = steps.steps.iter().map(|step| {
            let (word, tone) = match step.state {
                // Nothing is done to what stays as it is.
                _ if step.step.action == Action::Keep => ("kept", Tone::Plain),
                StepState::Pending => ("pending", Tone::Plain),
                StepState::Running => ("running", Tone::Busy),
                StepState::Done => ("done", Tone::Good),
                StepState::Failed => ("failed", Tone::Bad),
                StepState::Skipped => ("skipped", Tone::Plain),
            };
            let why = step
                .failure
                .as_ref()
                .map_or_else(|| step.step.reason.text.clone(), ToString::to_string);
            vec![
                Cell::new(format!("{} {}", step.step.action, step.step.resource.kind)),
                Cell::new(&step.step.resource.name),
                out.cell(word, tone),
                Cell::new(why),
            ]
        });
        text.push_str("\n\n");
        text.push_str(&out.table(&["STEP", "NAME", "STATE", "WHY"], rows.collect()));
    }
    for line in steps.warnings.iter().chain(&steps.notes) {
        text.push_str(&format!("\n{line}"));
    }
    text
}
