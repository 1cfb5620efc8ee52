//! The records of the journal.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use windflow_model::{
    DeploymentId, DeploymentState, OpId, Rev, SpecDigest, StackId, StackName, Timestamp, Want,
};

use crate::{
    order::{Held, Order},
    targets::Evidence,
};

/// A stack: the held revision, where it stands, and the last good one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StackRecord {
    pub(crate) stack: StackName,
    pub(crate) owner: Option<StackId>,
    pub(crate) deployment: Option<DeploymentId>,
    pub(crate) rev: Rev,
    pub(crate) op: OpId,
    pub(crate) want: Want,
    pub(crate) digest: SpecDigest,
    pub(crate) state: DeploymentState,
    pub(crate) state_at: Timestamp,
    /// Whether a step of this revision may have changed the host.
    #[serde(default)]
    pub(crate) touched: bool,
    /// Whether an older operation broke off in the middle and none has settled the host since.
    #[serde(default)]
    pub(crate) loose: bool,
    /// The last revision that succeeded; its order is kept.
    #[serde(default)]
    pub(crate) good: Option<Rev>,
    /// An older operation that was running when this one was accepted and has not confirmed its end.
    #[serde(default)]
    pub(crate) before: Option<Box<Self>>,
    /// The revision it brings back, if it is a rollback.
    #[serde(default)]
    pub(crate) again: Option<Rev>,
    /// Whether it only made what a one-off command needs: no revision of the stack to go back to.
    #[serde(default)]
    pub(crate) needs: bool,
    /// How it ended.
    #[serde(default)]
    pub(crate) finished: Option<Finished>,
    /// Ids of containers that ran and were stopped to be replaced or removed, by this operation or one it took over from: those
    /// that must run again on the way back. Empty once an operation has settled the host.
    #[serde(default)]
    pub(crate) stopped: BTreeSet<String>,
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// Name of the final state.
    pub(crate) result: String,
    /// Digest of the world as observed at the end.
    pub(crate) world: Option<String>,
}

/// What a report is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) stack: StackName,
    pub(crate) deployment: Option<DeploymentId>,
    pub(crate) rev: Rev,
    pub(crate) op: OpId,
}

/// A step of the running operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepEntry {
    /// What it does, e.g. `create container web-db-1`.
    pub(crate) what: String,
    /// The container whose process it ends. As long as nobody has seen that the step ended, that may still happen.
    #[serde(default)]
    pub(crate) stops: Option<String>,
    /// What it left behind, once it has ended well.
    #[serde(default)]
    pub(crate) done: Option<Evidence>,
}

impl StackRecord {
    pub(crate) fn new(order: &Order, now: Timestamp) -> Self {
        Self {
            stack: order.stack.clone(),
            owner: order.owner,
            deployment: order.deployment,
            rev: order.rev,
            op: order.op,
            want: order.want,
            digest: order.digest,
            state: DeploymentState::Accepted,
            state_at: now,
            touched: false,
            loose: false,
            good: None,
            before: None,
            again: order.options.again,
            needs: order.options.only_needs,
            finished: None,
            stopped: BTreeSet::new(),
        }
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject {
            stack: self.stack.clone(),
            deployment: self.deployment,
            rev: self.rev,
            op: self.op,
        }
    }

    pub(crate) fn moved(&mut self, state: DeploymentState, now: Timestamp, world: Option<String>) {
        self.touched |= matches!(state, DeploymentState::Applying { .. });
        if state == DeploymentState::Succeeded && !self.needs {
            self.good = (!self.want.is_absent()).then_some(self.rev);
        }
        if state.is_terminal() {
            self.finished = Some(Finished {
                result: state.name().to_owned(),
                world,
            });
        }
        self.state = state;
        self.state_at = now;
        // What breaks off in the middle leaves it to the next one to bring these back.
        if self.state.is_terminal() && !self.is_loose() {
            self.stopped.clear();
        }
    }

    /// The operation that this one replaced while it ran has ended: what it came to is where this one starts from.
    pub(crate) fn follows(&mut self, ended: &Self) {
        self.before = None;
        self.good = ended.good;
        self.loose = ended.is_loose();
    }

    /// Whether the name is free again: the stack was removed.
    pub(crate) fn is_gone(&self) -> bool {
        self.want.is_absent() && self.state == DeploymentState::Succeeded
    }

    /// The revision whose containers shall be kept there, if the host is in a known good state.
    pub(crate) fn steady(&self) -> Option<Rev> {
        let untouched = self.state.is_terminal() && !self.touched && !self.loose;
        match &self.state {
            DeploymentState::Succeeded if !self.want.is_absent() => Some(self.rev),
            DeploymentState::Succeeded => None,
            DeploymentState::RolledBack { to, .. } => *to,
            _ if untouched => self.good,
            _ => None,
        }
    }

    /// Whether the host may be between two revisions: what touched it neither came about nor went back.
    pub(crate) const fn is_loose(&self) -> bool {
        match self.state {
            DeploymentState::Succeeded | DeploymentState::RolledBack { .. } => false,
            _ => self.touched || self.loose,
        }
    }

    /// Whether the lane has something to look after once its operation has ended: what is held, or what is left.
    pub(crate) fn is_tended(&self) -> bool {
        // A removal that broke off is its own kind of half; one that was taken back before its first change has only found
        // what another revision left.
        let begun = self.want.is_absent() && self.touched;
        let left = self.state.is_terminal() && !begun && self.is_loose();
        left || self.steady().is_some()
    }

    pub(crate) fn held(&self) -> Held {
        Held {
            stack: self.stack.clone(),
            owner: self.owner,
            deployment: self.deployment,
            rev: self.rev,
            op: self.op,
            want: self.want,
            digest: self.digest,
            state: self.state.clone(),
            state_at: self.state_at,
        }
    }
}
