//! The course of a deployment, step by step: what is told of it, what is done on the host, and in which order.

use std::time::Duration;

use tokio::time::Instant;
use windflow_engine::{Order, targets::TargetErrorKind};
use windflow_model::{DeploymentEvent, DeploymentState, Progress, Want};

use crate::bench::Bench;

fn word(event: &DeploymentEvent) -> String {
    match event {
        DeploymentEvent::Applying { done, total } => format!("{done}/{total}"),
        DeploymentEvent::Verifying => "verifying".into(),
        DeploymentEvent::Succeeded => "succeeded".into(),
        DeploymentEvent::Failed { .. } => "failed".into(),
        DeploymentEvent::RollingBack { to, .. } => format!("back to {}", to.unwrap()),
        DeploymentEvent::RolledBack { to, .. } => format!("is back at {}", to.unwrap()),
        other => format!("{other:?}"),
    }
}

/// Applies an order; gives what is told of it, and the operations it takes.
async fn course(bench: &Bench, order: Order) -> (Vec<String>, Vec<String>) {
    let done = bench.target.operations().len();
    let mut changed = bench.handle.reports_changed();
    let mut after = *changed.borrow_and_update();
    let op = order.op;
    bench.handle.apply(order).await.unwrap();
    let mut told: Vec<String> = Vec::new();
    let end = loop {
        for report in bench.reports(after) {
            after = report.seq;
            // Whether the first two are seen before the next is a matter of luck.
            let first = matches!(
                report.event,
                DeploymentEvent::Accepted | DeploymentEvent::Preparing
            );
            if report.op == op && !first {
                told.push(word(&report.event));
            }
        }
        let last = told.last().map(String::as_str).unwrap_or_default();
        if last.starts_with("is back") || matches!(last, "succeeded" | "failed") {
            break told;
        }
        changed.changed().await.unwrap();
    };
    let done = bench.target.operations().split_off(done);
    (end, done.iter().map(|line| nameless(line)).collect())
}

/// Without what is drawn: ids, and the names of new containers that begin with one.
pub(crate) fn nameless(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let hex = word.chars().take_while(char::is_ascii_hexdigit).count();
        if hex >= 12 {
            format!("*{}", &word[hex..])
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn what_is_told_and_what_is_done() {
    let bench = Bench::start().await;
    let yaml = |a: &str, b: &str| {
        format!(
            "services:\n  a: {{ image: {a}, ports: ['80:80'] }}\n  b: {{ image: {b}, depends_on: [a] }}\n"
        )
    };
    let mut rev = 0;
    let mut check = async |a: &str, b: &str, want: Want, told: &str, done: &[&str]| {
        rev += 1;
        let order = Order {
            want,
            ..bench.order("web", rev, &yaml(a, b))
        };
        let (found, operations) = course(&bench, order).await;
        assert_eq!(found.join(" "), told, "{a} {b}");
        assert_eq!(operations, done, "{a} {b}");
    };
    check(
        "x",
        "x",
        Want::Present,
        "1/8 2/8 4/8 5/8 verifying succeeded",
        &[
            "pull x",
            "network-create default",
            "create web-a-1",
            "create web-b-1",
            "start web-a-1",
            "start web-b-1",
        ],
    )
    .await;
    check("x", "x", Want::Present, "succeeded", &[]).await;
    check(
        "y",
        "x",
        Want::Present,
        "1/8 2/8 3/8 4/8 verifying succeeded",
        &[
            "pull y",
            "create *_web-a-1",
            "stop web-a-1",
            "rename web-a-1 *_old_web-a-1",
            "rename *_web-a-1 web-a-1",
            "start web-a-1",
            "remove *_old_web-a-1",
        ],
    )
    .await;
    check(
        "y",
        "fake/unhealthy",
        Want::Present,
        "1/8 2/8 3/8 4/8 back to 3 is back at 3",
        &[
            "pull fake/unhealthy",
            "create *_web-b-1",
            "start *_web-b-1",
            "stop *_web-b-1",
            "remove *_web-b-1",
        ],
    )
    .await;
    check(
        "y",
        "x",
        Want::Absent,
        "0/3 1/3 2/3 succeeded",
        &[
            "stop web-b-1",
            "remove web-b-1",
            "stop web-a-1",
            "remove web-a-1",
            "network-remove *",
        ],
    )
    .await;
    bench.end().await;
}

/// What is not as it was seen a moment ago is looked at again, three times in all; what cannot be cleaned away takes back
/// nothing of what is good.
#[tokio::test(start_paused = true)]
async fn how_often_a_host_that_moves_is_looked_at() {
    use TargetErrorKind::{Engine, NameTaken, NotFound};
    let yaml = |image: &str| format!("services: {{ a: {{ image: {image}, ports: ['80:80'] }} }}");
    for (operation, kind, times, expected, notes) in [
        ("create", NameTaken, 1, "succeeded", 1),
        ("create", NameTaken, 2, "succeeded", 2),
        ("create", NameTaken, 3, "is back at 1", 2),
        ("start", NotFound, 2, "succeeded", 2),
        ("start", NotFound, 3, "is back at 1", 2),
        ("start", Engine, 1, "is back at 1", 0),
        ("remove", Engine, 1, "succeeded", 1),
        ("remove", Engine, 2, "succeeded", 2),
        ("remove", Engine, 3, "failed", 2),
        ("remove", NotFound, 3, "failed", 2),
    ] {
        let place = format!("{operation} {kind:?} {times}");
        let bench = Bench::start().await;
        bench.deployed("web", 1, &yaml("x")).await;
        for _ in 0..times {
            bench.target.fail_next(operation, kind);
        }
        let (told, _) = course(&bench, bench.order("web", 2, &yaml("y"))).await;
        assert_eq!(told.last().unwrap(), expected, "{place}: {told:?}");
        // The count never goes back, however often it begins anew.
        let counts = told.iter().filter_map(|word| word.split_once('/'));
        let counts: Vec<u32> = counts.map(|(done, _)| done.parse().unwrap()).collect();
        assert!(counts.is_sorted(), "{place}: {told:?}");
        let steps = bench.reports(0).pop().unwrap().steps.unwrap();
        let again = |note: &&String| note.starts_with("the host changed meanwhile and is looked at again: ");
        assert_eq!(
            steps.notes.iter().filter(again).count(),
            notes,
            "{place}: {:?}",
            steps.notes
        );
        let revs = bench.revs("web").await;
        let expected = match expected {
            "is back at 1" => vec![1],
            "failed" => vec![1, 2],
            _ => vec![2],
        };
        assert_eq!(revs, expected, "{place}");
        bench.end().await;
    }
}

/// The same on the way back.
#[tokio::test(start_paused = true)]
async fn how_often_a_host_that_moves_is_looked_at_on_the_way_back() {
    let yaml = |image: &str| format!("services: {{ a: {{ image: {image}, ports: ['80:80'] }} }}");
    for (times, expected) in [(1, "rolled_back"), (2, "rolled_back"), (3, "rollback_failed")] {
        let bench = Bench::start().await;
        bench.deployed("web", 1, &yaml("x")).await;
        let order = bench.order("web", 2, &yaml("fake/unhealthy"));
        bench.handle.apply(order.clone()).await.unwrap();
        bench
            .until("the new one is waited for", || async {
                let done = bench.target.operations();
                done.iter().filter(|line| *line == "start web-a-1").count() == 2
            })
            .await;
        for _ in 0..times {
            bench.target.fail_next("start", TargetErrorKind::NotFound);
        }
        let state = bench.ended(&order.stack, order.op).await;
        assert_eq!(state.name(), expected, "{times}: {state:?}");
        if let DeploymentState::RollbackFailed { undo, .. } = &state {
            let undo = undo.as_ref().unwrap();
            assert!(undo.message.ends_with("a fault was asked for"), "{undo}");
        }
        let steps = bench.reports(0).pop().unwrap().steps.unwrap();
        let again = |note: &&String| *note == "the host changed meanwhile and is looked at again";
        let notes = steps.notes.iter().filter(again).count();
        assert_eq!(notes, usize::min(times, 2), "{:?}", steps.notes);
        bench.end().await;
    }
}

/// A failure is told as soon as what is in hand has ended; waits and pulls are dropped.
#[tokio::test(start_paused = true)]
async fn a_failure_does_not_wait_for_what_may_be_dropped() {
    let check = async |a: &str, b: &str, c: &str, expected: u64, done: &[&str]| {
        let bench = Bench::start().await;
        let yaml = format!(
            "services: {{ a: {{ image: {a} }}, b: {{ image: {b} }}, c: {{ image: {c}, depends_on: [b] }} }}"
        );
        if a == "x" {
            bench.target.fail_next("start", TargetErrorKind::DiskFull);
        }
        let begin = Instant::now();
        let (told, operations) = course(&bench, bench.order("web", 1, &yaml)).await;
        assert_eq!(told.last().unwrap(), "failed");
        let took = u64::try_from(begin.elapsed().as_millis()).unwrap();
        assert_eq!(
            (took, operations),
            (expected, done.iter().map(|line| (*line).to_owned()).collect()),
            "{a} {b}"
        );
        bench.end().await;
    };
    // The slow pull would take 2 s.
    check("fake/unpullable", "fake/slow", "x", 200, &["pull x"]).await;
    // A start that is under way ends, nothing comes after it, and what it started is kept, as is its network.
    let done = [
        "pull x",
        "pull fake/slow",
        "network-create default",
        "create web-a-1",
        "create web-b-1",
        "create web-c-1",
        "start web-b-1",
        "remove web-a-1",
        "remove web-c-1",
    ];
    check("x", "fake/slow", "x", 3_040, &done).await;
    // What crashes over and over would be waited for for 10 s.
    let done = [
        "pull fake/crash",
        "pull x",
        "pull fake/unstartable",
        "network-create default",
        "create web-a-1",
        "create web-b-1",
        "create web-c-1",
        "start web-a-1",
        "start web-b-1",
        "remove web-c-1",
    ];
    check(
        "fake/crash, restart: always",
        "x",
        "fake/unstartable",
        1_430,
        &done,
    )
    .await;
}

/// What broke off is named after a restart: steps that change the host, and only those.
#[tokio::test(start_paused = true)]
async fn a_restart_names_what_it_interrupted() {
    let bench = Bench::start().await;
    let yaml = "services: { a: { image: fake/slow }, b: { image: fake/slow } }";
    let order = bench.order("web", 1, yaml);
    bench.handle.apply(order.clone()).await.unwrap();
    bench
        .until("both are made", || async { bench.names("web").await.len() == 2 })
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = bench.reports(0).pop().unwrap().event;
    let DeploymentEvent::Applying { done, total } = before else {
        panic!("{before:?}")
    };
    assert_eq!((done, total), (4, 8), "pull, network, two containers");
    let bench = bench.killed().await;
    let mut changed = bench.handle.reports_changed();
    changed.borrow_and_update();
    changed.changed().await.unwrap();
    let next = bench.reports(0).pop().unwrap().event;
    // Two containers to start and to wait for.
    assert_eq!(
        next,
        DeploymentEvent::Applying { done: 4, total: 8 },
        "it goes on counting"
    );
    assert_eq!(
        bench.ended(&order.stack, order.op).await,
        DeploymentState::Succeeded
    );
    let steps = bench.reports(0).pop().unwrap().steps.unwrap();
    let expected = ["a", "b"]
        .map(|name| format!("was interrupted and is looked at again: start container web-{name}-1"));
    assert_eq!(steps.notes, expected);
    bench.end().await;
}

/// A pull tells how far it is ten times a second at most.
#[tokio::test(start_paused = true)]
async fn progress_is_told_now_and_then() {
    let check = async |image: &str, expected: &[u64]| {
        let bench = Bench::start().await;
        let mut progress = bench.handle.progress();
        bench
            .deployed("web", 1, &format!("services: {{ a: {{ image: {image} }} }}"))
            .await;
        let mut told = Vec::new();
        while let Ok(next) = progress.try_recv() {
            if let Progress::Moved { current, unit, .. } = next.event
                && unit == "bytes"
            {
                told.push(current >> 20);
            }
        }
        assert_eq!(told, expected, "{image}");
        bench.end().await;
    };
    check("x", &[1, 11]).await;
    check("fake/slow", &(1..=20).collect::<Vec<_>>()).await;
}
