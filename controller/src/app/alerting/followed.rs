//! What is followed from event to event, because asking for it anew each time would be too dear: outcomes of deployments and
//! rollouts, deaths of containers, and what rules about events wait for. Bounded; after a gap it is loaded anew.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use windflow_model::{
    AgentId, ContainerAction, Deployment, FleetEvent, FleetEventKind, HostEventKind, Rev, Rollout, RolloutId,
    RolloutState, RuleId, StackId, Timestamp,
    alert::{AlertRule, Condition, Containers, Seen, Subject},
    rollout::PauseCause,
};

use super::observe::{container_subject, fits};

/// Deaths that are remembered of one container, and containers of which any are.
const DEATHS: usize = 100;
const DYING: usize = 20_000;
/// Subjects of one rule about events.
const HAPPENED: usize = 10_000;
/// Nothing is looked back at for longer.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How far back events count for these rules: as long as the longest window of one that counts events.
pub(crate) fn looked_back(rules: &[AlertRule]) -> Duration {
    let windows = rules.iter().map(|rule| match &rule.spec.condition {
        Condition::ContainerRestarts { within_s, .. } => *within_s,
        Condition::Event { hold_s, .. } => *hold_s,
        _ => 0,
    });
    let longest = windows.max().unwrap_or(0);
    Duration::from_secs(u64::from(longest)).min(LONGEST)
}

/// How something ended, or did not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) rev: Option<Rev>,
    pub(crate) seen: Seen,
    pub(crate) words: String,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    names: BTreeMap<StackId, String>,
    deployments: BTreeMap<(StackId, AgentId), (Rev, Outcome)>,
    rollouts: BTreeMap<StackId, (RolloutId, Outcome)>,
    deaths: BTreeMap<Subject, VecDeque<Timestamp>>,
    happened: BTreeMap<RuleId, BTreeMap<Subject, (Timestamp, String)>>,
}

/// What an event leaves to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing.
    Nothing,
    /// The rollout.
    Rollout(RolloutId),
    /// Everything that is loaded: events are missing.
    All,
}

impl Followed {
    /// Takes what is stored. What is remembered of events stays.
    pub(crate) fn load(&mut self, deployments: Vec<Deployment>, rollouts: Vec<Rollout>) {
        self.deployments.clear();
        self.rollouts.clear();
        for one in deployments {
            self.names.insert(one.stack, one.stack_name.to_string());
            self.deployment(one.stack, one.agent, one.rev, one.state.name());
        }
        for one in &rollouts {
            self.rollout(one);
        }
    }

    /// Stacks whose names are not known.
    pub(crate) fn nameless(&self) -> Vec<StackId> {
        let stacks = self
            .deployments
            .keys()
            .map(|(stack, _)| *stack)
            .chain(self.rollouts.keys().copied());
        let mut stacks: Vec<_> = stacks.filter(|stack| !self.names.contains_key(stack)).collect();
        stacks.dedup();
        stacks
    }

    pub(crate) fn name(&mut self, stack: StackId, name: String) {
        self.names.insert(stack, name);
    }

    /// Takes an event.
    pub(crate) fn take(&mut self, event: &FleetEvent, rules: &[AlertRule]) -> Wanted {
        match &event.kind {
            FleetEventKind::DeploymentChanged {
                stack,
                agent,
                rev,
                state,
                ..
            } => self.deployment(*stack, *agent, *rev, state),
            FleetEventKind::AgentRemoved { agent } => {
                self.deployments.retain(|(_, one), _| one != agent);
                self.deaths.retain(|subject, _| subject.agent != Some(*agent));
            }
            FleetEventKind::StackDeleted { stack } => {
                self.deployments.retain(|(one, _), _| one != stack);
                self.rollouts.remove(stack);
            }
            // A host whose clock goes ahead would otherwise die tomorrow.
            FleetEventKind::Host {
                agent,
                event: on_host,
                ..
            } => self.died(*agent, on_host.at.min(event.at), &on_host.kind),
            _ => {}
        }
        self.happens(event, rules);
        if let FleetEventKind::StackDeleted { stack } = &event.kind {
            self.names.remove(stack);
        }
        match &event.kind {
            FleetEventKind::RolloutChanged { rollout, .. } => Wanted::Rollout(*rollout),
            FleetEventKind::Gap { .. } => Wanted::All,
            _ => Wanted::Nothing,
        }
    }

    fn deployment(&mut self, stack: StackId, agent: AgentId, rev: Rev, state: &str) {
        let known = self.deployments.get(&(stack, agent));
        if known.is_some_and(|(known, _)| *known > rev) {
            return;
        }
        let (seen, words) = match state {
            "succeeded" => (Seen::Clear, "succeeded"),
            "failed" => (Seen::Holds, "failed"),
            "rolled_back" => (Seen::Holds, "failed and was rolled back"),
            "rollback_failed" => (Seen::Holds, "failed, and so did the way back"),
            "rejected" => (Seen::Holds, "was rejected by the host"),
            "expired" => (Seen::Holds, "did not reach the host in time"),
            "diverged" => (Seen::Holds, "came to an end that is not known"),
            // Under way or taken back: what was wrong before may still be.
            _ => (Seen::Unknown, "is under way"),
        };
        let outcome = Outcome {
            rev: Some(rev),
            seen,
            words: words.to_owned(),
        };
        self.deployments.insert((stack, agent), (rev, outcome));
    }

    /// Takes a rollout as it is.
    pub(crate) fn rollout(&mut self, rollout: &Rollout) {
        let known = self.rollouts.get(&rollout.stack);
        if known.is_some_and(|(known, _)| *known > rollout.id) {
            return;
        }
        let (seen, words) = match &rollout.state {
            RolloutState::Succeeded => (Seen::Clear, "succeeded".to_owned()),
            RolloutState::Incomplete => (Seen::Holds, "ended, and not every host has it".to_owned()),
            RolloutState::Stopped { .. } => (Seen::Holds, "was stopped: too many hosts failed".to_owned()),
            RolloutState::RollingBack { .. } => (Seen::Holds, "failed and goes back".to_owned()),
            RolloutState::RolledBack { .. } => (Seen::Holds, "failed and went back".to_owned()),
            RolloutState::RollbackFailed { hosts, .. } => {
                (Seen::Holds, format!("failed, and {hosts} hosts did not get back"))
            }
            RolloutState::Paused {
                why: PauseCause::Unproven,
                ..
            } => (
                Seen::Holds,
                "waits: no host of its wave came up with it".to_owned(),
            ),
            RolloutState::Paused {
                why: PauseCause::Overtaken { hosts },
                ..
            } => (
                Seen::Holds,
                format!("waits: {hosts} hosts were deployed to past it"),
            ),
            // A person ended it: they know.
            RolloutState::Cancelled { .. } => (Seen::Clear, "was cancelled".to_owned()),
            _ => (Seen::Unknown, "is under way".to_owned()),
        };
        self.names.insert(rollout.stack, rollout.stack_name.to_string());
        let outcome = Outcome {
            rev: Some(rollout.rev),
            seen,
            words,
        };
        self.rollouts.insert(rollout.stack, (rollout.id, outcome));
    }

    fn died(&mut self, agent: AgentId, at: Timestamp, kind: &HostEventKind) {
        let HostEventKind::Container {
            action, container, ..
        } = kind
        else {
            return;
        };
        let subject = || {
            container_subject(
                agent,
                &container.name,
                container.stack.as_deref(),
                container.service.as_deref(),
            )
        };
        match action {
            ContainerAction::Died if self.deaths.len() < DYING || self.deaths.contains_key(&subject()) => {
                let times = self.deaths.entry(subject()).or_default();
                if times.len() >= DEATHS {
                    times.pop_front();
                }
                times.push_back(at);
            }
            ContainerAction::Removed => {
                self.deaths.remove(&subject());
            }
            _ => {}
        }
    }

    fn happens(&mut self, event: &FleetEvent, rules: &[AlertRule]) {
        let name = event.kind.name();
        for rule in rules {
            let Condition::Event {
                kinds, containers, ..
            } = &rule.spec.condition
            else {
                continue;
            };
            let wanted = |kind: &String| {
                name == kind
                    || name
                        .strip_prefix(kind.as_str())
                        .is_some_and(|rest| rest.starts_with('.'))
            };
            if !kinds.iter().any(wanted) {
                continue;
            }
            let subject = subject_of(&event.kind, &self.names);
            if *containers != Containers::default() && !fits(containers, &subject) {
                continue;
            }
            let of_rule = self.happened.entry(rule.id).or_default();
            if of_rule.len() < HAPPENED || of_rule.contains_key(&subject) {
                let at = match &event.kind {
                    FleetEventKind::Host { event: on_host, .. } => on_host.at.min(event.at),
                    _ => event.at,
                };
                of_rule.insert(subject, (at, format!("{name} at {at}")));
            }
        }
    }

    /// Forgets what is over: rules that are gone, deaths and events of long ago.
    pub(crate) fn prune(&mut self, rules: &[AlertRule], now: Timestamp) {
        self.happened
            .retain(|id, _| rules.iter().any(|rule| rule.id == *id));
        for happened in self.happened.values_mut() {
            happened.retain(|_, (at, _)| now.since(*at) < LONGEST);
        }
        self.deaths.retain(|_, times| {
            while times.front().is_some_and(|at| now.since(*at) >= LONGEST) {
                times.pop_front();
            }
            !times.is_empty()
        });
    }

    /// How often each container has ended lately.
    pub(crate) fn deaths(
        &self,
        now: Timestamp,
        within: Duration,
    ) -> impl Iterator<Item = (Subject, usize)> + '_ {
        self.deaths.iter().map(move |(subject, times)| {
            let lately = times.iter().filter(|at| now.since(**at) < within);
            (subject.clone(), lately.count())
        })
    }

    /// The newest outcome of each stack on each host.
    pub(crate) fn deployments(&self) -> impl Iterator<Item = (Subject, &Outcome)> {
        self.deployments.iter().map(|((stack, agent), (_, outcome))| {
            let subject = Subject {
                agent: Some(*agent),
                ..self.of_stack(*stack)
            };
            (subject, outcome)
        })
    }

    /// The newest outcome of a rollout of each stack.
    pub(crate) fn rollouts(&self) -> impl Iterator<Item = (Subject, &Outcome)> {
        self.rollouts
            .iter()
            .map(|(stack, (_, outcome))| (self.of_stack(*stack), outcome))
    }

    /// What happened of what a rule waits for, and when it did so last.
    pub(crate) fn happened(&self, rule: RuleId) -> impl Iterator<Item = (&Subject, Timestamp, &str)> {
        let happened = self.happened.get(&rule).into_iter().flatten();
        happened.map(|(subject, (at, summary))| (subject, *at, summary.as_str()))
    }

    fn of_stack(&self, stack: StackId) -> Subject {
        Subject {
            stack_id: Some(stack),
            stack: self.names.get(&stack).cloned().unwrap_or_default(),
            ..Subject::default()
        }
    }
}

fn subject_of(kind: &FleetEventKind, names: &BTreeMap<StackId, String>) -> Subject {
    if let FleetEventKind::Host { agent, event, .. } = kind {
        return match &event.kind {
            HostEventKind::Container { container, .. } => container_subject(
                *agent,
                &container.name,
                container.stack.as_deref(),
                container.service.as_deref(),
            ),
            HostEventKind::Image { image: part, .. }
            | HostEventKind::Volume { volume: part, .. }
            | HostEventKind::Network { network: part, .. } => container_subject(*agent, part, None, None),
            _ => container_subject(*agent, "", None, None),
        };
    }
    let stack = kind.stack();
    Subject {
        agent: kind.agent(),
        stack_id: stack,
        stack: stack
            .and_then(|stack| names.get(&stack).cloned())
            .unwrap_or_default(),
        ..Subject::default()
    }
}
