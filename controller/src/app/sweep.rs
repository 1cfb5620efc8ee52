//! What jobs do: each may be stopped anywhere and run again.

use std::{collections::BTreeSet, time::Duration};

use windflow_model::{AgentId, Deployment, DeploymentEvent, DeploymentState, Presence};
use windflow_store::Txn;

use super::{
    App, AppResult, keys, lock,
    mint::agent_of,
    records::{AgentGone, Credential, EnrolToken, Fanout, Idempotent},
};
use crate::context::OpContext;

/// Expired enrolment tokens stay this long in the list.
const TOKEN_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Answers to `Idempotency-Key`s stay this long.
const IDEMPOTENT_KEPT: Duration = Duration::from_secs(24 * 3_600);

impl App {
    /// Lets every connected host with deployments that wait look for work. A nudge that got lost costs one tick.
    pub(crate) async fn dispatch_all(&self) -> AppResult<usize> {
        const OP: &str = "dispatch";
        let org = OpContext::system("").org;
        let open = self.keys_below(OP, &keys::all_active(org)).await?;
        if open.is_empty() {
            return Ok(0);
        }
        let presences = self.hosts().presences().await;
        let there = |agent: &AgentId| matches!(presences.get(agent), Some(Presence::Connected { .. }));
        // What has begun on a host needs no look: of a fleet in the middle of a deploy, that is nearly all.
        let ids = open
            .iter()
            .filter(|key| agent_of(key).as_ref().is_some_and(there));
        let ids = ids.filter_map(|key| key.last().parse().ok());
        let open = ids.map(|id| keys::deployment(org, id)).collect();
        let open = self
            .find_each::<Deployment>(OP, open)
            .await?
            .into_iter()
            .flatten();
        let mut agents = lock(&self.0.reoffer)
            .keys()
            .copied()
            .filter(there)
            .collect::<BTreeSet<_>>();
        let waits = |one: &Deployment| {
            let early = matches!(one.state, DeploymentState::Queued | DeploymentState::Offered);
            early || one.cancel_requested
        };
        agents.extend(open.filter(|one| waits(&one.value)).map(|one| one.value.agent));
        for agent in &agents {
            self.hosts().nudge(*agent).await;
        }
        Ok(agents.len())
    }

    /// Ends deployments whose time in the queue is over.
    pub(crate) async fn expire_all(&self) -> AppResult<usize> {
        const OP: &str = "deployment_expire";
        let op = OpContext::system("expiry");
        let org = op.org;
        let mut expired = 0;
        let open = self.keys_below(OP, &keys::all_active(org)).await?;
        let ids = open.iter().filter_map(|key| key.last().parse().ok());
        let open = ids.map(|id| keys::deployment(org, id)).collect();
        for found in self
            .find_each::<Deployment>(OP, open)
            .await?
            .into_iter()
            .flatten()
        {
            if Self::is_over(&found.value, self.now()) {
                let event = DeploymentEvent::Expired;
                self.deployment_move(OP, &op, found.value.id, |_| event.clone())
                    .await?;
                expired += 1;
            }
        }
        Ok(expired)
    }

    /// Removes what has outlived itself, and finishes what a crash left half-done.
    pub(crate) async fn sweep(&self) -> AppResult<usize> {
        const OP: &str = "sweep";
        let op = OpContext::system("sweep");
        let now = self.now();
        let mut old = Vec::new();
        for entry in self.all::<EnrolToken>(OP, &keys::tokens(op.org)).await? {
            if entry.value.expires_at.plus(TOKEN_KEPT) <= now {
                old.push(entry.key);
            }
        }
        for entry in self.all::<Credential>(OP, &keys::credentials()).await? {
            if entry.value.expires_at <= now {
                old.push(entry.key);
            }
        }
        for entry in self.all::<Idempotent>(OP, &keys::idempotents(op.org)).await? {
            if entry.value.at.plus(IDEMPOTENT_KEPT) <= now {
                old.push(entry.key);
            }
        }
        for chunk in old.chunks(windflow_store::MAX_OPS) {
            self.commit(OP, chunk.iter().cloned().fold(Txn::new(), Txn::delete))
                .await?;
        }
        self.alerts_sweep(op.org).await?;
        self.silences_sweep(op.org).await?;
        for entry in self.all::<Fanout>(OP, &keys::fanouts(op.org)).await? {
            self.fan_out(&op, entry.value.op).await?;
        }
        for entry in self.all::<AgentGone>(OP, &keys::agents_gone(op.org)).await? {
            if let (false, Ok(id)) = (entry.value.cleaned, entry.key.last().parse()) {
                self.agent_clean(&op, id).await?;
            }
        }
        self.recordings_tidy().await?;
        self.0.progress.sweep();
        Ok(old.len())
    }
}
