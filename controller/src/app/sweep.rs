//! What jobs do: each may be stopped anywhere and run again.

use std::{collections::BTreeSet, time::Duration};

use windflow_model::{Deployment, DeploymentEvent, Presence};
use windflow_store::Txn;

use super::{
    App, AppResult, keys,
    mint::agent_of,
    records::{AgentGone, Credential, EnrolToken, Fanout, Idempotent},
};
use crate::context::OpContext;

/// Expired enrolment tokens stay this long in the list.
const TOKEN_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Answers to `Idempotency-Key`s stay this long.
const IDEMPOTENT_KEPT: Duration = Duration::from_secs(24 * 3_600);

impl App {
    /// Lets every connected host with open deployments look for work. A nudge that got lost costs one tick.
    pub(crate) async fn dispatch_all(&self) -> AppResult<usize> {
        let org = OpContext::system("").org;
        let presences = self.hosts().presences().await;
        let open = self.keys_below("dispatch", &keys::all_active(org)).await?;
        let agents: BTreeSet<_> = open.iter().filter_map(agent_of).collect();
        let mut nudged = 0;
        for agent in agents {
            if matches!(presences.get(&agent), Some(Presence::Connected { .. })) {
                self.hosts().nudge(agent).await;
                nudged += 1;
            }
        }
        Ok(nudged)
    }

    /// Ends deployments whose time in the queue is over.
    pub(crate) async fn expire_all(&self) -> AppResult<usize> {
        const OP: &str = "deployment_expire";
        let org = OpContext::system("").org;
        let mut expired = 0;
        for key in self.keys_below(OP, &keys::all_active(org)).await? {
            let Ok(id) = key.last().parse() else { continue };
            let found = self.find::<Deployment>(OP, &keys::deployment(org, id)).await?;
            if found.is_some_and(|found| Self::is_over(&found.value, self.now())) {
                let event = DeploymentEvent::Expired;
                self.deployment_move(OP, org, id, None, |_| event.clone()).await?;
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
        for entry in self.all::<Fanout>(OP, &keys::fanouts(op.org)).await? {
            self.fan_out(&op, entry.value.op).await?;
        }
        for entry in self.all::<AgentGone>(OP, &keys::agents_gone(op.org)).await? {
            if let (false, Ok(id)) = (entry.value.cleaned, entry.key.last().parse()) {
                self.agent_clean(&op, id).await?;
            }
        }
        self.0.progress.sweep();
        Ok(old.len())
    }
}
