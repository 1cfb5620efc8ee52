//! Logs of hosts: one stream per host, never stored. What the reader does not take is not pulled from the hosts; what is searched
//! for is looked for on the hosts, and only what matches travels.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream, stream::BoxStream};
use windflow_api::{LogFrame, LogParams};
use windflow_kit::merge::{Place, merge_by_time};
use windflow_model::{
    AgentId, GroupId, LogEvent, LogQuery, Selector, StackId, StackName, Targets, Timestamp,
};

use super::{App, AppError, AppResult, keys, records::NameHolder};
use crate::context::OpContext;

/// Hosts that are searched at the same time for one reader; the others follow as these end.
const AT_ONCE: usize = 64;
/// Hosts of which one reader may have the lines in order of time: each has a stream of its own for as long as it is read.
const MOST_READ: usize = 1000;
/// A host that has said nothing for this long has no more to say of what was before.
const PATIENCE: Duration = Duration::from_millis(750);
/// The same where nothing is followed: hosts may be slow to find the place from which on is asked, but must not hold up all.
const LONG_PATIENCE: Duration = Duration::from_secs(10);

impl App {
    /// Opens the logs of a stack on the hosts that are named, or on all that have it.
    ///
    /// # Errors
    /// No such stack or host, or a search that cannot be made. A host that cannot be reached is said by its `end`.
    pub async fn stack_logs(
        &self,
        op: &OpContext,
        id: StackId,
        params: &LogParams,
    ) -> AppResult<BoxStream<'static, LogFrame>> {
        if params.stack.is_some() {
            return Err(AppError::bad("stack: the path names it already"));
        }
        let stack = self.need_stack("stack_logs", op.org, id).await?.value;
        let mut agents = self.stack_hosts(op, id).await?;
        if let Some(named) = self.named_hosts(op, params).await? {
            // One host that is named is asked whatever is known of it.
            if params.agent.is_none() {
                agents.retain(|agent| named.contains(agent));
            } else {
                agents = named;
            }
        }
        if agents.is_empty() {
            return Err(AppError::not_found("host that has this stack"));
        }
        self.logs(agents, Some(stack.name.to_string()), params)
    }

    /// Opens the logs of any containers of hosts.
    ///
    /// # Errors
    /// No such host or group, a search that cannot be made, or more hosts than can be followed.
    pub async fn fleet_logs(
        &self,
        op: &OpContext,
        params: &LogParams,
    ) -> AppResult<BoxStream<'static, LogFrame>> {
        let agents = match self.named_hosts(op, params).await? {
            Some(agents) => agents,
            None => self.hosts_of_project(op, params.stack.as_deref()).await?,
        };
        if agents.is_empty() {
            return Err(AppError::not_found("host that is meant"));
        }
        self.logs(agents, params.stack.clone(), params)
    }

    fn logs(
        &self,
        agents: Vec<AgentId>,
        stack: Option<String>,
        params: &LogParams,
    ) -> AppResult<BoxStream<'static, LogFrame>> {
        let search = params
            .search()
            .map_err(|error| AppError::bad(error.to_string()))?;
        let ordered = params.follow || search.is_none();
        if ordered && agents.len() > MOST_READ {
            return Err(AppError::bad(format!(
                "{} hosts are meant, and at most {MOST_READ} can be read at once: name fewer, or search for something",
                agents.len()
            )));
        }
        let query = Arc::new(LogQuery {
            stack,
            services: list(params.service.as_deref()),
            containers: list(params.container.as_deref()),
            tail: params.tail,
            follow: params.follow,
            since: params.since,
            until: params.until,
            source: params.source,
            search,
        });
        let patience = if params.follow { PATIENCE } else { LONG_PATIENCE };
        let (app, timestamps) = (self.clone(), params.timestamps);
        let open = move |agent| {
            let (app, query) = (app.clone(), Arc::clone(&query));
            let opened = async move {
                let events = app.hosts().logs(agent, (*query).clone()).await;
                events.unwrap_or_else(|failure| {
                    let reason = failure.to_string();
                    stream::iter([LogEvent::End { reason }]).boxed()
                })
            };
            let events = opened.into_stream().flatten();
            events.map(move |event| (agent, event)).boxed()
        };
        let events = if !ordered {
            stream::iter(agents).map(open).flatten_unordered(AT_ONCE).boxed()
        } else {
            let later = stream::empty();
            merge_by_time(agents.into_iter().map(open), later, Some(patience), place).boxed()
        };
        Ok(events
            .map(move |(agent, event)| frame(agent, event, timestamps))
            .boxed())
    }

    async fn named_hosts(&self, op: &OpContext, params: &LogParams) -> AppResult<Option<Vec<AgentId>>> {
        self.hosts_named(
            op,
            params.agent.as_deref(),
            params.selector.as_ref(),
            params.group,
        )
        .await
    }

    /// The hosts that a reader names; `None` if nothing is said of hosts.
    pub(super) async fn hosts_named(
        &self,
        op: &OpContext,
        agent: Option<&str>,
        selector: Option<&Selector>,
        group: Option<GroupId>,
    ) -> AppResult<Option<Vec<AgentId>>> {
        let ids = list(agent);
        let parsed = ids.iter().map(|id| id.parse());
        let targets = Targets {
            selector: selector.cloned(),
            group,
            agents: parsed
                .collect::<Result<_, _>>()
                .map_err(|error| AppError::bad(format!("agent: {error}")))?,
        };
        if targets.is_empty() {
            return Ok(None);
        }
        let meant = self.meant(op, &targets).await?;
        Ok(Some(meant.into_iter().map(|host| host.agent).collect()))
    }

    /// Hosts that may have a project: those of the stack of this name, if there is one, else all.
    async fn hosts_of_project(&self, op: &OpContext, name: Option<&str>) -> AppResult<Vec<AgentId>> {
        const OP: &str = "logs";
        if let Some(name) = name {
            // What is no name of a stack may be a project that was started by hand.
            if let Ok(name) = name.parse::<StackName>()
                && let Some(held) = self
                    .find::<NameHolder>(OP, &keys::stack_name(op.org, &name))
                    .await?
                && let Ok(id) = held.value.id.parse()
            {
                return self.stack_hosts(op, id).await;
            }
        }
        self.every_host(op).await
    }
}

fn list(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Where an event of a host belongs among those of others.
fn place((_, event): &(AgentId, LogEvent)) -> Place<Timestamp> {
    match event {
        LogEvent::Line { at: Some(at), .. } => Place::At(*at),
        _ => Place::Next,
    }
}

fn frame(agent: AgentId, mut event: LogEvent, timestamps: bool) -> LogFrame {
    if let LogEvent::Line { at, .. } = &mut event
        && !timestamps
    {
        *at = None;
    }
    LogFrame { agent, event }
}
