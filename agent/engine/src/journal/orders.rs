//! The orders in the journal: one for each revision that is held, running or the last good one.

use windflow_model::{Rev, StackName};
use windflow_store::{Prefix, Txn};

use super::{Journal, JournalError, decode, order_prefix};
use crate::order::Order;

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

    /// Removes the orders of revisions that are neither held nor the last good one.
    pub(super) async fn sweep_orders(&self, stack: &StackName) -> Result<(), JournalError> {
        let Some(record) = self.record(stack).await else {
            return Ok(());
        };
        let page = self
            .store
            .scan(&Prefix::below(&order_prefix(stack)), None, 200)
            .await?;
        let mut txn = Txn::new();
        for (key, _) in page.records {
            let rev = key
                .segments()
                .rev()
                .nth(1)
                .and_then(|text| u64::from_str_radix(&text, 16).ok());
            let kept = rev.is_some_and(|rev| Rev(rev) >= record.rev || Some(Rev(rev)) == record.good);
            if !kept && txn.ops().len() < 90 {
                txn = txn.delete(key);
            }
        }
        self.commit(txn).await
    }
}
