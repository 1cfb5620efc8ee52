//! What is seen of a rule's condition: for each subject, whether it holds, with a sentence. Pure, but for the question about
//! metrics, which the caller has asked.

use std::{collections::BTreeMap, time::Duration};

use windflow_model::{
    AgentId, ContainerState, ContainerSummary, Health, Presence, Timestamp,
    agent::Absence,
    alert::{AlertRule, Condition, Containers, Resolution, Seen, Subject},
};

use super::{
    facts::Facts,
    followed::{Followed, Outcome},
    measured::Measured,
};

/// A start of the controller says nothing of hosts for this long: they are still coming back.
pub(crate) const COMING_BACK: Duration = Duration::from_secs(60);
/// A thing of which nothing is heard counts as gone only if its host has been connected for this long.
const TOLD_BY: Duration = Duration::from_secs(150);
/// Exit codes of a process that was told to end: by itself, by Ctrl-C, killed or terminated by a stop.
const ENDED_IN_ORDER: [i64; 4] = [0, 130, 137, 143];

/// What is seen of one subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sight {
    pub(crate) seen: Seen,
    pub(crate) value: Option<f64>,
    pub(crate) summary: String,
}

/// What is seen of a rule.
pub(crate) type Sights = BTreeMap<Subject, Sight>;

/// Looks. `open` are the subjects of its alerts that are there already.
pub(crate) fn observe(
    rule: &AlertRule,
    facts: &Facts,
    followed: &Followed,
    measured: Option<&Measured>,
) -> Sights {
    let spec = &rule.spec;
    let mut sights = Sights::new();
    match &spec.condition {
        Condition::Metric { .. } | Condition::DiskFull { .. } => {
            if let Some(measured) = measured {
                sights.extend(measured.sights(&spec.condition));
            }
        }
        Condition::HostOffline => {
            let hosts = facts.of(spec.targets.as_ref());
            sights.extend(hosts.filter_map(|host| Some((host_subject(host.id), offline(facts, host.id)?))));
        }
        Condition::EngineSilent => {
            let hosts = facts.of(spec.targets.as_ref());
            sights.extend(hosts.map(|host| (host_subject(host.id), engine(facts, host.id))));
        }
        Condition::ContainerUnhealthy { containers } => {
            containers_of(&mut sights, rule, facts, containers, unhealthy)
        }
        Condition::ContainerDown { containers } => containers_of(&mut sights, rule, facts, containers, down),
        Condition::ContainerRestarts {
            times,
            within_s,
            containers,
        } => {
            let within = Duration::from_secs(u64::from(*within_s));
            for (subject, count) in followed.deaths(facts.now, within) {
                let meant = subject
                    .agent
                    .is_some_and(|agent| facts.meant(spec.targets.as_ref(), agent));
                if meant && fits(containers, &subject) {
                    let summary = format!("ended {count} times within {}", span(within));
                    sights.insert(
                        subject,
                        sight(count >= *times as usize, Some(count as f64), summary),
                    );
                }
            }
        }
        Condition::DeploymentFailed { stack } => {
            for (subject, outcome) in followed.deployments() {
                let meant = subject
                    .agent
                    .is_some_and(|agent| facts.meant(spec.targets.as_ref(), agent));
                if meant && stack.is_none_or(|stack| subject.stack_id == Some(stack)) {
                    sights.insert(subject.clone(), outcome_sight(outcome, "deployment"));
                }
            }
        }
        Condition::RolloutFailed { stack } => {
            for (subject, outcome) in followed.rollouts() {
                if stack.is_none_or(|stack| subject.stack_id == Some(stack)) {
                    sights.insert(subject.clone(), outcome_sight(outcome, "rollout"));
                }
            }
        }
        Condition::CertificateExpiry { within_s } => {
            let within = Duration::from_secs(u64::from(*within_s));
            for host in facts.of(spec.targets.as_ref()) {
                if let Some(until) = facts.certificates.get(&host.id) {
                    sights.insert(host_subject(host.id), expiry(facts.now, *until, within));
                }
            }
            if let (Some(until), None) = (facts.own_certificate, &spec.targets) {
                let part = "controller".to_owned();
                sights.insert(
                    Subject {
                        part,
                        ..Subject::default()
                    },
                    expiry(facts.now, until, within),
                );
            }
        }
        Condition::Event { hold_s, .. } => {
            let hold = Duration::from_secs(u64::from(*hold_s));
            for (subject, at, summary) in followed.happened(rule.id) {
                let meant = subject
                    .agent
                    .is_none_or(|agent| facts.meant(spec.targets.as_ref(), agent));
                if meant {
                    sights.insert(
                        subject.clone(),
                        sight(facts.now.since(at) < hold, None, summary.to_owned()),
                    );
                }
            }
        }
    }
    sights
}

/// What is seen of a subject that nobody speaks of any more, although there is an alert.
pub(crate) fn unseen(rule: &AlertRule, subject: &Subject, facts: &Facts) -> Seen {
    let gone = Seen::Ended(Resolution::Gone);
    if let Some(agent) = subject.agent {
        if !facts.fleet.hosts.contains_key(&agent) {
            return gone;
        }
        if !facts.meant(rule.spec.targets.as_ref(), agent) {
            return Seen::Ended(Resolution::Rule);
        }
    }
    match rule.spec.condition {
        // Followed from what is stored: what is not there is not there.
        Condition::DeploymentFailed { .. } | Condition::RolloutFailed { .. } => gone,
        // Long ago by now, or forgotten in a restart.
        Condition::ContainerRestarts { .. } | Condition::Event { .. } => Seen::Clear,
        Condition::HostOffline | Condition::CertificateExpiry { .. } => Seen::Unknown,
        _ => {
            let told = subject.agent.and_then(|agent| facts.connected(agent));
            match told {
                Some(since) if facts.now.since(since) >= TOLD_BY => gone,
                _ => Seen::Unknown,
            }
        }
    }
}

fn host_subject(agent: AgentId) -> Subject {
    Subject {
        agent: Some(agent),
        ..Subject::default()
    }
}

/// The subject of a container.
pub(super) fn container_subject(
    agent: AgentId,
    name: &str,
    stack: Option<&str>,
    service: Option<&str>,
) -> Subject {
    Subject {
        agent: Some(agent),
        stack: stack.unwrap_or_default().to_owned(),
        service: service.unwrap_or_default().to_owned(),
        part: name.to_owned(),
        ..Subject::default()
    }
}

pub(super) fn fits(containers: &Containers, subject: &Subject) -> bool {
    containers.fits(Some(&subject.stack), Some(&subject.service))
}

fn sight(holds: bool, value: Option<f64>, summary: String) -> Sight {
    Sight {
        seen: if holds { Seen::Holds } else { Seen::Clear },
        value,
        summary,
    }
}

fn unknown() -> Sight {
    Sight {
        seen: Seen::Unknown,
        value: None,
        summary: String::new(),
    }
}

/// `None`: it has never connected, so nobody misses it.
fn offline(facts: &Facts, agent: AgentId) -> Option<Sight> {
    match facts.presences.get(&agent)? {
        Presence::Connected { .. } => Some(sight(false, None, String::new())),
        Presence::Offline {
            cause: Absence::NeverConnected,
            ..
        } => None,
        Presence::Offline {
            cause: Absence::NotSinceStart,
            ..
        } if facts.up() < COMING_BACK => Some(unknown()),
        Presence::Offline { since, reason, .. } => {
            let since = since.map_or_else(String::new, |since| format!(" since {since}"));
            Some(sight(true, None, format!("not connected{since}: {reason}")))
        }
    }
}

fn engine(facts: &Facts, agent: AgentId) -> Sight {
    let Some(Presence::Connected {
        engine: Some(proof), ..
    }) = facts.presences.get(&agent)
    else {
        return unknown();
    };
    match &proof.problem {
        Some(problem) => sight(
            true,
            None,
            format!("the container engine does not answer: {problem}"),
        ),
        None => sight(false, None, String::new()),
    }
}

fn containers_of(
    sights: &mut Sights,
    rule: &AlertRule,
    facts: &Facts,
    wanted: &Containers,
    look: fn(&ContainerSummary) -> Sight,
) {
    for host in facts.of(rule.spec.targets.as_ref()) {
        // What a host said before it went says nothing of now.
        let (Some(_), Some((_, list))) = (facts.connected(host.id), facts.containers.get(&host.id)) else {
            continue;
        };
        let meant = |one: &&ContainerSummary| wanted.fits(one.project.as_deref(), one.service.as_deref());
        sights.extend(list.containers.iter().filter(meant).map(|one| {
            let subject =
                container_subject(host.id, &one.name, one.project.as_deref(), one.service.as_deref());
            (subject, look(one))
        }));
    }
}

fn unhealthy(container: &ContainerSummary) -> Sight {
    let running = matches!(container.state, ContainerState::Running | ContainerState::Paused);
    match container.health {
        // Between two tries nobody can tell.
        Health::Starting if running => unknown(),
        Health::Unhealthy if running => sight(true, None, "the container's health check fails".to_owned()),
        _ => sight(false, None, String::new()),
    }
}

fn down(container: &ContainerSummary) -> Sight {
    match (container.state, container.exit_code) {
        (ContainerState::Exited, Some(code)) if !ENDED_IN_ORDER.contains(&code) => sight(
            true,
            Some(code as f64),
            format!("the container has ended with exit code {code}"),
        ),
        (ContainerState::Restarting, code) => {
            let code = code.map_or_else(String::new, |code| format!(", its exit code was {code}"));
            sight(true, None, format!("the container is being restarted{code}"))
        }
        (ContainerState::Dead, _) => sight(
            true,
            None,
            "the engine can neither run nor remove the container".to_owned(),
        ),
        _ => sight(false, None, String::new()),
    }
}

fn outcome_sight(outcome: &Outcome, what: &str) -> Sight {
    Sight {
        seen: outcome.seen,
        value: None,
        summary: match outcome.rev {
            Some(rev) => format!("the {what} of revision {rev} {}", outcome.words),
            None => format!("the {what} {}", outcome.words),
        },
    }
}

fn expiry(now: Timestamp, until: Timestamp, within: Duration) -> Sight {
    let left = until.since(now);
    let summary = if left.is_zero() {
        format!("the certificate has ended on {until}")
    } else {
        format!("the certificate ends in {}", span(left))
    };
    sight(left < within, Some(left.as_secs_f64()), summary)
}

/// A length of time as people say it, in its largest whole unit or two.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
