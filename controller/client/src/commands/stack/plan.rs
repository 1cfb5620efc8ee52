//! `windflow stack plan`.

use windflow_api::{AgentPlan, PlanRequest, StackPreview};
use windflow_model::StackName;

use super::{
    super::{Session, agent_names},
    deploy::{find, read_spec},
    hosts::hosts,
};
use crate::{
    cli::{OnArgs, SpecArgs},
    error::{Error, Exit, Result},
    http::Client,
    output::Output,
};

pub(super) async fn plan(
    session: &Session<'_>,
    client: &Client,
    name: &str,
    spec: SpecArgs,
    on: &OnArgs,
    detailed: bool,
) -> Result<()> {
    let changes = shown(session, client, name, spec, on).await.map_err(|error| {
        // Exit code 1 says that there are changes: an error must have another one.
        if detailed && error.exit == Exit::Failed {
            Error {
                exit: Exit::Usage,
                ..error
            }
        } else {
            error
        }
    })?;
    if detailed && changes {
        return Err(Error::failed("there are changes"));
    }
    Ok(())
}

/// Prints the plans; whether any of them has changes.
async fn shown(
    session: &Session<'_>,
    client: &Client,
    name: &str,
    spec: SpecArgs,
    on: &OnArgs,
) -> Result<bool> {
    let known = find(client, name).await?;
    let mut spec = if !spec.files.is_empty() || known.is_none() {
        Some(read_spec(spec)?)
    } else {
        None
    };
    if let (Some(spec), Some(known)) = (&mut spec, &known) {
        spec.policy = known.stack.spec.policy.clone();
    }
    let agents = hosts(client, on, known.as_ref()).await?;
    let plans = match (known, spec) {
        (Some(stack), spec) => {
            let request = PlanRequest {
                agents,
                rev: None,
                spec,
            };
            client.stack_plan(stack.stack.id, &request).await?
        }
        (None, spec) => {
            let name: StackName = name.parse().map_err(|error| Error::usage(format!("{error}")))?;
            let spec = spec.unwrap_or_default();
            client.stack_preview(&StackPreview { name, spec, agents }).await?
        }
    };
    let names = agent_names(client).await?;
    session.out.show(&plans, |out| {
        let texts = plans.iter().map(|plan| {
            let host = names
                .get(&plan.agent)
                .cloned()
                .unwrap_or_else(|| plan.agent.to_string());
            plan_text(out, &host, plan)
        });
        texts.collect::<Vec<_>>().join("\n\n")
    })?;
    if plans.iter().any(|plan| plan.error.is_some()) {
        return Err(Error::failed("not every host could plan"));
    }
    let mut made = plans.iter().filter_map(|plan| plan.plan.as_ref());
    Ok(made.any(|plan| !plan.is_empty()))
}

fn plan_text(out: &Output, host: &str, plan: &AgentPlan) -> String {
    match (&plan.plan, &plan.error) {
        (Some(plan), _) => {
            let mut text = plan.tree(host, &|tone, text| {
                if out.color {
                    tone.ansi(text)
                } else {
                    text.to_owned()
                }
            });
            for warning in &plan.warnings {
                text.push_str(&format!("\n  warning: {warning}"));
            }
            text
        }
        (None, Some(failure)) => format!("{host}: {failure}\n  {}", failure.hint),
        (None, None) => format!("{host}: no answer"),
    }
}
