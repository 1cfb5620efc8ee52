//! The engine of a simulated host: answers an assignment with the reports of a host that does it, by a timetable.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use windflow_kit::Random;
use windflow_model::{
    DeploymentEvent, DeploymentId, DeploymentState, Plan, Progress, Rev, StackName, StepId, Steps, Timestamp,
    container::{ContainerList, ContainerState, ContainerSummary, Health},
    plan::{Action, Pin, Reason, ResourceKind, ResourceRef, Step},
    progress::StepState,
};
use windflow_protocol::{Assignment, Held, Report};

/// What a host tells next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// Into the outbox.
    Report(Report),
    /// Live.
    Progress(DeploymentId, Progress),
}

#[derive(Debug)]
enum Due {
    Event(DeploymentEvent),
    Progress(Progress),
}

/// One revision on its way.
#[derive(Debug)]
struct Work {
    deployment: DeploymentId,
    stack: StackName,
    began: Duration,
    steps: Steps,
    due: VecDeque<(Duration, Due)>,
}

/// The engine and the journal of one host, in memory.
#[derive(Debug, Default)]
pub(crate) struct Target {
    held: BTreeMap<StackName, Held>,
    work: Vec<Work>,
    seq: u64,
}

impl Target {
    /// What the journal holds.
    pub(crate) fn held(&self) -> Vec<Held> {
        self.held.values().cloned().collect()
    }

    /// Takes an assignment in: nothing if it is held already. It takes `apply`, up to half longer or shorter.
    pub(crate) fn assign(
        &mut self,
        assignment: &Assignment,
        apply: Duration,
        random: &Random,
        now: Duration,
        at: Timestamp,
    ) -> Vec<Told> {
        let name = &assignment.name;
        if self.held.get(name).is_some_and(|held| held.rev >= assignment.rev) {
            return Vec::new();
        }
        let span = u64::try_from(apply.as_micros()).unwrap_or(u64::MAX);
        let took = Duration::from_micros(span / 2 + random.up_to(span));
        let gone = assignment.want.is_absent();
        let plan = plan(name, gone);
        let mut steps = Steps::default();
        steps.fold(&Progress::Planned { plan: plan.clone() });
        let total = u32::try_from(plan.steps.len()).unwrap_or(u32::MAX);
        // A quarter to prepare, half to carry out, a quarter to watch.
        let part = |share: f64| took.mul_f64(share);
        let mut due = VecDeque::new();
        due.push_back((part(0.0), Due::Event(DeploymentEvent::Preparing)));
        due.push_back((part(0.2), Due::Progress(Progress::Planned { plan: plan.clone() })));
        let apply = |done| Due::Event(DeploymentEvent::Applying { done, total });
        due.push_back((part(0.25), apply(0)));
        for (done, step) in (1..).zip(&plan.steps) {
            let share = 0.25 + 0.5 * f64::from(done) / f64::from(total.max(1));
            let (step, failure) = (step.id, None);
            due.push_back((part(share - 0.1), Due::Progress(Progress::Started { step, at })));
            let state = StepState::Done;
            due.push_back((
                part(share),
                Due::Progress(Progress::Ended {
                    step,
                    state,
                    at,
                    failure,
                }),
            ));
            due.push_back((part(share), apply(done)));
        }
        due.push_back((part(0.75), Due::Event(DeploymentEvent::Verifying)));
        due.push_back((part(1.0), Due::Event(DeploymentEvent::Succeeded)));
        self.work.retain(|work| work.stack != *name);
        self.held.insert(
            name.clone(),
            Held {
                stack: name.clone(),
                owner: Some(assignment.stack),
                deployment: Some(assignment.deployment),
                rev: assignment.rev,
                op: assignment.op,
                want: assignment.want,
                digest: assignment.digest,
                state: DeploymentState::Accepted,
            },
        );
        self.work.push(Work {
            deployment: assignment.deployment,
            stack: name.clone(),
            began: now,
            steps,
            due,
        });
        self.report(name, DeploymentEvent::Accepted, None, at)
            .into_iter()
            .collect()
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let next = |work: &Work| work.due.front().map(|(after, _)| work.began + *after);
        self.work.iter().filter_map(next).min()
    }

    /// What has become due.
    pub(crate) fn tick(&mut self, now: Duration, at: Timestamp) -> Vec<Told> {
        let mut told = Vec::new();
        let mut work = std::mem::take(&mut self.work);
        for one in &mut work {
            while let Some((_, due)) = one.due.pop_front_if(|(after, _)| one.began + *after <= now) {
                match due {
                    Due::Event(event) => {
                        // As the engine's outbox: progress within a phase goes without the tree.
                        let whole = !matches!(event, DeploymentEvent::Applying { done: 1.., .. });
                        let steps = whole.then(|| one.steps.clone());
                        told.extend(self.report(&one.stack, event, steps, at));
                    }
                    Due::Progress(progress) => {
                        one.steps.fold(&progress);
                        told.push(Told::Progress(one.deployment, progress));
                    }
                }
            }
        }
        work.retain(|one| !one.due.is_empty());
        self.work = work;
        told
    }

    fn report(
        &mut self,
        stack: &StackName,
        event: DeploymentEvent,
        steps: Option<Steps>,
        at: Timestamp,
    ) -> Option<Told> {
        let held = self.held.get_mut(stack)?;
        if let Ok(state) = held.state.next(&event) {
            held.state = state;
        }
        self.seq += 1;
        Some(Told::Report(Report {
            seq: self.seq,
            deployment: held.deployment,
            stack: held.stack.clone(),
            rev: held.rev,
            op: held.op,
            event,
            steps,
            at,
        }))
    }

    /// The containers that run: `own` that no stack made, and one for each stack that is there.
    pub(crate) fn containers(&self, own: usize, at: Timestamp) -> ContainerList {
        let there = |held: &&Held| !held.want.is_absent() && held.state == DeploymentState::Succeeded;
        let own = (0..own).map(|number| container(&format!("own-{number}"), None, at));
        let of_stacks = self.held.values().filter(there);
        let of_stacks = of_stacks.map(|held| container(held.stack.as_str(), Some(held.rev), at));
        ContainerList {
            containers: own.chain(of_stacks).collect(),
        }
    }
}

fn container(name: &str, rev: Option<Rev>, at: Timestamp) -> ContainerSummary {
    ContainerSummary {
        id: format!("{:0>64}", name.len()),
        name: format!("{name}-web-1"),
        project: Some(name.to_owned()),
        service: Some("web".to_owned()),
        rev,
        image: "registry.example/web:1".to_owned(),
        state: ContainerState::Running,
        health: Health::None,
        exit_code: None,
        status: "Up 3 minutes".to_owned(),
        ports: Vec::new(),
        created_at: at,
    }
}

/// A network, an image and a container, or their end.
fn plan(name: &StackName, gone: bool) -> Plan {
    let step = |id, kind, action, thing: String| Step {
        id: StepId(id),
        resource: ResourceRef { kind, name: thing },
        action,
        service: (kind == ResourceKind::Container).then(|| "web".to_owned()),
        reason: Reason {
            text: "service is new".to_owned(),
            ..Reason::default()
        },
        after: if id > 1 { vec![StepId(id - 1)] } else { Vec::new() },
    };
    use {Action as A, ResourceKind as K};
    let (network, container) = (format!("{name}_default"), format!("{name}-web-1"));
    let steps = if gone {
        vec![
            step(1, K::Container, A::Stop, container.clone()),
            step(2, K::Container, A::Remove, container),
            step(3, K::Network, A::Remove, network),
        ]
    } else {
        vec![
            step(1, K::Image, A::Keep, "registry.example/web:1".to_owned()),
            step(2, K::Network, A::Create, network),
            step(3, K::Container, A::Create, container.clone()),
            step(4, K::Container, A::Start, container),
        ]
    };
    Plan {
        stack: name.clone(),
        steps,
        warnings: Vec::new(),
        resources: Vec::new(),
        interruptions: Vec::new(),
        pin: Pin::default(),
    }
}

#[cfg(test)]
mod tests {
    use windflow_kit::Clock;
    use windflow_model::{OpId, StackId, StackSpec, Want};

    use super::*;

    fn assignment(rev: u64, want: Want) -> Assignment {
        let id = || Random::system().uuid_v7(&Clock::system()).unwrap();
        Assignment {
            deployment: DeploymentId::from_uuid(id()),
            stack: StackId::from_uuid(id()),
            name: "web".parse().unwrap(),
            rev: Rev(rev),
            op: OpId::from_uuid(id()),
            want,
            digest: StackSpec::default().digest(),
            spec: StackSpec::default(),
            pin: None,
        }
    }

    #[test]
    fn every_report_is_a_legal_move_and_the_last_one_a_success() {
        let (mut target, random, at) = (Target::default(), Random::seeded(1), Timestamp::from_millis(5));
        for (rev, want, there) in [(1, Want::Present, 3), (2, Want::Absent, 2)] {
            let one = assignment(rev, want);
            let apply = Duration::from_secs(2);
            let mut told = target.assign(&one, apply, &random, Duration::ZERO, at);
            assert_eq!(target.assign(&one, apply, &random, Duration::ZERO, at), []);
            let mut now = Duration::ZERO;
            while let Some(next) = target.deadline() {
                assert!(next >= now && next <= Duration::from_secs(3), "{next:?}");
                now = next;
                told.extend(target.tick(now, at));
            }
            let mut state = DeploymentState::Offered;
            let mut seqs = Vec::new();
            for one in &told {
                if let Told::Report(report) = one {
                    state = state.next(&report.event).unwrap();
                    seqs.push(report.seq);
                }
            }
            assert_eq!(state, DeploymentState::Succeeded);
            assert!(seqs.is_sorted_by(|one, other| one < other), "{seqs:?}");
            let Some(Told::Report(last)) = told.last() else {
                panic!()
            };
            let steps = last.steps.as_ref().unwrap();
            assert!(steps.steps.iter().all(|step| step.state == StepState::Done));
            assert_eq!(target.containers(2, at).containers.len(), there);
        }
        assert_eq!(target.held()[0].rev, Rev(2));
    }
}
