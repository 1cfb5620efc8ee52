//! The revisions a stack has had on this host: what became of each, and those that can be brought back.
//!
//! Of a stack of the controller only the last good order is kept, the controller has the others. Of a stack of local
//! mode the orders of the last revisions that worked out are kept, with the texts of the files they were read from.

use sha2::{Digest as _, Sha256};
use windflow_model::{DeploymentState, OpId, Rev, SpecDigest, SpecFile, StackName, Want};
use windflow_store::{Key, Prefix, Txn};

use super::{Journal, JournalError, decode, encode, orders, record::StackRecord, root, stack_key};
use crate::order::{Order, Revision};

/// Revisions in a stack's history; older ones are forgotten.
pub(super) const ENTRIES: usize = 50;
/// Orders of good revisions that a stack of local mode keeps.
pub(super) const KEPT: usize = 10;

fn prefix(stack: &StackName) -> Key {
    root().push("history").push(stack.as_str())
}

/// Adds the end of a revision to a transaction.
pub(super) fn note(txn: Txn, record: &StackRecord) -> Result<Txn, JournalError> {
    let entry = Revision {
        rev: record.rev,
        op: record.op,
        want: record.want,
        digest: record.digest,
        state: record.state.clone(),
        at: record.state_at,
        again: record.again,
        kept: false,
    };
    Ok(txn.put(prefix(&record.stack).push_u64(record.rev.0), encode(&entry)?))
}

impl Journal {
    /// The revisions of a stack that have ended here, newest first.
    pub(crate) async fn history(&self, stack: &StackName) -> Result<Vec<Revision>, JournalError> {
        let mut entries = Vec::new();
        let page = self.store.scan(&Prefix::below(&prefix(stack)), None, 500).await?;
        for (key, record) in &page.records {
            entries.push(decode::<Revision>(key, &record.value)?);
        }
        let kept = self.order_revs(stack).await?;
        for entry in &mut entries {
            entry.kept = kept.contains(&entry.rev) && !entry.want.is_absent();
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.rev));
        Ok(entries)
    }

    /// Good revisions whose orders a stack of local mode keeps.
    pub(super) async fn worth_keeping(&self, record: &StackRecord) -> Result<Vec<Rev>, JournalError> {
        if record.owner.is_some() {
            return Ok(Vec::new());
        }
        let good = self
            .history(&record.stack)
            .await?
            .into_iter()
            .filter(Revision::is_good);
        Ok(good.map(|entry| entry.rev).take(KEPT).collect())
    }

    /// Forgets what is older than the history is long.
    pub(super) async fn sweep_history(&self, stack: &StackName) -> Result<(), JournalError> {
        let page = self.store.scan(&Prefix::below(&prefix(stack)), None, 500).await?;
        let over = page.records.len().saturating_sub(ENTRIES);
        let old = page.records.into_iter().map(|(key, _)| key).take(over.min(90));
        self.commit(old.fold(Txn::new(), Txn::delete)).await
    }

    /// The name has got another owner: what it was before concerns nobody.
    pub(super) async fn forget_history(&self, stack: &StackName) -> Result<(), JournalError> {
        self.sweep(&Prefix::below(&prefix(stack))).await
    }

    /// Keeps the files an order in place was read from, with the digest of the project they make: it can be brought
    /// back exactly, whatever becomes of the files. Files too large for the journal are not kept.
    pub(crate) async fn read_from(
        &self,
        order: &Order,
        files: Vec<SpecFile>,
        project: &str,
    ) -> Result<(), JournalError> {
        let mut order = order.clone();
        order.spec.files = files;
        order.digest = SpecDigest::from_bytes(Sha256::digest(project).into());
        let json = encode(&order)?;
        if json.len() > orders::LIMIT {
            return Ok(());
        }
        let mut inner = self.inner.lock().await;
        let Some(record) = inner
            .stacks
            .get(&order.stack)
            .filter(|record| record.op == order.op)
        else {
            return Ok(());
        };
        let mut next = record.clone();
        next.digest = order.digest;
        let txn = orders::parts(Txn::new(), &order, &json).put(stack_key(&order.stack), encode(&next)?);
        self.commit(txn).await?;
        inner.stacks.insert(order.stack.clone(), next);
        self.mirror(&inner);
        Ok(())
    }

    /// The order of a kept revision as a new one: `to`, or the newest good one that makes another project than what is
    /// held now. `Err` names what there is.
    pub(crate) async fn again(
        &self,
        stack: &StackName,
        to: Option<Rev>,
        op: OpId,
    ) -> Result<Result<Order, String>, JournalError> {
        let Some(held) = self.record(stack).await else {
            return Ok(Err(format!("this host has no revision of {stack}")));
        };
        let history = self.history(stack).await?;
        let present =
            (held.state == DeploymentState::Succeeded && held.want == Want::Present).then_some(held.digest);
        let found = history.iter().find(|entry| match to {
            Some(rev) => entry.rev == rev,
            None => entry.kept && entry.is_good() && Some(entry.digest) != present,
        });
        let kept: Vec<String> = history
            .iter()
            .filter(|entry| entry.kept)
            .map(|entry| entry.rev.to_string())
            .collect();
        let choice = if kept.is_empty() {
            "none can be brought back".to_owned()
        } else {
            format!("these can be brought back: {}", kept.join(", "))
        };
        let order = match (found, to) {
            (Some(entry), _) if entry.kept => self.order(stack, entry.rev).await?,
            (Some(entry), _) if entry.want.is_absent() => {
                return Ok(Err(format!("revision {} removed {stack}; {choice}", entry.rev)));
            }
            (Some(entry), _) => {
                return Ok(Err(format!(
                    "the files of revision {} of {stack} are not kept on this host; {choice}",
                    entry.rev
                )));
            }
            (None, Some(rev)) => {
                return Ok(Err(format!(
                    "{stack} has had no revision {rev} on this host; {choice}"
                )));
            }
            (None, None) => {
                return Ok(Err(format!(
                    "{stack} has had no other good revision on this host; {choice}"
                )));
            }
        };
        let Some(mut order) = order else {
            return Ok(Err(format!(
                "the journal has lost the order of {stack}; {choice}"
            )));
        };
        order.options.again = Some(order.options.again.unwrap_or(order.rev));
        order.options.pin = None;
        (order.rev, order.op, order.deployment) = (held.rev.next(), op, None);
        // A snapshot that was not kept is read in place again: that would be another project.
        let in_place = order.is_in_place() && order.spec.files.is_empty();
        Ok(if in_place {
            Err(format!(
                "the files of that revision of {stack} were too large to be kept; {choice}"
            ))
        } else {
            Ok(order)
        })
    }
}
