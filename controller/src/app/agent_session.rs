//! A host's certificate and sessions: who is let in, and what is durably known of it.

use std::net::SocketAddr;

use windflow_kit::seeded::{self, Bug};
use windflow_model::{AgentId, AgentRecord, Code, FleetEventKind, Inventory, Timestamp};
use windflow_store::{Entry, Txn};

use super::{
    App, AppError, AppResult,
    db::{put, replace},
    keys,
    records::AgentKey,
};
use crate::{
    context::OpContext,
    fleet::{KeyHash, SessionFacts},
};

impl App {
    /// Grants the next generation of a certificate that is good until `until`; again the same one while it was not used yet.
    pub(crate) async fn agent_renew(
        &self,
        agent: AgentId,
        key: KeyHash,
        generation: u64,
        until: Timestamp,
    ) -> AppResult<u64> {
        const OP: &str = "agent_renew";
        let op = OpContext::system(agent.to_string());
        self.retry(|| async {
            let known = self.known_key(&op, agent, key, generation).await?;
            if generation < known.value.generation {
                // The reply to the last renewal was lost.
                return Ok(known.value.generation);
            }
            let next = AgentKey {
                generation: known.value.generation + 1,
                used: known.value.used.max(generation),
                certificate_until: Some(until),
                ..known.value.clone()
            };
            let txn = replace(Txn::new(), OP, &known, &next)?;
            let txn = self.audited(txn, &op, OP, agent, format!("generation {}", next.generation))?;
            self.commit(OP, txn).await?;
            Ok(next.generation)
        })
        .await
    }

    /// The host leaves for good, by its own word.
    pub(crate) async fn agent_leave(&self, agent: AgentId, key: KeyHash, generation: u64) -> AppResult<()> {
        let op = OpContext::system(agent.to_string());
        self.known_key(&op, agent, key, generation).await?;
        self.agent_delete(&op, agent).await
    }

    /// May this key with this generation act for this host? A removal takes the key together with the host's record.
    pub(crate) async fn agent_admit(&self, agent: AgentId, key: KeyHash, generation: u64) -> AppResult<()> {
        let op = OpContext::system(agent.to_string());
        self.known_key(&op, agent, key, generation).await.map(drop)
    }

    async fn known_key(
        &self,
        op: &OpContext,
        agent: AgentId,
        key: KeyHash,
        generation: u64,
    ) -> AppResult<Entry<AgentKey>> {
        let known = self
            .find::<AgentKey>("agent_admit", &keys::agent_key(op.org, agent))
            .await?;
        let known = known.ok_or_else(|| removed(agent))?;
        if known.value.spki != key.to_string() {
            return Err(AppError::refused(
                Code::Forbidden,
                format!("the certificate of host {agent} is for another key"),
            ));
        }
        if generation < known.value.used || generation > known.value.generation {
            return Err(AppError::refused(
                Code::Forbidden,
                format!(
                    "the certificate of host {agent} has generation {generation}, generation {} was used already: \
                     this host may be a copy",
                    known.value.used
                ),
            ));
        }
        Ok(known)
    }

    /// A session begins: its number, durable and rising.
    pub(crate) async fn agent_connected(&self, agent: AgentId, facts: &SessionFacts) -> AppResult<u64> {
        const OP: &str = "agent_connected";
        let op = OpContext::system(agent.to_string());
        let epoch = self.retry(|| async {
            let record = keys::agent(op.org, agent);
            let (key, record) = tokio::try_join!(
                self.known_key(&op, agent, facts.key, facts.generation),
                self.find::<AgentRecord>(OP, &record),
            )?;
            let record = record.ok_or_else(|| removed(agent))?;
            let next = AgentKey {
                used: key.value.used.max(facts.generation),
                session_epoch: match key.value.session_epoch {
                    first @ 1 if seeded::is(Bug::SessionEpochReused) => first,
                    last => last + 1,
                },
                remote: Some(facts.remote),
                certificate_until: key.value.certificate_until.max(Some(facts.certificate_until)),
                ..key.value.clone()
            };
            let seen = AgentRecord {
                last_seen_at: Some(self.now()),
                ..record.value.clone()
            };
            let txn = replace(Txn::new(), OP, &key, &next)?;
            let txn = replace(txn, OP, &record, &seen)?;
            self.commit(OP, txn).await?;
            Ok(next.session_epoch)
        });
        let epoch = epoch.await?;
        tracing::info!(agent = %agent, remote = %facts.remote, build = facts.build, session = epoch, "host connected");
        self.publish(FleetEventKind::AgentConnected { agent });
        // No dispatch: a session looks for its work by itself as soon as the host has said what it holds.
        Ok(epoch)
    }

    /// Where hosts were last connected from.
    pub(crate) async fn agent_remotes(&self) -> AppResult<Vec<SocketAddr>> {
        let org = OpContext::system("").org;
        let known = self
            .all::<AgentKey>("agent_remotes", &keys::agent_keys(org))
            .await?;
        Ok(known.into_iter().filter_map(|key| key.value.remote).collect())
    }

    /// The newest session has ended; the host was last heard at `heard_at`.
    pub(crate) async fn agent_disconnected(&self, agent: AgentId, heard_at: Timestamp, reason: String) {
        tracing::info!(agent = %agent, reason, "host disconnected");
        self.publish(FleetEventKind::AgentDisconnected { agent, reason });
        let noted = self.agent_change("agent_disconnected", agent, |record| {
            let newer = record.last_seen_at.is_none_or(|seen| seen < heard_at);
            if newer {
                record.last_seen_at = Some(heard_at);
            }
            newer
        });
        if let Err(error) = noted.await {
            tracing::warn!(agent = %agent, error = %windflow_kit::Chain(&error), "last contact not noted");
        }
    }

    /// The host described itself.
    pub(crate) async fn agent_inventory(&self, agent: AgentId, inventory: Inventory) -> AppResult<()> {
        let changed = self.agent_change("agent_inventory", agent, |record| {
            let changed = record.inventory != inventory;
            record.inventory = inventory.clone();
            changed
        });
        if changed.await? {
            self.publish(FleetEventKind::AgentChanged { agent });
        }
        Ok(())
    }

    /// Changes a host's record if it still exists; `change` says whether it did anything.
    async fn agent_change(
        &self,
        operation: &'static str,
        agent: AgentId,
        change: impl Fn(&mut AgentRecord) -> bool + Sync,
    ) -> AppResult<bool> {
        let org = OpContext::system("").org;
        self.retry(|| async {
            let Some(was) = self
                .find::<AgentRecord>(operation, &keys::agent(org, agent))
                .await?
            else {
                return Ok(false);
            };
            let mut record = was.value.clone();
            if !change(&mut record) {
                return Ok(false);
            }
            let txn = Txn::new().expect(was.key.clone(), was.expect());
            self.commit(operation, put(txn, operation, was.key.clone(), &record)?)
                .await?;
            Ok(true)
        })
        .await
    }
}

fn removed(agent: AgentId) -> AppError {
    AppError::refused(
        Code::AgentRemoved,
        format!("host {agent} was removed from this controller"),
    )
}
