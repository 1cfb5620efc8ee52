//! A rollout: one revision of a stack, brought to many hosts in waves.
//!
//! ```text
//! Pending → Running{1} → Gate{1} → [Paused] → Running{2} → … → Gate{n} → Succeeded | Incomplete
//! Running | Gate | Paused → Stopped | RollingBack (too many failures) · Cancelled (a person) · Paused ⇄ Running
//! Running … Incomplete | Stopped | Cancelled → RollingBack (a person) → RolledBack | RollbackFailed
//! ```
//! Who is in which wave is decided when it is made and never changes. Everything else is derived: from the rollout's
//! record, the records of the hosts whose turn came, and their deployments. [`Rollout::judge`] says what happens next,
//! [`RolloutState::next`] is the only thing that moves it, [`HostState::of`] says what is known of a host.

use serde::{Deserialize, Serialize};

use crate::{
    doc::Document,
    id::{AgentId, GroupId, OpId, RolloutId, StackId, UserId},
    revision::Rev,
    stack::StackName,
    time::Timestamp,
};

mod plan;
mod selector;
mod state;
mod summary;

pub use plan::{Amount, AmountError, OnFailure, Pause, PlanError, RolloutPlan};
pub use selector::{Selector, SelectorError};
pub use state::{EndReason, IllegalMove, PauseCause, Person, RolloutEvent, RolloutState};
pub use summary::{Before, HostFacts, HostState, Skip, Summary};

/// Which hosts are meant: all that any of the three names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// Hosts with these labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// The hosts of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// These hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentId>,
}

impl Targets {
    /// Whether nobody is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.selector.is_none() && self.group.is_none() && self.agents.is_empty()
    }
}

/// A saved choice of hosts under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Group {
    /// Id, never reused.
    pub id: GroupId,
    /// Name, unique in the organisation, 1–64 characters.
    pub name: String,
    /// Hosts with these labels belong to it.
    #[serde(default)]
    pub selector: Option<Selector>,
    /// These hosts belong to it.
    #[serde(default)]
    pub agents: Vec<AgentId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last saved.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: UserId,
}

impl Document for Group {
    const NAME: &'static str = "group";
    const SCHEMA: u16 = 1;
}

/// A rollout as the controller keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rollout {
    /// Id, never reused.
    pub id: RolloutId,
    /// The stack.
    pub stack: StackId,
    /// The stack's name at that time.
    pub stack_name: StackName,
    /// The revision that it brings.
    pub rev: Rev,
    /// The operation that all its deployments share.
    pub op: OpId,
    /// Which hosts were meant.
    pub targets: Targets,
    /// How it goes about it.
    pub plan: RolloutPlan,
    /// Sizes of the waves, in order.
    pub waves: Vec<u32>,
    /// When each wave began, or last went on; shorter than `waves` until the last one begins.
    #[serde(default)]
    pub wave_at: Vec<Timestamp>,
    /// Hosts whose turn came: always the first ones in the order of the waves.
    #[serde(default)]
    pub started: u32,
    /// Where it stands.
    pub state: RolloutState,
    /// When the state last moved.
    pub state_at: Timestamp,
    /// Hosts known to have been overtaken when a person let it go on.
    #[serde(default)]
    pub overtaken: u32,
    /// Revisions that take hosts back, by what they had before.
    #[serde(default)]
    pub reverts: Vec<(Before, Rev)>,
    /// All hosts by state, once nothing more is to be expected of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Summary>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Person,
}

impl Document for Rollout {
    const NAME: &'static str = "rollout";
    const SCHEMA: u16 = 1;
}

/// What is seen of a rollout's hosts at one instant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sight {
    /// All hosts.
    pub all: Summary,
    /// The hosts of the present wave.
    pub wave: Summary,
    /// Hosts that fell silent with it and did not come back before their wave's deadline.
    pub lost: u32,
    /// Whether nothing more is to be expected within the wave, or on the way back.
    pub settled: bool,
    /// Whether every host of the wave that has it is there and well, as far as it is still waited for.
    pub well: bool,
    /// On the way back: hosts that did not get there.
    pub left: u32,
}

impl Rollout {
    /// Number of waves.
    #[must_use]
    pub fn wave_count(&self) -> u32 {
        u32::try_from(self.waves.len()).unwrap_or(u32::MAX)
    }

    /// Number of hosts.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.waves.iter().sum()
    }

    /// Hosts up to the end of a wave.
    #[must_use]
    pub fn end_of(&self, wave: u32) -> u32 {
        let upto = usize::try_from(wave).unwrap_or(usize::MAX);
        self.waves.iter().take(upto).sum()
    }

    /// The wave of the host with this place in the order.
    #[must_use]
    pub fn wave_of(&self, index: u32) -> u32 {
        let mut end = 0;
        let before = self.waves.iter().take_while(|size| {
            end += **size;
            end <= index
        });
        u32::try_from(before.count())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    /// Hosts whose turn has come and that were not told yet: from where to where in the order.
    #[must_use]
    pub fn due(&self) -> std::ops::Range<u32> {
        match self.state {
            RolloutState::Running { wave } => self.started..self.end_of(wave).max(self.started),
            _ => self.started..self.started,
        }
    }

    /// Most hosts that may fail.
    #[must_use]
    pub fn failure_limit(&self) -> u32 {
        self.plan.max_failures.at_most(self.total())
    }

    /// What happens next, by what is seen; `None` means that there is something to wait for. Never asked while hosts
    /// are [due](Self::due).
    #[must_use]
    pub fn judge(&self, seen: &Sight, now: Timestamp) -> Option<RolloutEvent> {
        use RolloutEvent as E;
        use RolloutState as S;
        let held_by_person = matches!(
            &self.state,
            S::Paused {
                why: PauseCause::Person { .. },
                ..
            }
        );
        let watched = matches!(&self.state, S::Running { .. } | S::Gate { .. } | S::Paused { .. });
        let (failed, limit) = (seen.all.failures() + seen.lost, self.failure_limit());
        // A person who holds it decides: nothing is undone behind their back.
        if watched && !held_by_person && failed > limit {
            let why = EndReason::Failures { failed, limit };
            return Some(match self.plan.on_failure {
                OnFailure::Stop => E::Stop { why },
                OnFailure::Rollback => E::Rollback { why },
            });
        }
        let overtaken = E::Overtaken {
            hosts: seen.all.superseded,
        };
        let passed_by = seen.all.superseded > self.overtaken;
        match &self.state {
            S::Pending => Some(E::Begun),
            S::Running { .. } if passed_by => Some(overtaken),
            S::Running { .. } => seen.settled.then_some(E::WaveEnded),
            S::Gate { .. } if passed_by => Some(overtaken),
            S::Gate { wave, since } => self.at_gate(*wave, *since, seen, now),
            S::Paused { until: Some(_), .. } if passed_by => Some(overtaken),
            S::Paused {
                until: Some(until), ..
            } => (*until <= now).then_some(E::Elapsed),
            S::RollingBack { .. } => seen.settled.then_some(E::WentBack { left: seen.left }),
            _ => None,
        }
    }

    fn at_gate(
        &self,
        wave: u32,
        since: Option<Timestamp>,
        seen: &Sight,
        now: Timestamp,
    ) -> Option<RolloutEvent> {
        use RolloutEvent as E;
        let last = wave >= self.wave_count();
        if seen.wave.succeeded == 0 {
            return Some(if last {
                E::Finished { everywhere: false }
            } else {
                E::Unproven
            });
        }
        let held = match since {
            _ if self.plan.gate_s == 0 => true,
            Some(_) if !seen.well => return Some(E::GateBroken),
            None if !seen.well => return None,
            None => return Some(E::GateHeld { since: now }),
            Some(since) => now.since(since).as_secs() >= u64::from(self.plan.gate_s),
        };
        if !held {
            return None;
        }
        Some(match self.plan.pause {
            _ if last => E::Finished {
                everywhere: seen.all.succeeded == seen.all.total,
            },
            Pause::Time { seconds: 0 } => E::Passed,
            Pause::Time { seconds } => E::PassedThenPause {
                until: Some(now.plus(std::time::Duration::from_secs(seconds.into()))),
            },
            Pause::Manual => E::PassedThenPause { until: None },
        })
    }
}

#[cfg(test)]
mod tests;
