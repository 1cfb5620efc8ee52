//! What is seen of a rollout's hosts: from their turns, their deployments, and whether they are there.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use windflow_model::{
    AgentId, ContainerState, ContainerSummary, Deployment, DeploymentId, DeploymentState, Health, HostState,
    OrgId, Presence, Rollout, RolloutState, Summary, Timestamp,
    rollout::{HostFacts, Sight},
};
use windflow_store::Entry;

use super::super::{
    App, AppResult, keys, lock,
    records::{Placement, Turn},
};

/// Deployments that have ended are remembered up to so many; then all are forgotten and read again.
const REMEMBERED: usize = 65_536;

/// A deployment, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) id: DeploymentId,
    pub(super) state: Arc<DeploymentState>,
    pub(super) state_at: Timestamp,
    pub(super) created_at: Timestamp,
}

/// A host whose turn came.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) index: u32,
    pub(super) wave: u32,
    pub(super) turn: Entry<Turn>,
    pub(super) state: HostState,
    pub(super) own: Option<Held>,
    pub(super) revert: Option<Held>,
    pub(super) connected: bool,
    /// Since when it is not, if that is known.
    pub(super) silent_since: Option<Timestamp>,
    overdue: bool,
}

/// All hosts of a rollout.
#[derive(Debug)]
pub(super) struct Survey {
    /// Those whose turn came, in their order.
    pub(super) hosts: Vec<Seen>,
    /// The sums.
    pub(super) sight: Sight,
    /// Per wave.
    pub(super) waves: Vec<Summary>,
}

impl App {
    pub(super) async fn rollout_survey(&self, org: OrgId, rollout: &Rollout) -> AppResult<Survey> {
        const OP: &str = "rollout_survey";
        let presences = self.presences(org).await?;
        // The driver writes it down. After its end a rollout is history: what came later is told by the deployments.
        let newer: HashSet<_> = if rollout.state.is_terminal() {
            HashSet::new()
        } else {
            let places = self
                .all::<Placement>(OP, &keys::placements(org, rollout.stack))
                .await?;
            let places = places.into_iter().map(|place| place.value);
            places
                .filter(|place| place.rev > rollout.rev)
                .map(|place| place.agent)
                .collect()
        };
        let mut hosts = Vec::new();
        for turn in self.all::<Turn>(OP, &keys::turns(org, rollout.id)).await? {
            hosts.extend(self.rollout_host(org, rollout, turn, &presences, &newer).await?);
        }
        Ok(self.rollout_sums(rollout, hosts))
    }

    async fn rollout_host(
        &self,
        org: OrgId,
        rollout: &Rollout,
        turn: Entry<Turn>,
        presences: &BTreeMap<AgentId, Presence>,
        newer: &HashSet<AgentId>,
    ) -> AppResult<Option<Seen>> {
        let Some(index) = turn.key.last_u64().and_then(|index| u32::try_from(index).ok()) else {
            return Ok(None);
        };
        let own = self.rollout_held(org, turn.value.deployment).await?;
        let revert = self.rollout_held(org, turn.value.revert).await?;
        let wave = rollout.wave_of(index);
        let (connected, silent_since) = match presences.get(&turn.value.agent) {
            Some(Presence::Connected { .. }) => (true, None),
            Some(Presence::Offline { since, .. }) => (false, *since),
            None => (false, None),
        };
        let overdue = self.rollout_overdue(rollout, wave, revert.is_some());
        let state = HostState::of(&HostFacts {
            own: own.as_ref().map(|held| &*held.state),
            revert: revert.as_ref().map(|held| &*held.state),
            skip: turn.value.skip,
            no_way_back: turn.value.no_way_back,
            unwell: turn.value.unwell.is_some(),
            overtaken: newer.contains(&turn.value.agent),
            silent: !connected,
            overdue,
            over: rollout.state.is_terminal(),
        });
        Ok(Some(Seen {
            index,
            wave,
            turn,
            state,
            own,
            revert,
            connected,
            silent_since,
            overdue,
        }))
    }

    async fn rollout_held(&self, org: OrgId, id: Option<DeploymentId>) -> AppResult<Option<Held>> {
        let Some(id) = id else { return Ok(None) };
        if let Some(held) = lock(&self.0.rollouts.ended).get(&id) {
            return Ok(Some(held.clone()));
        }
        let found = self
            .find::<Deployment>("rollout_survey", &keys::deployment(org, id))
            .await?;
        let Some(found) = found.map(|found| found.value) else {
            return Ok(None);
        };
        let held = Held {
            id,
            state_at: found.state_at,
            created_at: found.created_at,
            state: Arc::new(found.state),
        };
        if held.state.is_terminal() {
            let mut ended = lock(&self.0.rollouts.ended);
            if ended.len() >= REMEMBERED {
                ended.clear();
            }
            ended.insert(id, held.clone());
        }
        Ok(Some(held))
    }

    /// Whether the wave, or the way back, waits no longer for hosts that are not there. Time in which this controller
    /// did not run does not count: nobody could have come.
    fn rollout_overdue(&self, rollout: &Rollout, wave: u32, back: bool) -> bool {
        let began = if back {
            Some(&rollout.state_at)
        } else {
            let at = usize::try_from(wave - 1).unwrap_or(usize::MAX);
            rollout.wave_at.get(at)
        };
        let Some(began) = began.copied() else {
            return false;
        };
        let deadline = Duration::from_secs(rollout.plan.deadline_s.into());
        rollout.state.is_terminal() || began.max(self.0.rollouts.began_at).plus(deadline) <= self.now()
    }

    fn rollout_sums(&self, rollout: &Rollout, hosts: Vec<Seen>) -> Survey {
        let mut waves = vec![Summary::default(); rollout.waves.len()];
        let at = |wave: u32| usize::try_from(wave.saturating_sub(1)).unwrap_or(usize::MAX);
        let mut sight = Sight {
            settled: true,
            well: true,
            ..Sight::default()
        };
        let present = rollout.state.wave().unwrap_or(0);
        let last = present == rollout.wave_count();
        let back = matches!(rollout.state, RolloutState::RollingBack { .. });
        for seen in &hosts {
            if let Some(wave) = waves.get_mut(at(seen.wave)) {
                wave.count(seen.state);
            }
            let counts = seen.wave == present || last || back;
            sight.settled &= !counts || seen.state.is_settled(seen.overdue);
            sight.lost += u32::from(seen.state == HostState::Unknown && seen.overdue);
            if seen.wave == present && seen.state == HostState::Succeeded {
                sight.well &= seen.connected || seen.overdue;
            }
            sight.left += u32::from(seen.did_not_get_back());
        }
        let untold = HostState::of(&HostFacts {
            over: rollout.state.is_terminal(),
            ..HostFacts::default()
        });
        for index in rollout.started..rollout.total() {
            if let Some(wave) = waves.get_mut(at(rollout.wave_of(index))) {
                wave.count(untold);
            }
        }
        for wave in &waves {
            for (state, _, hosts) in wave.parts() {
                (0..hosts).for_each(|_| sight.all.count(state));
            }
        }
        sight.wave = waves.get(at(present)).copied().unwrap_or_default();
        Survey { hosts, sight, waves }
    }

    /// What does not stay well on a host that has the revision.
    pub(super) fn rollout_unwell(&self, rollout: &Rollout, seen: &Seen) -> Option<String> {
        let own = seen.own.as_ref()?;
        let (at, list) = lock(&self.0.containers).get(&seen.turn.value.agent).cloned()?;
        // What was seen before the deployment had ended says nothing of what it left.
        if at < own.state_at {
            return None;
        }
        let project = rollout.stack_name.as_str();
        let mut of_it = list
            .containers
            .iter()
            .filter(|one| one.project.as_deref() == Some(project));
        of_it.find_map(|one| ails(one).map(|what| format!("container {} {what}", one.name)))
    }
}

/// What is wrong with a container that should do its work.
fn ails(container: &ContainerSummary) -> Option<String> {
    match (container.state, container.health, container.exit_code) {
        (ContainerState::Restarting, ..) => Some("is being restarted again and again".to_owned()),
        (ContainerState::Dead, ..) => Some("is dead".to_owned()),
        (ContainerState::Exited, _, Some(code)) if code != 0 => Some(format!("ended with exit code {code}")),
        (ContainerState::Running, Health::Unhealthy, _) => Some("is unhealthy".to_owned()),
        _ => None,
    }
}

impl Seen {
    /// Whether the rollout itself made its deployment, which is not over yet as far as is known.
    pub(super) fn waits(&self) -> bool {
        !self.turn.value.adopted
            && self
                .own
                .as_ref()
                .is_some_and(|own| matches!(*own.state, DeploymentState::Queued | DeploymentState::Offered))
    }

    /// On the way back: was to get there, and did not.
    fn did_not_get_back(&self) -> bool {
        (self.turn.value.revert.is_some() || self.turn.value.no_way_back)
            && !matches!(
                self.state,
                HostState::RolledBack | HostState::Superseded | HostState::Removed
            )
    }
}
