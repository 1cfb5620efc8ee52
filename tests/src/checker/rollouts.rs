//! Rollouts: none is lost, each ends, its waves come one after the other and not past its limit, and what it says of its
//! hosts is true.

use std::collections::{BTreeMap, BTreeSet};

use super::{Verdict, is_final};
use crate::history::{Event, RolloutHost, What};

/// Phases that are final.
const OVER: [&str; 6] = [
    "succeeded",
    "incomplete",
    "stopped",
    "cancelled",
    "rolled_back",
    "rollback_failed",
];
/// Ends of a deployment after which its host counts as failed.
const FAILED: [&str; 5] = ["failed", "rolled_back", "rollback_failed", "rejected", "diverged"];

/// Where a deployment was seen first, and where with an end.
#[derive(Debug, Default, Clone, Copy)]
struct Life<'a> {
    rev: u64,
    /// Whether a request made it, and not a rollout.
    asked: bool,
    made: Option<(usize, u64)>,
    ended: Option<(usize, &'a str)>,
}

/// I1 and I12 of rollouts, the order of their waves, and their account.
pub(super) fn rollouts(events: &[Event], out: &mut Verdict) {
    let mut lives: BTreeMap<&str, Life<'_>> = BTreeMap::new();
    for (place, event) in events.iter().enumerate() {
        if let What::Granted { deployments, .. } = &event.what {
            for deployment in deployments {
                lives.entry(deployment).or_default().asked = true;
            }
        }
        if let What::Stored {
            deployment,
            rev,
            state,
            ..
        } = &event.what
        {
            let life = lives.entry(deployment).or_default();
            life.rev = *rev;
            life.made.get_or_insert((place, event.at_ms));
            if is_final(state) {
                life.ended.get_or_insert((place, state));
            }
        }
    }
    // With a wrong clock of its own a controller may find a wave overdue at any time.
    let clock = "the clock of controller is";
    let timely = !events
        .iter()
        .any(|event| matches!(&event.what, What::Fault { text } if text.starts_with(clock)));
    let mut there = BTreeSet::new();
    for event in events {
        let What::RolloutEnded {
            rollout,
            rev,
            phase,
            limit,
            deadline_ms,
            summary,
            hosts,
        } = &event.what
        else {
            continue;
        };
        there.insert(rollout.as_str());
        *out.rollouts.entry(phase.clone()).or_default() += 1;
        if !OVER.contains(&phase.as_str()) {
            out.broken
                .push(format!("I1: rollout {rollout} has no end, it is {phase}"));
        }
        let mut broken = account(phase, summary, hosts, &lives);
        let patience_ms = if timely { *deadline_ms / 3 * 2 } else { 0 };
        broken.extend(order(hosts, &lives, *rev, *limit, patience_ms));
        out.broken.extend(
            broken
                .into_iter()
                .map(|text| format!("rollout {rollout}: {text}")),
        );
    }
    for event in events {
        if let What::RolloutMade { rollout, .. } = &event.what
            && !there.contains(rollout.as_str())
            && !there.is_empty()
        {
            out.broken.push(format!(
                "I12: rollout {rollout} was granted and is not there in the end"
            ));
        }
    }
}

/// What it says of its hosts, beside what became of their deployments.
fn account(
    phase: &str,
    summary: &BTreeMap<String, u32>,
    hosts: &[RolloutHost],
    lives: &BTreeMap<&str, Life<'_>>,
) -> Vec<String> {
    let mut broken = Vec::new();
    let mut counted: BTreeMap<String, u32> = BTreeMap::new();
    for host in hosts {
        *counted.entry(host.state.clone()).or_default() += 1;
        let life = host.deployment.as_deref().and_then(|one| lives.get(one));
        let end = life.and_then(|life| life.ended).map(|(_, state)| state);
        if host.state == "succeeded" && end != Some("succeeded") {
            broken.push(format!(
                "I8: {} counts as succeeded, its deployment is {end:?}",
                host.agent
            ));
        }
        if phase == "succeeded" && host.state != "succeeded" {
            broken.push(format!("succeeded, and {} is {}", host.agent, host.state));
        }
    }
    if counted != *summary {
        broken.push(format!("it sums up {summary:?}, its hosts are {counted:?}"));
    }
    broken
}

/// No host of a later wave is told while one of an earlier wave is at work and in its time, nor after more hosts failed
/// than are tolerated. Their time is that of the wave, which may have begun a little before they were told: hence less
/// patience than the plan has.
fn order(
    hosts: &[RolloutHost],
    lives: &BTreeMap<&str, Life<'_>>,
    rev: u64,
    limit: u32,
    patience_ms: u64,
) -> Vec<String> {
    // Of a host that was taken back, the deployment that did that is named: it is another revision's. One that somebody
    // asked for was there when the host's turn came.
    let own = |host: &RolloutHost| {
        let named = host.deployment.as_deref().and_then(|one| lives.get(one));
        named.copied().filter(|life| life.rev == rev && !life.asked)
    };
    let mut broken = Vec::new();
    for host in hosts {
        let Some((told, told_ms)) = own(host).and_then(|life| life.made) else {
            continue;
        };
        let (mut failed, mut at_work) = (0, None);
        for earlier in hosts.iter().filter(|earlier| earlier.wave < host.wave) {
            let Some(life) = own(earlier) else { continue };
            let Some((_, made_ms)) = life.made else { continue };
            match life.ended {
                Some((ended, state)) if ended < told => failed += u32::from(FAILED.contains(&state)),
                _ if told_ms >= made_ms + patience_ms => {}
                _ => at_work = Some(&earlier.agent),
            }
        }
        if let Some(earlier) = at_work {
            broken.push(format!(
                "wave {} reached {} while {earlier} of an earlier wave was at work",
                host.wave, host.agent
            ));
        }
        if failed > limit {
            broken.push(format!(
                "wave {} reached {} after {failed} hosts had failed, {limit} are tolerated",
                host.wave, host.agent
            ));
        }
    }
    broken
}
