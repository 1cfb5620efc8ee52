//! What runs in the end: I6, I7, I8.

use std::collections::BTreeSet;

use super::{CONVERGED_MS, Verdict, hosts::places};
use crate::history::{Container, Event, What};

/// I6 and I7 by what runs in the end.
pub(super) fn ends(events: &[Event], out: &mut Verdict) {
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
        if let What::Ended {
            deployment,
            stack,
            agent,
            op,
            state,
            hopeless: true,
            ..
        } = &event.what
            && state == "succeeded"
            // What is stopped by hand ends as a job does: with 0.
            && stopped(events, agent, stack, Some(op)).is_empty()
        {
            out.broken.push(format!(
                "I8: {deployment} is succeeded with a service that cannot be healthy"
            ));
        }
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
        if state != "succeeded" && state != "rolled_back" {
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
        let stopped = stopped(events, agent, stack, None);
        let found: BTreeSet<String> = runs
            .iter()
            .filter(|one| one.project == *stack && one.running)
            .map(|one| one.name.clone())
            .collect();
        let missing = wanted.difference(&found).any(|name| !stopped.contains(name));
        if missing || !found.is_subset(&wanted) {
            out.broken.push(format!(
                "I7: {deployment} ({stack} on {agent}) is {state} with {wanted:?}, but {found:?} runs"
            ));
        }
        let idle: Vec<&str> = runs
            .iter()
            .filter(|one| one.project == *stack && !one.running)
            .filter(|one| !(wanted.contains(&one.name) && stopped.contains(&one.name)))
            .map(|one| one.name.as_str())
            .collect();
        if !idle.is_empty() {
            out.broken
                .push(format!("I6: {stack} on {agent} left {idle:?} behind"));
        }
    }
}

/// Containers that somebody stopped since an operation was taken, or since the last one that came about was: what somebody
/// stops stays so, until it is deployed again.
fn stopped(events: &[Event], agent: &str, stack: &str, since: Option<&str>) -> BTreeSet<String> {
    let places = places(events);
    let of = |event: &Event| {
        places
            .get(event.who.as_str())
            .is_some_and(|place| *place == agent)
    };
    let journal = |event: &Event, wanted: &str| match &event.what {
        What::Journal {
            stack: of_stack,
            op,
            state,
            ..
        } if of(event) && of_stack == stack && state == wanted => Some(op.clone()),
        _ => None,
    };
    let last = || events.iter().rev().find_map(|event| journal(event, "succeeded"));
    let last = since.map(str::to_owned).or_else(last);
    let since = last.and_then(|op| {
        let mut events = events.iter();
        events.position(|event| journal(event, "accepted").as_ref() == Some(&op))
    });
    let after = events.iter().skip(since.unwrap_or(0));
    let stopped = after.filter_map(|event| match &event.what {
        What::Stopped {
            stack: of_stack,
            container,
        } if of(event) && of_stack == stack => Some(settled(container).to_owned()),
        _ => None,
    });
    stopped.collect()
}

/// The name that a container has in the end: while it replaces another one, it has 12 digits of that one's id before it, and the
/// number of its revision before these if another one has that name already.
fn settled(name: &str) -> &str {
    let without_rev = name.strip_prefix('r').and_then(|rest| rest.split_once('_'));
    let without_rev = without_rev.filter(|(rev, _)| rev.bytes().all(|byte| byte.is_ascii_digit()));
    let temporary = without_rev.map_or(name, |(_, rest)| rest);
    match temporary.split_once('_') {
        Some((id, rest)) if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => name,
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
