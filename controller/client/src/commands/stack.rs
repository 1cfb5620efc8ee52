//! Stacks.

use std::collections::BTreeSet;

use comfy_table::Cell;
use windflow_api::{
    AgentPlan, DeployRequest, DeploymentQuery, PlanRequest, RemoveRequest, RollbackRequest, StackCreate,
    StackUpdate, StackView, ValidateRequest, Validation,
};
use windflow_model::{AgentId, Plan, Rev, StackName, StackSpec, Want};

use super::{Session, agent::containers_table, agent_names, confirm, deployment::conclude};
use crate::{
    cli::{OnArgs, SpecArgs, StackCommand, WaitArgs},
    collect::{Source, collect},
    error::{Error, Exit, Result},
    http::Client,
    output::{Output, Tone, note},
};

/// `windflow stack …`.
pub(super) async fn run(session: &Session<'_>, command: StackCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        StackCommand::Deploy { name, spec, on, wait } => {
            deploy(session, &client, &name, spec, &on, &wait).await
        }
        StackCommand::Plan {
            name,
            spec,
            on,
            detailed_exitcode,
        } => plan(session, &client, &name, spec, &on, detailed_exitcode).await,
        StackCommand::Validate { spec } => {
            let spec = read_spec(spec)?;
            let validation = client
                .stack_validate(&ValidateRequest { name: None, spec })
                .await?;
            session.out.show(&validation, |_| {
                format!("services: {}", validation.services.join(", "))
            })?;
            judge(&validation)
        }
        StackCommand::List => {
            let stacks = client.stack_list().await?;
            session.out.show(&stacks, |out| {
                let rows = stacks.iter().map(|view| {
                    let stack = &view.stack;
                    let rev = if stack.latest_rev == Rev::ZERO {
                        "-".to_owned()
                    } else {
                        stack.latest_rev.to_string()
                    };
                    vec![
                        Cell::new(&stack.name),
                        Cell::new(rev),
                        Cell::new(out.ago(stack.updated_at)),
                    ]
                });
                out.table(&["NAME", "REV", "SAVED"], rows.collect())
            })
        }
        StackCommand::Show { stack } => show(session, &client, &stack).await,
        StackCommand::History { stack } => history(session, &client, &stack).await,
        StackCommand::Rollback { stack, rev, on, wait } => {
            let stack = client.stack_find(&stack).await?;
            let rev = match rev {
                Some(rev) => Rev(rev),
                None => previous(&client, &stack).await?,
            };
            let request = RollbackRequest {
                rev,
                agents: chosen(&client, &on).await?,
            };
            let deployments = client.stack_rollback(stack.stack.id, &request).await?;
            conclude(session, &client, deployments, &wait).await
        }
        StackCommand::Remove {
            stack,
            on,
            volumes,
            forget,
            yes,
            wait,
        } => {
            let stack = client.stack_find(&stack).await?;
            let also = if volumes {
                " and its volumes with their data"
            } else {
                ""
            };
            confirm(&format!("Remove {}{also}?", stack.stack.name), yes)?;
            let request = RemoveRequest {
                agents: chosen(&client, &on).await?,
                volumes,
            };
            let runs_somewhere = stack.stack.latest_rev != Rev::ZERO;
            if runs_somewhere {
                let deployments = client.stack_remove(stack.stack.id, &request).await?;
                conclude(session, &client, deployments, &wait).await?;
            }
            if forget {
                client.stack_delete(stack.stack.id).await?;
                note(&format!("forgot {}", stack.stack.name));
            }
            Ok(())
        }
    }
}

fn read_spec(args: SpecArgs) -> Result<StackSpec> {
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
fn judge(validation: &Validation) -> Result<()> {
    for problem in &validation.problems {
        note(&problem.to_string());
    }
    if validation.ok {
        return Ok(());
    }
    Err(Error::usage("the Compose project has problems")
        .hint("Correct the lines above; nothing was changed."))
}

async fn find(client: &Client, name: &str) -> Result<Option<StackView>> {
    match client.stack_find(name).await {
        Ok(stack) => Ok(Some(stack)),
        Err(error) if error.exit == Exit::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn deploy(
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

async fn plan(
    session: &Session<'_>,
    client: &Client,
    name: &str,
    spec: SpecArgs,
    on: &OnArgs,
    detailed: bool,
) -> Result<()> {
    let named = !spec.files.is_empty();
    let known = find(client, name).await?;
    let spec = if named || known.is_none() {
        Some(read_spec(spec)?)
    } else {
        None
    };
    let Some(stack) = known else {
        return Err(
            Error::new(Exit::NotFound, format!("there is no stack `{name}` to plan"))
                .hint("`windflow stack validate` checks files; `windflow stack deploy` creates the stack."),
        );
    };
    let request = PlanRequest {
        agents: hosts(client, on, Some(&stack)).await?,
        rev: None,
        spec,
    };
    let plans = client.stack_plan(stack.stack.id, &request).await?;
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
    let changes = plans
        .iter()
        .filter_map(|plan| plan.plan.as_ref())
        .any(|plan| !plan.is_empty());
    if detailed && changes {
        return Err(Error::failed("there are changes"));
    }
    Ok(())
}

fn plan_text(out: &Output, host: &str, plan: &AgentPlan) -> String {
    match (&plan.plan, &plan.error) {
        (Some(plan), _) => format!("{host}: {}\n{}", summary(plan), steps_table(out, plan))
            .trim_end()
            .to_owned(),
        (None, Some(failure)) => format!("{host}: {failure}\n  {}", failure.hint),
        (None, None) => format!("{host}: no answer"),
    }
}

fn summary(plan: &Plan) -> String {
    let counts = plan.summary();
    if plan.is_empty() {
        return format!("nothing to do, {} kept", counts.keep);
    }
    format!(
        "{} to create, {} to change, {} to remove, {} kept",
        counts.create, counts.change, counts.remove, counts.keep
    )
}

fn steps_table(out: &Output, plan: &Plan) -> String {
    use windflow_model::Action;

    let shown = plan.steps.iter().filter(|step| step.action.changes());
    let rows: Vec<_> = shown
        .map(|step| {
            let tone = match step.action {
                Action::Create | Action::Start | Action::Pull => Tone::Good,
                Action::Remove => Tone::Bad,
                _ => Tone::Busy,
            };
            let mut why = step.reason.text.clone();
            if let (Some(old), Some(new)) = (&step.reason.old, &step.reason.new) {
                why.push_str(&format!(": {old} -> {new}"));
            }
            vec![
                out.cell(format!("  {}", step.action), tone),
                Cell::new(step.resource.kind),
                Cell::new(&step.resource.name),
                Cell::new(why),
            ]
        })
        .collect();
    let mut text = if rows.is_empty() {
        String::new()
    } else {
        out.table(&["  ACTION", "KIND", "NAME", "WHY"], rows)
    };
    for warning in &plan.warnings {
        text.push_str(&format!("\n  warning: {warning}"));
    }
    text
}

async fn show(session: &Session<'_>, client: &Client, name: &str) -> Result<()> {
    let stack = client.stack_find(name).await?;
    let hosts = client.stack_containers(stack.stack.id).await?;
    let names = agent_names(client).await?;
    let all = serde_json::json!({ "stack": stack, "hosts": hosts });
    session.out.show(&all, |out| {
        let files: Vec<_> = stack
            .stack
            .spec
            .files
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        let mut text = format!(
            "Name      {}\nId        {}\nRevision  {}\nSaved     {}\nFiles     {}",
            stack.stack.name,
            stack.stack.id,
            stack.stack.latest_rev,
            out.ago(stack.stack.updated_at),
            files.join(", ")
        );
        for host in &hosts {
            let name = names
                .get(&host.agent)
                .cloned()
                .unwrap_or_else(|| host.agent.to_string());
            let seen = match host.observed_at {
                Some(at) if host.connected => format!("seen {}", out.ago(at)),
                Some(at) => format!("offline, seen {}", out.ago(at)),
                None => "not seen yet".to_owned(),
            };
            text.push_str(&format!(
                "\n\n{name} ({seen})\n{}",
                containers_table(out, &host.containers)
            ));
        }
        text
    })
}

async fn history(session: &Session<'_>, client: &Client, name: &str) -> Result<()> {
    let stack = client.stack_find(name).await?;
    let revisions = client.revision_list(stack.stack.id).await?;
    session.out.show(&revisions, |out| {
        let rows = revisions.iter().map(|revision| {
            let what = match (revision.want, revision.rollback_of) {
                (Want::Present, None) => "deploy".to_owned(),
                (Want::Present, Some(of)) => format!("rollback to {of}"),
                (Want::Absent, _) => "remove".to_owned(),
                (Want::AbsentWithVolumes, _) => "remove with volumes".to_owned(),
            };
            let digest: String = revision.digest.to_string().chars().take(12).collect();
            vec![
                Cell::new(revision.rev),
                Cell::new(what),
                Cell::new(out.ago(revision.created_at)),
                Cell::new(digest),
            ]
        });
        out.table(&["REV", "WHAT", "MADE", "SPEC"], rows.collect())
    })
}

/// The newest revision before the latest one that wanted the stack to run with another spec.
async fn previous(client: &Client, stack: &StackView) -> Result<Rev> {
    let mut revisions = client.revision_list(stack.stack.id).await?;
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.rev));
    let latest = revisions.first().map(|revision| revision.digest);
    let older = revisions
        .iter()
        .skip(1)
        .find(|revision| revision.want == Want::Present && Some(revision.digest) != latest);
    older.map(|revision| revision.rev).ok_or_else(|| {
        Error::failed(format!(
            "{} has no earlier revision with another spec",
            stack.stack.name
        ))
        .hint("`windflow stack history` shows what there is.")
    })
}

/// The hosts that the command line names, if it names any.
async fn chosen(client: &Client, on: &OnArgs) -> Result<Option<Vec<AgentId>>> {
    if on.on.is_empty() && on.on_label.is_empty() {
        return Ok(None);
    }
    let mut ids = BTreeSet::new();
    for name in &on.on {
        ids.insert(client.agent_find(name).await?.record.id);
    }
    if !on.on_label.is_empty() {
        let mut wanted = Vec::new();
        for label in &on.on_label {
            let pair = label.split_once('=');
            wanted.push(pair.ok_or_else(|| Error::usage(format!("`{label}` is no label: use KEY=VALUE")))?);
        }
        let fits = |labels: &std::collections::BTreeMap<String, String>| {
            wanted
                .iter()
                .all(|(key, value)| labels.get(*key).is_some_and(|held| held == value))
        };
        let agents = client.agent_list().await?;
        ids.extend(
            agents
                .iter()
                .filter(|agent| fits(&agent.record.labels))
                .map(|agent| agent.record.id),
        );
        if ids.is_empty() {
            return Err(Error::new(
                Exit::NotFound,
                format!("no host carries {}", on.on_label.join(" and ")),
            )
            .hint("`windflow agent list` shows the labels."));
        }
    }
    Ok(Some(ids.into_iter().collect()))
}

/// The hosts to deploy to: those named; else those that have the stack; else the only one there is.
async fn hosts(client: &Client, on: &OnArgs, stack: Option<&StackView>) -> Result<Vec<AgentId>> {
    if let Some(ids) = chosen(client, on).await? {
        return Ok(ids);
    }
    let agents = client.agent_list().await?;
    if let Some(stack) = stack.filter(|stack| stack.stack.latest_rev != Rev::ZERO) {
        let query = DeploymentQuery {
            stack: Some(stack.stack.id),
            latest: true,
            ..DeploymentQuery::default()
        };
        let held = client.deployment_list(&query).await?;
        let ids: Vec<_> = held
            .into_iter()
            .filter(|view| view.deployment.want == Want::Present)
            .map(|view| view.deployment.agent)
            .filter(|id| agents.iter().any(|agent| agent.record.id == *id))
            .collect();
        if !ids.is_empty() {
            return Ok(ids);
        }
    }
    match agents.as_slice() {
        [only] => Ok(vec![only.record.id]),
        [] => Err(Error::failed("there is no host to deploy to")
            .hint("`windflow agent token create` shows how to add one.")),
        _ => Err(Error::usage("there are several hosts: say which")
            .hint("Name them with --on HOST,… or --on-label KEY=VALUE.")),
    }
}
