//! Deployments, as people see and make them.

use windflow_api::{DeployRequest, DeploymentQuery, DeploymentView, Page, RemoveRequest, RollbackRequest};
use windflow_model::{
    AgentId, Deployment, DeploymentEvent, DeploymentId, DeploymentState, Presence, StackId, Steps, Timestamp,
};
use windflow_store::Key;

use super::{
    App, AppError, AppResult, compose,
    idempotency::IdempotencyKey,
    keys,
    mint::Wish,
    pins::{self, Pins},
    progress::FeedReader,
    records::Placement,
    stack::{bad_cursor, limit_of},
    work::withdrawal,
};
use crate::context::OpContext;

/// In a query: every state that is not final.
const ACTIVE: &str = "active";
/// Records looked at for one page when a filter has no index.
const LOOKED_AT: usize = 5_000;

impl App {
    /// Queues the stack on hosts.
    ///
    /// # Errors
    /// No such stack, host or revision; files that cannot be deployed.
    pub async fn deployment_create(
        &self,
        op: &OpContext,
        id: StackId,
        request: DeployRequest,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<Vec<DeploymentView>> {
        const OP: &str = "deployment_create";
        let stack = self.need_stack(OP, op.org, id).await?.value;
        let pins = pins::of(request.pins)?;
        let wish = match request.rev {
            Some(rev) => Wish::Again(rev, pins),
            None => {
                compose::require(&stack.name, &stack.spec).await?;
                Wish::Current(pins)
            }
        };
        let made = self.mint(op, OP, id, &request.agents, wish, key).await?;
        self.views(op, &made).await
    }

    /// Queues the spec of an older revision as a new one.
    ///
    /// # Errors
    /// No such stack, host or revision.
    pub async fn stack_rollback(
        &self,
        op: &OpContext,
        id: StackId,
        request: RollbackRequest,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<Vec<DeploymentView>> {
        let agents = self.or_all(op, id, request.agents).await?;
        let made = self
            .mint(
                op,
                "stack_rollback",
                id,
                &agents,
                Wish::Again(request.rev, Pins::default()),
                key,
            )
            .await?;
        self.views(op, &made).await
    }

    /// Queues the removal from hosts.
    ///
    /// # Errors
    /// No such stack or host.
    pub async fn stack_remove(
        &self,
        op: &OpContext,
        id: StackId,
        request: RemoveRequest,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<Vec<DeploymentView>> {
        let agents = self.or_all(op, id, request.agents).await?;
        let wish = Wish::Gone {
            volumes: request.volumes,
        };
        let made = self.mint(op, "stack_remove", id, &agents, wish, key).await?;
        self.views(op, &made).await
    }

    async fn or_all(
        &self,
        op: &OpContext,
        id: StackId,
        agents: Option<Vec<AgentId>>,
    ) -> AppResult<Vec<AgentId>> {
        if let Some(agents) = agents {
            return Ok(agents);
        }
        let agents = self.stack_hosts(op, id).await?;
        if agents.is_empty() {
            return Err(AppError::conflict(
                "no host has this stack",
                "Deploy it first, or name the hosts.",
            ));
        }
        Ok(agents)
    }

    /// Hosts that have the stack, or may have it.
    pub(crate) async fn stack_hosts(&self, op: &OpContext, id: StackId) -> AppResult<Vec<AgentId>> {
        const OP: &str = "stack_hosts";
        self.need_stack(OP, op.org, id).await?;
        let places = self.all::<Placement>(OP, &keys::placements(op.org, id)).await?;
        Ok(places
            .iter()
            .filter(|place| !place.value.gone)
            .map(|place| place.value.agent)
            .collect())
    }

    async fn views(&self, op: &OpContext, ids: &[DeploymentId]) -> AppResult<Vec<DeploymentView>> {
        let silent = Silent::of(self, op).await?;
        let keys = ids.iter().map(|id| keys::deployment(op.org, *id)).collect();
        let found = self.find_each::<Deployment>("deployment_view", keys).await?;
        let found = found.into_iter().flatten();
        Ok(found.map(|entry| self.show(entry.value, &silent)).collect())
    }

    fn show(&self, mut deployment: Deployment, silent: &Silent) -> DeploymentView {
        if !deployment.state.is_terminal()
            && let Some(steps) = self.0.progress.steps(deployment.id)
        {
            deployment.steps = steps;
        }
        deployment.pin = None;
        DeploymentView {
            view: deployment.view(silent.since(&deployment)),
            deployment,
        }
    }

    /// One deployment with what may be said about it right now.
    ///
    /// # Errors
    /// There is no such deployment.
    pub async fn deployment_view(&self, op: &OpContext, id: DeploymentId) -> AppResult<DeploymentView> {
        let found = self.need_deployment("deployment_view", op.org, id).await?;
        Ok(self.show(found.value, &Silent::of(self, op).await?))
    }

    /// Deployments without their step trees, newest first; with `latest`, by stack and host.
    ///
    /// # Errors
    /// A cursor or state that is not one of ours.
    pub async fn deployment_list(
        &self,
        op: &OpContext,
        query: &DeploymentQuery,
    ) -> AppResult<Page<DeploymentView>> {
        const OP: &str = "deployment_list";
        let limit = limit_of(query.limit)?;
        if let Some(state) = &query.state
            && state != ACTIVE
            && !DeploymentState::NAMES.contains(&state.as_str())
        {
            let known = DeploymentState::NAMES.join(", ");
            return Err(AppError::bad(format!(
                "state: there is no state {state:?}; there are {ACTIVE}, {known}"
            )));
        }
        if query.latest {
            return self.deployment_latest(OP, op, query, limit).await;
        }
        let at = |id: DeploymentId| match (query.stack, query.agent) {
            (Some(stack), _) => keys::stack_deployment(op.org, stack, id),
            (None, Some(agent)) => keys::agent_deployment(op.org, agent, id),
            (None, None) => keys::deployment(op.org, id),
        };
        let prefix = match (query.stack, query.agent) {
            (Some(stack), _) => keys::stack_deployments(op.org, stack),
            (None, Some(agent)) => keys::agent_deployments(op.org, agent),
            (None, None) => keys::deployments(op.org),
        };
        let cursor = query
            .cursor
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|_| bad_cursor())?;
        let mut after: Option<Key> = cursor.map(at);
        let (mut items, silent) = (Vec::new(), Silent::of(self, op).await?);
        let mut looked_at = 0;
        loop {
            let page = self
                .store()
                .scan(&prefix, after.as_ref(), limit)
                .await
                .map_err(AppError::store(OP))?;
            let ids = page
                .records
                .iter()
                .filter_map(|(key, _)| keys::deployment_of(key));
            let ids: Vec<_> = ids.collect();
            let all = ids.iter().map(|id| keys::deployment(op.org, *id)).collect();
            let all = self.find_each::<Deployment>(OP, all).await?;
            for (id, found) in ids.into_iter().zip(all) {
                looked_at += 1;
                items.extend(
                    found
                        .filter(|one| fits(&one.value, query))
                        .map(|one| self.show(without_steps(one.value), &silent)),
                );
                if items.len() >= limit || looked_at >= LOOKED_AT {
                    return Ok(Page {
                        items,
                        next_cursor: Some(id.to_string()),
                    });
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(Page::whole(items));
            }
        }
    }

    /// What each host was last asked to run. The cursor is the last deployment of the page before.
    async fn deployment_latest(
        &self,
        operation: &'static str,
        op: &OpContext,
        query: &DeploymentQuery,
        limit: usize,
    ) -> AppResult<Page<DeploymentView>> {
        let (org, silent) = (op.org, Silent::of(self, op).await?);
        let mut after = None;
        if let Some(cursor) = &query.cursor {
            let id = cursor.parse().map_err(|_| bad_cursor())?;
            let last = self
                .find::<Deployment>(operation, &keys::deployment(org, id))
                .await?;
            let last = last.ok_or_else(bad_cursor)?.value;
            after = Some(keys::placement(org, last.stack, last.agent));
        }
        let prefix = match query.stack {
            Some(stack) => keys::placements(org, stack),
            None => keys::all_placements(org),
        };
        let page = self
            .page::<Placement>(operation, &prefix, after.as_ref(), limit)
            .await?;
        let last = page.entries.last().map(|entry| entry.value.deployment);
        let more = last.filter(|_| page.next.is_some());
        let mut items = Vec::new();
        let all = page
            .entries
            .iter()
            .map(|place| keys::deployment(org, place.value.deployment));
        for found in self.find_each::<Deployment>(operation, all.collect()).await? {
            let fitting = found.filter(|one| fits(&one.value, query));
            items.extend(fitting.map(|one| self.show(without_steps(one.value), &silent)));
        }
        Ok(Page {
            items,
            next_cursor: more.map(|id| id.to_string()),
        })
    }

    /// Takes a deployment back: at once while it waits, by asking the host while nothing has changed there.
    ///
    /// # Errors
    /// No such deployment, or it is too late.
    pub async fn deployment_cancel(&self, op: &OpContext, id: DeploymentId) -> AppResult<DeploymentView> {
        const OP: &str = "deployment_cancel";
        let found = self.need_deployment(OP, op.org, id).await?.value;
        let early = matches!(
            found.state,
            DeploymentState::Queued
                | DeploymentState::Offered
                | DeploymentState::Accepted
                | DeploymentState::Preparing
        );
        if !early && found.state != DeploymentState::Cancelled {
            let message = format!(
                "it is too late to take the deployment back: it is {}",
                found.state.name()
            );
            let hint = "Deploy something else, roll back, or remove the stack instead.";
            return Err(AppError::conflict(message, hint));
        }
        if let Some(asked) = self.cancel_requested(op, id).await? {
            let ended = self.deployment_end_waiting(OP, op, id, &DeploymentEvent::Cancelled);
            if !ended.await? {
                self.hosts().withdraw(asked.agent, withdrawal(&asked)).await;
            }
        }
        self.deployment_view(op, id).await
    }

    /// The live feed of a deployment that has not ended.
    #[must_use]
    pub fn deployment_feed(&self, id: DeploymentId) -> FeedReader {
        self.0.progress.read(id)
    }
}

/// A list of hundreds would otherwise carry hundreds of step trees that nobody looks at.
fn without_steps(mut deployment: Deployment) -> Deployment {
    deployment.steps = Steps::default();
    deployment
}

fn fits(deployment: &Deployment, query: &DeploymentQuery) -> bool {
    query.agent.is_none_or(|agent| deployment.agent == agent)
        && query.stack.is_none_or(|stack| deployment.stack == stack)
        && query.state.as_deref().is_none_or(|state| match state {
            ACTIVE => !deployment.state.is_terminal(),
            state => deployment.state.name() == state,
        })
}

/// Which hosts are silent, and since when.
struct Silent(std::collections::BTreeMap<AgentId, Presence>);

impl Silent {
    async fn of(app: &App, op: &OpContext) -> AppResult<Self> {
        app.presences(op.org).await.map(Self)
    }

    /// Since when nothing was heard of the deployment's host; `None` while it is connected.
    fn since(&self, deployment: &Deployment) -> Option<Timestamp> {
        match self.0.get(&deployment.agent) {
            Some(Presence::Connected { .. }) => None,
            Some(Presence::Offline {
                since: Some(since), ..
            }) => Some(*since),
            _ => Some(deployment.reported_at.unwrap_or(deployment.state_at)),
        }
    }
}
