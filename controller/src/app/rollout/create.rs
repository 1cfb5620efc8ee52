//! Making a rollout, and showing beforehand what it would be.

use windflow_api::{RolloutCreate, RolloutMember, RolloutPreview, RolloutView, RolloutWaves};
use windflow_model::{
    OpId, Rollout, RolloutId, RolloutState, Stack,
    rollout::{Person, PlanError},
};
use windflow_store::Txn;

use super::super::{
    App, AppError, AppResult, compose,
    db::{create, replace},
    group::Meant,
    idempotency::IdempotencyKey,
    keys,
    mint::Wish,
    pins::Pins,
    records::{Made, NameHolder, Order},
};
use crate::context::OpContext;

/// Hosts per record of the order: about 17 KiB each; 10,000 hosts stay within one transaction.
pub(super) const PAGE: u32 = 500;

impl App {
    /// Makes a rollout. Which hosts, and who is in which wave, is decided here.
    ///
    /// # Errors
    /// No such stack, revision, group or host; files that cannot be deployed; a plan that makes no sense; a rollout of
    /// the stack that is not over.
    pub async fn rollout_create(
        &self,
        op: &OpContext,
        request: RolloutCreate,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<RolloutView> {
        const OP: &str = "rollout_create";
        let stack = self.need_stack(OP, op.org, request.stack).await?.value;
        let wish = match request.rev {
            Some(rev) => Wish::Again(rev, Pins::default()),
            None => {
                compose::require(&stack.name, &stack.spec).await?;
                Wish::Current(Pins::default())
            }
        };
        let (id, op_id) = (self.new_rollout_id()?, self.new_op_id()?);
        let made = self
            .retry(|| self.rollout_create_once(op, id, op_id, &request, &wish, key))
            .await?;
        self.rollout_view(op, made).await
    }

    async fn rollout_create_once(
        &self,
        op: &OpContext,
        id: RolloutId,
        op_id: OpId,
        request: &RolloutCreate,
        wish: &Wish,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<RolloutId> {
        const OP: &str = "rollout_create";
        if let Some(Made::Rollout(before)) = self.made_before(key).await? {
            return Ok(before);
        }
        // A commit whose answer was lost.
        if self
            .find::<Rollout>(OP, &keys::rollout(op.org, id))
            .await?
            .is_some()
        {
            return Ok(id);
        }
        // One that has ended and was not put away yet does not stand in the way.
        let holder = self
            .find::<NameHolder>(OP, &keys::rollout_of(op.org, request.stack))
            .await?;
        if let Some(Ok(holder)) = holder.map(|held| held.value.id.parse()) {
            self.rollout_put_away(op.org, holder).await?;
        }
        let stack = self.need_stack(OP, op.org, request.stack).await?;
        let meant = self.meant(op, &request.targets).await?;
        let total = u32::try_from(meant.len()).unwrap_or(u32::MAX);
        let waves = request.plan.waves(total).map_err(senseless)?;
        let agents: Vec<_> = meant.iter().map(|host| host.agent).collect();
        let (revision, new) = self.choose(op, OP, &stack, &agents, wish, op_id).await?;
        let now = self.now();
        let rollout = Rollout {
            id,
            stack: stack.value.id,
            stack_name: stack.value.name.clone(),
            rev: revision.rev,
            op: revision.op,
            targets: request.targets.clone(),
            plan: request.plan.clone(),
            waves,
            wave_at: Vec::new(),
            started: 0,
            state: RolloutState::Pending,
            state_at: now,
            overtaken: 0,
            reverts: Vec::new(),
            sealed: None,
            created_at: now,
            created_by: Person {
                user: op.user,
                name: op.user_name.clone(),
            },
        };
        let mut txn = create(Txn::new(), OP, keys::rollout(op.org, id), &rollout)?;
        txn = self.hold_stack(txn, op, OP, &rollout).await?;
        for (page, hosts) in (0..).zip(agents.chunks(usize::try_from(PAGE).unwrap_or(1))) {
            let order = Order {
                agents: hosts.to_vec(),
            };
            txn = create(txn, OP, keys::order(op.org, id, page), &order)?;
        }
        if new {
            let raised = Stack {
                latest_rev: revision.rev,
                ..stack.value.clone()
            };
            txn = replace(txn, OP, &stack, &raised)?;
            txn = create(
                txn,
                OP,
                keys::revision(op.org, stack.value.id, revision.rev),
                &revision,
            )?;
        } else {
            // Written although unchanged: a delete or a mint at the same time must notice.
            txn = replace(txn, OP, &stack, &stack.value)?;
        }
        txn = self.remember(txn, OP, key, || Made::Rollout(id))?;
        let detail = format!(
            "stack {} rev {} on {total} host(s) in {} wave(s)",
            rollout.stack_name,
            rollout.rev,
            rollout.waves.len()
        );
        txn = self.audited(txn, op, OP, id, detail)?;
        self.commit(OP, txn).await?;
        self.rollout_told(&rollout);
        Ok(id)
    }

    /// Who would be in which wave.
    ///
    /// # Errors
    /// No such group or host, or a plan that makes no sense.
    pub async fn rollout_preview(&self, op: &OpContext, request: RolloutPreview) -> AppResult<RolloutWaves> {
        let meant = self.meant(op, &request.targets).await?;
        let total = u32::try_from(meant.len()).unwrap_or(u32::MAX);
        let waves = match request.plan.waves(total) {
            // Nobody is an answer, too: labels come and go.
            Err(PlanError::NoHosts) => Vec::new(),
            waves => waves.map_err(senseless)?,
        };
        let numbers = (1..)
            .zip(&waves)
            .flat_map(|(wave, size)| (0..*size).map(move |_| wave));
        let hosts = meant.into_iter().zip(numbers).map(member);
        Ok(RolloutWaves {
            failure_limit: request.plan.max_failures.at_most(total),
            hosts: hosts.collect(),
            waves,
        })
    }
}

fn member((host, wave): (Meant, u32)) -> RolloutMember {
    RolloutMember {
        agent: host.agent,
        name: host.name,
        wave,
        connected: host.connected,
    }
}

fn senseless(error: PlanError) -> AppError {
    match error {
        PlanError::NoHosts => AppError::conflict(
            "no host is meant: none fits the selector or the group right now",
            "Look at the labels of the hosts (`windflow agent list`), or choose other targets.",
        ),
        error => AppError::bad(format!("plan: {error}")),
    }
}
