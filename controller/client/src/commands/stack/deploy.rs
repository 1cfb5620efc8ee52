//! `windflow stack deploy`, and what it shares: reading files, judging the check.

use windflow_api::{DeployRequest, StackCreate, StackUpdate, StackView, ValidateRequest, Validation};
use windflow_model::{StackName, StackSpec};

use super::{
    super::{Session, deployment::conclude},
    hosts::hosts,
};
use crate::{
    cli::{OnArgs, SpecArgs, WaitArgs},
    collect::{Source, collect},
    error::{Error, Exit, Result},
    http::Client,
    output::note,
};

pub(super) async fn deploy(
    session: &Session<'_>,
    client: &Client,
    name: &str,
    spec: SpecArgs,
    on: &OnArgs,
    wait: &WaitArgs,
) -> Result<()> {
    let stack_name: StackName = name.parse().map_err(|error| Error::usage(format!("{error}")))?;
    let spec = read_spec(spec)?;
    let check = ValidateRequest {
        name: Some(stack_name.clone()),
        spec: spec.clone(),
    };
    judge(&client.stack_validate(&check).await?)?;
    let known = find(client, name).await?;
    // The hosts are settled before anything is saved.
    let agents = hosts(client, on, known.as_ref()).await?;
    let stack = match known {
        None => {
            let created = StackCreate {
                name: stack_name,
                spec,
            };
            client.stack_create(&created).await?
        }
        Some(known) if known.stack.digest == spec.digest() => known,
        Some(known) => {
            client
                .stack_update(known.stack.id, known.version, &StackUpdate { spec })
                .await?
        }
    };
    let deployments = client
        .deployment_create(stack.stack.id, &DeployRequest { agents, rev: None })
        .await?;
    conclude(session, client, deployments, wait).await
}

pub(super) fn read_spec(args: SpecArgs) -> Result<StackSpec> {
    let collected = collect(&Source {
        files: args.files,
        env_files: args.env_files,
        profiles: args.profiles,
    })?;
    for warning in &collected.warnings {
        note(&format!("warning: {warning}"));
    }
    Ok(collected.spec)
}

/// Prints what the check found; an error among it ends the command.
pub(super) fn judge(validation: &Validation) -> Result<()> {
    for problem in &validation.problems {
        note(&problem.to_string());
    }
    if validation.ok {
        return Ok(());
    }
    Err(Error::usage("the Compose project has problems")
        .hint("Correct the lines above; nothing was changed."))
}

pub(super) async fn find(client: &Client, name: &str) -> Result<Option<StackView>> {
    match client.stack_find(name).await {
        Ok(stack) => Ok(Some(stack)),
        Err(error) if error.exit == Exit::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
