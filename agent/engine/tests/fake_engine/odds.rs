//! Single paths: what is built where it cannot be pulled, hooks of what does not run, files that cannot be read, ports that the
//! engine chooses, plans for names that others hold, drift that no event tells of.

use std::time::Duration;

use tokio::time::Instant;
use windflow_engine::targets::TargetErrorKind;
use windflow_model::{Code, ContainerState, DeploymentState, StackId, Want};

use crate::bench::Bench;

fn count(bench: &Bench, what: &str) -> usize {
    bench
        .target
        .operations()
        .iter()
        .filter(|line| *line == what)
        .count()
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_to_be_had_is_built() {
    let yaml = "services: { a: { image: x, build: ., pull_policy: always } }";
    for (kind, pulled, expected) in [
        (TargetErrorKind::ImagePull, false, "succeeded"),
        (TargetErrorKind::DiskFull, false, "failed"),
    ] {
        let bench = Bench::start().await;
        bench.target.fail_next("pull", kind);
        let state = bench.run(bench.order("web", 1, yaml)).await;
        assert_eq!(state.name(), expected, "{kind:?}: {state:?}");
        let built = usize::from(expected == "succeeded");
        assert_eq!(
            (count(&bench, "pull x"), count(&bench, "build x")),
            (usize::from(pulled), built)
        );
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_run_has_no_hooks_before_its_stop() {
    for (stopped, expected) in [(false, 1), (true, 0)] {
        let bench = Bench::start().await;
        let yaml = "services: { a: { image: x, pre_stop: [{ command: [down] }] }, b: { image: x } }";
        bench.deployed("web", 1, yaml).await;
        if stopped {
            bench.target.stop("web-a-1");
        }
        let mut gone = bench.order("web", 2, yaml);
        gone.want = Want::Absent;
        assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
        assert_eq!(count(&bench, "exec down"), expected, "stopped {stopped}");
        bench.end().await;
    }
}

/// A dependency that is replaced takes those along that say so; their hooks run around it.
#[tokio::test(start_paused = true)]
async fn hooks_around_a_restart() {
    let bench = Bench::start().await;
    let yaml = |image: &str| {
        format!(
            "services:\n  db: {{ image: {image} }}\n  a: {{ image: x, depends_on: {{ db: {{ condition: service_started, restart: true }} }}, pre_stop: [{{ command: [down] }}], post_start: [{{ command: [up] }}] }}\n"
        )
    };
    bench.deployed("web", 1, &yaml("x")).await;
    let from = bench.target.operations().len();
    bench.deployed("web", 2, &yaml("y")).await;
    let done = bench.target.operations().split_off(from);
    let of_a: Vec<_> = done
        .iter()
        .filter(|line| line.ends_with("web-a-1") || line.starts_with("exec"))
        .collect();
    assert_eq!(of_a, ["exec down", "restart web-a-1", "exec up"], "{done:?}");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_is_no_missing_file() {
    for (file, expected) in [("/nowhere/at/all", "succeeded"), ("/", "failed")] {
        let bench = Bench::start().await;
        let yaml = format!(
            "services: {{ a: {{ image: x, configs: [c] }} }}\nconfigs: {{ c: {{ file: {file} }} }}\n"
        );
        let state = bench.run(bench.order("web", 1, &yaml)).await;
        assert_eq!(state.name(), expected, "{file}: {state:?}");
        if let Some(failure) = state.failure() {
            assert_eq!(failure.code, Code::HostFailure.as_str(), "{failure}");
        }
        bench.end().await;
    }
}

/// The engine gives two containers at once the same free port: they start one after the other.
#[tokio::test(start_paused = true)]
async fn ports_that_the_engine_chooses_are_chosen_one_after_the_other() {
    let took = async |first: &str, second: &str| {
        let bench = Bench::start().await;
        let yaml = format!(
            "services: {{ a: {{ image: x, ports: ['{first}'] }}, b: {{ image: x, ports: ['{second}'] }} }}"
        );
        let begin = Instant::now();
        bench.handle.apply(bench.order("web", 1, &yaml)).await.unwrap();
        bench
            .until("both are started", || async {
                let done = bench.target.operations();
                done.iter().filter(|line| line.starts_with("start ")).count() == 2
            })
            .await;
        let took = begin.elapsed();
        bench.end().await;
        took
    };
    let at_once = took("80:80", "81:80").await;
    assert_eq!(
        took("80:80", "80").await,
        at_once,
        "one alone has nobody to wait for"
    );
    for (first, second) in [
        ("80", "80"),
        ("8000-8010:80", "80"),
        ("8000-8010:80", "8000-8010:80"),
    ] {
        assert_eq!(
            took(first, second).await,
            at_once + Duration::from_millis(100),
            "{first} {second}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_for_a_name_is_the_owners_until_it_is_free() {
    let bench = Bench::start().await;
    let yaml = "services: { a: { image: x } }";
    bench.deployed("web", 1, yaml).await;
    let foreign = || {
        let mut order = bench.order("web", 9, yaml);
        order.owner = Some(StackId::from_uuid(bench.uuid()));
        order
    };
    let refused = bench.handle.plan(foreign()).await.unwrap_err();
    assert_eq!(refused.code, Code::StackNameHeld.as_str());
    assert!(
        bench
            .handle
            .plan(bench.order("web", 2, yaml))
            .await
            .unwrap()
            .is_empty()
    );
    let mut gone = bench.order("web", 2, yaml);
    gone.want = Want::Absent;
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    assert!(!bench.handle.plan(foreign()).await.unwrap().is_empty());
    bench.end().await;
}

/// What is taken back while its image is on the way is not pulled to the end, and the next one begins at once.
#[tokio::test(start_paused = true)]
async fn what_is_cancelled_stops_at_once() {
    let bench = Bench::start().await;
    let order = bench.order("web", 1, "services: { a: { image: fake/slow } }");
    bench.handle.apply(order.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    bench
        .handle
        .cancel(&order.stack, order.rev, order.op)
        .await
        .unwrap();
    let begin = Instant::now();
    bench.deployed("web", 2, "services: { a: { image: x } }").await;
    assert!(
        begin.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        begin.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(count(&bench, "pull fake/slow"), 0);
    bench.end().await;
}

/// While the engine is away nobody tells what happens; who looks now and then finds it.
#[tokio::test(start_paused = true)]
async fn drift_is_found_without_an_event() {
    let bench = Bench::start().await;
    bench
        .deployed("web", 1, "services: { a: { image: x }, b: { image: x } }")
        .await;
    bench.target.set_reachable(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.target.remove("web-a-1");
    bench.target.set_reachable(true);
    let begin = Instant::now();
    bench
        .until("a is back", || async {
            let there = bench.containers("web").await;
            there.len() == 2 && there.iter().all(|(_, state)| *state == ContainerState::Running)
        })
        .await;
    assert!(begin.elapsed() < Duration::from_secs(62), "{:?}", begin.elapsed());
    // A repair is no operation: it notes no steps, and tells nobody.
    let steps = windflow_store::Prefix::below(
        &windflow_store::Key::new([windflow_model::OrgId::DEFAULT.to_string()])
            .push("engine")
            .push("step"),
    );
    assert!(
        bench
            .store
            .scan(&steps, None, 10)
            .await
            .unwrap()
            .records
            .is_empty()
    );
    assert_eq!(bench.reports(0).len(), 1);
    bench.end().await;
}

/// A deploy that is under way keeps others from the containers of its stack.
#[tokio::test(start_paused = true)]
async fn nobody_restarts_what_is_being_deployed() {
    let bench = Bench::start().await;
    let order = bench.order("web", 1, "services: { a: { image: fake/slow } }");
    bench.handle.apply(order.clone()).await.unwrap();
    let busy = bench
        .handle
        .stop(&order.stack, Vec::new(), None)
        .await
        .unwrap_err();
    assert_eq!(busy.code, Code::Conflict.as_str());
    assert_eq!(
        busy.message,
        "a deploy of web is under way on this host: wait for its end"
    );
    assert_eq!(
        bench.ended(&order.stack, order.op).await,
        DeploymentState::Succeeded
    );
    bench
        .handle
        .restart(&order.stack, Vec::new(), None)
        .await
        .unwrap();
    assert_eq!(count(&bench, "restart web-a-1"), 1);
    let nobody = "other".parse().unwrap();
    let missing = bench.handle.restart(&nobody, Vec::new(), None).await.unwrap_err();
    assert_eq!(missing.message, "no such container of other is on this host");
    bench.handle.stop(&nobody, Vec::new(), None).await.unwrap();
    bench.end().await;
}
