//! A stack on hosts: what is known of it there, read together, and the rows of a transaction that queues it.

use windflow_kit::seeded::{self, Bug};
use windflow_model::{
    AgentId, AgentRecord, Deployment, DeploymentEvent, DeploymentId, DeploymentState, StackId,
};
use windflow_store::{Entry, Expect, StoreError, Txn};

use super::{
    App, AppError, AppResult,
    db::{create, put, replace},
    keys,
    records::Placement,
};
use crate::context::OpContext;

/// What is known of a stack on one host.
#[derive(Debug)]
pub(super) struct Spot {
    /// The host; `None` if it does not exist.
    pub(super) host: Option<Entry<AgentRecord>>,
    pub(super) place: Option<Entry<Placement>>,
    /// What waits there and makes way.
    pub(super) waiting: Option<Entry<Deployment>>,
}

impl App {
    /// What is known of a stack on hosts.
    pub(super) async fn spots(
        &self,
        op: &OpContext,
        action: &'static str,
        stack: StackId,
        hosts: &[(AgentId, DeploymentId)],
    ) -> AppResult<Vec<Spot>> {
        let there = hosts
            .iter()
            .map(|(agent, _)| keys::agent(op.org, *agent))
            .collect();
        let places = hosts
            .iter()
            .map(|(agent, _)| keys::placement(op.org, stack, *agent))
            .collect();
        let (found, places) = tokio::try_join!(
            self.find_each::<AgentRecord>(action, there),
            self.find_each::<Placement>(action, places),
        )?;
        // A host without one is asked for a deployment that does not exist yet: its own.
        let last = |place: &Option<Entry<Placement>>, own| {
            place.as_ref().map_or(own, |place| place.value.deployment)
        };
        let olds = places
            .iter()
            .zip(hosts)
            .map(|(place, (_, own))| keys::deployment(op.org, last(place, *own)));
        let olds = self.find_each::<Deployment>(action, olds.collect()).await?;
        let all = found.into_iter().zip(places).zip(olds);
        Ok(all
            .map(|((host, place), old)| Spot {
                host,
                place,
                waiting: old.filter(|old| old.value.state == DeploymentState::Queued),
            })
            .collect())
    }

    /// Adds one host: its deployment, its placement, and the end of what waited there before. A conflict if the host has
    /// had this revision or a newer one.
    pub(super) fn queue_at(
        &self,
        mut txn: Txn,
        op: &OpContext,
        action: &'static str,
        spot: Spot,
        deployment: Deployment,
        moved: &mut Vec<Deployment>,
    ) -> AppResult<Txn> {
        let Deployment {
            id,
            agent,
            stack,
            rev,
            ..
        } = deployment;
        txn = txn.expect(keys::agent(op.org, agent), Expect::Present);
        let key = keys::placement(op.org, stack, agent);
        // A fan-out has been there since the revision was chosen: two deployments of one revision are not told apart.
        if let Some(place) = &spot.place
            && place.value.rev >= rev
            && !seeded::is(Bug::RevisionReused)
        {
            let (expected, found) = (Expect::Absent, Some(place.version));
            return Err(AppError::store(action)(StoreError::Conflict {
                key,
                expected,
                found,
            }));
        }
        txn = txn.expect(key.clone(), expect(spot.place.as_ref()));
        if let Some(old) = spot.waiting {
            let mut ended = old.value.clone();
            let event = DeploymentEvent::Superseded { by: rev };
            if !seeded::is(Bug::SupersededWithoutEnd) {
                ended.state = old.value.state.next(&event).map_err(AppError::internal(action))?;
            }
            ended.state_at = self.now();
            txn = replace(txn, action, &old, &ended)?;
            txn = txn.delete(keys::active(op.org, agent, ended.id));
            moved.push(ended);
        }
        let placement = Placement {
            stack,
            agent,
            rev,
            deployment: id,
            want: deployment.want,
            reached: spot.place.is_some_and(|place| place.value.reached),
            gone: false,
        };
        txn = put(txn, action, key, &placement)?;
        txn = create(txn, action, keys::deployment(op.org, id), &deployment)?;
        moved.push(deployment);
        Ok(txn
            .put(keys::stack_deployment(op.org, stack, id), Vec::new())
            .put(keys::agent_deployment(op.org, agent, id), Vec::new())
            .put(keys::active(op.org, agent, id), Vec::new()))
    }
}

fn expect<T>(entry: Option<&Entry<T>>) -> Expect {
    entry.map_or(Expect::Absent, |entry| Expect::Version(entry.version))
}
