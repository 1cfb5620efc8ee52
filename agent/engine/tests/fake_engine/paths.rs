//! The ways a deploy can go, and what happens to a host that changes by itself.

use std::time::Duration;

use futures_util::StreamExt as _;
use windflow_engine::targets::TargetErrorKind;
use windflow_model::{Code, ContainerState, DeploymentState, LogEvent, Progress, Want};

use crate::bench::Bench;

fn code(state: &DeploymentState) -> &str {
    state
        .failure()
        .map_or_else(|| state.name(), |failure| &failure.code)
}

#[tokio::test(start_paused = true)]
async fn each_trouble_has_its_code_and_what_ran_still_runs() {
    let bench = Bench::start().await;
    let good = "services: { a: { image: x, ports: ['80:80'] } }";
    bench.deployed("web", 1, good).await;
    bench
        .deployed("shop", 1, "services: { a: { image: x, ports: ['81:80'] } }")
        .await;
    let mut rev = 1;
    for (yaml, expected) in [
        ("services: { a: { image: fake/unpullable } }", Code::ImagePull),
        ("services: { a: { image: fake/unhealthy } }", Code::Unhealthy),
        ("services: { a: { image: fake/crash } }", Code::ContainerExited),
        (
            "services: { a: { image: fake/crash, restart: always } }",
            Code::ContainerExited,
        ),
        ("services: { a: { image: fake/unstartable } }", Code::Engine),
        ("services: { a: { image: x, ports: ['81:80'] } }", Code::PortTaken),
        (
            "services: { a: { image: x, container_name: shop-a-1 } }",
            Code::NameTaken,
        ),
        ("services: { a: { imgae: x } }", Code::ComposeInvalid),
        (
            "services: { a: { image: x, networks: [far] } }\nnetworks: { far: { external: true } }",
            Code::HostFailure,
        ),
        ("services: { a: { provider: { type: y } } }", Code::Unsupported),
        (
            "services: { a: { image: never, pull_policy: never } }",
            Code::ImagePull,
        ),
    ] {
        rev += 1;
        let state = bench.run(bench.order("web", rev, yaml)).await;
        assert_eq!(code(&state), expected.as_str(), "{yaml}: {state:?}");
        let expected = [("web-a-1".to_owned(), ContainerState::Running)];
        assert_eq!(bench.containers("web").await, expected, "{yaml}");
    }
    let back = bench.run(bench.order("web", rev + 1, good)).await;
    assert_eq!(back, DeploymentState::Succeeded);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_comes_back_in_time_and_one_that_does_not() {
    let bench = Bench::start().await;
    let order = bench.order("web", 1, "services: { a: { image: x }, b: { image: x } }");
    bench.handle.apply(order.clone()).await.unwrap();
    bench
        .until("a is created", || async { !bench.names("web").await.is_empty() })
        .await;
    let mut progress = bench.handle.progress();
    bench.target.set_reachable(false);
    let told = async {
        loop {
            if let Progress::Note { text } = progress.recv().await.unwrap().event {
                return text;
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(5), told).await.unwrap();
    assert!(told.contains("trying again for 60 s"), "{told}");
    tokio::time::sleep(Duration::from_secs(30)).await;
    bench.target.set_reachable(true);
    assert_eq!(
        bench.ended(&order.stack, order.op).await,
        DeploymentState::Succeeded
    );
    assert_eq!(bench.names("web").await, ["web-a-1", "web-b-1"]);
    bench.target.set_reachable(false);
    let order = bench.order("web", 2, "services: { a: { image: y } }");
    let state = bench.run(order).await;
    assert_eq!(code(&state), Code::EngineUnreachable.as_str());
    bench.target.set_reachable(true);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_agent_at_any_moment_changes_nothing() {
    let yaml = |image: &str| {
        format!("services: {{ a: {{ image: {image} }}, b: {{ image: {image}, depends_on: [a], scale: 2 }} }}")
    };
    for moment in 0..30_u64 {
        let bench = Bench::start().await;
        bench.deployed("web", 1, &yaml("x")).await;
        let order = bench.order("web", 2, &yaml("y"));
        bench.handle.apply(order.clone()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(moment * 90)).await;
        let bench = bench.restart().await;
        assert_eq!(
            bench.ended(&order.stack, order.op).await,
            DeploymentState::Succeeded,
            "moment {moment}"
        );
        assert_eq!(
            bench.names("web").await,
            ["web-a-1", "web-b-1", "web-b-2"],
            "moment {moment}"
        );
        let plan = bench
            .handle
            .plan(bench.order("web", 3, &yaml("y")))
            .await
            .unwrap();
        assert!(plan.is_empty(), "moment {moment}: {plan:#?}");
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_and_a_stop_is_respected() {
    let bench = Bench::start().await;
    let yaml = "services: { a: { image: x, restart: always }, b: { image: x, restart: always }, c: { image: x }, d: { image: x, restart: always } }";
    bench.deployed("web", 1, yaml).await;
    bench.target.remove("web-a-1");
    bench.target.stop("web-b-1");
    bench.target.kill("web-c-1");
    bench.target.kill("web-d-1");
    use ContainerState::{Exited, Running};
    let expected = [("a", Running), ("b", Exited), ("c", Exited), ("d", Running)];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, state)| (format!("web-{name}-1"), state))
        .collect();
    bench
        .until("a is back and d runs", || async {
            bench.containers("web").await == expected
        })
        .await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(
        bench.containers("web").await,
        expected,
        "b was stopped, c may stay down"
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_is_named_in_the_tree_and_the_old_container_is_put_back() {
    let bench = Bench::start().await;
    let yaml = "services: { a: { image: x, ports: ['80:80'] } }";
    bench.deployed("web", 1, yaml).await;
    bench.target.fail_next("start", TargetErrorKind::DiskFull);
    let mut order = bench.order("web", 2, "services: { a: { image: y, ports: ['80:80'] } }");
    order.spec.policy.rollback.automatic = false;
    let state = bench.run(order.clone()).await;
    assert_eq!(code(&state), Code::DiskFull.as_str());
    assert!(
        state
            .failure()
            .unwrap()
            .message
            .contains("put back as before: web-a-1"),
        "{state:?}"
    );
    assert_eq!(state.name(), "failed", "nobody asked to go back");
    let reports = bench.reports(0);
    let steps = reports
        .iter()
        .rev()
        .find(|report| report.op == order.op)
        .and_then(|report| report.steps.clone())
        .unwrap();
    assert_eq!(steps.count().get("failed"), Some(&1), "{:?}", steps.count());
    assert_eq!(
        bench.containers("web").await,
        [("web-a-1".to_owned(), ContainerState::Running)]
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn order_of_dependencies_jobs_and_removal() {
    let bench = Bench::start().await;
    let yaml = "services:\n  web: { image: x, depends_on: { db: { condition: service_healthy }, init: { condition: service_completed_successfully } } }\n  db: { image: x, healthcheck: { test: [CMD, 'true'] } }\n  init: { image: fake/job }\nvolumes: { data: {} }\n";
    let yaml = yaml.replace("db: { image: x,", "db: { image: x, volumes: ['data:/data'],");
    let mut progress = bench.handle.progress();
    bench.deployed("app", 1, &yaml).await;
    let done = bench.target.operations();
    let at = |what: &str| {
        done.iter()
            .position(|name| name == what)
            .unwrap_or_else(|| panic!("{what} in {done:?}"))
    };
    assert!(at("start app-db-1") < at("start app-web-1") && at("start app-init-1") < at("start app-web-1"));
    assert!(
        at("create app-web-1") < at("start app-db-1"),
        "everything is created before anything starts"
    );
    let mut pulled = false;
    while let Ok(told) = progress.try_recv() {
        pulled |= matches!(told.event, Progress::Moved { ref unit, .. } if unit == "bytes");
    }
    assert!(pulled, "pulls tell their bytes");
    let mut gone = bench.order("app", 2, &yaml);
    gone.want = Want::Absent;
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    let done = bench.target.operations();
    let at = |what: &str| {
        done.iter()
            .position(|name| name == what)
            .unwrap_or_else(|| panic!("{what} in {done:?}"))
    };
    assert!(at("remove app-web-1") < at("remove app-db-1"));
    assert!(!done.iter().any(|name| name.starts_with("volume-remove")));
    let mut gone = bench.order("app", 3, &yaml);
    gone.want = Want::AbsentWithVolumes;
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    assert!(
        bench
            .target
            .operations()
            .contains(&"volume-remove app_data".to_owned())
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn start_stop_restart_of_services() {
    let bench = Bench::start().await;
    let yaml = "services: { a: { image: x }, b: { image: x, depends_on: [a] } }";
    let order = bench.order("web", 1, yaml);
    let stack = order.stack.clone();
    assert_eq!(bench.run(order).await, DeploymentState::Succeeded);
    bench.handle.stop(&stack, Vec::new(), None).await.unwrap();
    let done = bench.target.operations();
    assert_eq!(
        done[done.len() - 2..],
        ["stop web-b-1", "stop web-a-1"],
        "dependants first"
    );
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(
        bench
            .containers("web")
            .await
            .iter()
            .all(|(_, state)| *state == ContainerState::Exited)
    );
    bench.handle.start(&stack, vec!["b".into()]).await.unwrap();
    bench
        .handle
        .restart(&stack, vec!["b".into()], None)
        .await
        .unwrap();
    let missing = bench
        .handle
        .start(&stack, vec!["nobody".into()])
        .await
        .unwrap_err();
    assert_eq!(missing.code, Code::NotFound.as_str());
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn logs_follow_containers_that_appear_later() {
    let bench = Bench::start().await;
    bench.deployed("web", 1, "services: { a: { image: x } }").await;
    let mut logs = bench.follow().await;
    let second = bench.order("web", 2, "services: { a: { image: x }, b: { image: x } }");
    assert_eq!(bench.run(second).await, DeploymentState::Succeeded);
    let mut next = 0;
    loop {
        let event = tokio::time::timeout(Duration::from_secs(60), logs.next())
            .await
            .unwrap()
            .unwrap();
        let LogEvent::Line { seq, service, .. } = event else {
            panic!("{event:?}")
        };
        assert_eq!(seq, next, "no holes");
        next += 1;
        if service == "b" {
            break;
        }
    }
    drop(logs);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_sleeps_misses_nothing_and_holds_nothing_up() {
    let bench = Bench::start().await;
    bench.deployed("web", 1, "services: { a: { image: x } }").await;
    let mut logs = bench.follow().await;
    // One line a second: the queue of 1,024 is full after 17 minutes.
    tokio::time::sleep(Duration::from_secs(1_500)).await;
    bench.deployed("other", 1, "services: { a: { image: x } }").await;
    for next in 0..1_600 {
        let event = tokio::time::timeout(Duration::from_secs(10), logs.next()).await;
        match event.unwrap().unwrap() {
            LogEvent::Line { seq, .. } => assert_eq!(seq, next, "no holes"),
            other => panic!("{other:?}"),
        }
    }
    drop(logs);
    bench.end().await;
}

/// An engine that is killed takes its containers down when it comes back, and does not start them again: who waits for one
/// of them does not blame it, and those that ran are started.
#[tokio::test(start_paused = true)]
async fn an_engine_that_crashes_takes_nothing_down_for_good() {
    let two = "a: { image: x, restart: always }, b: { image: x, restart: unless-stopped }";
    let check = async |more: &str, last: ContainerState| {
        let bench = Bench::start().await;
        bench
            .deployed("web", 1, &format!("services: {{ {two}, c: {{ image: x }} }}"))
            .await;
        let order = bench.order("web", 2, &format!("services: {{ {two}, c: {{ {more} }} }}"));
        bench.handle.apply(order.clone()).await.unwrap();
        let running = async |wanted: usize| {
            let there = bench.containers("web").await;
            let up = there
                .iter()
                .filter(|(_, state)| *state == ContainerState::Running);
            up.count() == wanted
        };
        if more.contains("fake/") {
            // The old one and the new one.
            bench.until("the new one is waited for", || running(4)).await;
        } else {
            assert_eq!(
                bench.ended(&order.stack, order.op).await,
                DeploymentState::Succeeded
            );
        }
        bench.target.crash();
        bench
            .until("what shall always run does", || {
                running(2 + usize::from(last == ContainerState::Running))
            })
            .await;
        assert_eq!(
            bench.ended(&order.stack, order.op).await,
            DeploymentState::Succeeded,
            "{more}"
        );
        let there = bench.containers("web").await;
        let states: Vec<_> = there.iter().map(|(_, state)| *state).collect();
        assert_eq!(
            states,
            [ContainerState::Running, ContainerState::Running, last],
            "{more}: {there:?}"
        );
        bench.end().await;
    };
    // Nobody waits for anything: what has no restart policy stays down, as the engine would have it.
    check("image: x", ContainerState::Exited).await;
    check(
        "image: fake/slow, deploy: { update_config: { order: start-first } }",
        ContainerState::Running,
    )
    .await;
}
