//! Containers: only what hosts said last, with the age of it. Nothing of it is stored.

use std::{collections::HashMap, sync::Arc};

use windflow_api::{HostContainers, Page};
use windflow_model::{AgentId, FleetEventKind, Presence, StackId, Timestamp, container::ContainerList};

use super::{App, AppResult, lock};
use crate::context::OpContext;

/// The newest list of each host and when it came.
pub(crate) type Known = HashMap<AgentId, (Timestamp, Arc<ContainerList>)>;

impl App {
    pub(crate) fn agent_containers_seen(&self, agent: AgentId, list: ContainerList) {
        let (at, list) = (self.now(), Arc::new(list));
        let before = lock(&self.0.containers).insert(agent, (at, Arc::clone(&list)));
        if before.is_none_or(|(_, before)| !same(&before, &list)) {
            self.publish(FleetEventKind::ContainersChanged { agent });
        }
    }

    pub(crate) fn forget_containers(&self, agent: AgentId) {
        lock(&self.0.containers).remove(&agent);
    }

    /// Containers of a host.
    ///
    /// # Errors
    /// There is no such host.
    pub async fn agent_containers(&self, op: &OpContext, id: AgentId) -> AppResult<HostContainers> {
        self.need_agent("agent_containers", op.org, id).await?;
        Ok(self.known_containers(id, None).await)
    }

    /// Containers of a stack, per host that has it.
    ///
    /// # Errors
    /// There is no such stack.
    pub async fn stack_containers(&self, op: &OpContext, id: StackId) -> AppResult<Page<HostContainers>> {
        let stack = self.need_stack("stack_containers", op.org, id).await?.value;
        let mut hosts = Vec::new();
        for agent in self.stack_hosts(op, id).await? {
            hosts.push(self.known_containers(agent, Some(stack.name.as_str())).await);
        }
        Ok(Page::whole(hosts))
    }

    async fn known_containers(&self, agent: AgentId, project: Option<&str>) -> HostContainers {
        let known = lock(&self.0.containers).get(&agent).cloned();
        let presence = self.hosts().presences().await.remove(&agent);
        let (observed_at, list) = known.map_or_else(|| (None, Arc::default()), |(at, list)| (Some(at), list));
        let wanted = list
            .containers
            .iter()
            .filter(|one| project.is_none_or(|project| one.project.as_deref() == Some(project)));
        HostContainers {
            agent,
            observed_at,
            connected: matches!(presence, Some(Presence::Connected { .. })),
            containers: wanted.cloned().collect(),
        }
    }
}

/// Whether two lists say the same of the same containers. The status line counts minutes and says nothing new.
fn same(before: &ContainerList, now: &ContainerList) -> bool {
    before.containers.len() == now.containers.len()
        && before.containers.iter().zip(&now.containers).all(|(a, b)| {
            (&a.id, a.state, a.health, a.exit_code, a.rev) == (&b.id, b.state, b.health, b.exit_code, b.rev)
        })
}
