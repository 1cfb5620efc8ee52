//! The way back: every host that the rollout has changed gets the revision it had before, as a new one.

use windflow_model::{
    AgentRecord, DeploymentState, Revision, Rollout, Stack, Want,
    rollout::{Before, Skip},
};
use windflow_store::{Entry, Txn};

use super::{
    super::{
        App, AppError, AppResult,
        db::{create, replace},
        keys,
        mint::transitions,
        records::{Placement, Turn},
    },
    advance::RECORDS,
    survey::{Seen, Survey},
    turns::AT_ONCE,
};
use crate::context::OpContext;

/// What becomes of a host on the way back.
enum Way {
    /// There is nothing to go back to, or nobody, or somebody else has taken over.
    None(Turn),
    /// It gets the revision of before.
    Back(Before),
}

impl App {
    /// Takes the next hosts back. `true` while there are more.
    pub(super) async fn rollout_take_back(
        &self,
        op: &OpContext,
        was: &Entry<Rollout>,
        survey: &Survey,
    ) -> AppResult<bool> {
        const OP: &str = "rollout_take_back";
        // What has not left the queue needs no way back; what leaves it meanwhile is seen the next time.
        self.rollout_withdraw(survey).await?;
        let changed = survey.hosts.iter().filter(|seen| seen.is_to_go_back(&was.value));
        let (mut none, mut back) = (Vec::new(), Vec::new());
        let mut wanted = None;
        for seen in changed {
            match self.rollout_way(op, was, seen).await? {
                Way::None(turn) => none.push((seen, turn)),
                Way::Back(before) if *wanted.get_or_insert(before) == before => back.push(seen),
                // One revision at a time; the others come next.
                Way::Back(_) => {}
            }
            if none.len() >= RECORDS || back.len() >= usize::try_from(AT_ONCE).unwrap_or(1) {
                break;
            }
        }
        if !none.is_empty() {
            let mut txn = Txn::new().expect(was.key.clone(), was.expect());
            for (seen, turn) in none {
                txn = replace(txn, OP, &seen.turn, &turn)?;
            }
            self.commit(OP, txn).await?;
            return Ok(true);
        }
        match wanted {
            None => Ok(false),
            Some(before) => self.rollout_back(op, was, before, &back).await.map(|()| true),
        }
    }

    async fn rollout_way(&self, op: &OpContext, was: &Entry<Rollout>, seen: &Seen) -> AppResult<Way> {
        const OP: &str = "rollout_take_back";
        let (rollout, turn) = (&was.value, &seen.turn.value);
        let skipped = |skip| {
            Way::None(Turn {
                skip: Some(skip),
                ..turn.clone()
            })
        };
        if self
            .find::<AgentRecord>(OP, &keys::agent(op.org, turn.agent))
            .await?
            .is_none()
        {
            return Ok(skipped(Skip::Removed));
        }
        let place = keys::placement(op.org, rollout.stack, turn.agent);
        let place = self.find::<Placement>(OP, &place).await?;
        let newest = place.map(|place| place.value.deployment);
        if newest.is_none_or(|newest| Some(newest) != turn.revert.or(turn.deployment)) {
            return Ok(skipped(Skip::Overtaken));
        }
        Ok(match turn.before {
            Before::Unknown => Way::None(Turn {
                no_way_back: true,
                ..turn.clone()
            }),
            before => Way::Back(before),
        })
    }

    /// One transaction: the revision, if it is the first time, and the deployments of some hosts.
    async fn rollout_back(
        &self,
        op: &OpContext,
        was: &Entry<Rollout>,
        before: Before,
        hosts: &[&Seen],
    ) -> AppResult<()> {
        const OP: &str = "rollout_take_back";
        let rollout = &was.value;
        let stack = self.need_stack(OP, op.org, rollout.stack).await?;
        let mut txn = Txn::new();
        let mut after = rollout.clone();
        let minted = rollout.reverts.iter().find(|(of, _)| *of == before);
        let revision = if let Some((_, rev)) = minted {
            txn = replace(txn, OP, &stack, &stack.value)?;
            self.need_revision(OP, op.org, rollout.stack, *rev).await?.value
        } else {
            let revision = self
                .rollout_revision_back(op, &stack.value, rollout, before)
                .await?;
            after.reverts.push((before, revision.rev));
            let raised = Stack {
                latest_rev: revision.rev,
                ..stack.value.clone()
            };
            txn = replace(txn, OP, &stack, &raised)?;
            let key = keys::revision(op.org, rollout.stack, revision.rev);
            txn = create(txn, OP, key, &revision)?;
            revision
        };
        let mut moved = Vec::new();
        let ids = hosts
            .iter()
            .map(|seen| Ok((seen.turn.value.agent, self.new_deployment_id()?)));
        let ids = ids.collect::<AppResult<Vec<_>>>()?;
        let spots = self.spots(op, OP, rollout.stack, &ids).await?;
        for ((seen, spot), (agent, id)) in hosts.iter().zip(spots).zip(ids) {
            if spot.host.is_none() {
                return Err(AppError::not_found(format!("host {agent}")));
            }
            let deployment = self.fresh(op, &stack.value, &revision, agent, id);
            txn = self.queue_at(txn, op, OP, spot, deployment, &mut moved)?;
            let turn = Turn {
                revert: Some(id),
                ..seen.turn.value.clone()
            };
            txn = replace(txn, OP, &seen.turn, &turn)?;
        }
        txn = replace(txn, OP, was, &after)?;
        let detail = format!(
            "stack {} rev {} takes {} host(s) back",
            after.stack_name,
            revision.rev,
            hosts.len()
        );
        txn = self.audited_moves(txn, op, OP, after.id, detail, transitions(&moved))?;
        self.commit(OP, txn).await?;
        self.queued(moved).await;
        self.rollout_told(&after);
        Ok(())
    }

    async fn rollout_revision_back(
        &self,
        op: &OpContext,
        stack: &Stack,
        rollout: &Rollout,
        before: Before,
    ) -> AppResult<Revision> {
        const OP: &str = "rollout_take_back";
        let (of, want, rollback_of) = match before {
            Before::Rev { rev } => (rev, Want::Present, Some(rev)),
            Before::Nothing | Before::Unknown => (rollout.rev, Want::Absent, None),
        };
        let model = self.need_revision(OP, op.org, stack.id, of).await?.value;
        Ok(Revision {
            stack: stack.id,
            rev: stack.latest_rev.next(),
            op: self.new_op_id()?,
            want,
            rollback_of,
            created_at: self.now(),
            created_by: op.user,
            ..model
        })
    }
}

impl Seen {
    /// Whether the rollout changed it, or may have, and it has no deployment that takes it back. One that failed to go
    /// back is asked again when a person wants that.
    fn is_to_go_back(&self, rollout: &Rollout) -> bool {
        use DeploymentState as D;
        let turn = &self.turn.value;
        if turn.adopted || turn.skip.is_some() || turn.no_way_back {
            return false;
        }
        if let Some(revert) = &self.revert {
            let tried_before = revert.created_at < rollout.state_at;
            let in_vain =
                revert.state.is_terminal() && !matches!(*revert.state, D::Succeeded | D::Superseded { .. });
            return tried_before && in_vain;
        }
        self.own.as_ref().is_some_and(|own| {
            matches!(
                *own.state,
                D::Offered | D::Succeeded | D::Failed { .. } | D::RollbackFailed { .. }
            ) || own.state.is_on_host()
        })
    }
}
