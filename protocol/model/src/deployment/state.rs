//! Where a deployment stands, what can happen to it, and the single function that moves it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{code::Failure, doc::Document, revision::Rev};

/// Where a deployment stands, by what is durably known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum DeploymentState {
    /// Waits for its host.
    Queued,
    /// Sent to the host over the present connection; not yet in its journal.
    Offered,
    /// In the host's journal, on disk.
    Accepted,
    /// Images, policy and files are being made ready; nothing has changed yet.
    Preparing,
    /// Steps are being carried out.
    Applying {
        /// Steps that have ended.
        done: u32,
        /// Steps in all.
        total: u32,
    },
    /// All steps are done; services are watched until they run and are healthy.
    Verifying,
    /// The host runs this revision (or, for a removal, no longer runs the stack).
    Succeeded,
    /// It did not work out; what is left is in the failure.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// Going back to the last good revision.
    RollingBack {
        /// Why.
        failure: Failure,
        /// The revision it goes back to.
        #[serde(default)]
        to: Option<Rev>,
    },
    /// Failed, and the last good revision runs again.
    RolledBack {
        /// Why it was rolled back.
        failure: Failure,
        /// The revision that runs again.
        #[serde(default)]
        to: Option<Rev>,
    },
    /// Failed, and the way back failed too: a person is needed.
    RollbackFailed {
        /// Why.
        failure: Failure,
        /// The revision it did not get back to.
        #[serde(default)]
        to: Option<Rev>,
        /// Why the way back failed.
        #[serde(default)]
        undo: Option<Failure>,
    },
    /// Its time in the queue ran out before the host accepted it.
    Expired,
    /// A newer revision took over.
    Superseded {
        /// That revision.
        by: Rev,
    },
    /// Taken back by a user before anything changed.
    Cancelled,
    /// The host refused it before anything changed.
    Rejected {
        /// The rule and why.
        failure: Failure,
    },
    /// The host holds a newer revision than the controller knew: a person must decide.
    Diverged {
        /// What the host holds.
        held: Rev,
    },
}

/// What can happen to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DeploymentEvent {
    /// Controller: put into a connected session.
    Offered,
    /// Agent: in the journal.
    Accepted,
    /// Agent: preparing.
    Preparing,
    /// Agent: steps are being carried out.
    Applying {
        /// Steps that have ended.
        done: u32,
        /// Steps in all.
        total: u32,
    },
    /// Agent: watching health.
    Verifying,
    /// Agent: finished well.
    Succeeded,
    /// Agent: finished badly.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// Agent: going back.
    RollingBack {
        /// Why.
        failure: Failure,
        /// The revision it goes back to.
        #[serde(default)]
        to: Option<Rev>,
    },
    /// Agent: back on the last good revision.
    RolledBack {
        /// Why.
        failure: Failure,
        /// The revision that runs again.
        #[serde(default)]
        to: Option<Rev>,
    },
    /// Agent: the way back failed.
    RollbackFailed {
        /// Why.
        failure: Failure,
        /// The revision it did not get back to.
        #[serde(default)]
        to: Option<Rev>,
        /// Why the way back failed.
        #[serde(default)]
        undo: Option<Failure>,
    },
    /// Controller: time in the queue ran out.
    Expired,
    /// Controller or agent: a newer revision took over.
    Superseded {
        /// That revision.
        by: Rev,
    },
    /// Controller (never offered) or agent (confirmed): taken back.
    Cancelled,
    /// Agent: refused.
    Rejected {
        /// The rule and why.
        failure: Failure,
    },
    /// Agent: it holds a newer revision.
    Diverged {
        /// What it holds.
        held: Rev,
    },
    /// Controller: the session it was offered in is gone before an acceptance; back to the queue.
    Withdrawn,
}

impl Document for DeploymentEvent {
    const NAME: &'static str = "deployment event";
    const SCHEMA: u16 = 1;
}

/// A state and an event that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a deployment that is {from} cannot become {to}")]
pub struct IllegalTransition {
    /// Name of the state it is in.
    pub from: &'static str,
    /// Name of the state the event asks for.
    pub to: &'static str,
}

impl DeploymentState {
    /// All names, in the order of a life.
    pub const NAMES: &'static [&'static str] = &[
        "queued",
        "offered",
        "accepted",
        "preparing",
        "applying",
        "verifying",
        "succeeded",
        "failed",
        "rolling_back",
        "rolled_back",
        "rollback_failed",
        "expired",
        "superseded",
        "cancelled",
        "rejected",
        "diverged",
    ];

    /// The state's name, as in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Applying { .. } => "applying",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::RollingBack { .. } => "rolling_back",
            Self::RolledBack { .. } => "rolled_back",
            Self::RollbackFailed { .. } => "rollback_failed",
            Self::Expired => "expired",
            Self::Superseded { .. } => "superseded",
            Self::Cancelled => "cancelled",
            Self::Rejected { .. } => "rejected",
            Self::Diverged { .. } => "diverged",
        }
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.rank() >= TERMINAL
    }

    /// Whether the host has it in its journal and not yet ended it.
    #[must_use]
    pub const fn is_on_host(&self) -> bool {
        let rank = self.rank();
        rank >= 2 && rank < TERMINAL
    }

    /// Why it failed, was rejected or rolled back.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure }
            | Self::RollingBack { failure, .. }
            | Self::RolledBack { failure, .. }
            | Self::RollbackFailed { failure, .. }
            | Self::Rejected { failure } => Some(failure),
            _ => None,
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Offered => 1,
            Self::Accepted => 2,
            Self::Preparing => 3,
            Self::Applying { .. } => 4,
            Self::Verifying => 5,
            Self::RollingBack { .. } => 6,
            _ => TERMINAL,
        }
    }

    /// The only way a deployment moves. Repeating the event that led to the present state changes nothing.
    ///
    /// # Errors
    /// [`IllegalTransition`] if the event cannot follow; the state then stays as it was.
    pub fn next(&self, event: &DeploymentEvent) -> Result<Self, IllegalTransition> {
        use DeploymentEvent as E;
        let to = Self::target(event);
        let rank = self.rank();
        let legal = *self == to
            || match event {
                E::Withdrawn => matches!(self, Self::Offered | Self::Queued),
                E::Offered | E::Expired => rank <= 1,
                // The agent's forward path: it may jump over phases whose report was lost, never back.
                E::Accepted | E::Preparing | E::Verifying => rank < to.rank(),
                E::Applying { done, .. } => match self {
                    Self::Applying { done: before, .. } => done >= before,
                    _ => rank < to.rank(),
                },
                E::Succeeded => rank <= 5,
                E::Failed { .. } | E::RollingBack { .. } => rank <= 5,
                E::RolledBack { .. } | E::RollbackFailed { .. } => rank <= 6,
                // In Applying and on the way back the step in hand ends, then the newer revision takes over.
                E::Superseded { .. } => rank <= 6,
                E::Cancelled | E::Rejected { .. } => rank <= 3,
                E::Diverged { .. } => rank <= 6,
            };
        if legal {
            Ok(to)
        } else {
            Err(IllegalTransition {
                from: self.name(),
                to: to.name(),
            })
        }
    }

    fn target(event: &DeploymentEvent) -> Self {
        use DeploymentEvent as E;
        match event.clone() {
            E::Withdrawn => Self::Queued,
            E::Offered => Self::Offered,
            E::Accepted => Self::Accepted,
            E::Preparing => Self::Preparing,
            E::Applying { done, total } => Self::Applying { done, total },
            E::Verifying => Self::Verifying,
            E::Succeeded => Self::Succeeded,
            E::Failed { failure } => Self::Failed { failure },
            E::RollingBack { failure, to } => Self::RollingBack { failure, to },
            E::RolledBack { failure, to } => Self::RolledBack { failure, to },
            E::RollbackFailed { failure, to, undo } => Self::RollbackFailed { failure, to, undo },
            E::Expired => Self::Expired,
            E::Superseded { by } => Self::Superseded { by },
            E::Cancelled => Self::Cancelled,
            E::Rejected { failure } => Self::Rejected { failure },
            E::Diverged { held } => Self::Diverged { held },
        }
    }
}

/// Rank of all terminal states.
const TERMINAL: u8 = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::code::Code;

    fn failure() -> Failure {
        Failure::new(Code::ImagePull, "no such image")
    }

    fn events() -> Vec<DeploymentEvent> {
        use DeploymentEvent as E;
        vec![
            E::Withdrawn,
            E::Offered,
            E::Accepted,
            E::Preparing,
            E::Applying { done: 1, total: 3 },
            E::Verifying,
            E::Succeeded,
            E::Failed { failure: failure() },
            E::RollingBack {
                failure: failure(),
                to: Some(Rev(1)),
            },
            E::RolledBack {
                failure: failure(),
                to: Some(Rev(1)),
            },
            E::RollbackFailed {
                failure: failure(),
                to: Some(Rev(1)),
                undo: Some(failure()),
            },
            E::Expired,
            E::Superseded { by: Rev(9) },
            E::Cancelled,
            E::Rejected { failure: failure() },
            E::Diverged { held: Rev(9) },
        ]
    }

    /// One row per state: which events (by index in `events`) are legal: `x` legal, `.` illegal, `=` no change. Then whether it
    /// is on its host, is terminal, has a failure.
    #[test]
    fn exhaustive_table() {
        let table = [
            ("queued", "=xxxxxxxxxxxxxxx", ""),
            ("offered", "x=xxxxxxxxxxxxxx", ""),
            ("accepted", "..=xxxxxxxx.xxxx", "h"),
            ("preparing", "...=xxxxxxx.xxxx", "h"),
            ("applying", "....=xxxxxx.x..x", "h"),
            ("verifying", ".....=xxxxx.x..x", "h"),
            ("succeeded", "......=.........", "t"),
            ("failed", ".......=........", "tf"),
            ("rolling_back", "........=xx.x..x", "hf"),
            ("rolled_back", ".........=......", "tf"),
            ("rollback_failed", "..........=.....", "tf"),
            ("expired", "...........=....", "t"),
            ("superseded", "............=...", "t"),
            ("cancelled", ".............=..", "t"),
            ("rejected", "..............=.", "tf"),
            ("diverged", "...............=", "t"),
        ];
        let names: Vec<_> = table.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, DeploymentState::NAMES);
        let events = events();
        for ((name, row, is), own) in table.iter().zip(&events) {
            let state = DeploymentState::target(own);
            assert_eq!(state.name(), *name);
            assert_eq!(state.is_on_host(), is.contains('h'), "{name}");
            assert_eq!(state.is_terminal(), is.contains('t'), "{name}");
            assert_eq!(state.failure(), is.contains('f').then(failure).as_ref(), "{name}");
            for (mark, event) in row.chars().zip(&events) {
                let next = state.next(event);
                match mark {
                    'x' => assert_eq!(next.unwrap(), DeploymentState::target(event), "{name} {event:?}"),
                    '=' => assert_eq!(next.unwrap(), state, "{name} {event:?}"),
                    _ => assert!(next.is_err(), "{name} {event:?}"),
                }
            }
        }
    }

    #[test]
    fn applying_never_counts_down() {
        let state = DeploymentState::Applying { done: 2, total: 3 };
        assert!(
            state
                .next(&DeploymentEvent::Applying { done: 1, total: 3 })
                .is_err()
        );
        assert!(
            state
                .next(&DeploymentEvent::Applying { done: 3, total: 3 })
                .is_ok()
        );
    }

    proptest! {
        #[test]
        fn terminal_is_for_ever(picks in proptest::collection::vec(0_usize..16, 0..40)) {
            let events = events();
            let mut state = DeploymentState::Queued;
            for pick in picks {
                let before = state.clone();
                if let Ok(next) = state.next(&events[pick]) {
                    prop_assert!(!before.is_terminal() || next == before);
                    state = next;
                }
            }
        }
    }
}
