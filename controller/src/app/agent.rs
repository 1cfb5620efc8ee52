//! Hosts, as people see and change them.

use std::collections::{BTreeMap, BTreeSet};

use windflow_api::{Agent, AgentPatch, Page, PageQuery};
use windflow_model::{
    Absence, AgentId, AgentRecord, Code, Deployment, DeploymentEvent, DeploymentState, Failure,
    FleetEventKind, Presence,
};
use windflow_store::{Entry, MAX_OPS, Txn};

use super::{
    App, AppError, AppResult,
    db::{hold, put, replace},
    heard::not_since_start,
    keys,
    records::{AgentGone, AgentKey, KeyBinding, NameHolder},
};
use crate::context::OpContext;

impl App {
    /// Hosts in the order of their enrolment.
    ///
    /// # Errors
    /// A cursor that is not one of ours.
    pub async fn agent_list(&self, op: &OpContext, query: &PageQuery) -> AppResult<Page<Agent>> {
        const OP: &str = "agent_list";
        let (after, limit) = super::stack::page_of(query, |id: AgentId| keys::agent(op.org, id))?;
        let page = self
            .page::<AgentRecord>(OP, &keys::agents(op.org), after.as_ref(), limit)
            .await?;
        let mut presences = self.presences(op.org).await?;
        let items = page.entries.into_iter().map(|entry| {
            let presence = presences.remove(&entry.value.id);
            view(entry, presence)
        });
        Ok(Page {
            items: items.collect(),
            next_cursor: page.next.map(|key| key.last()),
        })
    }

    /// One host.
    ///
    /// # Errors
    /// There is no such host.
    pub async fn agent_view(&self, op: &OpContext, id: AgentId) -> AppResult<Agent> {
        let entry = self.need_agent("agent_view", op.org, id).await?;
        let presence = self.presences(op.org).await?.remove(&id);
        Ok(view(entry, presence))
    }

    /// Renames or labels a host. `version` is what the caller believes to change.
    ///
    /// # Errors
    /// No such host, a name that is taken, another version, or values out of range.
    pub async fn agent_update(
        &self,
        op: &OpContext,
        id: AgentId,
        version: Option<u64>,
        patch: AgentPatch,
    ) -> AppResult<Agent> {
        const OP: &str = "agent_update";
        if let Some(labels) = &patch.labels {
            labels_fit(labels)?;
        }
        let name = patch.name.as_deref().map(agent_name).transpose()?;
        self.retry(|| async {
            let was = self.need_agent(OP, op.org, id).await?;
            super::stack::same_version("host", version, was.version)?;
            let mut record = was.value.clone();
            let mut txn = Txn::new();
            if let Some(name) = name.as_ref().filter(|name| **name != record.name) {
                let key = keys::agent_name(op.org, name);
                if self.find::<NameHolder>(OP, &key).await?.is_some() {
                    let message = format!("the name {name:?} is taken by another host");
                    return Err(AppError::conflict(message, "Choose another name."));
                }
                txn = txn.delete(keys::agent_name(op.org, &record.name));
                txn = hold(txn, OP, key, id)?;
                record.name.clone_from(name);
            }
            if let Some(labels) = &patch.labels {
                record.labels.clone_from(labels);
            }
            let txn = replace(txn, OP, &was, &record)?;
            let txn = self.audited(txn, op, OP, id, format!("host {}", record.name))?;
            self.commit(OP, txn).await.map(drop)
        })
        .await?;
        self.publish(FleetEventKind::AgentChanged { agent: id });
        self.agent_view(op, id).await
    }

    /// Removes a host for good: its key is banned, its connection and every stream of it end, its id is never used
    /// again. What runs there is left alone.
    ///
    /// # Errors
    /// There is no such host.
    pub async fn agent_delete(&self, op: &OpContext, id: AgentId) -> AppResult<()> {
        const OP: &str = "agent_delete";
        self.retry(|| async {
            let was = self.need_agent(OP, op.org, id).await?;
            let key = self.find::<AgentKey>(OP, &keys::agent_key(op.org, id)).await?;
            let gone = AgentGone {
                name: was.value.name.clone(),
                at: self.now(),
                cleaned: false,
            };
            let txn = Txn::new()
                .expect(was.key.clone(), was.expect())
                .delete(was.key.clone());
            let txn = txn.delete(keys::agent_name(op.org, &was.value.name));
            let mut txn = put(txn, OP, keys::agent_gone(op.org, id), &gone)?;
            if let Some(key) = key {
                let binding = KeyBinding {
                    org: op.org,
                    agent: id,
                    banned: true,
                };
                txn = put(txn, OP, keys::public_key(&key.value.spki), &binding)?;
                txn = txn.expect(key.key.clone(), key.expect()).delete(key.key);
            }
            let txn = self.audited(txn, op, OP, id, format!("host {}", was.value.name))?;
            self.commit(OP, txn).await.map(drop)
        })
        .await?;
        self.hosts()
            .disconnect(id, "removed from the controller".to_owned())
            .await;
        self.publish(FleetEventKind::AgentRemoved { agent: id });
        self.agent_clean(op, id).await
    }

    /// Ends what a removed host still had open. Repeated by the sweep until it is done.
    pub(crate) async fn agent_clean(&self, op: &OpContext, id: AgentId) -> AppResult<()> {
        const OP: &str = "agent_clean";
        let failure = Failure::new(Code::AgentRemoved, "the host was removed from the controller");
        for key in self.keys_below(OP, &keys::active_of(op.org, id)).await? {
            if let Ok(deployment) = key.last().parse() {
                self.deployment_move(OP, op, deployment, |was| ended(was, &failure))
                    .await?;
            }
        }
        // By the host's own deployments: its placements among those of all hosts are few.
        let own = self.keys_below(OP, &keys::agent_deployments(op.org, id)).await?;
        let own = own.iter().filter_map(keys::deployment_of);
        let own = own
            .map(|deployment| keys::deployment(op.org, deployment))
            .collect();
        let own = self.find_each::<Deployment>(OP, own).await?.into_iter().flatten();
        let stacks: BTreeSet<_> = own.map(|entry| entry.value.stack).collect();
        let places: Vec<_> = stacks
            .iter()
            .map(|stack| keys::placement(op.org, *stack, id))
            .collect();
        for chunk in places.chunks(MAX_OPS) {
            let txn = chunk.iter().cloned().fold(Txn::new(), Txn::delete);
            self.commit(OP, txn).await?;
        }
        self.forget_containers(id);
        self.forget_events(id);
        let telemetry = self.telemetry().clone();
        // The history may be writing: nobody waits for that on a thread of the runtime.
        let forgotten = windflow_kit::blocking::run(move || telemetry.forget(id)).await;
        forgotten.map_err(AppError::internal(OP))?;
        let tombstone = self.find::<AgentGone>(OP, &keys::agent_gone(op.org, id)).await?;
        if let Some(tombstone) = tombstone {
            let done = AgentGone {
                cleaned: true,
                ..tombstone.value.clone()
            };
            self.commit(OP, replace(Txn::new(), OP, &tombstone, &done)?)
                .await?;
        }
        Ok(())
    }
}

/// How a deployment ends when its host is removed: nothing is claimed that is not known.
fn ended(was: &Deployment, failure: &Failure) -> DeploymentEvent {
    match &was.state {
        DeploymentState::Queued => DeploymentEvent::Cancelled,
        DeploymentState::RollingBack { failure: why, to } => DeploymentEvent::RollbackFailed {
            failure: why.clone(),
            to: *to,
            undo: Some(failure.clone()),
        },
        _ => DeploymentEvent::Failed {
            failure: failure.clone(),
        },
    }
}

fn view(entry: Entry<AgentRecord>, presence: Option<Presence>) -> Agent {
    let noted = entry.value.last_seen_at;
    let presence = match presence {
        None | Some(Presence::Offline { since: None, .. }) => not_since_start(noted),
        // From before this start: the record may know it better.
        Some(Presence::Offline {
            since,
            cause: Absence::NotSinceStart,
            ..
        }) => not_since_start(since.max(noted)),
        Some(presence) => presence,
    };
    Agent {
        version: entry.version,
        record: entry.value,
        presence,
    }
}

/// A host's name: one line of 1 to 64 characters.
pub(crate) fn agent_name(text: &str) -> AppResult<String> {
    let name = text.trim();
    if (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(AppError::bad("name: use one line of 1 to 64 characters"))
    }
}

/// At most 64 labels, keys of 1 to 63 and values of at most 255 characters.
pub(crate) fn labels_fit(labels: &BTreeMap<String, String>) -> AppResult<()> {
    let fits = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
    if labels.len() > 64 {
        return Err(AppError::bad("labels: at most 64"));
    }
    for (key, value) in labels {
        if key.trim().is_empty() || !fits(key, 63) || !fits(value, 255) {
            return Err(AppError::bad(format!(
                "labels: {:?} is not acceptable: keys have 1 to 63 characters, values at most 255, on one line",
                key.chars().take(80).collect::<String>()
            )));
        }
    }
    Ok(())
}
