//! The orders in the journal: one for each revision that is held, running or the last good one.

use std::collections::BTreeSet;

use windflow_model::{Rev, StackName};
use windflow_store::{Prefix, Txn};

use super::{Journal, JournalError, decode, order_prefix};
use crate::order::Order;

/// Bytes of one part of an order; a store value ends at 1 MiB.
const PART: usize = 512 << 10;
/// Most bytes of an order; a store transaction ends at 8 MiB.
pub(super) const LIMIT: usize = 6 << 20;

/// Adds an order, as JSON, to a transaction.
pub(super) fn parts(mut txn: Txn, order: &Order, json: &[u8]) -> Txn {
    for (index, part) in json.chunks(PART).enumerate() {
        let key = order_prefix(&order.stack).push_u64(order.rev.0);
        txn = txn.put(key.push_u64(u64::try_from(index).unwrap_or(0)), part);
    }
    txn
}

fn rev_of(key: &windflow_store::Key) -> Option<Rev> {
    let text = key.segments().rev().nth(1)?;
    u64::from_str_radix(text.as_ref(), 16).ok().map(Rev)
}

impl Journal {
    /// The order of a revision that is kept.
    pub(crate) async fn order(&self, stack: &StackName, rev: Rev) -> Result<Option<Order>, JournalError> {
        let prefix = order_prefix(stack).push_u64(rev.0);
        let mut json = Vec::new();
        let page = self.store.scan(&Prefix::below(&prefix), None, 100).await?;
        for (_, record) in &page.records {
            json.extend_from_slice(&record.value);
        }
        if json.is_empty() {
            Ok(None)
        } else {
            decode(&prefix, &json).map(Some)
        }
    }

    /// The revisions whose orders are kept.
    pub(super) async fn order_revs(&self, stack: &StackName) -> Result<BTreeSet<Rev>, JournalError> {
        let page = self
            .store
            .scan(&Prefix::below(&order_prefix(stack)), None, 500)
            .await?;
        Ok(page.records.iter().filter_map(|(key, _)| rev_of(key)).collect())
    }

    /// Removes the orders of revisions that are neither held nor the last good one, nor kept for the history.
    pub(super) async fn sweep_orders(&self, stack: &StackName) -> Result<(), JournalError> {
        let Some(record) = self.record(stack).await else {
            return Ok(());
        };
        let worth = self.worth_keeping(&record).await?;
        let page = self
            .store
            .scan(&Prefix::below(&order_prefix(stack)), None, 500)
            .await?;
        let mut txn = Txn::new();
        for (key, _) in page.records {
            let kept = rev_of(&key)
                .is_some_and(|rev| rev >= record.rev || Some(rev) == record.good || worth.contains(&rev));
            if !kept && txn.ops().len() < 90 {
                txn = txn.delete(key);
            }
        }
        self.commit(txn).await
    }
}
