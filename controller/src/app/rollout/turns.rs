//! Hosts get their turn: their deployments are queued.

use windflow_model::{
    AgentId, Deployment, DeploymentState, OrgId, Rollout, StackId,
    rollout::{Before, Skip},
};
use windflow_store::{Entry, Txn};

use super::{
    super::{
        App, AppError, AppResult,
        db::{create, replace},
        keys,
        mint::transitions,
        records::{Order, Placement, Turn},
    },
    create::PAGE,
};
use crate::context::OpContext;

/// Hosts per transaction: 8 operations each, and 4 for the rest, stay under the store's 100.
pub(super) const AT_ONCE: u32 = 10;
/// Deployments of a host that are looked at for what ran there before.
const LOOKED_AT: usize = 1_000;

impl App {
    /// Gives the next hosts their turn. `op` is the driver's, in the name of who made the rollout.
    pub(super) async fn rollout_turns(&self, op: &OpContext, was: &Entry<Rollout>) -> AppResult<()> {
        const OP: &str = "rollout_turns";
        let rollout = &was.value;
        let due = rollout.due();
        let upto = due.end.min(due.start + AT_ONCE);
        let agents = self.ordered(op.org, rollout, due.start..upto).await?;
        let stack = self.need_stack(OP, op.org, rollout.stack).await?;
        let revision = self
            .need_revision(OP, op.org, rollout.stack, rollout.rev)
            .await?
            .value;
        let (mut txn, mut moved) = (Txn::new(), Vec::new());
        let hosts = agents.iter().map(|agent| Ok((*agent, self.new_deployment_id()?)));
        let hosts = hosts.collect::<AppResult<Vec<_>>>()?;
        let spots = self.spots(op, OP, rollout.stack, &hosts).await?;
        for ((index, spot), (agent, id)) in (due.start..upto).zip(spots).zip(&hosts) {
            let place = spot.place.as_ref().map(|place| place.value.clone());
            let mut turn = Turn {
                agent: *agent,
                name: spot
                    .host
                    .as_ref()
                    .map_or_else(|| agent.to_string(), |host| host.value.name.clone()),
                deployment: None,
                adopted: false,
                skip: None,
                before: Before::Unknown,
                unwell: None,
                revert: None,
                no_way_back: false,
            };
            match &place {
                _ if spot.host.is_none() => turn.skip = Some(Skip::Removed),
                Some(place) if place.rev > rollout.rev => turn.skip = Some(Skip::Overtaken),
                // Somebody deployed this very revision there meanwhile: it counts, and stays theirs.
                Some(place) if place.rev == rollout.rev => {
                    turn.deployment = Some(place.deployment);
                    turn.adopted = true;
                }
                place => {
                    turn.deployment = Some(*id);
                    turn.before = self
                        .ran_before(op.org, rollout.stack, *agent, place.as_ref())
                        .await?;
                    let deployment = self.fresh(op, &stack.value, &revision, *agent, *id);
                    txn = self.queue_at(txn, op, OP, spot, deployment, &mut moved)?;
                }
            }
            txn = create(txn, OP, keys::turn(op.org, rollout.id, index), &turn)?;
        }
        let after = Rollout {
            started: upto,
            ..rollout.clone()
        };
        txn = replace(txn, OP, was, &after)?;
        // As every mint does: a delete at the same time must notice.
        txn = replace(txn, OP, &stack, &stack.value)?;
        if !moved.is_empty() {
            let detail = format!("stack {} rev {}", rollout.stack_name, rollout.rev);
            txn = self.audited_moves(txn, op, OP, rollout.id, detail, transitions(&moved))?;
        }
        self.commit(OP, txn).await?;
        self.queued(moved).await;
        self.rollout_told(&after);
        Ok(())
    }

    async fn ordered(
        &self,
        org: OrgId,
        rollout: &Rollout,
        range: std::ops::Range<u32>,
    ) -> AppResult<Vec<AgentId>> {
        const OP: &str = "rollout_order";
        let (first, last) = (range.start / PAGE, range.end.saturating_sub(1) / PAGE);
        let mut agents = Vec::new();
        for page in first..=last {
            let key = keys::order(org, rollout.id, page.into());
            let found = self.find::<Order>(OP, &key).await?;
            let found = found.ok_or_else(|| {
                AppError::internal(OP)(format!("the order of rollout {} has no page {page}", rollout.id))
            })?;
            let from = range.start.saturating_sub(page * PAGE);
            let upto = range.end - page * PAGE;
            let skip = usize::try_from(from).unwrap_or(usize::MAX);
            let take = usize::try_from(upto - from).unwrap_or(0);
            agents.extend(found.value.agents.into_iter().skip(skip).take(take));
        }
        Ok(agents)
    }

    /// What a host ran before: the newest revision of the stack that ran well there, or is on its way.
    async fn ran_before(
        &self,
        org: OrgId,
        stack: StackId,
        agent: AgentId,
        place: Option<&Placement>,
    ) -> AppResult<Before> {
        const OP: &str = "rollout_before";
        let Some(place) = place.filter(|place| !place.gone) else {
            return Ok(Before::Nothing);
        };
        let (prefix, mut after, mut looked_at) = (keys::agent_deployments(org, agent), None, 0);
        loop {
            let page = self.store().scan(&prefix, after.as_ref(), 100).await;
            let page = page.map_err(AppError::store(OP))?;
            for (key, _) in page.records {
                looked_at += 1;
                let Some(id) = keys::deployment_of(&key) else {
                    continue;
                };
                let found = self.find::<Deployment>(OP, &keys::deployment(org, id)).await?;
                let Some(found) = found.filter(|found| found.value.stack == stack) else {
                    continue;
                };
                if let Some(before) = left_behind(&found.value) {
                    return Ok(before);
                }
            }
            after = page.next;
            if after.is_none() || looked_at >= LOOKED_AT {
                return Ok(if place.reached {
                    Before::Unknown
                } else {
                    Before::Nothing
                });
            }
        }
    }
}

/// What a deployment left on its host; `None` if it never got to change it, or did not work out.
fn left_behind(deployment: &Deployment) -> Option<Before> {
    let held = |rev| {
        if deployment.want.is_absent() {
            Before::Nothing
        } else {
            Before::Rev { rev }
        }
    };
    match &deployment.state {
        DeploymentState::RolledBack { to, .. } => Some(to.map_or(Before::Nothing, |rev| Before::Rev { rev })),
        DeploymentState::Succeeded => Some(held(deployment.rev)),
        // Under way: it is what the host shall run.
        state if state.is_on_host() => Some(held(deployment.rev)),
        _ => None,
    }
}
