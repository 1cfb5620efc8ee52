//! The journal: what this host holds, how far it is, and what the controller has not heard yet.
//!
//! ```text
//! owning loop ──accept, cancel, ack──┐
//! lanes ───────event, step───────────┴─► Inner (one lock) ──txn──► Store      one commit at a time, on disk before
//!                                             └──mirror──► View ──► handles   anybody sees it
//! ```
//! Keys, below the organisation and `engine`: `boot` (starts of this agent), `secret` (key of content digests),
//! `stack/<name>` ([`StackRecord`]), `order/<name>/<rev>/<part>` (the order as JSON, cut into parts),
//! `step/<name>/<op>/<n>` (steps of the running operation), `history/<name>/<rev>` (the end of each revision),
//! `outbox/<seq>` ([`Report`]).
//!
//! A commit that returned "unknown" is read again before anything is decided.

mod accept;
mod history;
mod orders;
mod outbox;
mod record;
mod replay;
mod steps;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use thiserror::Error;
use tokio::sync::Mutex;
use windflow_compose::collect::IntoMap as _;
use windflow_kit::{
    Clock,
    error::Chain,
    seeded::{self, Bug},
};
use windflow_model::{DeploymentEvent, DeploymentState, Failure, OpId, OrgId, StackName, Steps, Timestamp};
use windflow_store::{Key, Op, Prefix, Store, StoreError, Txn};

use self::outbox::Outbox;
pub(crate) use self::record::{StackRecord, StepEntry};
use crate::{order::ApplyError, view::View};

/// Why the journal could not be read or written.
#[derive(Debug, Error)]
pub(crate) enum JournalError {
    /// The store.
    #[error("the journal cannot be used")]
    Store(#[from] StoreError),
    /// A record is not what this build writes.
    #[error("the journal record {key} cannot be read")]
    Record {
        /// Where.
        key: String,
        #[source]
        source: serde_json::Error,
    },
    /// A value has no JSON form.
    #[error("a journal record cannot be written")]
    Write(#[source] serde_json::Error),
    /// The operating system gives no random bytes.
    #[error("the journal gets no random bytes")]
    Random(#[from] windflow_kit::random::RandomError),
}

impl From<JournalError> for ApplyError {
    fn from(error: JournalError) -> Self {
        Self::Store {
            full: matches!(&error, JournalError::Store(StoreError::Full { .. })),
            message: Chain(&error).to_string(),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        ApplyError::from(error).into()
    }
}

/// Whether an event moved the state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Moved {
    /// It did, and that is on disk.
    Yes,
    /// It cannot follow the present state, which stays: the operation was ended or replaced meanwhile.
    No,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    view: Arc<View>,
    clock: Clock,
    boot: u64,
    secret: [u8; 32],
    inner: Mutex<Inner>,
    /// Containers by stack whose end was asked for and not seen.
    ending: std::sync::Mutex<BTreeMap<StackName, BTreeSet<String>>>,
}

#[derive(Debug, Default)]
struct Inner {
    stacks: BTreeMap<StackName, StackRecord>,
    outbox: Outbox,
}

fn root() -> Key {
    Key::new([OrgId::DEFAULT.to_string()]).push("engine")
}

fn stack_key(stack: &StackName) -> Key {
    root().push("stack").push(stack.as_str())
}

fn order_prefix(stack: &StackName) -> Key {
    root().push("order").push(stack.as_str())
}

fn step_prefix(stack: &StackName, op: OpId) -> Key {
    root().push("step").push(stack.as_str()).push(op.to_string())
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, JournalError> {
    serde_json::to_vec(value).map_err(JournalError::Write)
}

fn decode<T: serde::de::DeserializeOwned>(key: &Key, bytes: &[u8]) -> Result<T, JournalError> {
    serde_json::from_slice(bytes).map_err(|source| JournalError::Record {
        key: format!("{key:?}"),
        source,
    })
}

impl Journal {
    /// Starts of the agent on this journal, from 1.
    pub(crate) const fn boot(&self) -> u64 {
        self.boot
    }

    /// Key for digests of secret contents; never leaves the host.
    pub(crate) const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// The record of a stack.
    pub(crate) async fn record(&self, stack: &StackName) -> Option<StackRecord> {
        self.inner.lock().await.stacks.get(stack).cloned()
    }

    /// All records.
    pub(crate) async fn records(&self) -> Vec<StackRecord> {
        self.inner.lock().await.stacks.values().cloned().collect()
    }

    /// Moves the state of an operation and reports it. `steps` is the tree so far.
    pub(crate) async fn event(
        &self,
        stack: &StackName,
        op: OpId,
        event: DeploymentEvent,
        steps: Option<&Steps>,
    ) -> Result<Moved, JournalError> {
        self.advance(stack, op, event, steps, Txn::new(), None).await
    }

    /// Ends an operation. Its step entries go with it.
    pub(crate) async fn finish(
        &self,
        stack: &StackName,
        op: OpId,
        event: DeploymentEvent,
        steps: &Steps,
        world: Option<String>,
    ) -> Result<Moved, JournalError> {
        let moved = self
            .advance(stack, op, event, Some(steps), Txn::new(), world)
            .await?;
        self.sweep(&Prefix::below(&step_prefix(stack, op))).await?;
        self.sweep_history(stack).await?;
        self.sweep_orders(stack).await?;
        Ok(moved)
    }

    async fn advance(
        &self,
        stack: &StackName,
        op: OpId,
        event: DeploymentEvent,
        steps: Option<&Steps>,
        mut txn: Txn,
        world: Option<String>,
    ) -> Result<Moved, JournalError> {
        let now = self.now();
        let mut inner = self.inner.lock().await;
        let Some(record) = inner.stacks.get(stack) else {
            return Ok(Moved::No);
        };
        let mut next = record.clone();
        let subject = if record.op == op {
            let Ok(state) = record.state.next(&event) else {
                return self.only(txn, Moved::No).await;
            };
            if state == record.state && !matches!(event, DeploymentEvent::Applying { .. }) {
                return self.only(txn, Moved::Yes).await;
            }
            next.moved(state, now, world);
            if next.state.is_terminal() && !next.needs {
                txn = history::note(txn, &next)?;
            }
            record.subject()
        } else if let Some(before) = record.before.as_ref().filter(|before| before.op == op) {
            // A replaced operation may only end; where it really ended well or badly, that is its end.
            let mut ended = (**before).clone();
            match before.state.next(&event) {
                Ok(state) if state.is_terminal() => ended.moved(state, now, world),
                _ => return self.only(txn, Moved::No).await,
            }
            if !ended.needs {
                txn = history::note(txn, &ended)?;
            }
            next.follows(&ended);
            ended.subject()
        } else {
            return self.only(txn, Moved::No).await;
        };
        txn = txn.put(stack_key(stack), encode(&next)?);
        let mut pending = Vec::new();
        txn = inner.outbox.add(txn, &mut pending, &subject, event, steps, now)?;
        self.commit(inner.outbox.sealed(txn, &pending)).await?;
        inner.stacks.insert(stack.clone(), next);
        inner.outbox.took(pending);
        self.mirror(&inner);
        Ok(Moved::Yes)
    }

    async fn only(&self, txn: Txn, moved: Moved) -> Result<Moved, JournalError> {
        if !txn.ops().is_empty() {
            self.commit(txn).await?;
        }
        Ok(moved)
    }

    /// The run that a newer revision replaced has stopped: say so.
    pub(crate) async fn superseded(&self, stack: &StackName) -> Result<(), JournalError> {
        let found = self
            .record(stack)
            .await
            .and_then(|record| record.before.map(|before| (before.op, record.rev)));
        if let Some((op, by)) = found {
            self.event(stack, op, DeploymentEvent::Superseded { by }, None)
                .await?;
            self.sweep(&Prefix::below(&step_prefix(stack, op))).await?;
        }
        Ok(())
    }

    /// Commits; an unknown outcome is read again.
    async fn commit(&self, txn: Txn) -> Result<(), JournalError> {
        if txn.ops().is_empty() {
            return Ok(());
        }
        let probe = txn.ops().first().cloned();
        match self.store.txn(txn.clone()).await {
            Ok(_) => Ok(()),
            Err(StoreError::Unknown { .. }) if seeded::is(Bug::UnknownIsDone) => Ok(()),
            Err(StoreError::Unknown { path, source }) => {
                let there = match probe {
                    Some(Op::Put { key, value }) => self
                        .store
                        .get(&key)
                        .await?
                        .is_some_and(|record| record.value == value),
                    Some(Op::Delete { key }) => self.store.get(&key).await?.is_none(),
                    None => true,
                };
                if there {
                    Ok(())
                } else {
                    Err(StoreError::Unknown { path, source }.into())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn mirror(&self, inner: &Inner) {
        let mut state = self.view.state();
        state.held = inner
            .stacks
            .iter()
            .map(|(name, record)| (name.clone(), record.held()))
            .into_map();
        state.reports.clone_from(inner.outbox.reports());
        drop(state);
        let last = inner.outbox.last();
        self.view.reports.send_if_modified(|seq| {
            let changed = *seq != last;
            *seq = last;
            changed
        });
    }

    /// Whether a newer revision, or a cancel, has ended this operation.
    pub(crate) async fn is_current(&self, stack: &StackName, op: OpId) -> bool {
        let inner = self.inner.lock().await;
        inner
            .stacks
            .get(stack)
            .is_some_and(|record| record.op == op && !record.state.is_terminal())
    }

    /// Where an operation stands, if it is the held one.
    pub(crate) async fn state(&self, stack: &StackName, op: OpId) -> Option<DeploymentState> {
        let inner = self.inner.lock().await;
        inner
            .stacks
            .get(stack)
            .filter(|record| record.op == op)
            .map(|record| record.state.clone())
    }
}

#[cfg(test)]
mod tests;
