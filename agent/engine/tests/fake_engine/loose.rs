//! A revision that breaks off in the middle, for a newer one that then does not work out: the host stands on one
//! revision in the end, with one container for each place.

use std::time::Duration;

use windflow_engine::{CancelOutcome, Order, Target as _, targets::TargetErrorKind};
use windflow_model::{ContainerState, DeploymentState, Rev, Want};

use crate::{
    back::{World, world},
    bench::Bench,
};

const FIRST: &str = "deploy: { update_config: { order: start-first } }";

/// Applies the first of the two, and the second as soon as the first has `running` containers up.
async fn interrupted(bench: &Bench, first: Order, running: usize, second: Order) -> DeploymentState {
    bench.handle.apply(first.clone()).await.unwrap();
    bench
        .until("the first is in the middle", || async {
            let there = bench.containers("web").await;
            let up = |(_, state): &&(String, ContainerState)| *state == ContainerState::Running;
            there.iter().filter(up).count() == running
        })
        .await;
    bench.handle.apply(second.clone()).await.unwrap();
    let state = bench.ended(&second.stack, second.op).await;
    assert_eq!(
        bench.ended(&first.stack, first.op).await,
        DeploymentState::Superseded { by: second.rev }
    );
    state
}

async fn settles(bench: &Bench, expected: &[&str]) {
    bench
        .until("one container for each place, running", || async {
            let there = bench.containers("web").await;
            let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
            names == expected && there.iter().all(|(_, state)| *state == ContainerState::Running)
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_good_to_go_back_to_leaves_one_of_each() {
    let check = async |last: &str| {
        let bench = Bench::start().await;
        let yaml = |image: &str, second: &str| {
            format!(
                "services:\n  a: {{ image: {image}, {FIRST} }}\n  b: {{ image: {second}, depends_on: [a] }}\n"
            )
        };
        let state = bench.run(bench.order("web", 1, &yaml("x", "fake/crash"))).await;
        assert_eq!(state.name(), "failed", "{state:?}");
        // The old a and the new one both run while the new one is waited for.
        let (second, third) = (
            bench.order("web", 2, &yaml("fake/slow", "x")),
            bench.order("web", 3, &yaml(last, "x")),
        );
        let state = interrupted(&bench, second, 2, third).await;
        assert_eq!(state.name(), "failed", "{last}: {state:?}");
        bench
            .until("one a is left", || async {
                let there = bench.containers("web").await;
                let a: Vec<_> = there.iter().filter(|(name, _)| name.contains("-a-")).collect();
                matches!(a.as_slice(), [(name, ContainerState::Running)] if name == "web-a-1")
            })
            .await;
        bench.end().await;
    };
    // In the middle of its own replacement, and before it has touched anything.
    check("fake/unhealthy").await;
    check("fake/unpullable").await;
}

/// A removal replaces a revision in its middle, and is taken back before it has changed anything itself.
#[tokio::test(start_paused = true)]
async fn a_removal_that_is_taken_back_leaves_one_of_each() {
    let bench = Bench::start().await;
    let yaml = |image: &str, second: &str| {
        format!(
            "services:\n  a: {{ image: {image}, {FIRST} }}\n  b: {{ image: {second}, depends_on: [a] }}\n"
        )
    };
    let state = bench.run(bench.order("web", 1, &yaml("x", "fake/crash"))).await;
    assert_eq!(state.name(), "failed", "{state:?}");
    bench
        .handle
        .apply(bench.order("web", 2, &yaml("fake/slow", "x")))
        .await
        .unwrap();
    let a = async || {
        let there = bench.containers("web").await;
        let a = there.into_iter().filter(|(name, _)| name.contains("-a-"));
        a.collect::<Vec<_>>()
    };
    bench
        .until("both a run", || async {
            let running = a().await;
            let up = running
                .iter()
                .filter(|(_, state)| *state == ContainerState::Running);
            up.count() == 2
        })
        .await;
    let mut removal = bench.order("web", 3, &yaml("x", "x"));
    removal.want = Want::Absent;
    bench.handle.apply(removal.clone()).await.unwrap();
    let cancelled = bench.handle.cancel(&removal.stack, removal.rev, removal.op).await;
    assert_eq!(cancelled.unwrap(), CancelOutcome::Cancelled);
    bench
        .until("one a is left", || async {
            matches!(a().await.as_slice(), [(name, ContainerState::Running)] if name == "web-a-1")
        })
        .await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_replaced_revision_made_goes_on_the_way_back() {
    let bench = Bench::start().await;
    let good = "services: { a: { image: x } }";
    bench.deployed("web", 1, good).await;
    let before = world(&bench, "web").await;
    let second = "services: { a: { image: x }, b: { image: x }, c: { image: fake/slow, depends_on: [b] } }\nnetworks: { default: {}, n: {} }";
    let third = "services: { a: { image: x }, b: { image: fake/unhealthy } }";
    let state = interrupted(
        &bench,
        bench.order("web", 2, second),
        2,
        bench.order("web", 3, third),
    )
    .await;
    assert!(
        matches!(state, DeploymentState::RolledBack { to: Some(Rev(1)), .. }),
        "{state:?}"
    );
    assert_eq!(world(&bench, "web").await, before);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_before_its_first_change_does_not_leave_another_s_half() {
    let bench = Bench::start().await;
    let yaml = |image: &str, b: &str| {
        format!("services: {{ a: {{ image: {image} }}, b: {{ image: {b}, depends_on: [a] }} }}")
    };
    bench.deployed("web", 1, &yaml("x", "x")).await;
    let (second, third) = (
        bench.order("web", 2, &yaml("y", "fake/slow")),
        bench.order(
            "web",
            3,
            "services: { a: { image: x }, b: { image: fake/unpullable } }",
        ),
    );
    let before: World = world(&bench, "web").await;
    bench.handle.apply(second.clone()).await.unwrap();
    bench
        .until("the second has replaced a", || async {
            bench
                .target
                .operations()
                .iter()
                .any(|done| done.starts_with("start web-a-1") || done.contains("_web-a-1"))
                && world(&bench, "web").await != before
        })
        .await;
    bench.handle.apply(third.clone()).await.unwrap();
    let state = bench.ended(&third.stack, third.op).await;
    assert!(
        matches!(state, DeploymentState::RolledBack { to: Some(Rev(1)), .. }),
        "{state:?}"
    );
    settles(&bench, &["web-a-1", "web-b-1"]).await;
    assert_eq!(world(&bench, "web").await.0.len(), before.0.len());
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_orphan_from_before_is_as_it_was() {
    let bench = Bench::start().await;
    let keeps = |rev: u64, yaml: &str| {
        let mut order = bench.order("web", rev, yaml);
        order.options.remove_orphans = Some(false);
        order
    };
    bench
        .run(keeps(1, "services: { a: { image: x }, b: { image: x } }"))
        .await;
    let state = bench.run(keeps(2, "services: { a: { image: x } }")).await;
    assert_eq!(state, DeploymentState::Succeeded);
    let before = world(&bench, "web").await;
    let state = bench
        .run(keeps(
            3,
            "services: { a: { image: x }, b: { image: fake/unhealthy } }",
        ))
        .await;
    assert_eq!(state.name(), "rolled_back", "{state:?}");
    assert_eq!(world(&bench, "web").await, before);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn revisions_that_replace_one_another_in_a_row_do_not_pile_up() {
    let bench = Bench::start().await;
    let yaml = |image: &str| format!("services: {{ a: {{ image: '{image}', {FIRST} }} }}");
    bench.deployed("web", 1, &yaml("x")).await;
    for rev in 2..6 {
        let order = bench.order("web", rev, &yaml(&format!("fake/slow:{rev}")));
        bench.handle.apply(order).await.unwrap();
        bench
            .until("the old one and the newest run, and nobody else", || async {
                let there = bench.target.containers().await.unwrap();
                assert!(there.len() <= 3, "{there:#?}");
                let up = there.iter().filter(|one| one.state == ContainerState::Running);
                let mut revs: Vec<u64> = up.map(|one| one.rev.unwrap().0).collect();
                revs.sort_unstable();
                assert!(revs.len() <= 2, "{revs:?} run");
                there.len() == 2 && revs == [1, rev]
            })
            .await;
    }
    bench.deployed("web", 6, &yaml("y")).await;
    assert_eq!(bench.names("web").await, ["web-a-1"]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_still_worked_out_is_what_the_next_one_goes_back_to() {
    let yaml = |image: &str| format!("services: {{ a: {{ image: '{image}' }} }}");
    let mut worked_out = 0;
    for tick in 0..60 {
        let bench = Bench::start().await;
        bench.deployed("web", 1, &yaml("x")).await;
        let (second, third) = (
            bench.order("web", 2, &yaml("y")),
            bench.order("web", 3, &yaml("fake/unhealthy")),
        );
        bench.handle.apply(second.clone()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(tick * 25)).await;
        bench.handle.apply(third.clone()).await.unwrap();
        let state = bench.ended(&third.stack, third.op).await;
        let before = bench.handle.history(&second.stack).await.unwrap();
        let before = before.iter().find(|entry| entry.rev == Rev(2)).unwrap();
        let good = match before.state {
            DeploymentState::Succeeded => Rev(2),
            DeploymentState::Superseded { by: Rev(3) } => Rev(1),
            _ => panic!("{before:?}"),
        };
        worked_out += u32::from(good == Rev(2));
        assert!(
            matches!(state, DeploymentState::RolledBack { to: Some(to), .. } if to == good),
            "after {tick}: {before:?}, and then {state:?}"
        );
        let there = bench.target.containers().await.unwrap();
        let there: Vec<_> = there.iter().map(|one| (one.name.as_str(), one.rev)).collect();
        assert_eq!(there, [("web-a-1", Some(good))], "after {tick}");
        bench.end().await;
    }
    assert!((1..60).contains(&worked_out), "{worked_out} of 60");
}

/// A stop whose answer got lost may come through any time later: what is kept must not end by it.
#[tokio::test(start_paused = true)]
async fn a_stop_that_nobody_saw_end_takes_nothing_down_later() {
    let check = async |restarted: bool, second: &str| {
        let bench = Bench::start().await;
        let first = "services: { a: { image: x }, b: { image: x } }";
        bench.deployed("web", 1, first).await;
        bench.target.fail_next("stop", TargetErrorKind::Unreachable);
        let second = bench.order("web", 2, second);
        bench.handle.apply(second.clone()).await.unwrap();
        bench
            .until("the stop was asked for", || async {
                bench.target.stops_open() == 1
            })
            .await;
        let bench = if restarted { bench.restart().await } else { bench };
        // Somebody thinks better of it.
        let third = bench.order("web", 3, first);
        let state = bench.run(third).await;
        assert_eq!(state, DeploymentState::Succeeded);
        settles(&bench, &["web-a-1", "web-b-1"]).await;
        bench.target.stops_come();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let there = bench.containers("web").await;
        let running = |(_, state): &(String, ContainerState)| *state == ContainerState::Running;
        assert!(
            there.len() == 2 && there.iter().all(running),
            "restarted {restarted}: {there:?}"
        );
        bench.end().await;
    };
    for restarted in [false, true] {
        // Replaced, and removed.
        check(restarted, "services: { a: { image: y }, b: { image: x } }").await;
        check(restarted, "services: { a: { image: x } }").await;
    }
}

/// What a revision stopped that broke off in the middle runs again on the way back of a later one, also if one in between
/// ended without touching anything.
#[tokio::test(start_paused = true)]
async fn what_was_stopped_runs_again_after_several_ends_in_a_row() {
    let check = async |between: bool| {
        let bench = Bench::start().await;
        let yaml = |a: &str, b: &str| {
            format!("services:\n  a: {{ image: {a} }}\n  b: {{ image: {b}, depends_on: [a] }}\n")
        };
        bench.deployed("web", 1, &yaml("x", "x")).await;
        let before = world(&bench, "web").await;
        // The old a is stopped and the new one runs while b is waited for.
        let second = bench.order("web", 2, &yaml("y", "fake/slow"));
        bench.handle.apply(second.clone()).await.unwrap();
        bench
            .until("a is replaced, and b is not yet", || async {
                let there = bench.containers("web").await;
                let down = |(_, state): &&(String, ContainerState)| *state == ContainerState::Exited;
                there.iter().filter(down).count() == 1
                    && bench.target.operations().contains(&"start web-a-1".into())
            })
            .await;
        let mut rev = 3;
        if between {
            let third = bench.order("web", rev, &yaml("x", "x"));
            bench.handle.apply(third.clone()).await.unwrap();
            let cancelled = bench.handle.cancel(&third.stack, third.rev, third.op).await;
            assert_eq!(cancelled.unwrap(), CancelOutcome::Cancelled);
            rev += 1;
        }
        let state = bench
            .run(bench.order("web", rev, &yaml("fake/unhealthy", "x")))
            .await;
        assert!(
            matches!(state, DeploymentState::RolledBack { to: Some(Rev(1)), .. }),
            "between {between}: {state:?}"
        );
        assert_eq!(world(&bench, "web").await, before, "between {between}");
        bench.end().await;
    };
    check(false).await;
    check(true).await;
}

/// What was to be removed, was stopped for that, and then was not: it runs again on the way back of a later one.
#[tokio::test(start_paused = true)]
async fn what_was_stopped_to_be_removed_runs_again_on_the_way_back() {
    let check = async |restarted: bool, third: &str| {
        let bench = Bench::start().await;
        bench
            .deployed("web", 1, "services: { a: { image: x }, b: { image: x } }")
            .await;
        let before = world(&bench, "web").await;
        bench.target.fail_next("stop", TargetErrorKind::Unreachable);
        let second = bench.order("web", 2, "services: { a: { image: x } }");
        bench.handle.apply(second).await.unwrap();
        bench
            .until("the stop was asked for", || async {
                bench.target.stops_open() == 1
            })
            .await;
        let bench = if restarted { bench.restart().await } else { bench };
        let state = bench.run(bench.order("web", 3, third)).await;
        assert!(
            matches!(state, DeploymentState::RolledBack { to: Some(Rev(1)), .. }),
            "restarted {restarted}: {state:?}"
        );
        assert_eq!(
            world(&bench, "web").await,
            before,
            "restarted {restarted}, {third}"
        );
        bench.end().await;
    };
    for restarted in [false, true] {
        // In its own replacement, and beside it.
        check(
            restarted,
            "services: { a: { image: x }, b: { image: fake/unhealthy } }",
        )
        .await;
        check(
            restarted,
            "services: { a: { image: x }, b: { image: x }, c: { image: fake/unhealthy } }",
        )
        .await;
        check(restarted, "services: { a: { image: fake/unhealthy } }").await;
    }
}

/// What the way back had made, and could not start at once, runs in the end: by the same way back, and by that of a later
/// revision.
#[tokio::test(start_paused = true)]
async fn what_the_way_back_made_runs_in_the_end() {
    let check = async |second: &str, third: Option<&str>| {
        let bench = Bench::start().await;
        bench.deployed("web", 1, "services: { a: { image: x } }").await;
        let before = bench.containers("web").await;
        // Nothing of the good revision is left.
        bench.target.remove("web-a-1");
        bench.target.fail_next("start", TargetErrorKind::Host);
        bench.target.fail_next("start", TargetErrorKind::Unreachable);
        let mut order = bench.order("web", 2, second);
        if let Some(third) = third {
            bench.handle.apply(order).await.unwrap();
            bench
                .until("the good one was made again", || async {
                    bench
                        .target
                        .operations()
                        .iter()
                        .filter(|done| *done == "create web-a-1")
                        .count()
                        == 2
                })
                .await;
            bench.target.fail_next("start", TargetErrorKind::Host);
            order = bench.order("web", 3, third);
        }
        let state = bench.run(order).await;
        assert!(
            matches!(state, DeploymentState::RolledBack { to: Some(Rev(1)), .. }),
            "{second}, {third:?}: {state:?}"
        );
        assert_eq!(bench.containers("web").await, before, "{second}, {third:?}");
        bench.end().await;
    };
    // In the place of another one, and in none.
    for second in ["services: { a: { image: y } }", "services: { b: { image: y } }"] {
        check(second, None).await;
        check(second, Some("services: { a: { image: x } }")).await;
    }
}
