use uuid::Uuid;

use super::*;
use crate::{code::Code, code::Failure, deployment::DeploymentState as D};

fn rollout(state: RolloutState) -> Rollout {
    let uuid = Uuid::from_u128(1);
    Rollout {
        id: RolloutId::from_uuid(uuid),
        stack: StackId::from_uuid(uuid),
        stack_name: "web".parse().unwrap(),
        rev: Rev(2),
        op: OpId::from_uuid(uuid),
        targets: Targets::default(),
        plan: RolloutPlan {
            gate_s: 10,
            max_failures: Amount::Percent(20),
            pause: Pause::Time { seconds: 30 },
            ..RolloutPlan::default()
        },
        waves: vec![1, 4, 5],
        wave_at: Vec::new(),
        started: 5,
        state,
        state_at: Timestamp::from_millis(0),
        overtaken: 1,
        reverts: Vec::new(),
        sealed: None,
        created_at: Timestamp::from_millis(0),
        created_by: Person {
            user: UserId::from_uuid(uuid),
            name: "ada".into(),
        },
    }
}

#[test]
fn places_in_the_order() {
    let one = rollout(RolloutState::Running { wave: 3 });
    let waves: Vec<_> = (0..10).map(|index| one.wave_of(index)).collect();
    assert_eq!(waves, [1, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
    assert_eq!((one.end_of(1), one.end_of(2), one.total()), (1, 5, 10));
    assert_eq!((one.due(), one.failure_limit()), (5..10, 2));
    assert!(rollout(RolloutState::Running { wave: 2 }).due().is_empty());
    assert!(
        rollout(RolloutState::Gate { wave: 3, since: None })
            .due()
            .is_empty()
    );
}

#[test]
fn somebody_is_meant_if_any_of_the_three_names_one() {
    assert!(Targets::default().is_empty());
    let uuid = Uuid::from_u128(1);
    let selector = Targets {
        selector: Some("role=web".parse().unwrap()),
        ..Targets::default()
    };
    let group = Targets {
        group: Some(GroupId::from_uuid(uuid)),
        ..Targets::default()
    };
    let agents = Targets {
        agents: vec![AgentId::from_uuid(uuid)],
        ..Targets::default()
    };
    for targets in [selector, group, agents] {
        assert!(!targets.is_empty(), "{targets:?}");
    }
}

/// What happens next, by what is seen.
#[test]
fn judgements() {
    use RolloutEvent as E;
    use RolloutState as S;
    let now = Timestamp::from_millis(100_000);
    let ago = |seconds: i64| Timestamp::from_millis(100_000 - seconds * 1_000);
    let gate = |wave, since| S::Gate { wave, since };
    let paused = |why, until| S::Paused { wave: 2, why, until };
    let person = || PauseCause::Person {
        by: rollout(S::Pending).created_by,
    };
    let of = |failed, superseded, succeeded| Summary {
        total: 10,
        failed,
        superseded,
        succeeded,
        ..Summary::default()
    };
    let seen = |all: Summary, settled, well| Sight {
        all,
        wave: all,
        settled,
        well,
        ..Sight::default()
    };
    let good = || seen(of(0, 1, 9), true, true);
    let lost = Sight {
        lost: 2,
        ..seen(of(1, 0, 1), false, true)
    };
    let bad = || seen(of(3, 0, 1), false, true);
    let why = EndReason::Failures { failed: 3, limit: 2 };
    let stop = Some(E::Stop { why: why.clone() });
    let between = |until| paused(PauseCause::Between, until);
    let check = |state: S, seen: Sight, expected: Option<E>| {
        let one = rollout(state);
        let event = one.judge(&seen, now);
        assert_eq!(event, expected, "{:?} {seen:?}", one.state);
        if let Some(event) = event {
            assert!(one.state.next(&event, one.wave_count()).is_ok(), "{event:?}");
        }
    };
    check(S::Pending, Sight::default(), Some(E::Begun));
    check(S::Running { wave: 2 }, seen(of(2, 1, 0), false, true), None);
    check(S::Running { wave: 2 }, good(), Some(E::WaveEnded));
    check(
        S::Running { wave: 2 },
        seen(of(0, 2, 0), false, true),
        Some(E::Overtaken { hosts: 2 }),
    );
    for state in [
        S::Running { wave: 2 },
        gate(1, None),
        between(None),
        paused(PauseCause::Unproven, None),
    ] {
        check(state.clone(), bad(), stop.clone());
        check(state, lost, stop.clone());
    }
    check(paused(person(), None), bad(), None);
    check(gate(1, None), good(), Some(E::GateHeld { since: now }));
    check(gate(1, None), seen(of(0, 1, 9), true, false), None);
    check(gate(1, Some(ago(5))), good(), None);
    check(
        gate(1, Some(ago(5))),
        seen(of(0, 1, 9), true, false),
        Some(E::GateBroken),
    );
    let until = Some(Timestamp::from_millis(130_000));
    check(gate(1, Some(ago(10))), good(), Some(E::PassedThenPause { until }));
    check(
        gate(3, Some(ago(10))),
        good(),
        Some(E::Finished { everywhere: false }),
    );
    check(
        gate(3, Some(ago(10))),
        seen(of(0, 0, 10), true, true),
        Some(E::Finished { everywhere: true }),
    );
    check(
        gate(1, Some(ago(99))),
        seen(of(2, 0, 0), true, true),
        Some(E::Unproven),
    );
    check(
        gate(3, None),
        seen(of(2, 0, 0), true, true),
        Some(E::Finished { everywhere: false }),
    );
    check(between(Some(ago(-1))), good(), None);
    check(between(Some(ago(0))), good(), Some(E::Elapsed));
    check(
        between(Some(ago(-1))),
        seen(of(0, 2, 0), true, true),
        Some(E::Overtaken { hosts: 2 }),
    );
    check(between(None), good(), None);
    let back = || S::RollingBack { why: why.clone() };
    check(back(), bad(), None);
    check(back(), Sight { left: 1, ..good() }, Some(E::WentBack { left: 1 }));
    for end in [
        S::Succeeded,
        S::Incomplete,
        S::Stopped { why: why.clone() },
        S::RolledBack { why: why.clone() },
    ] {
        check(end, bad(), None);
    }

    let mut eager = rollout(gate(1, None));
    eager.plan.gate_s = 0;
    eager.plan.pause = Pause::default();
    assert_eq!(eager.judge(&seen(of(0, 0, 3), true, false), now), Some(E::Passed));
    eager.plan.pause = Pause::Manual;
    assert_eq!(
        eager.judge(&good(), now),
        Some(E::PassedThenPause { until: None })
    );
    eager.plan.on_failure = OnFailure::Rollback;
    assert_eq!(eager.judge(&bad(), now), Some(E::Rollback { why }));
}

/// One row per state of the deployment: what the host is when it is there, silent in time, silent too late.
#[test]
fn states_of_hosts() {
    use HostState as H;
    let failure = |code| Failure::new(code, "x");
    let check = |own: D, there, silent, overdue, revert: [HostState; 3]| {
        let facts = |silent, overdue| HostFacts {
            own: Some(&own),
            silent,
            overdue,
            ..HostFacts::default()
        };
        let found = [facts(false, true), facts(true, false), facts(true, true)];
        assert_eq!(
            found.map(|facts| H::of(&facts)),
            [there, silent, overdue],
            "{own:?}"
        );
        let back = |silent, overdue| HostFacts {
            own: Some(&D::Succeeded),
            revert: Some(&own),
            ..facts(silent, overdue)
        };
        let found = [back(false, true), back(true, false), back(true, true)];
        assert_eq!(found.map(|facts| H::of(&facts)), revert, "revert {own:?}");
    };
    let all = |state| [state; 3];
    let way = [H::RollingBack, H::Unknown, H::Unknown];
    check(
        D::Queued,
        H::Waiting,
        H::Waiting,
        H::Unreachable,
        [H::RollingBack, H::RollingBack, H::Unreachable],
    );
    check(D::Offered, H::Running, H::Unknown, H::Unknown, way);
    check(D::Accepted, H::Running, H::Unknown, H::Unknown, way);
    check(D::Verifying, H::Running, H::Unknown, H::Unknown, way);
    check(
        D::Succeeded,
        H::Succeeded,
        H::Succeeded,
        H::Succeeded,
        all(H::RolledBack),
    );
    let failed = D::Failed {
        failure: failure(Code::Unhealthy),
    };
    check(failed, H::Failed, H::Failed, H::Failed, all(H::RollbackFailed));
    let gone = D::Failed {
        failure: failure(Code::AgentRemoved),
    };
    check(gone, H::Removed, H::Removed, H::Removed, all(H::Removed));
    let back = D::RolledBack {
        failure: failure(Code::Unhealthy),
        to: None,
    };
    check(
        back,
        H::RolledBack,
        H::RolledBack,
        H::RolledBack,
        all(H::RollbackFailed),
    );
    check(
        D::Expired,
        H::Unreachable,
        H::Unreachable,
        H::Unreachable,
        all(H::RollbackFailed),
    );
    check(
        D::Superseded { by: Rev(9) },
        H::Superseded,
        H::Superseded,
        H::Superseded,
        all(H::Superseded),
    );
    check(
        D::Cancelled,
        H::Cancelled,
        H::Cancelled,
        H::Cancelled,
        all(H::RollbackFailed),
    );
    let rejected = D::Rejected {
        failure: failure(Code::PolicyRefused),
    };
    check(rejected, H::Failed, H::Failed, H::Failed, all(H::RollbackFailed));
    check(
        D::Diverged { held: Rev(9) },
        H::Failed,
        H::Failed,
        H::Failed,
        all(H::RollbackFailed),
    );

    let of = |facts: HostFacts<'_>| H::of(&facts);
    assert_eq!(of(HostFacts::default()), H::Waiting);
    assert_eq!(
        of(HostFacts {
            over: true,
            ..HostFacts::default()
        }),
        H::Untouched
    );
    let well = HostFacts {
        own: Some(&D::Succeeded),
        ..HostFacts::default()
    };
    assert_eq!(of(HostFacts { unwell: true, ..well }), H::Failed);
    let overtaken = HostFacts {
        overtaken: true,
        ..well
    };
    assert_eq!(of(overtaken), H::Superseded);
    assert_eq!(
        of(HostFacts {
            no_way_back: true,
            ..well
        }),
        H::RollbackFailed
    );
    assert_eq!(
        of(HostFacts {
            skip: Some(Skip::Removed),
            ..well
        }),
        H::Removed
    );
    assert_eq!(
        of(HostFacts {
            skip: Some(Skip::Overtaken),
            ..well
        }),
        H::Superseded
    );
}

#[test]
fn a_summary_adds_up() {
    let states = [
        HostState::Waiting,
        HostState::Unknown,
        HostState::Failed,
        HostState::Failed,
        HostState::RolledBack,
    ];
    let summary: Summary = states.into_iter().collect();
    let parts = summary.parts();
    assert_eq!(
        summary.total,
        parts.iter().map(|(_, _, hosts)| hosts).sum::<u32>()
    );
    assert!(parts.iter().all(|(state, name, hosts)| {
        summary.of(*state) == *hosts && serde_json::to_value(state).unwrap() == *name
    }));
    assert_eq!((summary.failed, summary.failures()), (2, 3));
}
