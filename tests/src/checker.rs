//! The judge: reads a history and says which invariants it breaks. Every fault test uses this one.
//!
//! The numbers are those of the reliability contract: I1 one terminal state per operation, I2 accepted means journalled,
//! I3 revisions rise, I4 one operation at work per stack, I5 no step after the end was confirmed, I6 no doubled or
//! orphaned container, I7 it converges, I8 success means the host said so, I12 what was granted is still there.

use std::collections::{BTreeMap, BTreeSet};

pub use self::acts::unasked;
use crate::history::{Container, Event, What};

mod acts;

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
    /// Faults.
    pub faults: usize,
}

/// Judges.
pub fn judge(events: &[Event]) -> Verdict {
    let mut out = Verdict::default();
    deployments(events, &mut out);
    journals(events, &mut out);
    ends(events, &mut out);
    acts::acts(events, &mut out);
    out.faults = events
        .iter()
        .filter(|event| event.who == "world" && matches!(event.what, What::Fault { .. }))
        .count();
    out
}

/// I1, I2, I8, I12 by what the controller has on disk.
fn deployments(events: &[Event], out: &mut Verdict) {
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

/// I3, I4, I5 by what the hosts have on disk.
fn journals(events: &[Event], out: &mut Verdict) {
    // Per host and stack: the newest revision, and the operation at work.
    let mut newest: BTreeMap<(&str, &str), (u64, &str)> = BTreeMap::new();
    let mut over: BTreeSet<(&str, &str)> = BTreeSet::new();
    for event in events {
        let (at, who) = (event.at_ms, event.who.as_str());
        match &event.what {
            What::Journal {
                stack,
                rev,
                op,
                state,
            } => {
                let place = newest.entry((who, stack)).or_insert((*rev, op));
                if *rev < place.0 {
                    out.broken.push(format!(
                        "I3 at {at}: {who} went from revision {} of {stack} to {rev}",
                        place.0
                    ));
                }
                if *rev == place.0 && op != place.1 {
                    out.broken.push(format!(
                        "I3 at {at}: {who} has two operations of revision {rev} of {stack}"
                    ));
                }
                *place = (*rev, op);
                if is_final(state) {
                    over.insert((who, op));
                }
            }
            What::Step {
                stack,
                op,
                text,
                done,
                ..
            } => {
                if over.contains(&(who, op.as_str())) && !done {
                    out.broken.push(format!(
                        "I5 at {at}: {who} begins \"{text}\" of {op}, which is over"
                    ));
                }
                if let Some((rev, at_work)) = newest.get(&(who, stack.as_str()))
                    && at_work != op
                    && !done
                    && started(events, event, who, stack, at_work)
                {
                    out.broken.push(format!(
                        "I4 at {at}: {who} begins \"{text}\" of {op} while {at_work} (revision {rev}) is at work"
                    ));
                }
            }
            _ => {}
        }
    }
}

/// Whether a step of `op` came before `until`.
fn started(events: &[Event], until: &Event, who: &str, stack: &str, op: &str) -> bool {
    events
        .iter()
        .take_while(|event| !std::ptr::eq(*event, until))
        .any(|event| {
            event.who == who
                && matches!(&event.what, What::Step { stack: its, op: of, .. } if its == stack && of == op)
        })
}

/// I6 and I7 by what runs in the end.
fn ends(events: &[Event], out: &mut Verdict) {
    let quiet = events
        .iter()
        .find(|event| event.what == What::Quiet)
        .map(|event| event.at_ms);
    let end = events.iter().find(|event| event.what == What::End);
    match (quiet, end) {
        (Some(quiet), Some(end)) if end.at_ms - quiet <= CONVERGED_MS + 1_000 => {}
        (Some(quiet), Some(end)) => out.broken.push(format!(
            "I7: it took {} ms from the last fault until everything had ended",
            end.at_ms - quiet
        )),
        _ => out.broken.push("I7: the run has no end".to_owned()),
    }
    for event in events {
        let What::Runs { containers } = &event.what else {
            continue;
        };
        doubled(&event.who, containers, out);
    }
    for event in events {
        let What::Ended {
            deployment,
            stack,
            agent,
            state,
            newest: true,
            services,
            ..
        } = &event.what
        else {
            continue;
        };
        if state != "succeeded" {
            continue;
        }
        let Some(runs) = events.iter().find_map(|one| match &one.what {
            What::Runs { containers } if one.who == *agent => Some(containers),
            _ => None,
        }) else {
            out.broken.push(format!("I7: nobody knows what {agent} runs"));
            continue;
        };
        let wanted: BTreeSet<String> = services
            .iter()
            .map(|service| format!("{stack}-{service}-1"))
            .collect();
        let found: BTreeSet<String> = runs
            .iter()
            .filter(|one| one.project == *stack && one.running)
            .map(|one| one.name.clone())
            .collect();
        if wanted != found {
            out.broken.push(format!(
                "I7: {deployment} ({stack} on {agent}) is succeeded with {wanted:?}, but {found:?} runs"
            ));
        }
        let idle: Vec<&str> = runs
            .iter()
            .filter(|one| one.project == *stack && !one.running)
            .map(|one| one.name.as_str())
            .collect();
        if !idle.is_empty() {
            out.broken
                .push(format!("I6: {stack} on {agent} left {idle:?} behind"));
        }
    }
}

fn doubled(who: &str, containers: &[Container], out: &mut Verdict) {
    let mut seen = BTreeSet::new();
    for one in containers.iter().filter(|one| one.running) {
        if !seen.insert((&one.project, &one.service)) {
            out.broken
                .push(format!("I6: {who} runs {} of {} twice", one.service, one.project));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(op: &str, state: &str) -> What {
        What::Stored {
            deployment: format!("dep-{op}"),
            stack: "web".into(),
            agent: "agt".into(),
            rev: 1,
            op: op.into(),
            state: state.into(),
        }
    }

    fn journal(op: &str, rev: u64, state: &str) -> What {
        What::Journal {
            stack: "web".into(),
            rev,
            op: op.into(),
            state: state.into(),
        }
    }

    fn step(op: &str) -> What {
        What::Step {
            stack: "web".into(),
            op: op.into(),
            n: "0".into(),
            text: "create container".into(),
            done: false,
        }
    }

    fn granted(op: &str) -> What {
        What::Granted {
            request: 1,
            deployments: vec![format!("dep-{op}")],
        }
    }

    fn ended(op: &str, state: &str) -> What {
        What::Ended {
            deployment: format!("dep-{op}"),
            stack: "web".into(),
            agent: "agt".into(),
            rev: 1,
            op: op.into(),
            state: state.into(),
            newest: true,
            services: vec!["web".into()],
        }
    }

    fn runs(names: &[&str]) -> What {
        let containers = names.iter().map(|name| Container {
            name: (*name).to_owned(),
            project: "web".into(),
            service: "web".into(),
            rev: 1,
            running: !name.starts_with("old"),
        });
        What::Runs {
            containers: containers.collect(),
        }
    }

    /// A history in which all is well, with some of it exchanged.
    fn good() -> Vec<(&'static str, What)> {
        vec![
            ("operator", granted("a")),
            ("controller", stored("a", "queued")),
            ("host-1", journal("a", 1, "accepted")),
            ("controller", stored("a", "accepted")),
            ("host-1", step("a")),
            ("host-1", journal("a", 1, "succeeded")),
            ("controller", stored("a", "succeeded")),
            ("world", What::Quiet),
            ("controller", ended("a", "succeeded")),
            ("agt", runs(&["web-web-1"])),
            ("world", What::End),
        ]
    }

    fn check(change: impl FnOnce(&mut Vec<(&'static str, What)>), wanted: &[&str]) {
        let mut history = good();
        change(&mut history);
        let events: Vec<Event> = history
            .into_iter()
            .map(|(who, what)| Event {
                at_ms: 0,
                who: who.to_owned(),
                what,
            })
            .collect();
        let broken = judge(&events).broken;
        let found: Vec<&str> = broken
            .iter()
            .map(|text| text.split([' ', ':']).next().unwrap())
            .collect();
        assert_eq!(found, wanted, "{broken:#?}");
    }

    #[test]
    fn each_invariant_is_noticed_when_it_breaks() {
        check(|_| {}, &[]);
        check(
            |all| all.insert(7, ("controller", stored("a", "failed"))),
            &["I1"],
        );
        check(|all| drop(all.remove(6)), &["I1"]);
        check(|all| drop(all.remove(2)), &["I2"]);
        check(
            |all| all.insert(6, ("host-1", journal("b", 0, "accepted"))),
            &["I3"],
        );
        check(
            |all| all.insert(6, ("host-1", journal("b", 1, "accepted"))),
            &["I3"],
        );
        check(
            |all| {
                all.insert(5, ("host-1", journal("b", 2, "accepted")));
                all.insert(6, ("host-1", step("b")));
                all.insert(7, ("host-1", step("a")));
                all.insert(8, ("host-1", journal("b", 2, "succeeded")));
                all.remove(9);
            },
            &["I8", "I4"],
        );
        check(|all| all.insert(6, ("host-1", step("a"))), &["I5"]);
        check(|all| all[9].1 = runs(&["web-web-1", "web-web-2"]), &["I6", "I7"]);
        check(|all| all[9].1 = runs(&["web-web-1", "old"]), &["I6"]);
        check(|all| all[9].1 = runs(&[]), &["I7"]);
        check(|all| drop(all.remove(9)), &["I7"]);
        check(|all| drop(all.remove(10)), &["I7"]);
        check(|all| all[5].1 = journal("a", 1, "failed"), &["I8"]);
        check(|all| drop(all.remove(8)), &["I12"]);
    }
}
