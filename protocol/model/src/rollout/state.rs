//! Where a rollout stands, what can happen to it, and the single function that moves it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{id::UserId, time::Timestamp};

/// A person who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// Sign-in name at that time.
    pub name: String,
}

/// Why a rollout waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum PauseCause {
    /// A person said so.
    Person {
        /// Who.
        by: Person,
    },
    /// The plan says so: the wave before has passed its gate.
    Between,
    /// No host of the wave before came up with it: nothing is proved.
    Unproven,
    /// Somebody deployed this stack past the rollout to hosts that already had their turn.
    Overtaken {
        /// So many hosts by now.
        hosts: u32,
    },
}

/// Why a rollout ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum EndReason {
    /// More hosts failed than are tolerated.
    Failures {
        /// So many failed.
        failed: u32,
        /// So many were tolerated.
        limit: u32,
    },
    /// A person said so.
    Person {
        /// Who.
        by: Person,
    },
}

/// Where a rollout stands, by what is durably known. Waves count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum RolloutState {
    /// Made; no host has been told anything.
    Pending,
    /// The hosts of a wave get their deployments.
    Running {
        /// The wave.
        wave: u32,
    },
    /// Every host of a wave has ended its deployment; those that have it must stay well.
    Gate {
        /// The wave.
        wave: u32,
        /// Since when all of them are well, without interruption; absent while one is not, or is silent.
        #[serde(default)]
        since: Option<Timestamp>,
    },
    /// Nothing new begins. What has begun goes on.
    Paused {
        /// The wave that goes on, or begins, afterwards.
        wave: u32,
        /// Why.
        why: PauseCause,
        /// When it goes on by itself; absent means that a person must say so.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Every host has it.
    Succeeded,
    /// Every wave is through, and not every host has it: no more failed than was tolerated, or some were not reached or
    /// were overtaken.
    Incomplete,
    /// Too many hosts failed. What has changed stays as it is.
    Stopped {
        /// Why.
        why: EndReason,
    },
    /// A person ended it. What has changed stays as it is.
    Cancelled {
        /// Who.
        by: Person,
    },
    /// Hosts that it changed get the revision they had before.
    RollingBack {
        /// Why.
        why: EndReason,
    },
    /// Every host that it changed has the revision of before.
    RolledBack {
        /// Why.
        why: EndReason,
    },
    /// Some host that it changed did not get back: a person is needed.
    RollbackFailed {
        /// Why it went back.
        why: EndReason,
        /// So many hosts did not get back in time.
        hosts: u32,
    },
}

/// What can happen to a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutEvent {
    /// The first wave begins.
    Begun,
    /// Every host of the wave has ended, or its deadline has passed.
    WaveEnded,
    /// At the gate: all are well, since this instant.
    GateHeld {
        /// When.
        since: Timestamp,
    },
    /// At the gate: one is not well, or silent.
    GateBroken,
    /// The gate held long enough; the plan has no pause.
    Passed,
    /// The gate held long enough; the plan has a pause.
    PassedThenPause {
        /// When it ends; absent means that a person ends it.
        until: Option<Timestamp>,
    },
    /// No host of the wave came up.
    Unproven,
    /// The last wave is through.
    Finished {
        /// Whether every host has it.
        everywhere: bool,
    },
    /// Somebody deployed past the rollout.
    Overtaken {
        /// To so many hosts by now.
        hosts: u32,
    },
    /// The pause is over.
    Elapsed,
    /// A person stops it for now.
    Pause {
        /// Who.
        by: Person,
    },
    /// A person lets it go on where it was.
    Resume,
    /// A person lets the next wave begin now, whatever this one still waits for.
    Promote,
    /// A person ends it.
    Cancel {
        /// Who.
        by: Person,
    },
    /// A person wants back what was before.
    Undo {
        /// Who.
        by: Person,
    },
    /// Too many hosts failed, and the plan says stop.
    Stop {
        /// Why.
        why: EndReason,
    },
    /// Too many hosts failed, and the plan says go back.
    Rollback {
        /// Why.
        why: EndReason,
    },
    /// The way back is over.
    WentBack {
        /// So many hosts did not get back.
        left: u32,
    },
}

/// A state and an event that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a rollout that is {from} {says}")]
pub struct IllegalMove {
    /// Name of the state it is in.
    pub from: &'static str,
    /// What cannot happen to it.
    pub says: &'static str,
}

impl RolloutState {
    /// All names, in the order of a life.
    pub const NAMES: &'static [&'static str] = &[
        "pending",
        "running",
        "gate",
        "paused",
        "succeeded",
        "incomplete",
        "stopped",
        "cancelled",
        "rolling_back",
        "rolled_back",
        "rollback_failed",
    ];

    /// The state's name, as in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running { .. } => "running",
            Self::Gate { .. } => "gate",
            Self::Paused { .. } => "paused",
            Self::Succeeded => "succeeded",
            Self::Incomplete => "incomplete",
            Self::Stopped { .. } => "stopped",
            Self::Cancelled { .. } => "cancelled",
            Self::RollingBack { .. } => "rolling_back",
            Self::RolledBack { .. } => "rolled_back",
            Self::RollbackFailed { .. } => "rollback_failed",
        }
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Self::Pending
                | Self::Running { .. }
                | Self::Gate { .. }
                | Self::Paused { .. }
                | Self::RollingBack { .. }
        )
    }

    /// The wave it is at, from 1; before the first one, and after the end, none.
    #[must_use]
    pub const fn wave(&self) -> Option<u32> {
        match self {
            Self::Running { wave } | Self::Gate { wave, .. } | Self::Paused { wave, .. } => Some(*wave),
            _ => None,
        }
    }

    /// The only way a rollout of `waves` waves moves.
    ///
    /// # Errors
    /// [`IllegalMove`] if the event cannot follow; the state then stays as it was.
    pub fn next(&self, event: &RolloutEvent, waves: u32) -> Result<Self, IllegalMove> {
        use RolloutEvent as E;
        let no = |says| {
            Err(IllegalMove {
                from: self.name(),
                says,
            })
        };
        match (self, event.clone()) {
            (Self::Pending, E::Begun) => Ok(Self::Running { wave: 1 }),
            (_, E::Begun) => no("has begun already"),

            (Self::Running { wave }, E::WaveEnded) => Ok(Self::Gate {
                wave: *wave,
                since: None,
            }),
            (_, E::WaveEnded) => no("has no wave to end"),

            (Self::Gate { wave, since: None }, E::GateHeld { since }) => Ok(Self::Gate {
                wave: *wave,
                since: Some(since),
            }),
            (Self::Gate { wave, .. }, E::GateBroken) => Ok(Self::Gate {
                wave: *wave,
                since: None,
            }),
            (_, E::GateHeld { .. } | E::GateBroken) => no("is at no gate that could open or close"),

            (Self::Gate { wave, .. }, E::Passed) if *wave < waves => Ok(Self::Running { wave: wave + 1 }),
            (Self::Gate { wave, .. }, E::PassedThenPause { until }) if *wave < waves => Ok(Self::Paused {
                wave: wave + 1,
                why: PauseCause::Between,
                until,
            }),
            (Self::Gate { wave, .. }, E::Unproven) if *wave < waves => Ok(Self::Paused {
                wave: wave + 1,
                why: PauseCause::Unproven,
                until: None,
            }),
            (_, E::Passed | E::PassedThenPause { .. } | E::Unproven) => {
                no("is at no gate before another wave")
            }

            (Self::Gate { wave, .. }, E::Finished { everywhere }) if *wave == waves => Ok(if everywhere {
                Self::Succeeded
            } else {
                Self::Incomplete
            }),
            (_, E::Finished { .. }) => no("is not at the gate of its last wave"),

            (Self::Running { wave } | Self::Gate { wave, .. }, E::Overtaken { hosts }) => Ok(Self::Paused {
                wave: *wave,
                why: PauseCause::Overtaken { hosts },
                until: None,
            }),
            (
                Self::Paused {
                    wave, until: Some(_), ..
                },
                E::Overtaken { hosts },
            ) => Ok(Self::Paused {
                wave: *wave,
                why: PauseCause::Overtaken { hosts },
                until: None,
            }),
            (_, E::Overtaken { .. }) => no("has nothing to hold back"),

            (
                Self::Paused {
                    wave, until: Some(_), ..
                },
                E::Elapsed,
            ) => Ok(Self::Running { wave: *wave }),
            (_, E::Elapsed) => no("does not wait for a time"),

            // Nobody has been told yet: it goes on with the first wave.
            (Self::Pending, E::Pause { by }) => Ok(Self::held(1, by)),
            (Self::Running { wave } | Self::Gate { wave, .. }, E::Pause { by }) => Ok(Self::held(*wave, by)),
            (
                Self::Paused {
                    wave, until: Some(_), ..
                },
                E::Pause { by },
            ) => Ok(Self::held(*wave, by)),
            // It waits for a person already.
            (Self::Paused { until: None, .. }, E::Pause { .. }) => Ok(self.clone()),
            (_, E::Pause { .. }) => no("cannot be paused"),

            (Self::Paused { wave, .. }, E::Resume | E::Promote) => Ok(Self::Running { wave: *wave }),
            (Self::Running { wave } | Self::Gate { wave, .. }, E::Promote) if *wave < waves => {
                Ok(Self::Running { wave: wave + 1 })
            }
            (_, E::Resume) => no("is not paused"),
            (_, E::Promote) => no("has no further wave to begin"),

            (
                Self::Pending | Self::Running { .. } | Self::Gate { .. } | Self::Paused { .. },
                E::Cancel { by },
            ) => Ok(Self::Cancelled { by }),
            (_, E::Cancel { .. }) => no("cannot be cancelled"),

            // Also long after the end: what it changed, it can take back.
            (
                Self::Running { .. }
                | Self::Gate { .. }
                | Self::Paused { .. }
                | Self::Stopped { .. }
                | Self::Cancelled { .. }
                | Self::Succeeded
                | Self::Incomplete,
                E::Undo { by },
            ) => Ok(Self::RollingBack {
                why: EndReason::Person { by },
            }),
            (Self::RollbackFailed { why, .. }, E::Undo { .. }) => Ok(Self::RollingBack { why: why.clone() }),
            (_, E::Undo { .. }) => no("has nothing to take back"),

            (Self::Running { .. } | Self::Gate { .. } | Self::Paused { .. }, E::Stop { why }) => {
                Ok(Self::Stopped { why })
            }
            (Self::Running { .. } | Self::Gate { .. } | Self::Paused { .. }, E::Rollback { why }) => {
                Ok(Self::RollingBack { why })
            }
            (_, E::Stop { .. } | E::Rollback { .. }) => no("has no wave that could fail"),

            (Self::RollingBack { why }, E::WentBack { left: 0 }) => Ok(Self::RolledBack { why: why.clone() }),
            (Self::RollingBack { why }, E::WentBack { left }) => Ok(Self::RollbackFailed {
                why: why.clone(),
                hosts: left,
            }),
            (_, E::WentBack { .. }) => no("is not going back"),
        }
    }

    const fn held(wave: u32, by: Person) -> Self {
        Self::Paused {
            wave,
            why: PauseCause::Person { by },
            until: None,
        }
    }
}

#[cfg(test)]
mod tests;
