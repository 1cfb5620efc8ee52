//! How a host comes in: the token binds to the first key that uses it, in one transaction with the new record.

use std::collections::BTreeMap;

use windflow_model::{AgentId, AgentRecord, Code, FleetEventKind, Inventory, OrgId};
use windflow_store::{Entry, Txn};

use super::{
    App, AppError, AppResult,
    agent::{agent_name, labels_fit},
    db::{create, hold, put, replace},
    keys,
    records::{AgentKey, EnrolToken, KeyBinding, NameHolder},
    user::address,
};
use crate::{
    auth::{limit::Limit, secret},
    context::OpContext,
    fleet::{EnrolGrant, EnrolRequest},
};

const OP: &str = "agent_enrol";

impl App {
    /// Lets a host in.
    ///
    /// # Errors
    /// A token that is unknown, expired or bound to another key; a key of a removed host.
    pub async fn agent_enrol(&self, request: EnrolRequest) -> AppResult<EnrolGrant> {
        let op = OpContext {
            remote: request.remote.clone(),
            ..OpContext::system("enrolment")
        };
        if let Some(wait) = self.limits().spent(Limit::Enrol, address(&op.remote)) {
            return Err(AppError::limited(
                format!("too many refused enrolments from this address; wait {wait} s"),
                wait,
            ));
        }
        let result = self.retry(|| self.enrol_once(&op, &request)).await;
        if let Err(AppError::Refused(refused)) = &result {
            // Whether it was the last one matters to the next caller.
            let _left = self.limits().take(Limit::Enrol, address(&op.remote));
            let host: String = request
                .hostname
                .chars()
                .filter(|c| !c.is_control())
                .take(64)
                .collect();
            let detail = format!("refused: {} (host {host})", refused.message);
            self.audit(&op, OP, "enrolment", detail).await?;
        }
        let (grant, name) = result?;
        if let Some(name) = name {
            tracing::info!(agent = %grant.agent, name, remote = op.remote, "host enrolled");
            self.publish(FleetEventKind::AgentEnrolled {
                agent: grant.agent,
                name,
            });
        }
        Ok(grant)
    }

    /// The name is `Some` if the host is new.
    async fn enrol_once(
        &self,
        op: &OpContext,
        request: &EnrolRequest,
    ) -> AppResult<(EnrolGrant, Option<String>)> {
        let spki = request.public_key.to_string();
        let token = self.open_token(op.org, request.token.expose()).await?;
        if let Some((key, agent, _)) = &token.value.used_by {
            if *key != spki {
                return Err(invalid("the enrolment token was used by another host already"));
            }
            return Ok((self.grant_again(op.org, *agent).await?, None));
        }
        let binding = self.find::<KeyBinding>(OP, &keys::public_key(&spki)).await?;
        if let Some(binding) = &binding {
            if binding.value.banned {
                return Err(AppError::refused(
                    Code::AgentRemoved,
                    "this host's key belongs to a host that was removed; make a new key (remove its state directory)",
                ));
            }
            // A host that is enrolled already and lost nothing but its patience: the token is used up for it.
            let agent = binding.value.agent;
            let txn = self.use_token(Txn::new(), &token, &spki, agent)?;
            let txn = self.audited(txn, op, OP, agent, "again, with a new token")?;
            self.commit(OP, txn).await?;
            return Ok((self.grant_again(op.org, agent).await?, None));
        }
        labels_fit(&request.labels)?;
        self.enrol_new(op, request, &token, spki).await
    }

    async fn enrol_new(
        &self,
        op: &OpContext,
        request: &EnrolRequest,
        token: &Entry<EnrolToken>,
        spki: String,
    ) -> AppResult<(EnrolGrant, Option<String>)> {
        let id = self.new_agent_id()?;
        let name = match &request.name {
            Some(name) => agent_name(name)?,
            None => self.free_name(op.org, &request.hostname).await?,
        };
        let record = AgentRecord {
            id,
            name: name.clone(),
            labels: clean(&request.labels),
            inventory: Inventory {
                hostname: request
                    .hostname
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(255)
                    .collect(),
                ..Inventory::default()
            },
            enrolled_at: self.now(),
            last_seen_at: None,
        };
        // A name that somebody chose is refused if it is taken. One made from the host name is not: `hold` fails if another
        // joining host took it in between, and the next attempt finds the next free one.
        if request.name.is_some() {
            let held = self
                .find::<NameHolder>(OP, &keys::agent_name(op.org, &name))
                .await?;
            if held.is_some() {
                return Err(AppError::conflict(
                    format!("the name {name:?} is taken by another host"),
                    "Choose another with --name.",
                ));
            }
        }
        let txn = self.use_token(Txn::new(), token, &spki, id)?;
        let txn = create(txn, OP, keys::agent(op.org, id), &record)?;
        let txn = hold(txn, OP, keys::agent_name(op.org, &name), id)?;
        let binding = KeyBinding {
            org: op.org,
            agent: id,
            banned: false,
        };
        let txn = create(txn, OP, keys::public_key(&spki), &binding)?;
        let key = AgentKey {
            spki,
            generation: 1,
            used: 0,
            session_epoch: 0,
            remote: None,
            certificate_until: None,
        };
        let txn = put(txn, OP, keys::agent_key(op.org, id), &key)?;
        let txn = self.audited(txn, op, OP, id, format!("host {name}, token {}", token.value.id))?;
        self.commit(OP, txn).await?;
        let grant = EnrolGrant {
            agent: id,
            generation: 1,
        };
        Ok((grant, Some(name)))
    }

    async fn open_token(&self, org: OrgId, text: &str) -> AppResult<Entry<EnrolToken>> {
        let unknown = || invalid("the enrolment token is unknown; it may have been revoked");
        let (id, hash) = secret::open_enrol_token(text).ok_or_else(unknown)?;
        let token = self.find::<EnrolToken>(OP, &keys::token(org, id)).await?;
        let token = token
            .filter(|token| secret::same(&token.value.secret_sha256, &hash))
            .ok_or_else(unknown)?;
        if token.value.expires_at <= self.now() {
            return Err(invalid(format!(
                "the enrolment token expired at {}",
                token.value.expires_at
            )));
        }
        Ok(token)
    }

    fn use_token(&self, txn: Txn, token: &Entry<EnrolToken>, spki: &str, agent: AgentId) -> AppResult<Txn> {
        let used = EnrolToken {
            used_by: Some((spki.to_owned(), agent, self.now())),
            ..token.value.clone()
        };
        replace(txn, OP, token, &used)
    }

    async fn grant_again(&self, org: OrgId, agent: AgentId) -> AppResult<EnrolGrant> {
        let key = self.find::<AgentKey>(OP, &keys::agent_key(org, agent)).await?;
        let key = key.ok_or_else(|| {
            AppError::refused(Code::AgentRemoved, format!("host {agent} was removed meanwhile"))
        })?;
        Ok(EnrolGrant {
            agent,
            generation: key.value.generation,
        })
    }

    /// The host name, or with a number behind it if that is taken.
    async fn free_name(&self, org: OrgId, hostname: &str) -> AppResult<String> {
        let mut base: String = hostname.chars().filter(|c| !c.is_control()).take(60).collect();
        base = base.trim().to_owned();
        if base.is_empty() {
            "host".clone_into(&mut base);
        }
        for number in 1..1_000_u32 {
            let name = if number == 1 {
                base.clone()
            } else {
                format!("{base}-{number}")
            };
            let held = self.find::<NameHolder>(OP, &keys::agent_name(org, &name)).await?;
            if held.is_none() {
                return Ok(name);
            }
        }
        Err(AppError::refused(
            Code::Conflict,
            format!("a thousand hosts are called {base:?}; choose another name with --name"),
        ))
    }
}

fn invalid(message: impl Into<String>) -> AppError {
    AppError::refused(Code::TokenInvalid, message)
}

fn clean(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}
