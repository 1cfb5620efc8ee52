//! What the controller has on disk: I1, I2, I8, I9, I11, I12.

use std::collections::{BTreeMap, BTreeSet};

use super::{Verdict, is_final};
use crate::history::{Event, What};

/// I1, I2, I8, I12 by what the controller has on disk.
pub(super) fn deployments(events: &[Event], out: &mut Verdict) {
    let mut ended: BTreeMap<&str, &str> = BTreeMap::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    // What each host has journalled so far: operation and state.
    let mut journalled: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut granted = Vec::new();
    for event in events {
        let at = event.at_ms;
        match &event.what {
            What::Journal { op, state, .. } | What::Told { op, state, .. } => {
                journalled.entry(op).or_default().insert(state);
            }
            What::Stored {
                deployment,
                op,
                state,
                ..
            } => {
                known.insert(deployment);
                if let Some(before) = ended.get(deployment.as_str())
                    && before != state
                {
                    out.broken.push(format!(
                        "I1 at {at}: {deployment} was {before} and became {state}"
                    ));
                }
                if is_final(state) {
                    ended.insert(deployment, state);
                }
                let held = journalled.get(op.as_str());
                let waits = [
                    "queued",
                    "offered",
                    "expired",
                    "cancelled",
                    "superseded",
                    "rejected",
                    "diverged",
                ];
                if !waits.contains(&state.as_str()) && held.is_none() {
                    out.broken.push(format!(
                        "I2 at {at}: {deployment} is {state}, no host has {op} in its journal"
                    ));
                }
                if state == "succeeded" && !held.is_some_and(|held| held.contains("succeeded")) {
                    out.broken.push(format!(
                        "I8 at {at}: {deployment} is succeeded, and no host said so of {op}"
                    ));
                }
            }
            What::Granted { deployments, .. } => granted.extend(deployments),
            _ => {}
        }
    }
    out.granted = granted.len();
    let last: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| match &event.what {
            What::Ended { deployment, .. } => Some(deployment.as_str()),
            _ => None,
        })
        .collect();
    for deployment in granted {
        if !last.contains(deployment.as_str()) {
            out.broken.push(format!(
                "I12: {deployment} was granted and is not there in the end"
            ));
        }
        if !ended.contains_key(deployment.as_str()) {
            out.broken
                .push(format!("I1: {deployment} was granted and has no end"));
        }
    }
}

/// I12: a request that is repeated with its key makes nothing new.
pub(super) fn repeats(events: &[Event], out: &mut Verdict) {
    for event in events {
        let What::Repeated { request, deployments } = &event.what else {
            continue;
        };
        let again = events.iter().find_map(|one| match &one.what {
            What::Granted {
                request: its,
                deployments,
            } if its == request => Some(deployments),
            _ => None,
        });
        if let Some(again) = again
            && again != deployments
        {
            out.broken.push(format!(
                "I12 at {}: request {request} made {deployments:?}, and repeated {again:?}",
                event.at_ms
            ));
        }
    }
}

/// I11: each start of the controller and each session of a host has a number above all before.
pub(super) fn epochs(events: &[Event], out: &mut Verdict) {
    let mut controller = 0;
    let mut sessions: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events {
        let at = event.at_ms;
        match &event.what {
            What::Epoch { epoch } => {
                if *epoch <= controller {
                    out.broken.push(format!(
                        "I11 at {at}: the controller starts with epoch {epoch} after {controller}"
                    ));
                }
                controller = controller.max(*epoch);
            }
            What::Session { agent, epoch } => {
                let last = sessions.insert(agent, *epoch).unwrap_or(0);
                if *epoch <= last {
                    out.broken.push(format!(
                        "I11 at {at}: session {epoch} of {agent} after session {last}"
                    ));
                }
            }
            _ => {}
        }
    }
}

/// I9: the trail has each deployment's way from its making to its end, each step once, and its chain holds.
pub(super) fn audit(events: &[Event], out: &mut Verdict) {
    // How often a state was reached, less how often it was left.
    let mut ways: BTreeMap<&str, BTreeMap<&str, i64>> = BTreeMap::new();
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    let mut checked = false;
    for event in events {
        match &event.what {
            What::Audited { deployment, from, to } => {
                let way = ways.entry(deployment).or_default();
                *way.entry(to).or_default() += 1;
                match from {
                    Some(from) => *way.entry(from).or_default() -= 1,
                    None => *made.entry(deployment).or_default() += 1,
                }
            }
            What::AuditChecked { problems, .. } => {
                checked = true;
                let problems = problems.iter().map(|problem| format!("I9: {problem}"));
                out.broken.extend(problems);
            }
            _ => {}
        }
    }
    if !checked {
        // Nobody looked at the trail: who runs where it can be looked at asks for that.
        return;
    }
    out.audited = true;
    for event in events {
        let What::Ended {
            deployment, state, ..
        } = &event.what
        else {
            continue;
        };
        let times = made.get(deployment.as_str()).copied().unwrap_or(0);
        if times != 1 {
            out.broken.push(format!(
                "I9: the trail has the making of {deployment} {times} times"
            ));
        }
        let way = ways.get(deployment.as_str()).into_iter().flatten();
        let ends: Vec<(&str, i64)> = way
            .map(|(state, left)| (*state, *left))
            .filter(|(_, left)| *left != 0)
            .collect();
        if ends != [(state.as_str(), 1)] {
            out.broken.push(format!(
                "I9: {deployment} is {state}; by the trail it is {ends:?}"
            ));
        }
    }
}
