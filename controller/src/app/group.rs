//! Groups, and which hosts are meant by labels, groups and names.

use std::collections::{BTreeMap, BTreeSet};

use windflow_api::{GroupCreate, GroupView, Page, PageQuery};
use windflow_model::{AgentId, AgentRecord, FleetEventKind, Group, GroupId, OrgId, Presence, Targets};
use windflow_store::{Entry, Txn};

use super::{
    App, AppError, AppResult,
    agent::agent_name,
    db::{create, hold, replace},
    idempotency::IdempotencyKey,
    keys,
    mint::MAX_HOSTS,
    records::{Made, NameHolder},
    stack::{page_of, same_version},
};
use crate::context::OpContext;

/// A host that is meant.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    pub(crate) agent: AgentId,
    pub(crate) name: String,
    pub(crate) connected: bool,
}

impl App {
    /// Makes a group.
    ///
    /// # Errors
    /// A name that is taken, hosts that do not exist, or nobody named.
    pub async fn group_create(
        &self,
        op: &OpContext,
        request: GroupCreate,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<GroupView> {
        const OP: &str = "group_create";
        let name = agent_name(&request.name)?;
        let id = self.new_group_id()?;
        let agents = self.members_fit(op.org, &request).await?;
        let made = self
            .retry(|| async {
                if let Some(Made::Group(before)) = self.made_before(key).await? {
                    return Ok(before);
                }
                if self.name_taken(op, id, &name).await? {
                    return Ok(id);
                }
                let now = self.now();
                let group = Group {
                    id,
                    name: name.clone(),
                    selector: request.selector.clone(),
                    agents: agents.clone(),
                    created_at: now,
                    updated_at: now,
                    updated_by: op.user,
                };
                let txn = create(Txn::new(), OP, keys::group(op.org, id), &group)?;
                let txn = hold(txn, OP, keys::group_name(op.org, &name), id)?;
                let txn = self.remember(txn, OP, key, || Made::Group(id))?;
                let txn = self.audited(txn, op, OP, id, format!("group {name}"))?;
                self.commit(OP, txn).await?;
                Ok(id)
            })
            .await?;
        self.publish(FleetEventKind::GroupChanged { group: made });
        self.group_view(op, made).await
    }

    /// Whether the name is held by this group already; an error if it is by another one.
    async fn name_taken(&self, op: &OpContext, id: GroupId, name: &str) -> AppResult<bool> {
        let held = self
            .find::<NameHolder>("group_name", &keys::group_name(op.org, name))
            .await?;
        match held {
            None => Ok(false),
            Some(held) if held.value.id == id.to_string() => Ok(true),
            Some(held) => Err(AppError::conflict(
                format!("the name {name:?} is taken by group {}", held.value.id),
                "Choose another name, or change that group.",
            )),
        }
    }

    async fn members_fit(&self, org: OrgId, request: &GroupCreate) -> AppResult<Vec<AgentId>> {
        let mut agents = request.agents.clone();
        agents.sort_unstable();
        agents.dedup();
        if agents.is_empty() && request.selector.is_none() {
            return Err(AppError::bad("a group needs a selector, hosts, or both"));
        }
        if agents.len() > MAX_HOSTS {
            return Err(AppError::bad(format!("agents: at most {MAX_HOSTS} hosts")));
        }
        let found = agents.iter().map(|agent| keys::agent(org, *agent)).collect();
        let found = self.find_each::<AgentRecord>("group_create", found).await?;
        if let Some((agent, _)) = agents.iter().zip(found).find(|(_, found)| found.is_none()) {
            return Err(AppError::not_found(format!("host {agent}")));
        }
        Ok(agents)
    }

    /// Groups in the order of their creation.
    ///
    /// # Errors
    /// A cursor that is not one of ours.
    pub async fn group_list(&self, op: &OpContext, query: &PageQuery) -> AppResult<Page<GroupView>> {
        const OP: &str = "group_list";
        let (after, limit) = page_of(query, |id: GroupId| keys::group(op.org, id))?;
        let page = self
            .page(OP, &keys::groups(op.org), after.as_ref(), limit)
            .await?;
        let hosts = self.records(op.org).await?;
        Ok(Page {
            items: page
                .entries
                .into_iter()
                .map(|entry| view(entry, &hosts))
                .collect(),
            next_cursor: page.next.map(|key| key.last()),
        })
    }

    /// One group with its hosts of this moment.
    ///
    /// # Errors
    /// There is no such group.
    pub async fn group_view(&self, op: &OpContext, id: GroupId) -> AppResult<GroupView> {
        let entry = self.need_group("group_view", op.org, id).await?;
        Ok(view(entry, &self.records(op.org).await?))
    }

    /// Saves a group. Rollouts that run keep the hosts they began with.
    ///
    /// # Errors
    /// No such group, another version than `version`, a name that is taken, hosts that do not exist, or nobody named.
    pub async fn group_update(
        &self,
        op: &OpContext,
        id: GroupId,
        version: u64,
        request: GroupCreate,
    ) -> AppResult<GroupView> {
        const OP: &str = "group_update";
        let name = agent_name(&request.name)?;
        let was = self.need_group(OP, op.org, id).await?;
        same_version("group", Some(version), was.version)?;
        let agents = self.members_fit(op.org, &request).await?;
        let group = Group {
            name: name.clone(),
            selector: request.selector,
            agents,
            updated_at: self.now(),
            updated_by: op.user,
            ..was.value.clone()
        };
        let mut txn = replace(Txn::new(), OP, &was, &group)?;
        if name != was.value.name && !self.name_taken(op, id, &name).await? {
            txn = txn.delete(keys::group_name(op.org, &was.value.name));
            txn = hold(txn, OP, keys::group_name(op.org, &name), id)?;
        }
        let txn = self.audited(txn, op, OP, id, format!("group {name}"))?;
        match self.commit(OP, txn).await {
            // Not tried again: the caller said which version it means.
            Err(error) if error.wants_fresh_read() => {
                let now = self.need_group(OP, op.org, id).await?;
                if now.value != group {
                    same_version("group", Some(version), now.version)?;
                    return Err(error);
                }
            }
            result => drop(result?),
        }
        self.publish(FleetEventKind::GroupChanged { group: id });
        self.group_view(op, id).await
    }

    /// Deletes a group. Its hosts stay, and rollouts that were made with it too.
    ///
    /// # Errors
    /// There is no such group.
    pub async fn group_delete(&self, op: &OpContext, id: GroupId) -> AppResult<()> {
        const OP: &str = "group_delete";
        self.retry(|| async {
            let was = self.need_group(OP, op.org, id).await?;
            let txn = Txn::new()
                .expect(was.key.clone(), was.expect())
                .delete(was.key.clone());
            let txn = txn.delete(keys::group_name(op.org, &was.value.name));
            let txn = self.audited(txn, op, OP, id, format!("group {}", was.value.name))?;
            self.commit(OP, txn).await.map(drop)
        })
        .await?;
        self.publish(FleetEventKind::GroupDeleted { group: id });
        Ok(())
    }

    async fn records(&self, org: OrgId) -> AppResult<BTreeMap<AgentId, AgentRecord>> {
        let all = self.all::<AgentRecord>("agent_list", &keys::agents(org)).await?;
        Ok(all
            .into_iter()
            .map(|entry| (entry.value.id, entry.value))
            .collect())
    }

    /// All hosts.
    pub(crate) async fn every_host(&self, op: &OpContext) -> AppResult<Vec<AgentId>> {
        Ok(self.records(op.org).await?.into_keys().collect())
    }

    /// The hosts that are meant, those that are connected first, then by name.
    pub(crate) async fn meant(&self, op: &OpContext, targets: &Targets) -> AppResult<Vec<Meant>> {
        const OP: &str = "targets";
        if targets.is_empty() {
            return Err(AppError::bad("targets: name a selector, a group, or hosts"));
        }
        let hosts = self.records(op.org).await?;
        let mut ids = BTreeSet::new();
        if let Some(selector) = &targets.selector {
            let fits = hosts.values().filter(|host| selector.holds(&host.labels));
            ids.extend(fits.map(|host| host.id));
        }
        if let Some(group) = targets.group {
            ids.extend(members(&self.need_group(OP, op.org, group).await?.value, &hosts));
        }
        for agent in &targets.agents {
            if !hosts.contains_key(agent) {
                return Err(AppError::not_found(format!("host {agent}")));
            }
            ids.insert(*agent);
        }
        if ids.len() > MAX_HOSTS {
            return Err(AppError::bad(format!(
                "targets: at most {MAX_HOSTS} hosts at once"
            )));
        }
        let presences = self.presences(op.org).await?;
        let mut meant: Vec<_> = ids
            .into_iter()
            .filter_map(|id| hosts.get(&id))
            .map(|host| Meant {
                agent: host.id,
                name: host.name.clone(),
                connected: matches!(presences.get(&host.id), Some(Presence::Connected { .. })),
            })
            .collect();
        meant.sort_by(|a, b| (!a.connected, &a.name, a.agent).cmp(&(!b.connected, &b.name, b.agent)));
        Ok(meant)
    }
}

/// The hosts of a group that exist.
fn members(group: &Group, hosts: &BTreeMap<AgentId, AgentRecord>) -> Vec<AgentId> {
    let chosen = group.agents.iter().collect::<BTreeSet<_>>();
    let by_label = |host: &AgentRecord| group.selector.as_ref().is_some_and(|one| one.holds(&host.labels));
    let of_it = hosts
        .values()
        .filter(|host| chosen.contains(&host.id) || by_label(host));
    of_it.map(|host| host.id).collect()
}

fn view(entry: Entry<Group>, hosts: &BTreeMap<AgentId, AgentRecord>) -> GroupView {
    let mut ids = members(&entry.value, hosts);
    ids.sort_by_key(|id| hosts.get(id).map(|host| host.name.clone()));
    GroupView {
        version: entry.version,
        group: entry.value,
        hosts: ids,
    }
}
