//! What a deployment leaves behind that does not work out and has nothing to go back to, and what it says of that.

use std::collections::BTreeMap;

use windflow_engine::{Source, Target as _, targets::TargetErrorKind};
use windflow_model::{ContainerState, Want};

use crate::{back::world, bench::Bench};

/// Operations since `from`, without what is drawn.
fn since(bench: &Bench, from: usize) -> Vec<String> {
    let done = bench.target.operations().split_off(from);
    let done = done.iter().map(|line| crate::course::nameless(line));
    // What is gone may be removed once more.
    done.filter(|line| line != "remove *").collect()
}

/// A first revision: what was made for it goes, unless something of it has run.
#[tokio::test(start_paused = true)]
async fn a_first_revision_leaves_nothing_half_done() {
    let check = async |yaml: &str, fault: &str, message: &str, left: (&[&str], usize)| {
        let bench = Bench::start().await;
        if !fault.is_empty() {
            bench.target.fail_next(fault, TargetErrorKind::DiskFull);
        }
        let state = bench.run(bench.order("web", 1, yaml)).await;
        let text = &state.failure().unwrap().message;
        assert_eq!((state.name(), text.as_str()), ("failed", message), "{yaml}");
        let (containers, networks, volumes) = world(&bench, "web").await;
        let mut names: Vec<String> = containers.into_iter().map(|(_, name, ..)| name).collect();
        names.sort();
        assert_eq!(names, left.0, "{yaml}, {fault}");
        assert_eq!(
            (networks.len(), volumes.len()),
            (left.1, left.1),
            "{yaml}, {fault}"
        );
        bench.end().await;
    };
    let yaml = |b: &str| {
        format!(
            "services:\n  a: {{ image: x, volumes: ['data:/data'] }}\n  b: {{ image: {b}, depends_on: [a] }}\nvolumes: {{ data: {{}} }}\n"
        )
    };
    check(
        "services: { a: { image: x, volumes: ['data:/data'] } }\nvolumes: { data: {} }\n",
        "create",
        "cannot create web-a-1: a fault was asked for",
        (&[], 0),
    )
    .await;
    check(
        &yaml("x"),
        "volume-create",
        "cannot volume-create data: a fault was asked for",
        (&[], 0),
    )
    .await;
    check(
        &yaml("x"),
        "start",
        "service a: cannot start web-a-1: a fault was asked for",
        (&[], 0),
    )
    .await;
    // What has run is kept for its log, with all that it uses.
    check(
        &yaml("fake/unstartable"),
        "",
        "service b: cannot start container web-b-1: no such program in the image",
        (&["web-a-1"], 1),
    )
    .await;
    check(
        &yaml("fake/crash"),
        "",
        "container web-b-1 ended with exit code 1; its last output:\nweb-b-1: start 1",
        (&["web-a-1", "web-b-1"], 1),
    )
    .await;
}

/// Local mode leaves what it has made: the next one goes on from there.
#[tokio::test(start_paused = true)]
async fn local_mode_goes_on_from_what_is_there() {
    let bench = Bench::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("compose.yaml");
    fs_err::write(&file, "services: { a: { image: x } }").unwrap();
    let in_place = |rev: u64| {
        let mut order = bench.order("web", rev, "");
        (order.owner, order.deployment) = (None, None);
        order.spec.files.clear();
        order.source = Source::Directory {
            project_directory: dir.path().to_owned(),
            config_files: vec![file.clone()],
            env_files: Vec::new(),
            environment: BTreeMap::new(),
        };
        order
    };
    bench.target.fail_next("start", TargetErrorKind::DiskFull);
    assert_eq!(bench.run(in_place(1)).await.name(), "failed");
    let there = [("web-a-1".to_owned(), ContainerState::Created)];
    assert_eq!(bench.containers("web").await, there);
    let from = bench.target.operations().len();
    assert_eq!(bench.run(in_place(2)).await.name(), "succeeded");
    assert_eq!(since(&bench, from), ["start web-a-1"]);
    bench.end().await;
}

/// A later revision that may not go back: what it was at is put back, and nothing else is touched.
#[tokio::test(start_paused = true)]
async fn only_what_was_touched_is_put_back() {
    let check = async |second: &str, fault: &str, message: &str, done: &[&str]| {
        let bench = Bench::start().await;
        let yaml = |a: &str, b: &str| {
            format!(
                "services:\n  a: {{ image: {a}, ports: ['80:80'] }}\n  b: {{ image: {b}, ports: ['81:80'], depends_on: [a] }}\n"
            )
        };
        bench.deployed("web", 1, &yaml("x", "x")).await;
        let before = world(&bench, "web").await;
        let from = bench.target.operations().len();
        let mut order = bench.order("web", 2, &yaml("y", second));
        order.spec.policy.rollback.automatic = false;
        if !fault.is_empty() {
            bench.target.fail_next(fault, TargetErrorKind::DiskFull);
        }
        let state = bench.run(order).await;
        let text = crate::course::nameless(&state.failure().unwrap().message);
        let operations = since(&bench, from);
        assert_eq!(
            (state.name(), text.as_str()),
            ("failed", message),
            "{second}, {fault}"
        );
        assert_eq!(operations, done, "{second}, {fault}");
        assert_eq!(world(&bench, "web").await, before, "{second}, {fault}");
        bench.end().await;
    };
    // Nothing is touched yet.
    check(
        "x",
        "create",
        "cannot create *_web-a-1: a fault was asked for",
        &["pull y"],
    )
    .await;
    // One of them is.
    let begin = ["pull y", "create *_web-a-1", "create *_web-b-1"];
    let put_back = "a fault was asked for; put back as before: web-a-1";
    let gone = [
        "remove *_web-a-1",
        "remove *_web-b-1",
        "rename web-a-1 web-a-1",
        "start web-a-1",
    ];
    check(
        "y",
        "stop",
        &format!("cannot stop web-a-1: {put_back}"),
        &[&begin[..], &gone].concat(),
    )
    .await;
    check(
        "y",
        "rename",
        &format!("cannot rename web-a-1 *_old_web-a-1: {put_back}"),
        &[&begin[..], &["stop web-a-1"], &gone].concat(),
    )
    .await;
    let a = [
        "stop web-a-1",
        "rename web-a-1 *_old_web-a-1",
        "rename *_web-a-1 web-a-1",
    ];
    let b = [
        "stop web-b-1",
        "rename web-b-1 *_old_web-b-1",
        "rename *_web-b-1 web-b-1",
    ];
    let back = ["rename *_old_web-a-1 web-a-1", "start web-a-1"];
    check(
        "y",
        "start",
        &format!("service a: cannot start web-a-1: {put_back}"),
        &[&begin[..], &a, &["remove web-a-1", "remove *_web-b-1"], &back].concat(),
    )
    .await;
    // Both are.
    let sick = "container web-b-1 is unhealthy: its health check `true` ended with exit code 1 and said: not today; its last output:\nweb-b-1: start 1; put back as before: web-a-1, web-b-1";
    check(
        "fake/unhealthy",
        "",
        sick,
        &[
            &["pull y", "pull fake/unhealthy"][..],
            &begin[1..],
            &a,
            &["start web-a-1"],
            &b,
            &["start web-b-1", "remove web-a-1", "remove web-b-1"],
            &back,
            &["rename *_old_web-b-1 web-b-1", "start web-b-1"],
        ]
        .concat(),
    )
    .await;
}

/// What did not run before does not run afterwards, on either way.
#[tokio::test(start_paused = true)]
async fn what_did_not_run_is_not_started() {
    for automatic in [true, false] {
        let bench = Bench::start().await;
        let yaml = |image: &str| format!("services: {{ a: {{ image: {image}, ports: ['80:80'] }} }}");
        bench.deployed("web", 1, &yaml("x")).await;
        bench.target.stop("web-a-1");
        let before = world(&bench, "web").await;
        let mut order = bench.order("web", 2, &yaml("fake/unhealthy"));
        order.spec.policy.rollback.automatic = automatic;
        let state = bench.run(order).await;
        assert!(matches!(state.name(), "failed" | "rolled_back"), "{state:?}");
        let after = world(&bench, "web").await;
        assert_eq!(after, before, "automatic {automatic}");
        bench.end().await;
    }
}

/// A life of the agent stops the old container, the next one fails: the old one runs again.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_life_stopped_runs_again() {
    let bench = Bench::start().await;
    let yaml = |image: &str| format!("services: {{ a: {{ image: {image}, ports: ['80:80'] }} }}");
    bench.deployed("web", 1, &yaml("x")).await;
    let before = world(&bench, "web").await;
    let mut order = bench.order("web", 2, &yaml("fake/unhealthy"));
    order.spec.policy.rollback.automatic = false;
    bench.handle.apply(order.clone()).await.unwrap();
    bench
        .until("the old one is stopped", || async {
            bench.target.operations().contains(&"stop web-a-1".to_owned())
        })
        .await;
    let bench = bench.killed().await;
    let state = bench.ended(&order.stack, order.op).await;
    assert_eq!(state.name(), "failed", "{state:?}");
    assert_eq!(world(&bench, "web").await, before);
    bench.end().await;
}

/// What could not be put back is named.
#[tokio::test(start_paused = true)]
async fn what_is_lost_is_named() {
    let bench = Bench::start().await;
    let yaml = |image: &str| format!("services: {{ a: {{ image: {image}, ports: ['80:80'] }} }}");
    bench.deployed("web", 1, &yaml("x")).await;
    let mut order = bench.order("web", 2, &yaml("fake/unstartable"));
    order.spec.policy.rollback.automatic = false;
    bench.handle.apply(order.clone()).await.unwrap();
    bench
        .until("the old one has made way", || async {
            bench
                .target
                .operations()
                .iter()
                .filter(|line| line.starts_with("rename "))
                .count()
                == 2
        })
        .await;
    bench.target.fail_next("remove", TargetErrorKind::Host);
    let state = bench.ended(&order.stack, order.op).await;
    assert_eq!(
        state.failure().unwrap().message,
        "service a: cannot start container web-a-1: no such program in the image; could not be put back: web-a-1: cannot remove web-a-1: a fault was asked for"
    );
    bench.end().await;
}

/// A removal that breaks off leaves what it has not come to.
#[tokio::test(start_paused = true)]
async fn a_removal_that_fails_says_so_and_is_tried_again() {
    for (times, expected) in [(1, "succeeded"), (2, "succeeded"), (3, "failed")] {
        let bench = Bench::start().await;
        bench
            .deployed("web", 1, "services: { a: { image: x }, b: { image: x } }")
            .await;
        let mut gone = bench.order("web", 2, "services: {}");
        gone.want = Want::Absent;
        for _ in 0..times {
            bench.target.fail_next("network-remove", TargetErrorKind::Engine);
        }
        let state = bench.run(gone).await;
        assert_eq!(state.name(), expected, "{times}: {state:?}");
        assert!(bench.target.containers().await.unwrap().is_empty());
        bench.end().await;
    }
}
