//! What engines were seen doing (I3, I6), and deployments that nobody was granted (I1).

use std::collections::{BTreeMap, BTreeSet};

use super::Verdict;
use crate::history::{Event, What};

/// I3 and I6 by what an engine did, in the order in which it did it.
pub(super) fn acts(events: &[Event], out: &mut Verdict) {
    // Per host and stack: the newest revision that something was created for.
    let mut newest: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    // Per host, stack and place: the containers that run.
    let mut live: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        let (at, who) = (event.at_ms, event.who.as_str());
        let What::Act {
            action,
            id,
            stack,
            place,
            rev,
        } = &event.what
        else {
            continue;
        };
        let here = live.entry((who, stack, place)).or_default();
        match action.as_str() {
            "create" => {
                let before = newest.entry((who, stack)).or_insert(*rev);
                if *rev < *before {
                    out.broken.push(format!(
                        "I3 at {at}: the engine of {who} creates {place} of revision {rev} of {stack} after revision {before}"
                    ));
                }
                *before = (*before).max(*rev);
            }
            "start" => {
                here.insert(id);
                // The old one may run until its replacement does.
                if here.len() > 2 {
                    out.broken.push(format!(
                        "I6 at {at}: the engine of {who} runs {place} of {stack} {} times",
                        here.len()
                    ));
                }
            }
            _ => {
                here.remove(id.as_str());
            }
        }
    }
}

/// Deployments that are there in the end although no request was granted them. Only for histories in which every
/// request was repeated until its answer came.
#[must_use]
pub fn unasked(events: &[Event]) -> Vec<String> {
    let mut granted = BTreeMap::new();
    let mut broken = Vec::new();
    for event in events {
        let What::Granted { request, deployments } = &event.what else {
            continue;
        };
        for deployment in deployments {
            if let Some(other) = granted.insert(deployment.as_str(), *request) {
                broken.push(format!(
                    "I1: {deployment} was granted to the requests {other} and {request}"
                ));
            }
        }
    }
    broken.extend(events.iter().filter_map(|event| match &event.what {
        What::Ended { deployment, .. } if !granted.contains_key(deployment.as_str()) => {
            Some(format!("I1: {deployment} is there, and nobody was granted it"))
        }
        _ => None,
    }));
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(action: &str, id: &str, rev: u64) -> What {
        What::Act {
            action: action.to_owned(),
            id: id.to_owned(),
            stack: "web".to_owned(),
            place: "db 1".to_owned(),
            rev,
        }
    }

    fn check(all: &[(&str, What)], wanted: &[&str]) {
        let events: Vec<Event> = all
            .iter()
            .map(|(who, what)| Event {
                at_ms: 0,
                who: (*who).to_owned(),
                what: what.clone(),
            })
            .collect();
        let mut out = Verdict::default();
        acts(&events, &mut out);
        out.broken.extend(unasked(&events));
        let found: Vec<&str> = out
            .broken
            .iter()
            .map(|text| text.split([' ', ':']).next().unwrap())
            .collect();
        assert_eq!(found, wanted, "{:#?}", out.broken);
    }

    #[test]
    fn engines_that_do_too_much_are_noticed() {
        let swap = [
            ("a", act("create", "1", 1)),
            ("a", act("start", "1", 1)),
            ("a", act("create", "2", 2)),
            ("a", act("stop", "1", 1)),
            ("a", act("start", "2", 2)),
            ("a", act("remove", "1", 1)),
        ];
        check(&swap, &[]);
        let mut early = swap.clone();
        early.swap(3, 4);
        check(&early, &[]);
        let third = [("a", act("create", "3", 2)), ("a", act("start", "3", 2))];
        let mut third: Vec<_> = early[..4].iter().chain(&third).cloned().collect();
        check(&third, &["I6"]);
        for one in &mut third[..2] {
            one.0 = "b";
        }
        check(&third, &[]);
        let mut back = swap;
        back[2].1 = act("create", "2", 0);
        check(&back, &["I3"]);
    }

    #[test]
    fn deployments_out_of_nowhere_are_noticed() {
        let granted = |request, id: &str| What::Granted {
            request,
            deployments: vec![id.to_owned()],
        };
        let ended = |id: &str| What::Ended {
            deployment: id.to_owned(),
            stack: "web".to_owned(),
            agent: "agt".to_owned(),
            rev: 1,
            op: "a".to_owned(),
            state: "succeeded".to_owned(),
            newest: false,
            services: Vec::new(),
            hopeless: false,
        };
        check(&[("o", granted(1, "a")), ("c", ended("a"))], &[]);
        check(&[("o", granted(1, "a")), ("o", granted(2, "a"))], &["I1"]);
        check(&[("o", granted(1, "a")), ("c", ended("b"))], &["I1"]);
    }
}
