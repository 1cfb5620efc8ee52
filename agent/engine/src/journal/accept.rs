//! Taking orders, taking them back, and forgetting what the controller has.

use windflow_kit::seeded::{self, Bug};
use windflow_model::{DeploymentEvent, DeploymentState, OpId, Rev, StackName};
use windflow_store::Txn;

use super::{
    Journal, JournalError, encode, history,
    orders::{self, LIMIT},
    outbox,
    record::{StackRecord, Subject},
    stack_key,
};
use crate::order::{Acceptance, ApplyError, CancelOutcome, Order};

/// An order that is on disk.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) acceptance: Acceptance,
    /// Whether there is new work.
    pub(crate) fresh: bool,
}

impl Journal {
    /// Takes an order, or says why not; a refusal of a deployment is reported too. `running` is the operation that a
    /// lane of this stack works on.
    pub(crate) async fn accept(&self, order: &Order, running: Option<OpId>) -> Result<Accepted, ApplyError> {
        let json = encode(order)?;
        if json.len() > LIMIT {
            return Err(ApplyError::TooLarge {
                stack: order.stack.clone(),
                size: json.len(),
                limit: LIMIT,
            });
        }
        let now = self.now();
        let mut inner = self.inner.lock().await;
        let held = inner.stacks.get(&order.stack).cloned();
        match check(order, held.as_ref()) {
            Check::Fresh => {}
            Check::Same(state) => {
                return Ok(Accepted {
                    acceptance: Acceptance::AlreadyHeld { state },
                    fresh: false,
                });
            }
            Check::Refuse(error) => {
                drop(inner);
                self.refuse(order, &error).await?;
                return Err(error);
            }
        }
        let mut record = StackRecord::new(order, now);
        let mut txn = Txn::new();
        let mut pending = Vec::new();
        if let Some(held) = &held {
            // A removal that worked out has left none.
            record.good = held.good.filter(|_| held.owner == order.owner);
            record.before.clone_from(&held.before);
            if held.owner == order.owner {
                record.stopped.clone_from(&held.stopped);
                record.loose = held.is_loose();
            }
            if !held.state.is_terminal() {
                let over = if running == Some(held.op) {
                    record.before = Some(Box::new(StackRecord {
                        before: None,
                        ..held.clone()
                    }));
                    // It has stopped, or this one would not run; its end could not be written then (a full disk).
                    held.before.as_deref().map(|before| (before, held.rev))
                } else {
                    // Accepted and never begun: nobody has to stop first.
                    Some((held, order.rev))
                };
                if let Some((over, by)) = over {
                    let mut ended = over.clone();
                    ended.moved(DeploymentState::Superseded { by }, now, None);
                    if !ended.needs {
                        txn = history::note(txn, &ended)?;
                    }
                    let event = DeploymentEvent::Superseded { by };
                    let subject = over.subject();
                    txn = inner.outbox.add(txn, &mut pending, &subject, event, None, now)?;
                }
            }
        }
        txn = inner.outbox.add(
            txn,
            &mut pending,
            &record.subject(),
            DeploymentEvent::Accepted,
            None,
            now,
        )?;
        txn = orders::parts(txn, order, &json);
        txn = txn.put(stack_key(&order.stack), encode(&record)?);
        self.commit(inner.outbox.sealed(txn, &pending)).await?;
        inner.stacks.insert(order.stack.clone(), record);
        inner.outbox.took(pending);
        self.mirror(&inner);
        drop(inner);
        if held.is_some_and(|held| held.owner != order.owner) {
            self.forget_history(&order.stack).await?;
        }
        Ok(Accepted {
            acceptance: Acceptance::Accepted,
            fresh: true,
        })
    }

    /// Reports a refusal to the deployment it concerns.
    async fn refuse(&self, order: &Order, error: &ApplyError) -> Result<(), JournalError> {
        let event = match error {
            ApplyError::Diverged { held, .. } => DeploymentEvent::Diverged { held: *held },
            other => DeploymentEvent::Rejected {
                failure: other.clone().into(),
            },
        };
        self.report_only(order, event).await
    }

    /// Reports something about an order that was not taken.
    pub(crate) async fn report_only(
        &self,
        order: &Order,
        event: DeploymentEvent,
    ) -> Result<(), JournalError> {
        if order.deployment.is_none() {
            return Ok(());
        }
        let subject = Subject {
            stack: order.stack.clone(),
            deployment: order.deployment,
            rev: order.rev,
            op: order.op,
        };
        self.report(&subject, event).await
    }

    /// Puts a report into the outbox, unless it waits there already.
    async fn report(&self, subject: &Subject, event: DeploymentEvent) -> Result<(), JournalError> {
        let now = self.now();
        let mut inner = self.inner.lock().await;
        let known = inner
            .outbox
            .reports()
            .values()
            .any(|report| report.op == subject.op && report.event == event);
        if known {
            return Ok(());
        }
        let mut pending = Vec::new();
        let txn = inner
            .outbox
            .add(Txn::new(), &mut pending, subject, event, None, now)?;
        self.commit(inner.outbox.sealed(txn, &pending)).await?;
        inner.outbox.took(pending);
        self.mirror(&inner);
        Ok(())
    }

    /// Takes an operation back if nothing has been changed for it.
    pub(crate) async fn cancel(
        &self,
        stack: &StackName,
        rev: Rev,
        op: OpId,
    ) -> Result<CancelOutcome, JournalError> {
        let Some(state) = self.state(stack, op).await else {
            return Ok(CancelOutcome::NotHeld);
        };
        if self.record(stack).await.is_none_or(|record| record.rev != rev) {
            return Ok(CancelOutcome::NotHeld);
        }
        if state == DeploymentState::Cancelled {
            return Ok(CancelOutcome::Cancelled);
        }
        if seeded::is(Bug::CancelledGoesOn)
            && let Some(record) = self.record(stack).await
        {
            self.report(&record.subject(), DeploymentEvent::Cancelled).await?;
            return Ok(CancelOutcome::Cancelled);
        }
        let moved = self.event(stack, op, DeploymentEvent::Cancelled, None).await?;
        let state = self.state(stack, op).await.unwrap_or(state);
        Ok(match moved {
            super::Moved::Yes => CancelOutcome::Cancelled,
            super::Moved::No => CancelOutcome::TooLate { state },
        })
    }

    /// Forgets reports the controller has on disk.
    pub(crate) async fn ack(&self, upto: u64) -> Result<(), JournalError> {
        let mut inner = self.inner.lock().await;
        let gone: Vec<u64> = inner
            .outbox
            .reports()
            .range(..=upto)
            .map(|(seq, _)| *seq)
            .collect();
        for part in gone.chunks(90) {
            let txn = part
                .iter()
                .fold(Txn::new(), |txn, seq| txn.delete(outbox::key(*seq)));
            self.commit(txn).await?;
        }
        inner.outbox.forget(upto);
        self.mirror(&inner);
        Ok(())
    }
}

enum Check {
    Fresh,
    Same(DeploymentState),
    Refuse(ApplyError),
}

fn check(order: &Order, held: Option<&StackRecord>) -> Check {
    let Some(held) = held else { return Check::Fresh };
    if held.owner != order.owner {
        return if held.is_gone() {
            Check::Fresh
        } else {
            Check::Refuse(ApplyError::NameHeld {
                stack: order.stack.clone(),
                held_by: held.owner,
            })
        };
    }
    if order.rev == held.rev && order.op == held.op && !seeded::is(Bug::OrderTakenTwice) {
        return Check::Same(held.state.clone());
    }
    if order.rev > held.rev || order.op == held.op && seeded::is(Bug::OrderTakenTwice) {
        Check::Fresh
    } else {
        Check::Refuse(ApplyError::Diverged {
            stack: order.stack.clone(),
            held: held.rev,
        })
    }
}
