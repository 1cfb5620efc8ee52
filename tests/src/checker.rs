//! The judge: reads a history and says which invariants it breaks. Every fault test uses this one.
//!
//! The numbers are those of the reliability contract: I1 one terminal state per operation, I2 accepted means journalled,
//! I3 revisions rise, I4 one operation at work per stack, I5 no step after the end was confirmed, I6 no doubled or
//! orphaned container, I7 it converges, I8 success means the host said so, I9 the audit trail is whole, I11 numbers
//! of controllers and sessions rise, I12 what was granted is still there. Of rollouts besides: waves in order, within the
//! limit of failures, and a true account.

mod acts;
mod controller;
mod ends;
mod hosts;
mod rollouts;

use std::collections::BTreeMap;

pub use self::acts::unasked;
use crate::history::{Event, What};

/// States that are final.
const FINAL: [&str; 9] = [
    "succeeded",
    "failed",
    "rolled_back",
    "rollback_failed",
    "expired",
    "superseded",
    "cancelled",
    "rejected",
    "diverged",
];
/// Simulated time from the last fault until everything stands as it was asked for, ms.
const CONVERGED_MS: u64 = 60_000;

fn is_final(state: &str) -> bool {
    FINAL.contains(&state)
}

/// What came of a history.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Invariants that are broken, each with its place.
    pub broken: Vec<String>,
    /// Deployments that were granted.
    pub granted: usize,
    /// Rollouts that were granted, by the phase in which they ended.
    pub rollouts: BTreeMap<String, usize>,
    /// Faults.
    pub faults: usize,
    /// Whether the audit trail was looked at.
    pub audited: bool,
}

/// Judges.
pub fn judge(events: &[Event]) -> Verdict {
    let mut out = Verdict::default();
    controller::deployments(events, &mut out);
    controller::repeats(events, &mut out);
    hosts::journals(events, &mut out);
    controller::epochs(events, &mut out);
    controller::audit(events, &mut out);
    ends::ends(events, &mut out);
    acts::acts(events, &mut out);
    rollouts::rollouts(events, &mut out);
    out.faults = events
        .iter()
        .filter(|event| event.who == "world" && matches!(event.what, What::Fault { .. }))
        .count();
    out
}

#[cfg(test)]
mod tests;
