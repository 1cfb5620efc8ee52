//! Engine types and wire types, one into the other.

use windflow_engine::{ApplyOptions, Order, Source};
use windflow_protocol::{Assignment, Held, HeldList, Report};

pub(super) fn order(assignment: Assignment) -> Order {
    Order {
        stack: assignment.name,
        owner: Some(assignment.stack),
        deployment: Some(assignment.deployment),
        rev: assignment.rev,
        op: assignment.op,
        want: assignment.want,
        digest: assignment.digest,
        spec: assignment.spec,
        source: Source::Files,
        options: ApplyOptions {
            pin: assignment.pin,
            ..ApplyOptions::default()
        },
    }
}

pub(super) fn held(stacks: Vec<windflow_engine::Held>) -> HeldList {
    let stacks = stacks.into_iter().map(|held| Held {
        stack: held.stack,
        owner: held.owner,
        deployment: held.deployment,
        rev: held.rev,
        op: held.op,
        want: held.want,
        digest: held.digest,
        state: held.state,
    });
    HeldList {
        stacks: stacks.collect(),
    }
}

pub(super) fn report(report: windflow_engine::Report) -> Report {
    Report {
        seq: report.seq,
        deployment: report.deployment,
        stack: report.stack,
        rev: report.rev,
        op: report.op,
        event: report.event,
        steps: report.steps,
        at: report.at,
    }
}
