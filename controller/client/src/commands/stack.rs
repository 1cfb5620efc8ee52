//! Stacks.

use comfy_table::Cell;
use windflow_api::{DeploymentQuery, RemoveRequest, RollbackRequest, StackView, ValidateRequest};
use windflow_model::{Rev, Want};

use self::{
    deploy::{How, deploy, judge, read_spec},
    hosts::chosen,
    plan::plan,
};
use super::{Session, agent::containers_table, agent_names, confirm, deployment::conclude};
use crate::{
    cli::{OnArgs, StackCommand, WaitArgs},
    error::{Error, Result},
    http::Client,
    output::note,
};

mod deploy;
mod hosts;
mod plan;

/// `windflow stack …`.
pub(super) async fn run(session: &Session<'_>, command: StackCommand) -> Result<()> {
    let client = session.client()?;
    match command {
        StackCommand::Deploy {
            name,
            spec,
            on,
            plan,
            policy,
            waves,
            wait,
        } => {
            let how = How {
                on: &on,
                plan: plan.as_deref(),
                policy: &policy,
                waves: &waves,
                wait: &wait,
            };
            deploy(session, &client, &name, spec, &how).await
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
            session.out.none(
                stacks.is_empty(),
                "no stacks yet; `windflow stack deploy NAME -f compose.yaml` makes one",
            );
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
        StackCommand::Rollback { stack, to, on, wait } => {
            let stack = client.stack_find(&stack).await?;
            let rev = match to {
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
            remove(session, &client, &stack, &on, volumes, forget, &wait).await
        }
    }
}

async fn remove(
    session: &Session<'_>,
    client: &Client,
    stack: &StackView,
    on: &OnArgs,
    volumes: bool,
    forget: bool,
    wait: &WaitArgs,
) -> Result<()> {
    let request = RemoveRequest {
        agents: chosen(client, on).await?,
        volumes,
    };
    if !forget || stack.stack.latest_rev != Rev::ZERO {
        match client.stack_remove(stack.stack.id, &request).await {
            Ok(deployments) => conclude(session, client, deployments, wait).await?,
            // No host has it: a repeated command goes on where the first one stopped.
            Err(error) if forget && error.status == Some(409) => note(&error.message),
            Err(error) => return Err(error),
        }
    }
    if forget {
        client.stack_delete(stack.stack.id).await?;
        note(&format!("forgot {}", stack.stack.name));
    }
    Ok(())
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
                if host.containers.is_empty() {
                    "no containers".to_owned()
                } else {
                    containers_table(out, &host.containers)
                }
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

/// The newest revision that ran well on some host, with another spec than the latest one has; after a removal the newest
/// one that ran well.
async fn previous(client: &Client, stack: &StackView) -> Result<Rev> {
    let mut revisions = client.revision_list(stack.stack.id).await?;
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.rev));
    let latest = revisions
        .first()
        .filter(|revision| revision.want == Want::Present);
    let latest = latest.map(|revision| revision.digest);
    let query = DeploymentQuery {
        stack: Some(stack.stack.id),
        state: Some("succeeded".to_owned()),
        ..DeploymentQuery::default()
    };
    let ran = client.deployment_list(&query).await?;
    let older = revisions.iter().find(|revision| {
        revision.want == Want::Present
            && Some(revision.digest) != latest
            && ran.iter().any(|view| view.deployment.rev == revision.rev)
    });
    older.map(|revision| revision.rev).ok_or_else(|| {
        Error::failed(format!(
            "{} has no earlier revision that ran well with another spec",
            stack.stack.name
        ))
        .hint("`windflow stack history` shows what there is; `--to` names any of them.")
    })
}
