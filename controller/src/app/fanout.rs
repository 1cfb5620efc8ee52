//! The rest of a large deploy: hosts that did not fit into its first transaction.

use windflow_model::{AgentId, DeploymentId, OpId, Revision, Stack};
use windflow_store::{Entry, Txn};

use super::{
    App, AppResult,
    db::replace,
    keys,
    mint::{CHUNK, transitions},
    records::Fanout,
};
use crate::context::OpContext;

impl App {
    /// Works off the hosts that did not fit into the first transaction. The list stays as it is until all of them are
    /// queued: one that is done twice finds them there.
    pub(crate) async fn fan_out(&self, op: &OpContext, op_id: OpId) -> AppResult<()> {
        const OP: &str = "deployment_fan_out";
        let Some(list) = self.find::<Fanout>(OP, &keys::fanout(op.org, op_id)).await? else {
            return Ok(());
        };
        for some in list.value.rest.chunks(CHUNK) {
            if !self.retry(|| self.fan_out_some(op, OP, &list, some)).await? {
                break;
            }
        }
        self.commit(OP, Txn::new().delete(list.key)).await.map(drop)
    }

    /// `false` if there is nothing to deploy any more.
    async fn fan_out_some(
        &self,
        op: &OpContext,
        operation: &'static str,
        list: &Entry<Fanout>,
        some: &[(AgentId, DeploymentId)],
    ) -> AppResult<bool> {
        let (stack, rev) = (list.value.stack, list.value.rev);
        let (at, of) = (keys::stack(op.org, stack), keys::revision(op.org, stack, rev));
        let (stack, revision) = tokio::try_join!(
            self.find::<Stack>(operation, &at),
            self.find::<Revision>(operation, &of),
        )?;
        let (Some(stack), Some(revision)) = (stack, revision) else {
            return Ok(false);
        };
        let by = OpContext {
            user: list.value.by,
            ..op.clone()
        };
        let (mut txn, mut moved) = (Txn::new(), Vec::new());
        let spots = self.spots(op, operation, stack.value.id, some).await?;
        for (spot, (agent, id)) in spots.into_iter().zip(some) {
            let newer = spot.place.as_ref().is_some_and(|place| place.value.rev >= rev);
            if spot.host.is_some() && !newer {
                let deployment = self.fresh(&by, &stack.value, &revision.value, *agent, *id);
                txn = self.queue_at(txn, &by, operation, spot, deployment, &mut moved)?;
            }
        }
        if moved.is_empty() {
            return Ok(true);
        }
        // As in the first transaction: a delete at the same time must notice.
        txn = replace(txn, operation, &stack, &stack.value)?;
        txn = txn.expect(list.key.clone(), list.expect());
        let detail = format!("rev {rev}");
        txn = self.audited_moves(txn, &by, operation, stack.value.id, detail, transitions(&moved))?;
        self.commit(operation, txn).await?;
        self.tell_moved(moved);
        Ok(true)
    }
}
