//! The rest of a large deploy: hosts that did not fit into its first transaction.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use windflow_model::{AgentId, DeploymentId, OpId, Revision, Stack};
use windflow_store::{Entry, Txn};

use super::{
    App, AppResult, keys,
    mint::{CHUNK, Targets, transitions},
    records::Fanout,
};
use crate::context::OpContext;

/// Chunks under way at once: the store carries them out under one commit, and reads the next ones meanwhile.
const CHUNKS: usize = 8;

impl App {
    /// Works off the hosts that did not fit into the first transaction. The list stays as it is until all of them are
    /// queued: one that is done twice finds them there.
    pub(crate) async fn fan_out(&self, op: &OpContext, op_id: OpId) -> AppResult<()> {
        const OP: &str = "deployment_fan_out";
        let Some(list) = self.find::<Fanout>(OP, &keys::fanout(op.org, op_id)).await? else {
            return Ok(());
        };
        let chunks: Vec<Targets> = list.value.rest.chunks(CHUNK).map(<[_]>::to_vec).collect();
        let queued = chunks.into_iter().map(|some| {
            let list = &list;
            async move { self.retry(|| self.fan_out_some(op, OP, list, &some)).await }
        });
        let mut queued = stream::iter(queued).buffered(CHUNKS);
        while queued.try_next().await? == Some(true) {}
        drop(queued);
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
        // The stack's record is not written: while the list is there, nobody deletes the stack, and who deploys another
        // revision meets the placements.
        txn = txn.expect(list.key.clone(), list.expect());
        let detail = format!("rev {rev}");
        txn = self.audited_moves(txn, &by, operation, stack.value.id, detail, transitions(&moved))?;
        self.commit(operation, txn).await?;
        self.queued(moved).await;
        Ok(true)
    }
}
