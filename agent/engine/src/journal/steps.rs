//! The steps of the running operation: what began, what it left behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use windflow_model::{DeploymentEvent, OpId, StackName, Steps};
use windflow_store::{Prefix, Txn};

use super::{Journal, JournalError, Moved, StepEntry, decode, encode, root, stack_key, step_prefix};
use crate::targets::Evidence;

impl Journal {
    /// Notes that a step begins; on disk when it returns. `takes_down` is a running container that it is the first to stop.
    pub(crate) async fn step_intent(
        &self,
        stack: &StackName,
        op: OpId,
        number: u64,
        entry: &StepEntry,
        takes_down: Option<&str>,
    ) -> Result<(), JournalError> {
        let mut inner = self.inner.lock().await;
        let key = step_prefix(stack, op).push_u64(number);
        let mut txn = Txn::new().put(key, encode(entry)?);
        let record = inner.stacks.get(stack).filter(|_| takes_down.is_some());
        let mut next = record.cloned();
        if let (Some(next), Some(id)) = (&mut next, takes_down) {
            next.stopped.insert(id.to_owned());
            txn = txn.put(stack_key(stack), encode(next)?);
        }
        self.commit(txn).await?;
        if let Some(next) = next {
            inner.stacks.insert(stack.clone(), next);
        }
        drop(inner);
        if let Some(id) = &entry.stops {
            self.endings(|endings| {
                endings.entry(stack.clone()).or_default().insert(id.clone());
            });
        }
        Ok(())
    }

    /// Containers whose end was asked for, by this life of the agent or one before, and has not been seen: an engine that
    /// got such a request carries it out even if who asked is dead.
    pub(crate) fn ending(&self, stack: &StackName) -> BTreeSet<String> {
        self.endings(|endings| endings.get(stack).cloned().unwrap_or_default())
    }

    /// The end of a container was seen, or it is not there.
    pub(crate) fn ended(&self, stack: &StackName, container: &str) {
        self.endings(|endings| {
            if let Some(of) = endings.get_mut(stack) {
                of.remove(container);
                if of.is_empty() {
                    endings.remove(stack);
                }
            }
        });
    }

    fn endings<T>(&self, act: impl FnOnce(&mut BTreeMap<StackName, BTreeSet<String>>) -> T) -> T {
        act(&mut self.ending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that a step has ended well, and how many have.
    #[expect(
        clippy::too_many_arguments,
        reason = "one record's fields; each is named at the single call"
    )]
    pub(crate) async fn step_done(
        &self,
        stack: &StackName,
        op: OpId,
        number: u64,
        mut entry: StepEntry,
        evidence: Evidence,
        event: DeploymentEvent,
        steps: &Steps,
    ) -> Result<Moved, JournalError> {
        if let Some(id) = &entry.stops {
            self.ended(stack, id);
        }
        entry.done = Some(evidence);
        let txn = Txn::new().put(step_prefix(stack, op).push_u64(number), encode(&entry)?);
        self.advance(stack, op, event, Some(steps), txn, None).await
    }

    /// After a start: forgets the steps of operations that are over (a kill came between their end and the tidying up), and
    /// keeps in mind which ends of containers nobody has seen.
    pub(super) async fn sweep_stale_steps(&self) -> Result<(), JournalError> {
        let open: BTreeSet<(String, String)> = {
            let inner = self.inner.lock().await;
            let running = inner.stacks.values().filter(|record| !record.state.is_terminal());
            running
                .map(|record| (record.stack.to_string(), record.op.to_string()))
                .collect()
        };
        let prefix = Prefix::below(&root().push("step"));
        let mut after = None;
        loop {
            let page = self.store.scan(&prefix, after.as_ref(), 90).await?;
            let mut stale = Txn::new();
            for (key, record) in page.records {
                let mut back = key.segments().rev().skip(1);
                let (op, stack) = (back.next().unwrap_or_default(), back.next().unwrap_or_default());
                drop(back);
                let entry: StepEntry = decode(&key, &record.value)?;
                if let (None, Some(id), Ok(stack)) = (entry.done, entry.stops, stack.parse()) {
                    self.endings(|endings| endings.entry(stack).or_default().insert(id));
                }
                if !open.contains(&(stack, op)) {
                    stale = stale.delete(key);
                }
            }
            self.commit(stale).await?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// The steps noted for an operation, by number.
    pub(crate) async fn steps(
        &self,
        stack: &StackName,
        op: OpId,
    ) -> Result<Vec<(u64, StepEntry)>, JournalError> {
        let prefix = Prefix::below(&step_prefix(stack, op));
        let (mut out, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.scan(&prefix, after.as_ref(), 500).await?;
            for (key, record) in &page.records {
                out.push((key.last_u64().unwrap_or(0), decode(key, &record.value)?));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(out),
            }
        }
    }

    /// Removes everything below a prefix.
    pub(super) async fn sweep(&self, prefix: &Prefix) -> Result<(), JournalError> {
        loop {
            let page = self.store.scan(prefix, None, 90).await?;
            if page.records.is_empty() {
                return Ok(());
            }
            let txn = page
                .records
                .into_iter()
                .fold(Txn::new(), |txn, (key, _)| txn.delete(key));
            self.commit(txn).await?;
        }
    }
}
