//! What the hosts have on disk: I1, I3, I4, I5.

use std::collections::{BTreeMap, BTreeSet};

use super::{Verdict, is_final};
use crate::history::{Event, What};

/// I3, I4, I5 by what the hosts have on disk.
pub(super) fn journals(events: &[Event], out: &mut Verdict) {
    // Per host and stack: the newest revision, and the operation at work.
    let mut newest: BTreeMap<(&str, &str), (u64, &str)> = BTreeMap::new();
    let mut over: BTreeSet<(&str, &str)> = BTreeSet::new();
    // Operations that the controller knows to be taken back or replaced.
    let mut withdrawn: BTreeSet<(&str, &str)> = BTreeSet::new();
    let places = places(events);
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
                if over.contains(&(who, op.as_str())) && !is_final(state) {
                    out.broken.push(format!(
                        "I1 at {at}: {who} had ended {op} and takes it to {state} again"
                    ));
                }
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
                if let Some(agent) = places.get(who)
                    && withdrawn.contains(&(agent, op.as_str()))
                    && !done
                {
                    out.broken.push(format!(
                        "I5 at {at}: {who} begins \"{text}\" of {op}, which the controller has confirmed as withdrawn"
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
            What::Stored { agent, op, state, .. }
                if ["superseded", "cancelled"].contains(&state.as_str()) =>
            {
                withdrawn.insert((agent, op));
            }
            _ => {}
        }
    }
}

/// The id of each host.
pub(super) fn places(events: &[Event]) -> BTreeMap<&str, &str> {
    let known = events.iter().filter_map(|event| match &event.what {
        What::Joined { agent } => Some((event.who.as_str(), agent.as_str())),
        _ => None,
    });
    known.collect()
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
