//! What became of each host of a rollout, and the sum of it.

use serde::{Deserialize, Serialize};

use crate::{code::Code, deployment::DeploymentState};

/// Why a host was passed over when its turn came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// The host was removed from the controller.
    Removed,
    /// It had been asked to run a newer revision.
    Overtaken,
}

/// What a host runs again if the rollout is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Before {
    /// It did not have the stack.
    Nothing,
    /// It ran this revision.
    Rev {
        /// Which.
        rev: crate::revision::Rev,
    },
    /// It had the stack, and no revision of it that ran well.
    Unknown,
}

/// What may be said of one host of a rollout right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// Its turn has not come, or its deployment waits for it.
    Waiting,
    /// It is at work.
    Running,
    /// It has the deployment, or may have it, and is silent: nothing newer is known.
    Unknown,
    /// It runs the revision and stayed well for as long as it was watched.
    Succeeded,
    /// It failed, refused, diverged, or did not stay well.
    Failed,
    /// It does not have the revision any more: it went back by itself, or was put back.
    RolledBack,
    /// It is on its way back.
    RollingBack,
    /// It did not get back: a person is needed.
    RollbackFailed,
    /// It was not there until the deadline. Its deployment still waits for it.
    Unreachable,
    /// A newer revision took over.
    Superseded,
    /// Its deployment was taken back before it changed anything.
    Cancelled,
    /// It was removed from the controller.
    Removed,
    /// The rollout ended before its turn came.
    Untouched,
}

/// All that decides a [`HostState`].
#[derive(Debug, Clone, Copy, Default)]
pub struct HostFacts<'a> {
    /// State of the deployment that the rollout made or found there; absent before its turn.
    pub own: Option<&'a DeploymentState>,
    /// State of the deployment that takes it back.
    pub revert: Option<&'a DeploymentState>,
    /// It was passed over.
    pub skip: Option<Skip>,
    /// It is to be taken back, and there is nothing to go back to.
    pub no_way_back: bool,
    /// A container did not stay well at the gate.
    pub unwell: bool,
    /// It has been asked to run something newer since, while the rollout goes on.
    pub overtaken: bool,
    /// The host is not connected.
    pub silent: bool,
    /// The deadline of its wave, or of the way back, has passed.
    pub overdue: bool,
    /// The rollout has ended.
    pub over: bool,
}

impl HostState {
    /// The one place where deployments become states of hosts.
    #[must_use]
    pub fn of(facts: &HostFacts<'_>) -> Self {
        use DeploymentState as D;
        match facts.skip {
            Some(Skip::Removed) => return Self::Removed,
            Some(Skip::Overtaken) => return Self::Superseded,
            None => {}
        }
        let queued = |else_: Self| {
            if facts.silent && facts.overdue {
                Self::Unreachable
            } else {
                else_
            }
        };
        let at_work = |else_: Self| if facts.silent { Self::Unknown } else { else_ };
        if let Some(revert) = facts.revert {
            return match revert {
                D::Queued => queued(Self::RollingBack),
                D::Succeeded => Self::RolledBack,
                D::Superseded { .. } => Self::Superseded,
                state if removed(state) => Self::Removed,
                state if state.is_terminal() => Self::RollbackFailed,
                _ => at_work(Self::RollingBack),
            };
        }
        let Some(own) = facts.own else {
            return if facts.over {
                Self::Untouched
            } else {
                Self::Waiting
            };
        };
        if facts.no_way_back {
            return Self::RollbackFailed;
        }
        match own {
            D::Queued => queued(Self::Waiting),
            D::Succeeded if facts.unwell => Self::Failed,
            D::Succeeded if facts.overtaken => Self::Superseded,
            D::Succeeded => Self::Succeeded,
            D::RolledBack { .. } => Self::RolledBack,
            D::RollbackFailed { .. } => Self::RollbackFailed,
            D::Expired => Self::Unreachable,
            D::Superseded { .. } => Self::Superseded,
            D::Cancelled => Self::Cancelled,
            state if removed(state) => Self::Removed,
            state if state.is_terminal() => Self::Failed,
            _ => at_work(Self::Running),
        }
    }

    /// Whether nothing more is to be expected of it within its wave. A silent one is settled once its wave is overdue.
    #[must_use]
    pub const fn is_settled(self, overdue: bool) -> bool {
        match self {
            Self::Waiting | Self::Running | Self::RollingBack => false,
            Self::Unknown => overdue,
            _ => true,
        }
    }
}

fn removed(state: &DeploymentState) -> bool {
    state
        .failure()
        .is_some_and(|failure| failure.code == Code::AgentRemoved.as_str())
}

macro_rules! summary {
    ($($(#[$doc:meta])* $field:ident = $state:ident;)*) => {
        /// How many hosts of a rollout are in which state. Always adds up: every host is counted exactly once.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub struct Summary {
            /// All hosts.
            pub total: u32,
            $($(#[$doc])* pub $field: u32,)*
        }

        impl Summary {
            /// Counts one host.
            pub fn count(&mut self, state: HostState) {
                self.total += 1;
                match state { $(HostState::$state => self.$field += 1,)* }
            }

            /// How many are in a state.
            #[must_use]
            pub const fn of(&self, state: HostState) -> u32 {
                match state { $(HostState::$state => self.$field,)* }
            }

            /// Every state with its number, in the order of a table.
            #[must_use]
            pub fn parts(&self) -> Vec<(HostState, &'static str, u32)> {
                vec![$((HostState::$state, stringify!($field), self.$field)),*]
            }
        }
    };
}

summary! {
    /// Have it.
    succeeded = Succeeded;
    /// Are at work.
    running = Running;
    /// Wait for their turn, or for their host.
    waiting = Waiting;
    /// Are silent with it.
    unknown = Unknown;
    /// Failed.
    failed = Failed;
    /// Are on their way back.
    rolling_back = RollingBack;
    /// Are back where they were.
    rolled_back = RolledBack;
    /// Did not get back.
    rollback_failed = RollbackFailed;
    /// Were not there in time.
    unreachable = Unreachable;
    /// Run something newer.
    superseded = Superseded;
    /// Were taken back before anything changed.
    cancelled = Cancelled;
    /// Are no longer hosts of this controller.
    removed = Removed;
    /// Were never told.
    untouched = Untouched;
}

impl Summary {
    /// Hosts on which the revision did not work out.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failed + self.rolled_back + self.rollback_failed
    }
}

impl FromIterator<HostState> for Summary {
    fn from_iter<I: IntoIterator<Item = HostState>>(states: I) -> Self {
        let mut summary = Self::default();
        states.into_iter().for_each(|state| summary.count(state));
        summary
    }
}
