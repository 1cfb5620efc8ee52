//! What local mode asks of the engine beyond a plain deploy: hooks, what `run` needs, removal of single services, one-shots.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use windflow_engine::{
    Target,
    lifecycle::{self, Act, Lifecycle},
    oneoff::{self, OneOffRequest},
    targets::{OneOff, Ticker},
};
use windflow_kit::Random;
use windflow_model::{ContainerState, DeploymentState, Want};

use super::{back::world, bench::Bench};

fn place(done: &[String], what: &str) -> usize {
    let found = done.iter().position(|line| line == what);
    found.unwrap_or_else(|| panic!("{what} is not in {done:#?}"))
}

#[tokio::test(start_paused = true)]
async fn hooks_come_after_the_start_and_before_the_stop() {
    let bench = Bench::start().await;
    let yaml = "services: { a: { image: x, post_start: [{ command: [up, now] }], pre_stop: [{ command: [down, now] }] } }";
    let order = bench.order("app", 1, yaml);
    assert_eq!(bench.run(order).await, DeploymentState::Succeeded);
    let done = bench.target.operations();
    assert!(place(&done, "start app-a-1") < place(&done, "exec up now"));
    let mut gone = bench.order("app", 2, yaml);
    gone.want = Want::Absent;
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    let done = bench.target.operations();
    assert!(place(&done, "exec down now") < place(&done, "stop app-a-1"));
    bench.end().await;
}

/// A command that changed nothing waited 35 ms of 90 for the answer to "tell me of events", which nobody needed any more.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_event_stream() {
    let bench = Bench::with_latency(Duration::from_secs(5)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    bench.end().await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_fails_the_deploy() {
    let bench = Bench::start().await;
    let yaml = "services: { a: { image: x, post_start: [{ command: [\"false\"] }] } }";
    let state = bench.run(bench.order("app", 1, yaml)).await;
    let failure = state.failure().expect("it failed");
    assert!(
        failure.message.contains("a hook exited with status 1"),
        "{failure}"
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_run_needs_is_there_and_its_container_stands_beside_the_others() {
    let bench = Bench::start().await;
    let yaml = "services: { web: { image: x, depends_on: [db] }, db: { image: y }, other: { image: z } }";
    let mut order = bench.order("app", 1, yaml);
    order.options.services = vec!["web".into()];
    order.options.only_needs = true;
    assert_eq!(bench.run(order).await, DeploymentState::Succeeded);
    assert_eq!(bench.names("app").await, ["app-db-1"]);
    let done = bench.target.operations();
    place(&done, "pull x");
    let files = windflow_compose::MemoryFiles([("/compose.yaml".to_owned(), yaml.to_owned())].into());
    let request = windflow_compose::LoadRequest {
        files: vec![windflow_compose::Source {
            path: "/compose.yaml".into(),
            text: None,
        }],
        name: Some("app".into()),
        ..windflow_compose::LoadRequest::default()
    };
    let loaded = windflow_compose::load(&request, &files).unwrap();
    let target: Arc<dyn Target> = Arc::clone(&bench.target) as Arc<dyn Target>;
    let request = OneOffRequest {
        stack: "app".parse().unwrap(),
        project: loaded.project,
        service: "web".into(),
        name: None,
        one_off: OneOff::default(),
    };
    let made = oneoff::create(&target, &Random::seeded(1), request)
        .await
        .unwrap();
    assert!(made.name.starts_with("app-web-run-"), "{}", made.name);
    target.execute(&made.start, Ticker::none()).await.unwrap();
    // A stop is for the service's own containers, a deploy makes those beside it.
    let stop = Lifecycle::new("app".parse().unwrap(), Act::Stop);
    assert_eq!(lifecycle::run(&target, &stop).await.unwrap(), ["app-db-1"]);
    assert_eq!(
        bench.run(bench.order("app", 2, yaml)).await,
        DeploymentState::Succeeded
    );
    let mut names = bench.names("app").await;
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    // A removal that asks for no orphans leaves it; one that does takes it along.
    let mut gone = bench.order("app", 3, yaml);
    (gone.want, gone.options.remove_orphans) = (Want::Absent, Some(false));
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    assert_eq!(bench.names("app").await, [made.name]);
    let mut gone = bench.order("app", 4, yaml);
    (gone.want, gone.options.remove_orphans) = (Want::Absent, Some(true));
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    assert!(bench.names("app").await.is_empty());
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_service_is_removed_with_those_that_depend_on_it() {
    let bench = Bench::start().await;
    let yaml = "services: { web: { image: x, depends_on: [db] }, db: { image: y }, other: { image: z } }";
    assert_eq!(
        bench.run(bench.order("app", 1, yaml)).await,
        DeploymentState::Succeeded
    );
    let mut gone = bench.order("app", 2, yaml);
    gone.want = Want::Absent;
    gone.options.services = vec!["db".into()];
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    assert_eq!(bench.names("app").await, ["app-other-1"]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn signals_and_freezing_reach_what_runs() {
    let bench = Bench::start().await;
    let yaml = "services: { a: { image: x }, b: { image: x } }";
    assert_eq!(
        bench.run(bench.order("app", 1, yaml)).await,
        DeploymentState::Succeeded
    );
    let target: Arc<dyn Target> = Arc::clone(&bench.target) as Arc<dyn Target>;
    let act = async |act: Act, service: &str| {
        let order = Lifecycle {
            services: vec![service.to_owned()],
            ..Lifecycle::new("app".parse().unwrap(), act)
        };
        lifecycle::run(&target, &order).await.unwrap()
    };
    assert_eq!(act(Act::Pause, "a").await, ["app-a-1"]);
    assert!(act(Act::Pause, "a").await.is_empty(), "it is frozen already");
    assert_eq!(act(Act::Unpause, "a").await, ["app-a-1"]);
    assert!(
        act(Act::Remove { volumes: false }, "b").await.is_empty(),
        "it runs"
    );
    let kill = Act::Kill {
        signal: "SIGKILL".into(),
        orphans: false,
    };
    assert_eq!(act(kill, "b").await, ["app-b-1"]);
    let states = bench.containers("app").await;
    assert!(
        states.contains(&("app-a-1".to_owned(), ContainerState::Running)),
        "{states:?}"
    );
    bench.end().await;
}

/// Revisions of some services only: what the failed one touched is as before, and nothing else is there.
#[tokio::test(start_paused = true)]
async fn the_way_back_of_revisions_of_some_services() {
    // Each revision before, by its services; those of the one that fails; the one it goes back to.
    let check = async |before: &[&[&str]], failing: &[&str], to: u64| {
        let bench = Bench::start().await;
        let services = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let yaml = |image: &str, second: &str| {
            format!(
                "services:\n  db: {{ image: {image} }}\n  web: {{ image: {second} }}\n  job: {{ image: {image}, profiles: [job] }}\n"
            )
        };
        let mut rev = 0;
        for names in before {
            rev += 1;
            let mut order = bench.order("app", rev, &yaml("x", "x"));
            order.options.only_needs = names.contains(&"job");
            order.options.services = services(names);
            order.options.no_wait = true;
            assert_eq!(bench.run(order).await, DeploymentState::Succeeded);
        }
        let was = world(&bench, "app").await;
        let mut order = bench.order("app", rev + 1, &yaml("y", "fake/unhealthy"));
        order.options.services = services(failing);
        let state = bench.run(order).await;
        let place = format!("{before:?}, then {failing:?}: {state:?}");
        let DeploymentState::RolledBack { to: reached, .. } = &state else {
            panic!("{place}")
        };
        assert_eq!(reached.map(|rev| rev.0), Some(to), "{place}");
        assert_eq!(world(&bench, "app").await, was, "{place}");
        bench.end().await;
    };
    check(&[&[]], &[], 1).await;
    check(&[&[]], &["web"], 1).await;
    check(&[&[], &["db"]], &["web"], 2).await;
    check(&[&[], &["db"]], &[], 2).await;
    check(&[&["db"]], &["web"], 1).await;
    check(&[&["db"]], &[], 1).await;
    check(&[&["db"], &["web"]], &[], 2).await;
    // What a one-off command needed is no revision of the stack.
    check(&[&[], &["job"]], &["web"], 1).await;
    check(&[&["db"], &["job"]], &[], 1).await;
}

/// What is understood and not carried out is refused with its place, before anything changes.
#[tokio::test(start_paused = true)]
async fn refused_keys_are_named_with_their_places() {
    let bench = Bench::start().await;
    let check = async |rev: u64, yaml: &str, place: &str| {
        let state = bench.run(bench.order("app", rev, yaml)).await;
        let text = state.failure().map(ToString::to_string).unwrap_or_default();
        assert!(text.contains(place), "{yaml}: {state:?}");
        assert!(bench.names("app").await.is_empty(), "{yaml}");
    };
    let service = "services:\n  a:\n    image: x\n";
    check(
        1,
        &format!("{service}    pre_start: [{{ command: [now] }}]\n"),
        "services.a.pre_start (compose.yaml:4:5)",
    )
    .await;
    check(
        2,
        &format!("{service}    use_api_socket: true\n"),
        "services.a.use_api_socket (compose.yaml:4:5)",
    )
    .await;
    check(
        3,
        &format!("{service}    volumes:\n      - {{ type: npipe, source: a, target: /b }}\n"),
        "services.a.volumes: npipe and cluster mounts (compose.yaml:4:5)",
    )
    .await;
    check(
        4,
        &format!("{service}    secrets: [s]\nsecrets:\n  s: {{ external: true }}\n"),
        "secrets.s.external (compose.yaml:6:8)",
    )
    .await;
    // Files are named as the stack names them, wherever they lie on this host.
    check(
        5,
        &format!("{service}    env_file: [conf/none.env]\n"),
        "the file conf/none.env does not exist",
    )
    .await;
    bench.end().await;
}
