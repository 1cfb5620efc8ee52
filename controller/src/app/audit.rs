//! The audit trail: a record of every act and of every transition of a deployment, in the transaction that it is about,
//! and a chain of hashes over all records.
//!
//! ```text
//! transaction ── audit/ID (the record) + audit-open/ID ──► Store          with the change, or not at all
//! job "audit" ── reads audit-open, writes audit-seal/N ──► Store          every second, CHAIN_PER_SEAL records a seal
//!                seal N = hash of seal N-1, and the hash of each of its records
//! ```
//! A chain in the transactions themselves would put all of them into one line: each would wait for the disk of the one
//! before. So a record is chained a moment after it is written; until then it stands in `audit-open`. Who changes,
//! removes or inserts a sealed record breaks the chain; [`App::audit_verify`] says where.
//! [`App::audit_list`] shows the records.

use sha2::{Digest as _, Sha256};
use windflow_model::{Deployment, OrgId};
use windflow_store::{Key, Txn};

use super::{
    App, AppError, AppResult,
    db::{create, put, replace},
    keys,
    records::{AuditRecord, AuditSeal, SealHead, Transition},
};
use crate::context::OpContext;

mod list;
mod verify;

/// Records under one seal: with the seal and the head below the store's 100 operations.
const CHAIN_PER_SEAL: usize = 90;
/// The hash before the first seal.
const GENESIS: &str = "";

/// A deployment's step from one state to another, as the audit trail has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedMove {
    /// The deployment.
    pub deployment: String,
    /// The state before; `None` when it was made.
    pub from: Option<String>,
    /// The state after.
    pub to: String,
}

/// What there is to say about a deployment's change, if its state is another one.
pub(crate) fn transition(was: Option<&Deployment>, now: &Deployment) -> Option<Transition> {
    let from = was.map(|was| was.state.name().to_owned());
    let to = now.state.name().to_owned();
    (from.as_ref() != Some(&to)).then_some(Transition {
        deployment: now.id,
        from,
        to,
    })
}

impl App {
    /// Adds the audit record of an act to its transaction.
    pub(crate) fn audited(
        &self,
        txn: Txn,
        op: &OpContext,
        action: &'static str,
        object: impl ToString,
        detail: impl Into<String>,
    ) -> AppResult<Txn> {
        self.audited_moves(txn, op, action, object, detail, Vec::new())
    }

    /// The same, for an act that moves deployments.
    pub(crate) fn audited_moves(
        &self,
        txn: Txn,
        op: &OpContext,
        action: &'static str,
        object: impl ToString,
        detail: impl Into<String>,
        transitions: Vec<Transition>,
    ) -> AppResult<Txn> {
        // UUIDv7 as fixed-width hex: sorts by time.
        let id = self.0.random.uuid_v7(&self.0.clock)?.simple().to_string();
        let record = AuditRecord {
            at: self.now(),
            user: op.user,
            user_name: op.user_name.clone(),
            action: action.to_owned(),
            object: object.to_string(),
            detail: detail.into(),
            request: op.request.clone(),
            remote: op.remote.clone(),
            transitions,
        };
        let txn = put(txn, action, keys::audit(op.org, &id), &record)?;
        Ok(txn.put(keys::audit_open(op.org, &id), Vec::new()))
    }

    /// An audit record of its own, for acts that change nothing, like a refused sign-in.
    pub(crate) async fn audit(
        &self,
        op: &OpContext,
        action: &'static str,
        object: impl ToString + Send,
        detail: impl Into<String> + Send,
    ) -> AppResult<()> {
        let txn = self.audited(Txn::new(), op, action, object, detail)?;
        self.commit(action, txn).await.map(drop)
    }

    /// Chains what is not chained yet.
    pub(crate) async fn audit_seal(&self) -> AppResult<usize> {
        let org = OpContext::system("").org;
        let mut sealed = 0;
        loop {
            let more = self.retry(|| self.audit_seal_once(org)).await?;
            sealed += more;
            if more < CHAIN_PER_SEAL {
                return Ok(sealed);
            }
        }
    }

    async fn audit_seal_once(&self, org: OrgId) -> AppResult<usize> {
        const OP: &str = "audit_seal";
        let page = self
            .0
            .store
            .scan(&keys::audits_open(org), None, CHAIN_PER_SEAL)
            .await;
        let open = page.map_err(AppError::store(OP))?.records;
        if open.is_empty() {
            return Ok(0);
        }
        let head = self.find::<SealHead>(OP, &keys::audit_head(org)).await?;
        let mut txn = Txn::new();
        let ids: Vec<String> = open.iter().map(|(key, _)| key.last()).collect();
        let hashes = ids
            .iter()
            .map(|id| async move { self.audit_hash(OP, &keys::audit(org, id)).await });
        // Read together. One that is gone is sealed as missing: a check finds it for ever.
        let hashes = futures_util::future::try_join_all(hashes).await?;
        let hashes = hashes.into_iter().map(Option::unwrap_or_default);
        let records = ids.into_iter().zip(hashes).collect();
        for (key, _) in &open {
            txn = txn.delete(key.clone());
        }
        let seal = AuditSeal {
            number: head.as_ref().map_or(1, |head| head.value.number + 1),
            previous: head
                .as_ref()
                .map_or_else(|| GENESIS.to_owned(), |head| head.value.hash.clone()),
            at: self.now(),
            records,
        };
        let next = SealHead {
            number: seal.number,
            hash: seal.hash(),
        };
        txn = create(txn, OP, keys::audit_seal(org, seal.number), &seal)?;
        txn = match &head {
            Some(head) => replace(txn, OP, head, &next)?,
            None => create(txn, OP, keys::audit_head(org), &next)?,
        };
        self.commit(OP, txn).await?;
        Ok(open.len())
    }

    /// Hash of a record as it is stored.
    async fn audit_hash(&self, operation: &'static str, key: &Key) -> AppResult<Option<String>> {
        let record = self.0.store.get(key).await.map_err(AppError::store(operation))?;
        Ok(record.map(|record| hex::encode(Sha256::digest(&record.value))))
    }

    /// Every transition of a deployment that the trail has, in no order.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn audit_moves(&self, op: &OpContext) -> AppResult<Vec<AuditedMove>> {
        let records = self
            .all::<AuditRecord>("audit_moves", &keys::audits(op.org))
            .await?;
        let moves = records.into_iter().flat_map(|entry| entry.value.transitions);
        Ok(moves
            .map(|one| AuditedMove {
                deployment: one.deployment.to_string(),
                from: one.from,
                to: one.to,
            })
            .collect())
    }
}

impl AuditSeal {
    /// Over all that it says, field by field with lengths, so that no two seals read the same.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut field = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        field(&self.number.to_string());
        field(&self.previous);
        field(&self.at.as_millis().to_string());
        for (id, digest) in &self.records {
            field(id);
            field(digest);
        }
        hex::encode(hash.finalize())
    }
}

#[cfg(test)]
mod tests;
