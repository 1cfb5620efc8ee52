//! Going back: a revision that does not work out makes way for the last good one, whatever fails and whenever.

use std::time::Duration;

use windflow_engine::{Order, Source, Target as _, targets::ObserveQuery};
use windflow_model::{CheckKind, ContainerState, DeploymentState, ReplaceOrder, Rev};

use crate::bench::Bench;

/// What is on the host of a stack, without what only time changes.
pub(crate) type World = (
    Vec<(String, String, ContainerState, Vec<String>)>,
    Vec<String>,
    Vec<String>,
);

pub(crate) async fn world(bench: &Bench, stack: &str) -> World {
    let query = ObserveQuery {
        project: stack.to_owned(),
        ..ObserveQuery::default()
    };
    let observed = bench.target.observe(&query).await.unwrap();
    let mut containers: Vec<_> = observed
        .containers
        .into_iter()
        .map(|one| {
            let networks = one.networks.keys().cloned().collect();
            (one.id, one.name, one.state, networks)
        })
        .collect();
    containers.sort_by(|a, b| a.0.cmp(&b.0));
    let networks = observed.networks.into_iter();
    let mut networks: Vec<String> = networks
        .map(|one| {
            format!(
                "{} {}",
                one.name,
                one.labels
                    .get("io.windflow.config-hash")
                    .cloned()
                    .unwrap_or_default()
            )
        })
        .collect();
    networks.sort();
    let mut volumes: Vec<String> = observed.volumes.into_iter().map(|one| one.name).collect();
    volumes.sort();
    (containers, networks, volumes)
}

/// Three services; the network's settings, the images and the fate of the second are given.
fn three(net: &str, image: &str, second: &str) -> String {
    format!(
        "services:\n  a: {{ image: {image}, volumes: ['data:/data'] }}\n  b: {{ image: {second}, depends_on: [a] }}\n  c: {{ image: {image}, depends_on: [b], scale: 2 }}\nvolumes: {{ data: {{}} }}\nnetworks: {{ default: {{ labels: {{ is: '{net}' }} }} }}\n"
    )
}

#[tokio::test(start_paused = true)]
async fn of_three_services_the_second_fails_and_everything_is_back() {
    let bench = Bench::start().await;
    let good = bench.run(bench.order("web", 1, &three("1", "x", "x"))).await;
    assert_eq!(good, DeploymentState::Succeeded);
    let before = world(&bench, "web").await;
    let state = bench
        .run(bench.order("web", 2, &three("1", "y", "fake/unhealthy")))
        .await;
    let DeploymentState::RolledBack { failure, to } = &state else {
        panic!("{state:?}")
    };
    assert_eq!(*to, Some(Rev(1)));
    let check = failure.check.as_deref().unwrap();
    assert_eq!(
        (check.service.as_str(), check.kind, check.output.as_str()),
        ("b", CheckKind::Health, "not today")
    );
    assert!(check.container.ends_with("web-b-1"), "{check:?}");
    assert!(!check.log.is_empty(), "{check:?}");
    assert_eq!(world(&bench, "web").await, before, "the same containers as ever");
    // The host keeps to the revision it went back to.
    bench.target.remove("web-c-2");
    bench
        .until("c-2 is back", || async { bench.names("web").await.len() == 4 })
        .await;
    bench.end().await;
}

/// Every single operation fails once: the deploy ends well, or everything is as it was.
#[tokio::test(start_paused = true)]
async fn a_fault_at_every_operation() {
    let (mut back, mut well) = (0, 0);
    for at in 0.. {
        let bench = Bench::start().await;
        let good = bench.run(bench.order("web", 1, &three("1", "x", "x"))).await;
        assert_eq!(good, DeploymentState::Succeeded);
        let before = world(&bench, "web").await;
        bench.target.fail_after(at, false);
        let state = bench.run(bench.order("web", 2, &three("2", "y", "y"))).await;
        if bench.target.heal() {
            assert_eq!(state, DeploymentState::Succeeded, "the end: nothing failed");
            bench.end().await;
            break;
        }
        match &state {
            // What cannot be removed at first can be at second.
            DeploymentState::Succeeded | DeploymentState::Failed { .. } => well += 1,
            DeploymentState::RolledBack { to, .. } => {
                assert_eq!(*to, Some(Rev(1)));
                back += 1;
            }
            other => panic!("operation {at}: {other:?}"),
        }
        if state != DeploymentState::Succeeded {
            assert_eq!(world(&bench, "web").await, before, "operation {at}: {state:?}");
        }
        let again = bench.run(bench.order("web", 3, &three("2", "y", "y"))).await;
        assert_eq!(again, DeploymentState::Succeeded, "operation {at}");
        assert_eq!(
            bench.names("web").await,
            ["web-a-1", "web-b-1", "web-c-1", "web-c-2"],
            "operation {at}"
        );
        bench.end().await;
    }
    assert!(back > 20 && well > 0, "{back} {well}");
}

/// From some operation on everything fails: the way back too. That is said, and the next good revision mends it.
#[tokio::test(start_paused = true)]
async fn a_failed_way_back_stops_and_says_so() {
    let mut stuck = 0;
    for at in (0..60).step_by(3) {
        let bench = Bench::start().await;
        bench.run(bench.order("web", 1, &three("1", "x", "x"))).await;
        bench.target.fail_after(at, true);
        let state = bench.run(bench.order("web", 2, &three("2", "y", "y"))).await;
        match &state {
            DeploymentState::RollbackFailed { failure, to, undo } => {
                assert!(failure.message.contains("a fault was asked for"), "{failure}");
                assert_eq!(*to, Some(Rev(1)));
                let undo = undo.as_ref().unwrap();
                assert!(undo.message.contains("a fault was asked for"), "{undo}");
                stuck += 1;
            }
            DeploymentState::Failed { .. }
            | DeploymentState::Succeeded
            | DeploymentState::RolledBack { .. } => {}
            other => panic!("operation {at}: {other:?}"),
        }
        bench.target.heal();
        let again = bench.run(bench.order("web", 3, &three("3", "z", "z"))).await;
        assert_eq!(
            again,
            DeploymentState::Succeeded,
            "operation {at} after {state:?}"
        );
        assert_eq!(
            bench.names("web").await,
            ["web-a-1", "web-b-1", "web-c-1", "web-c-2"],
            "operation {at}"
        );
        bench.end().await;
    }
    assert!(stuck > 5, "{stuck}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_agent_at_any_moment_of_the_way_back() {
    for moment in 0..40_u64 {
        let bench = Bench::start().await;
        bench.run(bench.order("web", 1, &three("1", "x", "x"))).await;
        let before = world(&bench, "web").await;
        let order = bench.order("web", 2, &three("2", "y", "fake/unhealthy"));
        bench.handle.apply(order.clone()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(moment * 100)).await;
        let bench = bench.restart().await;
        let state = bench.ended(&order.stack, order.op).await;
        assert!(
            matches!(state, DeploymentState::RolledBack { to: Some(Rev(1)), .. }),
            "moment {moment}: {state:?}"
        );
        assert_eq!(world(&bench, "web").await, before, "moment {moment}");
        bench.end().await;
    }
}

/// Without the policy the containers go back, and so do the networks; the deployment has failed.
#[tokio::test(start_paused = true)]
async fn without_the_policy_what_was_under_way_is_put_back() {
    for at in 0..26 {
        let bench = Bench::start().await;
        bench.run(bench.order("web", 1, &three("1", "x", "x"))).await;
        let before = world(&bench, "web").await;
        bench.target.fail_after(at, false);
        let mut order = bench.order("web", 2, &three("2", "y", "y"));
        order.spec.policy.rollback.automatic = false;
        let state = bench.run(order).await;
        match state.name() {
            "failed" => assert_eq!(world(&bench, "web").await, before, "operation {at}: {state:?}"),
            other => assert_eq!(other, "succeeded", "operation {at}"),
        }
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_first() {
    let check = async |yaml: &str, order: ReplaceOrder, first: &str| {
        let bench = Bench::start().await;
        let with = |rev, image: &str| {
            let mut wanted = bench.order("web", rev, &yaml.replace("IMAGE", image));
            wanted.spec.policy.order = order;
            wanted
        };
        assert_eq!(bench.run(with(1, "x")).await, DeploymentState::Succeeded);
        let plan = bench.handle.plan(with(2, "y")).await.unwrap();
        let said = plan.steps.iter().any(|step| step.reason.text.contains("before"));
        assert!(said, "the plan says who goes first: {plan:#?}");
        let done = bench.target.operations().len();
        assert_eq!(bench.run(with(2, "y")).await, DeploymentState::Succeeded);
        let new = bench.target.operations().split_off(done);
        let at = |word: &str| new.iter().position(|name| name.starts_with(word)).unwrap();
        let seen = if at("start") < at("stop") { "new" } else { "old" };
        assert_eq!(seen, first, "{yaml} {order:?}: {new:?} {plan:#?}");
        // Nothing is removed before everything is good.
        assert!(at("remove") > at("start") && at("remove") > at("stop"), "{new:?}");
        bench.end().await;
    };
    use ReplaceOrder::{Auto, StartFirst, StopFirst};
    let plain = "services: { a: { image: IMAGE } }";
    check(plain, Auto, "new").await;
    check(plain, StopFirst, "old").await;
    check("services: { a: { image: IMAGE, ports: ['80'] } }", Auto, "new").await;
    check(
        "services: { a: { image: IMAGE, ports: ['80:80'] } }",
        StartFirst,
        "old",
    )
    .await;
    check(
        "services: { a: { image: IMAGE, network_mode: host } }",
        StartFirst,
        "old",
    )
    .await;
    let fixed = "services: { a: { image: IMAGE, networks: { n: { ipv4_address: 10.9.9.9 } } } }\nnetworks: { n: { ipam: { config: [ { subnet: 10.9.9.0/24 } ] } } }";
    check(fixed, StartFirst, "old").await;
    let data = "services: { a: { image: IMAGE, volumes: ['data:/d'] } }\nvolumes: { data: {} }";
    check(data, Auto, "old").await;
    check(data, StartFirst, "new").await;
    check(&data.replace("data:/d", "data:/d:ro"), Auto, "new").await;
    check(
        "services: { a: { image: IMAGE, container_name: solo } }",
        Auto,
        "old",
    )
    .await;
    let own = |order: &str| {
        format!("services: {{ a: {{ image: IMAGE, deploy: {{ update_config: {{ order: {order} }} }} }} }}")
    };
    check(&own("stop-first"), StartFirst, "old").await;
    check(&own("start-first"), StopFirst, "new").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_good_at_first_and_then_no_more() {
    let check = async |image: &str, watch_s: u32, change: fn(&mut Order), expected: &str| {
        let bench = Bench::start().await;
        let yaml = |image: &str| format!("services: {{ a: {{ image: {image} }} }}");
        bench.run(bench.order("web", 1, &yaml("x"))).await;
        let before = world(&bench, "web").await;
        let mut order = bench.order("web", 2, &yaml(image));
        order.spec.policy.rollback.watch_s = watch_s;
        change(&mut order);
        bench.handle.apply(order.clone()).await.unwrap();
        if image == "killed" {
            bench
                .until("it runs", || async {
                    bench
                        .containers("web")
                        .await
                        .iter()
                        .any(|(name, state)| name == "web-a-1" && *state == ContainerState::Running)
                })
                .await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            bench.target.kill("web-a-1");
        }
        let state = bench.ended(&order.stack, order.op).await;
        assert_eq!(state.name(), expected, "{image} {watch_s}: {state:?}");
        if expected == "rolled_back" {
            assert_eq!(world(&bench, "web").await, before, "{image}");
        }
        bench.end().await;
    };
    check("fake/sickens", 0, |_| (), "succeeded").await;
    check("fake/sickens", 30, |_| (), "rolled_back").await;
    check(
        "fake/sickens",
        30,
        |order| order.spec.policy.rollback.unhealthy = false,
        "succeeded",
    )
    .await;
    check("killed", 30, |_| (), "rolled_back").await;
    check(
        "fake/sickens",
        30,
        |order| order.spec.policy.rollback.automatic = false,
        "failed",
    )
    .await;
}

/// A service may ask by itself, as Swarm's `failure_action` does.
#[tokio::test(start_paused = true)]
async fn what_a_service_asks_for() {
    for (action, automatic, expected) in [
        ("rollback", false, "rolled_back"),
        ("pause", true, "failed"),
        ("continue", true, "succeeded"),
    ] {
        let bench = Bench::start().await;
        let yaml = |image: &str| {
            format!(
                "services: {{ a: {{ image: {image}, deploy: {{ update_config: {{ failure_action: {action} }} }} }} }}"
            )
        };
        bench.run(bench.order("web", 1, &yaml("x"))).await;
        let mut order = bench.order("web", 2, &yaml("fake/unhealthy"));
        order.spec.policy.rollback.automatic = automatic;
        let state = bench.run(order).await;
        assert_eq!(state.name(), expected, "{action}: {state:?}");
        bench.end().await;
    }
}

/// A newer revision takes over from a way back.
#[tokio::test(start_paused = true)]
async fn a_newer_revision_ends_the_way_back() {
    let bench = Bench::start().await;
    bench.run(bench.order("web", 1, &three("1", "x", "x"))).await;
    let bad = bench.order("web", 2, &three("2", "fake/slow", "fake/unhealthy"));
    bench.handle.apply(bad.clone()).await.unwrap();
    bench
        .until("it goes back", || async {
            bench
                .handle
                .held()
                .iter()
                .any(|held| held.state.name() == "rolling_back")
        })
        .await;
    let good = bench.order("web", 3, &three("1", "z", "z"));
    assert_eq!(bench.run(good).await, DeploymentState::Succeeded);
    let end = bench.ended(&bad.stack, bad.op).await;
    assert_eq!(end, DeploymentState::Superseded { by: Rev(3) });
    assert_eq!(
        bench.names("web").await,
        ["web-a-1", "web-b-1", "web-c-1", "web-c-2"]
    );
    bench.end().await;
}

/// In place the files change under the stack: an older revision comes back as it was read then.
#[tokio::test(start_paused = true)]
async fn any_revision_comes_back_in_local_mode() {
    let bench = Bench::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("compose.yaml");
    let in_place = |rev: u64| {
        let mut order = bench.order("web", rev, "");
        (order.owner, order.deployment) = (None, None);
        order.spec.files.clear();
        order.source = Source::Directory {
            project_directory: dir.path().to_owned(),
            config_files: vec![file.clone()],
            env_files: Vec::new(),
            environment: std::collections::BTreeMap::default(),
        };
        order
    };
    let image = async || {
        let list = bench.target.containers().await.unwrap();
        list.into_iter().map(|one| one.image).collect::<Vec<_>>()
    };
    let stack = in_place(1).stack;
    for (rev, tag) in [(1, "one"), (2, "two"), (3, "two")] {
        fs_err::write(&file, "services: { a: { image: \"x:${TAG}\" } }").unwrap();
        fs_err::write(dir.path().join(".env"), format!("TAG={tag}")).unwrap();
        assert_eq!(bench.run(in_place(rev)).await, DeploymentState::Succeeded);
    }
    fs_err::write(&file, "services: { broken").unwrap();
    assert_eq!(bench.run(in_place(4)).await.name(), "failed");
    let revs = |list: &[windflow_engine::Revision]| -> Vec<(u64, &'static str, bool)> {
        list.iter()
            .map(|one| (one.rev.0, one.state.name(), one.kept))
            .collect()
    };
    let history = bench.handle.history(&stack).await.unwrap();
    assert_eq!(
        revs(&history),
        [
            (4, "failed", true),
            (3, "succeeded", true),
            (2, "succeeded", true),
            (1, "succeeded", true)
        ]
    );
    // The held one failed: the newest good one is what runs, and comes first.
    let again = bench.handle.again(&stack, None).await.unwrap();
    assert_eq!(again.options.again, Some(Rev(3)));
    assert_eq!(bench.run(again).await, DeploymentState::Succeeded);
    assert_eq!(image().await, ["x:two"]);
    // Now it is one that makes another project than the present one.
    let again = bench.handle.again(&stack, None).await.unwrap();
    assert_eq!((again.rev, again.options.again), (Rev(6), Some(Rev(1))));
    assert_eq!(bench.run(again).await, DeploymentState::Succeeded);
    assert_eq!(image().await, ["x:one"]);
    let history = bench.handle.history(&stack).await.unwrap();
    assert_eq!(history[0].again, Some(Rev(1)));
    assert_eq!(history[0].digest, history[5].digest);
    let none = bench.handle.again(&stack, Some(Rev(77))).await.unwrap_err();
    assert!(none.message.contains("can be brought back: 6, 5"), "{none}");
    bench.end().await;
}
