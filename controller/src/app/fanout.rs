//! The rest of a large deploy: hosts that did not fit into its first transaction.

use windflow_model::{AgentRecord, OpId, Revision, Stack};
use windflow_store::Txn;

use super::{
    App, AppResult,
    db::{put, replace},
    keys,
    mint::CHUNK,
    records::{Fanout, Placement},
};
use crate::context::OpContext;

impl App {
    /// Works off the hosts that did not fit into the first transaction.
    pub(crate) async fn fan_out(&self, op: &OpContext, op_id: OpId) -> AppResult<()> {
        while self.retry(|| self.fan_out_once(op, op_id)).await? {}
        Ok(())
    }

    /// `true` while there is more.
    async fn fan_out_once(&self, op: &OpContext, op_id: OpId) -> AppResult<bool> {
        const OP: &str = "deployment_fan_out";
        let Some(list) = self.find::<Fanout>(OP, &keys::fanout(op.org, op_id)).await? else {
            return Ok(false);
        };
        let stack = self
            .find::<Stack>(OP, &keys::stack(op.org, list.value.stack))
            .await?;
        let revision = self
            .find::<Revision>(OP, &keys::revision(op.org, list.value.stack, list.value.rev))
            .await?;
        let (Some(stack), Some(revision)) = (stack, revision) else {
            self.commit(OP, Txn::new().delete(list.key)).await?;
            return Ok(false);
        };
        let by = OpContext {
            user: list.value.by,
            ..op.clone()
        };
        let (now, rest) = list.value.rest.split_at(list.value.rest.len().min(CHUNK));
        let (mut txn, mut moved) = (Txn::new(), Vec::new());
        for (agent, id) in now {
            let place = keys::placement(op.org, stack.value.id, *agent);
            let newer = self.find::<Placement>(OP, &place).await?;
            let newer = newer.is_some_and(|place| place.value.rev >= revision.value.rev);
            let there = self
                .find::<AgentRecord>(OP, &keys::agent(op.org, *agent))
                .await?
                .is_some();
            if there && !newer {
                txn = self
                    .queue(
                        txn,
                        &by,
                        OP,
                        &stack.value,
                        &revision.value,
                        *agent,
                        *id,
                        None,
                        &mut moved,
                    )
                    .await?;
            }
        }
        // As in the first transaction: a delete at the same time must notice.
        txn = replace(txn, OP, &stack, &stack.value)?;
        txn = txn.expect(list.key.clone(), list.expect());
        if rest.is_empty() {
            txn = txn.delete(list.key);
        } else {
            let left = Fanout {
                rest: rest.to_vec(),
                ..list.value.clone()
            };
            txn = put(txn, OP, list.key.clone(), &left)?;
        }
        self.commit(OP, txn).await?;
        self.tell_moved(moved);
        Ok(!rest.is_empty())
    }
}
