//! kill -9 at random instants of a deploy, then the same end state as if nothing had happened.

use std::{path::Path, process::Stdio, time::Duration};

use windflow_engine::Order;
use windflow_kit::{OnFailure, Random, Stop, TaskSet};
use windflow_model::{DeploymentState, StackName, Want};

use crate::bench;

const DIR: &str = "WINDFLOW_TEST_CRASH_DIR";

/// Three services in a chain; every variant replaces all of them, every third changes how many there are.
fn yaml(variant: u64) -> String {
    let service = |name: &str, more: &str| {
        format!(
            "  {name}:\n    image: windflow-test/busybox:{}\n    command: [sleep, '3600']\n    init: true\n    stop_grace_period: 1s\n    environment: {{ VARIANT: '{variant}' }}\n    volumes: ['data:/data', '/anon']\n{more}",
            variant % 2 + 1
        )
    };
    let scale = format!("    scale: {}\n    depends_on: [a]\n", variant % 3 + 1);
    format!(
        "services:\n{}{}{}volumes: {{ data: {{}} }}\n",
        service("a", ""),
        service("b", &scale),
        service("c", "    depends_on: [b]\n")
    )
}

/// Runs in the child only: an engine that takes the order in the directory and goes on until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn docker_crash_child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir);
    let order: Order = serde_json::from_slice(&fs_err::read(dir.join("order.json")).unwrap()).unwrap();
    let (engine, handle) = bench::engine(dir).await;
    let tasks = TaskSet::new(Stop::new(), Random::system());
    tasks.spawn("engine", OnFailure::Log, engine.run(tasks.stop().clone()));
    let (stack, op) = (order.stack.clone(), order.op);
    let _ = handle.apply(order).await;
    fs_err::write(dir.join("accepted"), "").unwrap();
    bench::ended(&handle, &stack, op).await;
    tasks.drain(Duration::from_secs(20)).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test kills a process of its own: a second copy of this test binary"
)]
fn child(dir: &Path) -> tokio::process::Child {
    tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["crash::docker_crash_child", "--exact"])
        .env(DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_kill_at_random_instants() {
    let Some(docker) = bench::docker().await else {
        return;
    };
    let rounds: u64 = std::env::var("WINDFLOW_TEST_CRASH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let seed: u64 = std::env::var("WINDFLOW_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let random = Random::seeded(seed);
    let stack: StackName = "wft-engine-crash".parse().unwrap();
    bench::sweep(&docker, stack.as_str()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut hit = 0;
    for round in 1..=rounds {
        let order = bench::order(&stack, round, &yaml(round), Want::Present);
        fs_err::write(dir.path().join("order.json"), serde_json::to_vec(&order).unwrap()).unwrap();
        let _ = fs_err::remove_file(dir.path().join("accepted"));
        for _ in 0..=random.up_to(2) {
            let mut child = child(dir.path());
            let wait = Duration::from_millis(random.up_to(2_500));
            let alive = tokio::time::timeout(wait, child.wait()).await.is_err();
            hit += u32::from(alive);
            child.kill().await.unwrap();
        }
        // A life without a kill brings it to its end.
        let (engine, handle) = bench::engine(dir.path()).await;
        let tasks = TaskSet::new(Stop::new(), Random::system());
        tasks.spawn("engine", OnFailure::Log, engine.run(tasks.stop().clone()));
        let op = order.op;
        let acceptance = handle.apply(order).await.unwrap();
        let state = bench::ended(&handle, &stack, op).await;
        assert_eq!(
            state,
            DeploymentState::Succeeded,
            "round {round} seed {seed}: {acceptance:?}"
        );
        check(&docker, &stack, round).await;
        drop(handle);
        let drained = tasks.drain(Duration::from_secs(20)).await;
        assert!(drained.unfinished.is_empty(), "{:?}", drained.unfinished);
    }
    assert!(
        u64::from(hit) * 2 > rounds,
        "only {hit} of the kills met a living process: the test proves nothing"
    );
    bench::sweep(&docker, stack.as_str()).await;
}

async fn check(docker: &bollard::Docker, stack: &StackName, round: u64) {
    let mut expected = vec![
        "wft-engine-crash-a-1".to_owned(),
        "wft-engine-crash-c-1".to_owned(),
    ];
    expected.extend((1..=round % 3 + 1).map(|number| format!("wft-engine-crash-b-{number}")));
    expected.sort();
    let containers = bench::containers(docker, stack.as_str()).await;
    let names: Vec<String> = containers.iter().map(bench::name).collect();
    assert_eq!(
        names, expected,
        "round {round}: no duplicate, no orphan, no temporary name"
    );
    for container in &containers {
        let status = container.status.as_deref().unwrap_or_default();
        assert!(
            status.starts_with("Up"),
            "round {round}: {} {status}",
            bench::name(container)
        );
        let image = format!("windflow-test/busybox:{}", round % 2 + 1);
        assert_eq!(container.image.as_deref(), Some(image.as_str()));
        let id = container.id.as_deref().unwrap();
        let found = docker
            .inspect_container(id, None::<bollard::query_parameters::InspectContainerOptions>)
            .await
            .unwrap();
        let env = found.config.unwrap().env.unwrap();
        assert!(
            env.contains(&format!("VARIANT={round}")),
            "round {round}: {env:?}"
        );
    }
    assert_eq!(
        bench::networks(docker, stack.as_str()).await.len(),
        1,
        "round {round}"
    );
    assert_eq!(
        bench::volumes(docker, stack.as_str()).await.len(),
        1,
        "round {round}"
    );
}
