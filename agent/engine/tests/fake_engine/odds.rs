//! Single paths: what is built where it cannot be pulled, hooks of what does not run, files that cannot be read, ports that the
//! engine chooses, plans for names that others hold, drift that no event tells of.

use std::time::Duration;

use tokio::time::Instant;
use windflow_engine::{
    Target as _,
    targets::{ObserveQuery, TargetErrorKind},
};
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
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(count(&bench, "pull fake/slow"), 0);
    // The same where the next one comes at once.
    let order = bench.order("web", 2, "services: { a: { image: fake/slow } }");
    bench.handle.apply(order.clone()).await.unwrap();
    bench
        .handle
        .cancel(&order.stack, order.rev, order.op)
        .await
        .unwrap();
    let begin = Instant::now();
    bench.deployed("web", 3, "services: { a: { image: x } }").await;
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

/// What is being removed is neither there nor gone: it is waited for, and not for ever.
#[tokio::test(start_paused = true)]
async fn what_is_being_removed_is_waited_for() {
    let yaml = "services: { a: { image: x } }";
    let check = async |gone_after: u64, expected: Duration| {
        let bench = Bench::start().await;
        bench.deployed("web", 1, yaml).await;
        let from = bench.target.operations().len();
        bench.target.removing("web-a-1");
        let begin = Instant::now();
        bench
            .handle
            .apply(bench.order("web", 2, &yaml.replace('x', "y")))
            .await
            .unwrap();
        let gone = async {
            tokio::time::sleep(Duration::from_secs(gone_after)).await;
            bench.target.remove("web-a-1");
        };
        let begun = async {
            bench
                .until("something is done", || async {
                    bench.target.operations().len() > from
                })
                .await;
            begin.elapsed()
        };
        let (begun, ()) = tokio::join!(begun, gone);
        let pull = Duration::from_millis(200);
        let slack = Duration::from_millis(20);
        assert!(
            begun >= expected + pull && begun <= expected + pull + slack,
            "{gone_after}: {begun:?}"
        );
        bench.end().await;
    };
    check(7, Duration::from_secs(7)).await;
    check(100, Duration::from_millis(60_200)).await;
}

/// A stop that an earlier attempt has asked for is brought to its end before anything is planned; what is gone has ended.
#[tokio::test(start_paused = true)]
async fn an_old_stop_that_finds_nothing_has_ended() {
    for (kind, expected) in [
        (TargetErrorKind::NotFound, "succeeded"),
        (TargetErrorKind::DiskFull, "rolled_back"),
    ] {
        let bench = Bench::start().await;
        let yaml = "services: { a: { image: x }, b: { image: x } }";
        bench.deployed("web", 1, yaml).await;
        bench.target.fail_next("stop", TargetErrorKind::Unreachable);
        let second = bench.order("web", 2, "services: { a: { image: y }, b: { image: x } }");
        bench.handle.apply(second).await.unwrap();
        bench
            .until("the stop was asked for", || async {
                bench.target.stops_open() == 1
            })
            .await;
        bench.target.fail_next("stop", kind);
        let third = bench.run(bench.order("web", 3, yaml)).await;
        assert_eq!(third.name(), expected, "{kind:?}: {third:?}");
        let steps = bench.reports(0).pop().unwrap().steps.unwrap();
        let again = steps.notes.iter().any(|note| note.contains("is looked at again"));
        assert!(!again, "{kind:?}: {:?}", steps.notes);
        bench.end().await;
    }
}

/// The time to look at everything comes while a replaced revision still ends its step: it ends by itself.
#[tokio::test(start_paused = true)]
async fn what_still_stops_is_not_told_to_have_stopped() {
    let bench = Bench::with_latency(Duration::from_secs(1)).await;
    let yaml = |image: &str| format!("services: {{ a: {{ image: {image} }} }}");
    // Fetched, and made, it is started from second 55 to 65; the look comes at 60.
    tokio::time::sleep(Duration::from_secs(33)).await;
    let first = bench.order("web", 1, &yaml("x"));
    bench.handle.apply(first.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(24)).await;
    assert_eq!(bench.names("web").await, ["web-a-1"]);
    bench
        .handle
        .apply(bench.order("web", 2, &yaml("y")))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(count(&bench, "start web-a-1"), 0, "it is at it");
    let told = bench.reports(0);
    let ended = |report: &&windflow_engine::Report| {
        report.op == first.op
            && DeploymentState::Offered
                .next(&report.event)
                .unwrap()
                .is_terminal()
    };
    assert_eq!(told.iter().find(ended), None);
    assert_eq!(bench.ended(&first.stack, first.op).await.name(), "superseded");
    assert_eq!(count(&bench, "start web-a-1"), 1);
    bench.end().await;
}

/// Compose's digest of a service that stands on another one's network is over the container that it got.
#[tokio::test(start_paused = true)]
async fn the_digest_of_a_service_is_over_what_it_refers_to() {
    let labels = async |others: u64| {
        let bench = Bench::start().await;
        for _ in 0..others {
            bench.deployed("other", 1, "services: { a: { image: x } }").await;
        }
        let yaml = "services: { a: { image: x }, b: { image: x, network_mode: 'service:a' } }";
        bench.deployed("web", 1, yaml).await;
        let query = ObserveQuery {
            project: "web".into(),
            ..ObserveQuery::default()
        };
        let there = bench.target.observe(&query).await.unwrap();
        bench.end().await;
        ["web-a-1", "web-b-1"].map(|name| {
            let one = there.containers.iter().find(|one| one.name == name).unwrap();
            one.labels["com.docker.compose.config-hash"].clone()
        })
    };
    let ([a, b], [other_a, other_b]) = (labels(0).await, labels(1).await);
    assert_eq!(a, other_a);
    assert_ne!(b, other_b);
}
