//! Rollouts: one revision to many hosts, in waves.
//!
//! ```text
//! rollout_create ─► one transaction: record, order of hosts, revision, hold on the stack, audit
//! person's act   ─► rollout_act ─┐
//!                                ├─► RolloutState::next ─► one transaction with its audit record
//! job "rollout"  ─► step ────────┘
//!                    ├─ hosts are due    one transaction: their deployments, their turns, the rollout's count
//!                    ├─ going back       one transaction: a revision, its deployments, the turns
//!                    └─ else             survey ─► Rollout::judge ─► event
//! ```
//! A step decides by what is stored and nothing else, and writes over the record that it read: killed anywhere, the next
//! start goes on from there, and no deployment is made twice.

use std::{collections::HashMap, sync::Mutex};

use tokio::sync::Notify;
use windflow_api::{RolloutCancel, RolloutView};
use windflow_model::{
    DeploymentId, FleetEventKind, Rollout, RolloutId, RolloutState, Timestamp,
    rollout::{Person, RolloutEvent},
};
use windflow_store::{Entry, Expect, Txn};

use super::{
    App, AppError, AppResult,
    db::{put, replace},
    keys,
    records::NameHolder,
    stack::same_version,
};
use crate::context::OpContext;

mod advance;
mod back;
mod create;
mod show;
mod survey;
mod turns;

/// What the application keeps for rollouts besides the store.
#[derive(Debug)]
pub(crate) struct Watch {
    /// There may be something to do.
    look: Notify,
    /// Nobody's deadline passed while nobody was looking: silence counts from here on.
    began_at: Timestamp,
    /// Deployments that have ended, so that they are not read again and again. They never change.
    ended: Mutex<HashMap<DeploymentId, survey::Held>>,
}

impl Watch {
    pub(crate) fn new(began_at: Timestamp) -> Self {
        Self {
            look: Notify::new(),
            began_at,
            ended: Mutex::default(),
        }
    }
}

/// What a person may do with a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutAct {
    /// Nothing new begins.
    Pause,
    /// It goes on.
    Resume,
    /// The next wave begins now.
    Promote,
    /// It ends.
    Cancel,
    /// It ends, and hosts go back.
    Undo,
}

impl RolloutAct {
    /// For the audit, as the operation's id.
    const fn name(self) -> &'static str {
        match self {
            Self::Pause => "rollout_pause",
            Self::Resume => "rollout_resume",
            Self::Promote => "rollout_promote",
            Self::Cancel => "rollout_cancel",
            Self::Undo => "rollout_rollback",
        }
    }

    fn event(self, by: Person) -> RolloutEvent {
        match self {
            Self::Pause => RolloutEvent::Pause { by },
            Self::Resume => RolloutEvent::Resume,
            Self::Promote => RolloutEvent::Promote,
            Self::Cancel => RolloutEvent::Cancel { by },
            Self::Undo => RolloutEvent::Undo { by },
        }
    }
}

impl From<RolloutCancel> for RolloutAct {
    fn from(request: RolloutCancel) -> Self {
        if request.rollback {
            Self::Undo
        } else {
            Self::Cancel
        }
    }
}

impl App {
    /// Lets the job look at the rollouts.
    pub(crate) fn rollouts_look(&self) {
        self.0.rollouts.look.notify_one();
    }

    /// Waits until there may be something to do for the job.
    pub(crate) async fn rollouts_wanted(&self) {
        self.0.rollouts.look.notified().await;
    }

    /// A person's act. With `version` only if the rollout is still as it was read.
    ///
    /// # Errors
    /// No such rollout, another version, or an act that does not go with its state.
    pub async fn rollout_act(
        &self,
        op: &OpContext,
        id: RolloutId,
        version: Option<u64>,
        act: RolloutAct,
    ) -> AppResult<RolloutView> {
        let by = Person {
            user: op.user,
            name: op.user_name.clone(),
        };
        let event = act.event(by);
        self.retry(|| async {
            let was = self.need_rollout(act.name(), op.org, id).await?;
            same_version("rollout", version, was.version)?;
            self.rollout_move(op, act.name(), &was, &event).await
        })
        .await?;
        self.rollout_view(op, id).await
    }

    /// The only writer of a rollout's state.
    async fn rollout_move(
        &self,
        op: &OpContext,
        action: &'static str,
        was: &Entry<Rollout>,
        event: &RolloutEvent,
    ) -> AppResult<()> {
        let before = &was.value;
        let next = before.state.next(event, before.wave_count());
        let state = next.map_err(|error| {
            AppError::conflict(
                format!("rollout {}: {error}", before.id),
                "`windflow rollout show` says where it stands.",
            )
        })?;
        if state == before.state {
            return Ok(());
        }
        let now = self.now();
        let mut after = before.clone();
        let moved = (state.name(), state.wave()) != (before.state.name(), before.state.wave());
        if moved {
            after.state_at = now;
        }
        if let RolloutState::Running { wave } = state {
            // The clock of a wave that goes on after a pause begins anew.
            after.wave_at.truncate(usize::try_from(wave - 1).unwrap_or(0));
            after.wave_at.push(now);
        }
        if let RolloutEvent::Overtaken { hosts } = event {
            after.overtaken = *hosts;
        }
        let mut txn = Txn::new();
        if matches!(event, RolloutEvent::Undo { .. }) {
            after.reverts.clear();
            after.sealed = None;
            txn = self.hold_stack(txn, op, action, before).await?;
        }
        after.state = state;
        txn = replace(txn, action, was, &after)?;
        // A gate that opens and closes is no transition that anybody has to answer for.
        if moved {
            let detail = format!(
                "stack {} rev {}: {} → {}",
                after.stack_name,
                after.rev,
                words(&before.state),
                words(&after.state)
            );
            txn = self.audited(txn, op, action, after.id, detail)?;
        }
        self.commit(action, txn).await?;
        self.rollout_told(&after);
        Ok(())
    }

    /// A stack has one rollout at a time.
    async fn hold_stack(
        &self,
        txn: Txn,
        op: &OpContext,
        action: &'static str,
        rollout: &Rollout,
    ) -> AppResult<Txn> {
        let key = keys::rollout_of(op.org, rollout.stack);
        let holder = NameHolder {
            id: rollout.id.to_string(),
        };
        match self.find::<NameHolder>(action, &key).await? {
            None => put(txn.expect(key.clone(), Expect::Absent), action, key, &holder),
            Some(held) if held.value == holder => Ok(txn.expect(key, held.expect())),
            Some(held) => Err(AppError::conflict(
                format!(
                    "rollout {} of stack \"{}\" is not over yet",
                    held.value.id, rollout.stack_name
                ),
                "A stack has one rollout at a time: wait for that one, or cancel it (`windflow rollout cancel`).",
            )),
        }
    }

    fn rollout_told(&self, rollout: &Rollout) {
        self.publish(FleetEventKind::RolloutChanged {
            rollout: rollout.id,
            stack: rollout.stack,
            state: rollout.state.name().to_owned(),
        });
        self.rollouts_look();
    }
}

/// A state in two words, for the audit.
fn words(state: &RolloutState) -> String {
    let name = state.name().replace('_', " ");
    match state.wave() {
        Some(wave) => format!("{name} (wave {wave})"),
        None => name,
    }
}
