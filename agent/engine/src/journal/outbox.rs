//! The durable outbox: reports with rising numbers, kept until the controller has them.
//!
//! Bounded without losing a truth: an unacknowledged report that a newer one of the same operation makes needless
//! (every phase implies the ones before) is dropped in the same commit. What stays is one report per operation.

use std::collections::BTreeMap;

use windflow_model::{DeploymentEvent, Steps, Timestamp};
use windflow_store::{Key, Txn};

use super::{JournalError, encode, record::Subject, root};
use crate::order::Report;

/// Step trees above this many bytes of JSON are left out of a report; a store value ends at 1 MiB.
const STEPS_LIMIT: usize = 700 << 10;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    reports: BTreeMap<u64, Report>,
    last: u64,
}

/// A report in a transaction that is not committed yet.
pub(super) struct Pending {
    report: Report,
    dropped: Vec<u64>,
}

pub(super) fn key(seq: u64) -> Key {
    root().push("outbox").push_u64(seq)
}

/// Where the highest number ever given rests, so that it never repeats after everything was acknowledged.
pub(super) fn last_key() -> Key {
    root().push("outbox-last")
}

impl Outbox {
    pub(super) fn replay(reports: BTreeMap<u64, Report>, last: u64) -> Self {
        let last = reports.keys().next_back().copied().unwrap_or(0).max(last);
        Self { reports, last }
    }

    pub(super) const fn reports(&self) -> &BTreeMap<u64, Report> {
        &self.reports
    }

    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Adds a report to a transaction, after those in `pending`. [`Outbox::took`] makes them visible once they are on
    /// disk.
    pub(super) fn add(
        &self,
        mut txn: Txn,
        pending: &mut Vec<Pending>,
        subject: &Subject,
        event: DeploymentEvent,
        steps: Option<&Steps>,
        now: Timestamp,
    ) -> Result<Txn, JournalError> {
        let mut dropped = Vec::new();
        let mut carries = !matches!(event, DeploymentEvent::Applying { done: 1.., .. });
        for (seq, old) in &self.reports {
            if old.op == subject.op && old.stack == subject.stack && !ends(&old.event) {
                carries |= old.steps.is_some();
                dropped.push(*seq);
            }
        }
        let mut report = Report {
            seq: self.last + 1 + u64::try_from(pending.len()).unwrap_or(0),
            deployment: subject.deployment,
            stack: subject.stack.clone(),
            rev: subject.rev,
            op: subject.op,
            event,
            steps: steps.filter(|steps| carries && !steps.steps.is_empty()).cloned(),
            at: now,
        };
        let mut json = encode(&report)?;
        if json.len() > STEPS_LIMIT {
            report.steps = None;
            json = encode(&report)?;
        }
        for seq in &dropped {
            txn = txn.delete(key(*seq));
        }
        txn = txn.put(key(report.seq), json);
        pending.push(Pending { report, dropped });
        Ok(txn)
    }

    /// Ends a transaction with reports: notes the last number.
    pub(super) fn sealed(&self, txn: Txn, pending: &[Pending]) -> Txn {
        let last = pending.last().map_or(self.last, |pending| pending.report.seq);
        txn.put(last_key(), last.to_string())
    }

    pub(super) fn took(&mut self, pending: Vec<Pending>) {
        for Pending { report, dropped } in pending {
            for seq in dropped {
                self.reports.remove(&seq);
            }
            self.last = self.last.max(report.seq);
            self.reports.insert(report.seq, report);
        }
    }

    pub(super) fn forget(&mut self, upto: u64) {
        self.reports = self.reports.split_off(&upto.saturating_add(1));
    }
}

fn ends(event: &DeploymentEvent) -> bool {
    use DeploymentEvent as E;
    matches!(
        event,
        E::Succeeded
            | E::Failed { .. }
            | E::RolledBack { .. }
            | E::RollbackFailed { .. }
            | E::Superseded { .. }
            | E::Cancelled
            | E::Rejected { .. }
            | E::Diverged { .. }
    )
}
