//! What a deployment waits for, what it takes for a failure, and what it tells of that.

use std::time::Duration;

use windflow_engine::{
    Order, Target as _,
    targets::{Operation, Ticker},
};
use windflow_model::{CheckKind, FailedCheck};

use crate::bench::Bench;

/// How a first revision ends; a change of its order goes before.
async fn ends(yaml: &str, change: fn(&mut Order)) -> (String, Option<FailedCheck>, String) {
    let bench = Bench::start().await;
    let mut order = bench.order("web", 1, yaml);
    change(&mut order);
    let state = bench.run(order).await;
    bench.end().await;
    let (check, message) = match state.failure() {
        Some(failure) => (failure.check.as_deref().cloned(), failure.message.clone()),
        None => (None, String::new()),
    };
    (state.name().to_owned(), check, message)
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_check_tells() {
    let check =
        |of: (&str, &str), kind, seen: &str, command: Option<&str>, exit_code, output: &str| FailedCheck {
            service: of.0.into(),
            container: of.1.into(),
            kind,
            seen: seen.into(),
            command: command.map(str::to_owned),
            exit_code,
            output: output.into(),
            log: vec![format!("{}: start 1", of.1)],
        };
    let (_, found, text) = ends("services: { a: { image: fake/crash } }", |_| ()).await;
    let seen = "ended with exit code 1";
    let expected = check(("a", "web-a-1"), CheckKind::Exit, seen, None, Some(1), "");
    assert_eq!(found, Some(expected));
    assert_eq!(
        text,
        "container web-a-1 ended with exit code 1; its last output:\nweb-a-1: start 1"
    );
    let (_, found, _) = ends("services: { a: { image: fake/unhealthy } }", |_| ()).await;
    let expected = check(
        ("a", "web-a-1"),
        CheckKind::Health,
        "is unhealthy",
        Some("true"),
        Some(1),
        "not today",
    );
    assert_eq!(found, Some(expected));
    // It is about one of two that come up too late: the one that is named.
    let (_, found, text) = ends(
        "services: { a: { image: fake/crash, restart: always, scale: 2 } }",
        |order| order.spec.policy.health_timeout_s = 5,
    )
    .await;
    let seen = "is being restarted after 5 s";
    let expected = check(("a", "web-a-2"), CheckKind::Time, seen, None, Some(1), "");
    assert_eq!(found, Some(expected));
    assert_eq!(
        text,
        "service a: after 5 s web-a-2 is being restarted; its last output:\nweb-a-2: start 1"
    );
}

#[tokio::test(start_paused = true)]
async fn what_counts_as_having_come_up() {
    let check = async |yaml: &str, change: fn(&mut Order), expected: &str| {
        let (state, _, text) = ends(yaml, change).await;
        assert_eq!(state, expected, "{yaml}: {text}");
    };
    // Health that does not count.
    let sick = "services: { a: { image: fake/unhealthy } }";
    check(sick, |_| (), "failed").await;
    check(
        sick,
        |order| order.spec.policy.rollback.unhealthy = false,
        "succeeded",
    )
    .await;
    // Where somebody waits for it, it counts all the same.
    let needed = |image: &str| {
        format!(
            "services: {{ db: {{ image: {image}, healthcheck: {{ test: [CMD, 'true'] }} }}, a: {{ image: x, depends_on: {{ db: {{ condition: service_healthy }} }} }} }}"
        )
    };
    let careless: fn(&mut Order) = |order| order.spec.policy.rollback.unhealthy = false;
    check(&needed("x"), careless, "succeeded").await;
    check(&needed("fake/unhealthy"), careless, "failed").await;
    // Unless it can be done without.
    let spare = |condition: &str| {
        format!(
            "services: {{ db: {{ image: fake/unhealthy }}, a: {{ image: x, depends_on: {{ db: {{ condition: {condition}, required: false }} }} }} }}"
        )
    };
    check(&spare("service_healthy"), careless, "succeeded").await;
    // An end is one, or not.
    let job = "services: { a: { image: fake/job } }";
    let awaited = "services: { a: { image: fake/job }, b: { image: x, depends_on: { a: { condition: service_completed_successfully } } } }";
    let strict: fn(&mut Order) = |order| order.options.strict_wait = true;
    check(job, |_| (), "succeeded").await;
    check(job, strict, "failed").await;
    check(awaited, strict, "succeeded").await;
    check("services: { a: { image: x } }", strict, "succeeded").await;
}

/// What is watched may be restarted as often as the policy says, and may end if that says so.
#[tokio::test(start_paused = true)]
async fn what_is_watched() {
    let check = async |restarts: u32, change: fn(&mut Order), expected: &str| {
        let bench = Bench::start().await;
        bench
            .deployed("web", 1, "services: { a: { image: x }, b: { image: x } }")
            .await;
        let mut order = bench.order("web", 2, "services: { a: { image: y }, b: { image: x } }");
        order.spec.policy.rollback.watch_s = 30;
        change(&mut order);
        bench.handle.apply(order.clone()).await.unwrap();
        bench
            .until("the new one runs", || async {
                bench.target.operations().contains(&"start web-a-1".to_owned())
                    && bench
                        .target
                        .operations()
                        .iter()
                        .filter(|line| line.starts_with("rename"))
                        .count()
                        == 2
            })
            .await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let list = bench.target.containers().await.unwrap();
        let new = list.iter().find(|one| one.name == "web-a-1").unwrap();
        for _ in 0..restarts {
            let restart = Operation::Restart {
                id: new.id.clone(),
                timeout: None,
            };
            bench.target.execute(&restart, Ticker::none()).await.unwrap();
        }
        if restarts == 0 {
            bench.target.kill("web-a-1");
        }
        let state = bench.ended(&order.stack, order.op).await;
        assert_eq!(state.name(), expected, "{restarts}: {state:?}");
        let check = state.failure().and_then(|failure| failure.check.as_deref());
        if let Some(check) = check.filter(|_| restarts > 0) {
            assert_eq!(
                (check.kind, check.container.as_str()),
                (CheckKind::Restarts, "web-a-1")
            );
            assert!(
                check
                    .seen
                    .starts_with(&format!("was restarted {restarts} times in ")),
                "{check:?}"
            );
        }
        bench.end().await;
    };
    let two: fn(&mut Order) = |order| order.spec.policy.rollback.restarts = 2;
    check(1, two, "succeeded").await;
    check(2, two, "succeeded").await;
    check(3, two, "rolled_back").await;
    check(1, |_| (), "rolled_back").await;
    check(0, |_| (), "rolled_back").await;
    check(0, |order| order.spec.policy.rollback.exited = false, "succeeded").await;
}
