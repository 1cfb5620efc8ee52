//! Which hosts a command is for.

use std::collections::{BTreeMap, BTreeSet};

use windflow_api::{DeploymentQuery, StackView};
use windflow_model::{AgentId, Rev, Want};

use crate::{
    cli::OnArgs,
    error::{Error, Exit, Result},
    http::Client,
};

/// The hosts that the command line names, if it names any.
pub(super) async fn chosen(client: &Client, on: &OnArgs) -> Result<Option<Vec<AgentId>>> {
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
        let fits = |labels: &BTreeMap<String, String>| {
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
pub(super) async fn hosts(client: &Client, on: &OnArgs, stack: Option<&StackView>) -> Result<Vec<AgentId>> {
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
