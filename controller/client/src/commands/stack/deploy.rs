//! `windflow stack deploy`, and what it shares: reading files, judging the check.

use std::path::Path;

use windflow_api::{
    AgentPin, AgentPlan, DeployRequest, RolloutCreate, RolloutPreview, StackCreate, StackUpdate, StackView,
    ValidateRequest, Validation,
};
use windflow_model::{StackName, StackSpec, Targets};

use super::{
    super::{Session, deployment::conclude, rollout},
    hosts::{chosen, hosts},
};
use crate::{
    cli::{OnArgs, PolicyArgs, RolloutArgs, SpecArgs, WaitArgs},
    collect::{Source, collect},
    error::{Error, Exit, Result},
    http::Client,
    output::note,
};

/// How a deploy goes about it.
pub(super) struct How<'a> {
    pub(super) on: &'a OnArgs,
    /// A plan to be carried out and nothing else.
    pub(super) plan: Option<&'a Path>,
    pub(super) policy: &'a PolicyArgs,
    /// How it goes out in waves, if it shall.
    pub(super) waves: &'a RolloutArgs,
    pub(super) wait: &'a WaitArgs,
}

pub(super) async fn deploy(
    session: &Session<'_>,
    client: &Client,
    name: &str,
    spec: SpecArgs,
    how: &How<'_>,
) -> Result<()> {
    let How {
        on,
        plan,
        policy,
        waves,
        wait,
    } = *how;
    let planned = plan.map(|path| read_plans(path, name)).transpose()?;
    let stack_name: StackName = name.parse().map_err(|error| Error::usage(format!("{error}")))?;
    let mut spec = read_spec(spec)?;
    let known = find(client, name).await?;
    // The files come from here, the policy is the stack's.
    let kept = known.as_ref().map(|known| known.stack.spec.policy.clone());
    spec.policy = policy.over(kept.unwrap_or_default());
    let check = ValidateRequest {
        name: Some(stack_name.clone()),
        spec: spec.clone(),
    };
    judge(&client.stack_validate(&check).await?)?;
    // The hosts are settled before anything is saved.
    let targets = match waves.wanted() {
        true => Some(targets(client, on, waves, known.as_ref()).await?),
        false => None,
    };
    if let Some(targets) = targets.as_ref().filter(|_| waves.show_waves) {
        let request = RolloutPreview {
            targets: targets.clone(),
            plan: waves.plan(),
        };
        return rollout::waves(session, &client.rollout_preview(&request).await?);
    }
    let agents = match &planned {
        _ if targets.is_some() => Vec::new(),
        // The plan says which hosts it is for.
        Some(pins) if on.on.is_empty() && on.on_label.is_empty() => {
            pins.iter().map(|pin| pin.agent).collect()
        }
        _ => hosts(client, on, known.as_ref()).await?,
    };
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
    if let Some(targets) = targets {
        let request = RolloutCreate {
            stack: stack.stack.id,
            targets,
            plan: waves.plan(),
            rev: None,
        };
        let made = client.rollout_create(&request).await?;
        return rollout::conclude(session, client, made, wait).await;
    }
    let deployments = client
        .deployment_create(
            stack.stack.id,
            &DeployRequest {
                agents,
                rev: None,
                pins: planned.unwrap_or_default(),
            },
        )
        .await?;
    conclude(session, client, deployments, wait).await
}

/// Whom a rollout is for: labels and groups are the controller's to look up.
async fn targets(
    client: &Client,
    on: &OnArgs,
    waves: &RolloutArgs,
    known: Option<&StackView>,
) -> Result<Targets> {
    let group = match &waves.group {
        Some(name) => Some(client.group_find(name).await?.group.id),
        None => None,
    };
    let agents = if waves.selector.is_some() || group.is_some() {
        chosen(client, on).await?.unwrap_or_default()
    } else {
        hosts(client, on, known).await?
    };
    Ok(Targets {
        selector: waves.selector.clone(),
        group,
        agents,
    })
}

/// The pins in what `windflow stack plan -o json` printed.
fn read_plans(path: &Path, name: &str) -> Result<Vec<AgentPin>> {
    let shown = path.display();
    let text = fs_err::read_to_string(path).map_err(|error| Error::usage(error.to_string()))?;
    let plans: Vec<AgentPlan> = serde_json::from_str(&text).map_err(|error| {
        Error::usage(format!("{shown} is no plan: {error}"))
            .hint("`windflow stack plan NAME -o json > FILE` writes one.")
    })?;
    let pins = plans.into_iter().map(|held| match held.plan {
        Some(plan) if plan.stack.as_str() == name => Ok(AgentPin {
            agent: held.agent,
            pin: plan.pin,
        }),
        Some(plan) => Err(Error::usage(format!(
            "{shown} is a plan of stack {}, not of {name}",
            plan.stack
        ))),
        None => Err(
            Error::usage(format!("{shown} has no plan for host {}", held.agent))
                .hint("Plan again once that host can."),
        ),
    });
    pins.collect()
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
