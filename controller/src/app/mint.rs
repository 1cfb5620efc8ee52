//! From a wish to deployments: which revision, and one transaction that queues it on its hosts.
//!
//! A deploy takes the newest revision if that is the wanted spec and none of the hosts has had it; otherwise it mints
//! the next one. A transaction holds [`CHUNK`] hosts; the rest waits in a durable list that is worked off at once, or
//! after a crash by the sweep.

use std::{collections::BTreeMap, time::Duration};

use windflow_kit::seeded::{self, Bug};
use windflow_model::{
    AgentId, Code, Deployment, DeploymentId, DeploymentState, OpId, Pin, Rev, Revision, Stack, StackId,
    Steps, Timestamp, Want,
};
use windflow_store::{Entry, Key, Txn};

use super::{
    App, AppError, AppResult,
    db::{create, replace},
    idempotency::IdempotencyKey,
    keys,
    pins::{self, Pins},
    records::{Fanout, Made, Placement, Transition},
};
use crate::context::OpContext;

/// Hosts per transaction: 7 operations each, and 6 for the rest, stay under the store's 100.
pub(crate) const CHUNK: usize = 12;
/// Most hosts of one deploy.
pub(crate) const MAX_HOSTS: usize = 10_000;

/// What shall be deployed.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    /// The stack's current spec.
    Current(Pins),
    /// The spec of an older revision.
    Again(Rev, Pins),
    /// Nothing any more.
    Gone {
        /// Volumes too.
        volumes: bool,
    },
}

impl Wish {
    fn pins(&self) -> Option<&BTreeMap<AgentId, Pin>> {
        match self {
            Self::Current(pins) | Self::Again(_, pins) => Some(pins.as_ref()).filter(|pins| !pins.is_empty()),
            Self::Gone { .. } => None,
        }
    }
}

/// Hosts with the ids of their deployments, made beforehand so that a repeat is recognised.
pub(crate) type Targets = Vec<(AgentId, DeploymentId)>;

impl App {
    /// Queues a wish on hosts. Every id is made before the first round, so a commit whose answer was lost is found
    /// again instead of being done twice.
    pub(crate) async fn mint(
        &self,
        op: &OpContext,
        action: &'static str,
        id: StackId,
        agents: &[AgentId],
        wish: Wish,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<Vec<DeploymentId>> {
        let targets = self.targets(agents)?;
        if let Some(pins) = wish.pins() {
            pins::check(pins, agents)?;
        }
        let op_id = self.new_op_id()?;
        let made = self
            .retry(|| self.mint_once(op, action, id, &targets, wish.clone(), op_id, key))
            .await?;
        if targets
            .first()
            .is_some_and(|first| made.first() == Some(&first.1))
        {
            self.fan_out(op, op_id).await?;
        }
        Ok(made)
    }

    /// Tells readers of what was queued, and lets the hosts look for it.
    pub(super) async fn queued(&self, moved: Vec<Deployment>) {
        let queued = |one: &&Deployment| one.state == DeploymentState::Queued;
        let agents: Vec<_> = moved.iter().filter(queued).map(|one| one.agent).collect();
        self.tell_moved(moved);
        for agent in agents {
            self.hosts().nudge(agent).await;
        }
    }

    fn targets(&self, agents: &[AgentId]) -> AppResult<Targets> {
        let mut sorted = agents.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.is_empty() {
            return Err(AppError::bad("agents: name at least one host"));
        }
        if sorted.len() != agents.len() {
            return Err(AppError::bad("agents: a host is named twice"));
        }
        if sorted.len() > MAX_HOSTS {
            return Err(AppError::bad(format!(
                "agents: at most {MAX_HOSTS} hosts at once"
            )));
        }
        let ids = agents.iter().map(|agent| Ok((*agent, self.new_deployment_id()?)));
        ids.collect()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one round of `mint`, which has no state of its own"
    )]
    async fn mint_once(
        &self,
        op: &OpContext,
        action: &'static str,
        id: StackId,
        targets: &Targets,
        wish: Wish,
        op_id: OpId,
        key: Option<&IdempotencyKey>,
    ) -> AppResult<Vec<DeploymentId>> {
        let all = || targets.iter().map(|(_, id)| *id).collect::<Vec<_>>();
        if let Some(Made::Deployments(before)) = self.made_before(key).await? {
            return Ok(before);
        }
        let Some((_, first)) = targets.first() else {
            return Ok(Vec::new());
        };
        if self
            .find::<Deployment>(action, &keys::deployment(op.org, *first))
            .await?
            .is_some()
        {
            return Ok(all());
        }
        let stack = self.need_stack(action, op.org, id).await?;
        let agents: Vec<_> = targets.iter().map(|(agent, _)| *agent).collect();
        let (revision, new) = self.choose(op, action, &stack, &agents, &wish, op_id).await?;
        let mut txn = Txn::new();
        if new {
            let raised = Stack {
                latest_rev: revision.rev,
                ..stack.value.clone()
            };
            txn = replace(txn, action, &stack, &raised)?;
            txn = create(txn, action, keys::revision(op.org, id, revision.rev), &revision)?;
        } else {
            // Written although unchanged: a delete or a mint at the same time must notice.
            txn = replace(txn, action, &stack, &stack.value)?;
        }
        let (now, rest) = targets.split_at(targets.len().min(CHUNK));
        let mut moved = Vec::new();
        for (spot, (agent, deployment)) in self.spots(op, action, id, now).await?.into_iter().zip(now) {
            if spot.host.is_none() {
                return Err(AppError::not_found(format!("host {agent}")));
            }
            let pin = wish.pins().and_then(|pins| pins.get(agent)).cloned();
            let deployment = Deployment {
                pin,
                ..self.fresh(op, &stack.value, &revision, *agent, *deployment)
            };
            txn = self.queue_at(txn, op, action, spot, deployment, &mut moved)?;
        }
        if !rest.is_empty() {
            let fanout = Fanout {
                op: op_id,
                stack: id,
                rev: revision.rev,
                by: op.user,
                at: self.now(),
                rest: rest.to_vec(),
            };
            txn = create(txn, action, keys::fanout(op.org, op_id), &fanout)?;
        }
        txn = self.remember(txn, action, key, || Made::Deployments(all()))?;
        let detail = format!(
            "stack {} rev {} on {} host(s)",
            stack.value.name,
            revision.rev,
            targets.len()
        );
        txn = self.audited_moves(txn, op, action, id, detail, transitions(&moved))?;
        self.commit(action, txn).await?;
        self.queued(moved).await;
        Ok(all())
    }

    /// The revision for a wish, and whether it is new.
    pub(super) async fn choose(
        &self,
        op: &OpContext,
        action: &'static str,
        stack: &Entry<Stack>,
        agents: &[AgentId],
        wish: &Wish,
        op_id: OpId,
    ) -> AppResult<(Revision, bool)> {
        let latest = stack.value.latest_rev;
        let newest = match latest {
            Rev::ZERO => None,
            rev => Some(
                self.need_revision(action, op.org, stack.value.id, rev)
                    .await?
                    .value,
            ),
        };
        let (spec, want, rollback_of) = match wish {
            Wish::Current(_) => (stack.value.spec.clone(), Want::Present, None),
            Wish::Again(rev, _) => {
                let rev = *rev;
                let old = self
                    .need_revision(action, op.org, stack.value.id, rev)
                    .await?
                    .value;
                if old.want.is_absent() {
                    let message = format!("revision {rev} removed the stack; choose one that deployed it");
                    return Err(AppError::refused(Code::Conflict, message));
                }
                (old.spec, Want::Present, Some(rev))
            }
            Wish::Gone { volumes } => {
                let volumes = *volumes;
                let spec = newest.as_ref().map_or(&stack.value.spec, |newest| &newest.spec);
                let want = if volumes {
                    Want::AbsentWithVolumes
                } else {
                    Want::Absent
                };
                (spec.clone(), want, None)
            }
        };
        let digest = spec.digest();
        if let Some(newest) = newest
            && newest.want == want
            && newest.digest == digest
            && (seeded::is(Bug::RevisionReused)
                || self
                    .fresh_everywhere(op, action, stack.value.id, agents, latest)
                    .await?)
        {
            return Ok((newest, false));
        }
        let revision = Revision {
            stack: stack.value.id,
            rev: latest.next(),
            op: op_id,
            digest,
            want,
            spec,
            rollback_of,
            created_at: self.now(),
            created_by: op.user,
        };
        Ok((revision, true))
    }

    /// Whether none of the hosts has had this revision or a newer one.
    async fn fresh_everywhere(
        &self,
        op: &OpContext,
        action: &'static str,
        stack: StackId,
        agents: &[AgentId],
        rev: Rev,
    ) -> AppResult<bool> {
        let places = agents.iter().map(|agent| keys::placement(op.org, stack, *agent));
        let places = self.find_each::<Placement>(action, places.collect()).await?;
        Ok(!places.into_iter().flatten().any(|place| place.value.rev >= rev))
    }

    pub(super) fn fresh(
        &self,
        op: &OpContext,
        stack: &Stack,
        revision: &Revision,
        agent: AgentId,
        id: DeploymentId,
    ) -> Deployment {
        let now = self.now();
        let life = revision.spec.policy.queue_timeout_s;
        let expires_at = (life > 0).then(|| now.plus(Duration::from_secs(u64::from(life))));
        Deployment {
            id,
            op: revision.op,
            stack: stack.id,
            stack_name: stack.name.clone(),
            rev: revision.rev,
            want: revision.want,
            agent,
            state: DeploymentState::Queued,
            state_at: now,
            created_at: now,
            created_by: op.user,
            expires_at,
            reported_at: None,
            cancel_requested: false,
            steps: Steps::default(),
            pin: None,
        }
    }

    /// Whether a deployment's time in the queue is over.
    pub(crate) fn is_over(deployment: &Deployment, now: Timestamp) -> bool {
        deployment.state == DeploymentState::Queued && deployment.expires_at.is_some_and(|at| at <= now)
    }
}

/// What the audit record says of deployments that were made, and of those that they put an end to.
pub(crate) fn transitions(moved: &[Deployment]) -> Vec<Transition> {
    let one = |now: &Deployment| {
        let made = now.state == DeploymentState::Queued;
        Transition {
            deployment: now.id,
            from: (!made).then(|| DeploymentState::Queued.name().to_owned()),
            to: now.state.name().to_owned(),
        }
    };
    moved.iter().map(one).collect()
}

/// The agent in a key of the index of open deployments.
pub(crate) fn agent_of(key: &Key) -> Option<AgentId> {
    key.segments().nth(2)?.parse().ok()
}
