//! What hosts are told to run.

use std::collections::BTreeMap;

use windflow_kit::seeded::{self, Bug};
use windflow_model::{AgentId, Deployment, DeploymentEvent, DeploymentState, OrgId, Revision};

use super::{App, AppResult, keys, lock, records::Placement};
use crate::{
    context::OpContext,
    fleet::{Assignment, Withdrawal, Work},
};

impl App {
    /// What shall be sent to a host now.
    pub(crate) async fn work(&self, agent: AgentId) -> AppResult<Work> {
        const OP: &str = "dispatch";
        let op = OpContext::system("dispatch");
        let active = self.active_on(OP, op.org, agent).await?;
        let asked = active
            .iter()
            .filter(|one| one.cancel_requested && one.state != DeploymentState::Queued);
        Ok(Work {
            withdrawals: asked.map(withdrawal).collect(),
            assignments: self.assignments(OP, &op, agent, active).await?,
        })
    }

    /// The newest revision per stack. Older ones that only waited are superseded.
    async fn assignments(
        &self,
        operation: &'static str,
        op: &OpContext,
        agent: AgentId,
        active: Vec<Deployment>,
    ) -> AppResult<Vec<Assignment>> {
        let org = op.org;
        let lost = lock(&self.0.reoffer).get(&agent).cloned().unwrap_or_default();
        let mut newest = BTreeMap::<_, Deployment>::new();
        for deployment in active {
            let waits = matches!(
                deployment.state,
                DeploymentState::Queued | DeploymentState::Offered
            );
            let again = deployment.state == DeploymentState::Offered && seeded::is(Bug::OfferedOnce);
            if again || !waits && !lost.contains(&deployment.id) {
                continue;
            }
            let place = keys::placement(org, deployment.stack, agent);
            let newest_rev = self
                .find::<Placement>(operation, &place)
                .await?
                .map(|place| place.value.rev);
            let by = newest_rev.filter(|rev| *rev > deployment.rev);
            let queued = deployment.state == DeploymentState::Queued;
            let end = match by {
                _ if queued && deployment.cancel_requested => Some(DeploymentEvent::Cancelled),
                _ if Self::is_over(&deployment, self.now()) => Some(DeploymentEvent::Expired),
                // The host may hold an offer: what becomes of it, it says itself.
                Some(_) if deployment.state == DeploymentState::Offered => continue,
                Some(by) => Some(DeploymentEvent::Superseded { by }),
                None => None,
            };
            if let Some(event) = end {
                if queued {
                    self.deployment_end_waiting(operation, op, deployment.id, &event)
                        .await?;
                } else {
                    self.deployment_move(operation, op, deployment.id, |_| event.clone())
                        .await?;
                }
                continue;
            }
            let slot = newest
                .entry(deployment.stack)
                .or_insert_with(|| deployment.clone());
            if slot.rev < deployment.rev {
                *slot = deployment;
            }
        }
        let mut out = Vec::new();
        for deployment in newest.into_values() {
            let key = keys::revision(org, deployment.stack, deployment.rev);
            let Some(revision) = self.find::<Revision>(operation, &key).await? else {
                continue;
            };
            if deployment.state == DeploymentState::Queued {
                let event = DeploymentEvent::Offered;
                let moved = self
                    .deployment_move(operation, op, deployment.id, |_| event.clone())
                    .await?;
                if moved.is_none_or(|moved| moved.state != DeploymentState::Offered) {
                    continue;
                }
            }
            out.push(assignment(&deployment, revision.value));
        }
        Ok(out)
    }

    /// The open deployments of a host.
    pub(super) async fn active_on(
        &self,
        operation: &'static str,
        org: OrgId,
        agent: AgentId,
    ) -> AppResult<Vec<Deployment>> {
        let open = self.keys_below(operation, &keys::active_of(org, agent)).await?;
        let ids = open.iter().filter_map(|key| key.last().parse().ok());
        let all = ids.map(|id| keys::deployment(org, id)).collect();
        let found = self.find_each::<Deployment>(operation, all).await?;
        Ok(found.into_iter().flatten().map(|entry| entry.value).collect())
    }
}

fn assignment(deployment: &Deployment, revision: Revision) -> Assignment {
    Assignment {
        deployment: deployment.id,
        stack: deployment.stack,
        name: deployment.stack_name.clone(),
        rev: deployment.rev,
        op: deployment.op,
        want: deployment.want,
        digest: revision.digest,
        spec: revision.spec,
        pin: deployment.pin.clone(),
    }
}

pub(super) fn withdrawal(deployment: &Deployment) -> Withdrawal {
    Withdrawal {
        deployment: deployment.id,
        name: deployment.stack_name.clone(),
        rev: deployment.rev,
        op: deployment.op,
    }
}
