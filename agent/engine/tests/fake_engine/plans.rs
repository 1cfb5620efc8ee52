//! Plans as people read them, and plans that are carried out as they were shown.

use windflow_model::{Action, DeploymentState, Plan, ResourceKind};

use crate::bench::Bench;

const FIRST: &str = "services:
  web:
    image: fake/moving-web
    environment: { MODE: one, API_TOKEN: old }
    configs: [site]
    networks: [back]
    ports: ['8080:80']
  db:
    image: db
    scale: 2
    depends_on: [web]
networks:
  back: { internal: false }
volumes:
  data: {}
configs:
  site: { content: hello }
";

/// `action kind name: text`, then its changes as `key old → new @ place`, for everything that is not kept.
fn told(plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    for held in plan.resources.iter().filter(|held| held.action != Action::Keep) {
        let resource = &held.resource;
        out.push(format!(
            "{} {} {}: {}",
            held.action, resource.kind, resource.name, held.reason.text
        ));
        for change in held.reason.every_change() {
            let value = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            out.push(format!(
                "  {} {} → {} @ {}",
                change.key,
                value(change.old),
                value(change.new),
                value(change.at)
            ));
        }
    }
    out
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_changes_from_what_to_what_and_where() {
    let bench = Bench::start().await;
    assert_eq!(
        bench.run(bench.order("web", 1, FIRST)).await,
        DeploymentState::Succeeded
    );
    let check = async |what: &str, yaml: &str, expected: &[&str], interrupted: &[&str]| {
        let mut order = bench.order("web", 2, yaml);
        // With the new ones first nothing would be interrupted.
        order.spec.policy.order = windflow_model::ReplaceOrder::StopFirst;
        let plan = bench.handle.plan(order).await.unwrap();
        assert_eq!(told(&plan), expected, "{what}");
        let stops: Vec<&str> = plan
            .interruptions
            .iter()
            .map(|stop| stop.container.as_str())
            .collect();
        assert_eq!(stops, interrupted, "{what}");
    };
    check("nothing", FIRST, &[], &[]).await;
    check(
        "environment",
        &FIRST.replace("MODE: one, API_TOKEN: old", "MODE: two, API_TOKEN: new, MORE: x"),
        &[
            "recreate container web-web-1: environment changed",
            "  services.web.environment.API_TOKEN (hidden) → (hidden) @ compose.yaml:4:31",
            "  services.web.environment.MODE one → two @ compose.yaml:4:20",
            "  services.web.environment.MORE - → x @ compose.yaml:4:47",
        ],
        &["web-web-1"],
    )
    .await;
    check(
        "the content of a config, which is not shown",
        &FIRST.replace("hello", "good day"),
        &[
            "recreate container web-web-1: the content of config site changed",
            "  configs.site.content - → - @ compose.yaml:17:11",
        ],
        &["web-web-1"],
    )
    .await;
    check(
        "fewer",
        &FIRST.replace("scale: 2", "scale: 1"),
        &[
            "remove container web-db-2: fewer containers are wanted",
            "  services.db.scale 2 → 1 @ compose.yaml:10:5",
        ],
        &["web-db-2"],
    )
    .await;
    check(
        "more",
        &FIRST.replace("scale: 2", "scale: 3"),
        &[
            "create container web-db-3: more containers are wanted",
            "  services.db.scale 2 → 3 @ compose.yaml:10:5",
        ],
        &[],
    )
    .await;
    check(
        "settings of a network",
        &FIRST.replace("internal: false", "internal: true"),
        &[
            "recreate network web_back: its settings changed",
            "  networks.back.internal false → true @ compose.yaml:13:11",
        ],
        &["web-web-1"],
    )
    .await;
    check(
        "another image and one service less",
        &FIRST
            .replace("fake/moving-web", "other")
            .replace("  db:\n    image: db\n    scale: 2\n    depends_on: [web]\n", ""),
        &[
            "pull image other: the image is not on the host",
            "  services.web.image - → - @ compose.yaml:3:5",
            "recreate container web-web-1: image changed",
            "  services.web.image fake/moving-web → other @ compose.yaml:3:5",
            "remove container web-db-1: no service db exists any more",
            "remove container web-db-2: no service db exists any more",
        ],
        &["web-db-1", "web-db-2", "web-web-1"],
    )
    .await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_carried_out_as_it_was_shown_or_not_at_all() {
    let bench = Bench::start().await;
    let changed = FIRST.replace("MODE: one", "MODE: two");
    let planned = async |rev: u64, yaml: &str| {
        let plan = bench.handle.plan(bench.order("web", rev, yaml)).await.unwrap();
        assert!(!plan.is_empty());
        plan
    };
    let pinned = |rev: u64, yaml: &str, plan: &Plan| {
        let mut order = bench.order("web", rev, yaml);
        order.options.pin = Some(plan.pin.clone());
        order
    };
    // Of a stack that does not exist yet.
    let plan = planned(1, FIRST).await;
    assert_eq!(
        bench.run(pinned(1, FIRST, &plan)).await,
        DeploymentState::Succeeded
    );
    assert!(
        bench
            .handle
            .plan(bench.order("web", 2, FIRST))
            .await
            .unwrap()
            .is_empty()
    );

    let refused = async |rev: u64, yaml: &str, plan: &Plan, words: &str| {
        let before = bench.containers("web").await;
        let done = bench.target.operations().len();
        let state = bench.run(pinned(rev, yaml, plan)).await;
        let failure = state.failure().unwrap_or_else(|| panic!("{words}: {state:?}"));
        assert_eq!(
            failure.code,
            windflow_model::Code::WorldMoved.as_str(),
            "{failure}"
        );
        assert!(failure.message.contains(words), "{words}: {}", failure.message);
        assert_eq!(bench.containers("web").await, before, "{words}");
        let since = bench.target.operations().split_off(done);
        assert!(
            since.iter().all(|deed| deed.starts_with("pull ")),
            "{words}: {since:?}"
        );
    };
    let plan = planned(2, &changed).await;
    bench.target.stop("web-db-1");
    refused(2, &changed, &plan, "container web-db-1 has stopped").await;
    let plan = planned(4, &changed).await;
    refused(
        4,
        &changed.replace("hello", "other"),
        &plan,
        "service web in the file is not the same",
    )
    .await;

    // The tag moves with the pull: that changes more than the plan said.
    let always = FIRST.replace(
        "image: fake/moving-web",
        "image: fake/moving-web\n    pull_policy: always",
    );
    let plan = planned(5, &always).await;
    assert!(
        plan.resources
            .iter()
            .any(|held| held.resource.kind == ResourceKind::Image && held.bytes == Some(20 << 20))
    );
    refused(5, &always, &plan, "recreate container web-web-1").await;

    // What it was made for is still so.
    let plan = planned(6, &changed).await;
    assert_eq!(
        bench.run(pinned(6, &changed, &plan)).await,
        DeploymentState::Succeeded
    );
    assert!(
        bench
            .handle
            .plan(bench.order("web", 7, &changed))
            .await
            .unwrap()
            .is_empty()
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_a_name_that_another_stack_holds_is_refused() {
    let bench = Bench::start().await;
    assert_eq!(
        bench.run(bench.order("web", 1, FIRST)).await,
        DeploymentState::Succeeded
    );
    let mut order = bench.order("web", 2, FIRST);
    order.owner = None;
    let failure = bench.handle.plan(order).await.unwrap_err();
    assert_eq!(failure.code, windflow_model::Code::StackNameHeld.as_str());
    bench.end().await;
}
