//! What hosts say about deployments.
//!
//! Every change of a stored deployment goes through [`App::deployment_move`], and that through
//! [`DeploymentState::next`]. An event that does not fit any more (a repeat, or the deployment has moved on) changes
//! nothing and is no error: the host's outbox must empty.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use windflow_kit::seeded::{self, Bug};
use windflow_model::{
    AgentId, Deployment, DeploymentEvent, DeploymentId, DeploymentState, FleetEventKind, OrgId, Progress,
    Steps,
};
use windflow_store::Txn;

use super::{
    App, AppResult,
    audit::transition,
    db::{put, replace},
    keys, lock,
    records::Placement,
};
use crate::{
    context::OpContext,
    fleet::{Held, Report},
};

/// Deployments that the controller believes on a host whose journal does not hold them.
pub(crate) type Reoffer = HashMap<AgentId, HashSet<DeploymentId>>;

impl App {
    /// Moves a deployment by the event that `decide` makes of it. `Ok(None)`: it does not exist, or nothing fits.
    pub(crate) async fn deployment_move(
        &self,
        operation: &'static str,
        op: &OpContext,
        id: DeploymentId,
        decide: impl Fn(&Deployment) -> DeploymentEvent + Sync,
    ) -> AppResult<Option<Deployment>> {
        self.deployment_moves(operation, op, id, |was| vec![(decide(was), None)])
            .await
    }

    /// Ends a deployment that still waits. `Ok(false)`: it does not any more. An offer that went out, even a moment ago, is the
    /// host's to answer: what ended here would be begun there.
    pub(crate) async fn deployment_end_waiting(
        &self,
        operation: &'static str,
        op: &OpContext,
        id: DeploymentId,
        event: &DeploymentEvent,
    ) -> AppResult<bool> {
        let waits = |was: &Deployment| was.state == DeploymentState::Queued;
        let moved = self
            .deployment_moves(operation, op, id, |was| {
                waits(was).then(|| (event.clone(), None)).into_iter().collect()
            })
            .await?;
        Ok(moved.is_some())
    }

    /// Moves a deployment by events in a row, in one transaction. `Ok(None)`: it does not exist, or none of them fits.
    async fn deployment_moves(
        &self,
        operation: &'static str,
        op: &OpContext,
        id: DeploymentId,
        decide: impl Fn(&Deployment) -> Vec<(DeploymentEvent, Option<Steps>)> + Sync,
    ) -> AppResult<Option<Deployment>> {
        let org = op.org;
        let moved = self.retry(|| async {
            let Some(was) = self.find::<Deployment>(operation, &keys::deployment(org, id)).await? else {
                return Ok(None);
            };
            let mut stations = Vec::new();
            let (mut fits, mut transitions) = (false, Vec::new());
            for (event, steps) in decide(&was.value) {
                let before = stations.last().unwrap_or(&was.value);
                let Some(after) = self.moved(before, &event, steps) else {
                    tracing::debug!(deployment = %id, state = before.state.name(), ?event, "event no longer fits");
                    continue;
                };
                fits = true;
                if after != *before {
                    transitions.extend(transition(Some(before), &after));
                    stations.push(after);
                }
            }
            let Some(now) = stations.last() else {
                return Ok(fits.then(|| (was.value.clone(), Vec::new())));
            };
            let mut txn = replace(Txn::new(), operation, &was, now)?;
            if now.state.is_terminal() {
                txn = txn.delete(keys::active(org, now.agent, id));
            }
            txn = self.place(txn, operation, org, &was.value, &stations).await?;
            if !transitions.is_empty() && !seeded::is(Bug::MoveUnaudited) {
                txn = self.audited_moves(txn, op, operation, id, "", transitions)?;
            }
            self.commit(operation, txn).await?;
            Ok(Some((now.clone(), stations)))
        });
        let Some((now, stations)) = moved.await? else {
            return Ok(None);
        };
        self.tell_moved(stations);
        Ok(Some(now))
    }

    /// The deployment after an event; `None` if the event does not fit.
    fn moved(&self, was: &Deployment, event: &DeploymentEvent, steps: Option<Steps>) -> Option<Deployment> {
        let state = was.state.next(event).ok()?;
        let mut now = was.clone();
        if now.state != state {
            now.state_at = self.now();
        }
        now.state = state;
        if !matches!(
            event,
            DeploymentEvent::Offered | DeploymentEvent::Withdrawn | DeploymentEvent::Expired
        ) {
            now.reported_at = Some(self.now());
        }
        match steps.or_else(|| self.0.progress.steps(was.id)) {
            Some(steps) if !was.state.is_terminal() || steps.steps.len() >= now.steps.steps.len() => {
                now.steps = steps;
            }
            _ => {}
        }
        Some(now)
    }

    /// Keeps the placement true: whether the stack ever reached the host, and whether it is known to be gone.
    /// `stations` is what the deployment became, one after the other.
    async fn place(
        &self,
        txn: Txn,
        operation: &'static str,
        org: OrgId,
        was: &Deployment,
        stations: &[Deployment],
    ) -> AppResult<Txn> {
        let Some(now) = stations.last() else {
            return Ok(txn);
        };
        let on_host = stations.iter().any(|station| station.state.is_on_host());
        let arrives = on_host && !was.state.is_on_host();
        let ends = now.state.is_terminal() && !was.state.is_terminal();
        if !arrives && !ends {
            return Ok(txn);
        }
        let key = keys::placement(org, now.stack, now.agent);
        let Some(place) = self.find::<Placement>(operation, &key).await? else {
            return Ok(txn);
        };
        let mut changed = place.value.clone();
        let touched = on_host
            || matches!(
                now.state,
                DeploymentState::Succeeded
                    | DeploymentState::Failed { .. }
                    | DeploymentState::RolledBack { .. }
                    | DeploymentState::RollbackFailed { .. }
                    | DeploymentState::Diverged { .. }
            );
        changed.reached |= touched;
        if ends && place.value.deployment == now.id {
            let removed = now.want.is_absent() && now.state == DeploymentState::Succeeded;
            changed.gone = removed || !changed.reached;
        }
        if changed == place.value {
            return Ok(txn);
        }
        replace(txn, operation, &place, &changed)
    }

    /// Tells live readers.
    pub(crate) fn tell_moved(&self, moved: Vec<Deployment>) {
        for deployment in moved {
            self.publish(FleetEventKind::DeploymentChanged {
                deployment: deployment.id,
                stack: deployment.stack,
                agent: deployment.agent,
                rev: deployment.rev,
                state: deployment.state.name().to_owned(),
            });
            if deployment.state.is_terminal() {
                self.rollouts_look();
            }
            self.0.progress.moved(&Arc::new(deployment));
        }
    }

    /// Reports from a host's outbox, in its order; those about one deployment are stored together. The host is who its
    /// certificate says; a report about another host's deployment is ignored and written down.
    pub(crate) async fn deployment_reports(&self, agent: AgentId, reports: Vec<Report>) -> AppResult<()> {
        let mut of: Vec<(DeploymentId, Vec<Report>)> = Vec::new();
        for report in reports {
            let Some(id) = report.deployment else { continue };
            match of.iter_mut().find(|(other, _)| *other == id) {
                Some((_, reports)) => reports.push(report),
                None => of.push((id, vec![report])),
            }
        }
        for (id, reports) in of {
            self.reports_of(agent, id, reports).await?;
        }
        Ok(())
    }

    async fn reports_of(&self, agent: AgentId, id: DeploymentId, reports: Vec<Report>) -> AppResult<()> {
        const OP: &str = "deployment_report";
        let op = OpContext::system(agent.to_string());
        let Some(found) = self.find::<Deployment>(OP, &keys::deployment(op.org, id)).await? else {
            return Ok(());
        };
        let found = found.value;
        let (own, foreign): (Vec<Report>, Vec<Report>) = reports
            .into_iter()
            .partition(|report| found.agent == agent && found.op == report.op && found.rev == report.rev);
        for report in foreign {
            let detail = format!("ignored: reported by {agent} for rev {}", report.rev);
            self.audit(&op, OP, id, detail).await?;
        }
        if own.is_empty() {
            return Ok(());
        }
        if let Some(known) = lock(&self.0.reoffer).get_mut(&agent) {
            known.remove(&id);
        }
        let events = own.into_iter().map(|report| (report.event, report.steps));
        let events: Vec<_> = events.collect();
        self.deployment_moves(OP, &op, id, |_| events.clone())
            .await
            .map(drop)
    }

    /// Live progress.
    pub(crate) async fn deployment_progress(&self, agent: AgentId, id: DeploymentId, progress: Progress) {
        if self.0.progress.writer(id).is_none() {
            let org = OpContext::system("").org;
            let _turn = self.host_turn().await;
            let found = self
                .find::<Deployment>("deployment_progress", &keys::deployment(org, id))
                .await;
            match found {
                Ok(Some(found)) if found.value.agent == agent && !found.value.state.is_terminal() => {
                    self.0.progress.open(&found.value);
                }
                _ => return,
            }
        }
        if self.0.progress.writer(id) == Some(agent) {
            self.0.progress.publish(id, progress);
        }
    }

    /// What the host's journal holds, after a (re)connect: takes over states it reached meanwhile, puts offers it
    /// never got back to the queue, and remembers what it should hold and does not.
    pub(crate) async fn agent_held(&self, agent: AgentId, held: Vec<Held>) -> AppResult<()> {
        const OP: &str = "agent_held";
        let op = OpContext::system(agent.to_string());
        let org = op.org;
        let mut lost = HashSet::new();
        for deployment in self.active_on(OP, org, agent).await? {
            let same = held
                .iter()
                .find(|held| held.op == deployment.op && held.rev == deployment.rev);
            let newer = held
                .iter()
                .any(|held| held.owner == Some(deployment.stack) && held.rev > deployment.rev);
            match same.and_then(|held| event_of(&held.state)) {
                Some(event) => {
                    self.deployment_move(OP, &op, deployment.id, |_| event.clone())
                        .await?;
                }
                None if same.is_none()
                    && deployment.state == DeploymentState::Offered
                    && !seeded::is(Bug::OfferedOnce) =>
                {
                    let event = DeploymentEvent::Withdrawn;
                    self.deployment_move(OP, &op, deployment.id, |_| event.clone())
                        .await?;
                }
                // The outbox says how it ended.
                None if newer || same.is_some() => {}
                None if deployment.state.is_on_host() => {
                    lost.insert(deployment.id);
                }
                None => {}
            }
        }
        if lost.is_empty() {
            lock(&self.0.reoffer).remove(&agent);
        } else {
            tracing::warn!(agent = %agent, count = lost.len(), "the host's journal lacks deployments; they are sent again");
            lock(&self.0.reoffer).insert(agent, lost);
        }
        Ok(())
    }

    /// Takes back what waits, or asks the host to.
    pub(crate) async fn cancel_requested(
        &self,
        op: &OpContext,
        id: DeploymentId,
    ) -> AppResult<Option<Deployment>> {
        const OP: &str = "deployment_cancel";
        self.retry(|| async {
            let was = self.need_deployment(OP, op.org, id).await?;
            if was.value.cancel_requested || was.value.state.is_terminal() {
                return Ok(None);
            }
            let mut now = was.value.clone();
            now.cancel_requested = true;
            let txn = Txn::new().expect(was.key.clone(), was.expect());
            let txn = put(txn, OP, was.key.clone(), &now)?;
            let txn = self.audited(txn, op, OP, id, format!("while {}", now.state.name()))?;
            self.commit(OP, txn).await?;
            Ok(Some(now))
        })
        .await
    }
}

/// The event that leads to a state a host says it is in.
fn event_of(state: &DeploymentState) -> Option<DeploymentEvent> {
    use DeploymentEvent as E;
    use DeploymentState as S;
    Some(match state.clone() {
        S::Queued | S::Offered | S::Expired => return None,
        S::Accepted => E::Accepted,
        S::Preparing => E::Preparing,
        S::Applying { done, total } => E::Applying { done, total },
        S::Verifying => E::Verifying,
        S::Succeeded => E::Succeeded,
        S::Failed { failure } => E::Failed { failure },
        S::RollingBack { failure, to } => E::RollingBack { failure, to },
        S::RolledBack { failure, to } => E::RolledBack { failure, to },
        S::RollbackFailed { failure, to, undo } => E::RollbackFailed { failure, to, undo },
        S::Superseded { by } => E::Superseded { by },
        S::Cancelled => E::Cancelled,
        S::Rejected { failure } => E::Rejected { failure },
        S::Diverged { held } => E::Diverged { held },
    })
}
