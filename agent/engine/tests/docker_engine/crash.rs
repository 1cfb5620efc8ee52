//! kill -9 at random instants of deploys, removals and failing deploys, then the same end as if nothing had happened.

use std::{path::Path, process::Stdio, time::Duration};

use bollard::{Docker, models::ContainerSummary};
use windflow_engine::{Order, Report};
use windflow_kit::{Clock, OnFailure, Random, Stop, TaskSet};
use windflow_model::{DeploymentState, OpId, OrgId, StackName, Want};
use windflow_store::{Key, Prefix, RedbOptions, RedbStore, Store as _};

use crate::bench::{self, Guard};

const DIR: &str = "WINDFLOW_TEST_CRASH_DIR";
const STACK: &str = "wft-engine-crash";

/// What a round asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Everything is replaced; every third changes how many containers there are.
    Good,
    /// As the last good one, but the last service does not come up.
    Bad,
    /// The stack goes; its volume stays.
    Gone,
}

impl Turn {
    const fn of(round: u64) -> Self {
        match round % 7 {
            4 => Self::Bad,
            6 => Self::Gone,
            _ => Self::Good,
        }
    }
}

/// Three services in a chain, on two networks: older engines need a call of its own for the second.
fn yaml(variant: u64, scale: u64, last: &str) -> String {
    let service = |name: &str, command: &str, more: &str| {
        format!(
            "  {name}:\n    image: windflow-test/busybox:{}\n    command: {command}\n    init: true\n    stop_grace_period: 1s\n    environment: {{ VARIANT: '{variant}' }}\n    volumes: ['data:/data', '/anon']\n    networks: [default, back]\n{more}",
            variant % 2 + 1
        )
    };
    let sleep = "[sleep, '3600']";
    format!(
        "services:\n{}{}{}volumes: {{ data: {{}} }}\nnetworks: {{ back: {{}} }}\n",
        service("a", sleep, ""),
        service("b", sleep, &format!("    scale: {scale}\n    depends_on: [a]\n")),
        service("c", last, "    depends_on: [b]\n")
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

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_kill_at_random_instants() {
    rounds(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_docker_kill_at_random_instants() {
    rounds(100).await;
}

/// `WINDFLOW_TEST_CRASH_ROUNDS` and `WINDFLOW_TEST_SEED` choose others.
async fn rounds(default: u64) {
    let Some(docker) = bench::docker().await else {
        return;
    };
    let rounds = number("WINDFLOW_TEST_CRASH_ROUNDS", default);
    let now = u64::try_from(Clock::system().now_ms()).unwrap();
    let seed = number("WINDFLOW_TEST_SEED", now);
    println!("seed {seed}: repeat with WINDFLOW_TEST_SEED={seed} WINDFLOW_TEST_CRASH_ROUNDS={rounds}");
    let random = Random::seeded(seed);
    let stack: StackName = STACK.parse().unwrap();
    bench::sweep(&docker, STACK).await;
    let stop = Stop::new();
    let guard = Guard::new(STACK, stop.clone());
    let dir = tempfile::tempdir().unwrap();
    let (mut kills, mut hits) = (0_u32, 0_u32);
    let (mut variant, mut scale) = (0, 1);
    let mut anonymous = None;
    for round in 1..=rounds {
        let turn = Turn::of(round);
        let (text, want) = match turn {
            Turn::Good => {
                (variant, scale) = (round, round % 3 + 1);
                (yaml(variant, scale, "[sleep, '3600']"), Want::Present)
            }
            Turn::Bad => (yaml(round, scale, "[sh, -c, 'exit 7']"), Want::Present),
            Turn::Gone => (yaml(variant, scale, "[sleep, '3600']"), Want::Absent),
        };
        let order = bench::order(&stack, round, &text, want);
        fs_err::write(dir.path().join("order.json"), serde_json::to_vec(&order).unwrap()).unwrap();
        for _ in 0..=random.up_to(2) {
            let mut child = child(dir.path());
            let wait = Duration::from_millis(random.up_to(2_500));
            let alive = tokio::time::timeout(wait, child.wait()).await.is_err();
            kills += 1;
            hits += u32::from(alive);
            child.kill().await.unwrap();
        }
        let context = format!("round {round} {turn:?} seed {seed}");
        let state = last_life(dir.path(), &stack, order, &stop, &context).await;
        clean_journal(dir.path(), &context).await;
        let there = bench::containers(&docker, STACK).await;
        // A removal without volumes leaves anonymous ones behind, as docker compose does: this test takes them along.
        guard.also(anonymous_volumes(&docker, &there).await);
        match turn {
            Turn::Gone => {
                assert_eq!(state, DeploymentState::Succeeded, "{context}");
                assert_eq!(there, [], "{context}");
                assert_eq!(
                    bench::networks(&docker, STACK).await,
                    Vec::<String>::new(),
                    "{context}"
                );
                anonymous = None;
            }
            Turn::Good => {
                assert_eq!(state, DeploymentState::Succeeded, "{context}");
                check(&docker, &there, scale, &context).await;
                for container in &there {
                    assert_eq!(env(&docker, container).await, variant.to_string(), "{context}");
                }
                // Data in an anonymous volume goes over to every next container.
                let volume = anonymous_volume(&docker, &there).await;
                assert_eq!(
                    *anonymous.get_or_insert_with(|| volume.clone()),
                    volume,
                    "{context}"
                );
            }
            Turn::Bad => {
                let failure = state.failure().unwrap_or_else(|| panic!("{context}: {state:?}"));
                assert_eq!(failure.code, "WF-2008", "{context}: {failure}");
                check(&docker, &there, scale, &context).await;
                let last = there.last().unwrap();
                assert_eq!(bench::name(last), format!("{STACK}-c-1"));
                assert_eq!(
                    env(&docker, last).await,
                    variant.to_string(),
                    "{context}: put back"
                );
            }
        }
        assert_eq!(bench::volumes(&docker, STACK).await.len(), 1, "{context}");
    }
    println!("{rounds} rounds, {kills} kills, {hits} of a process that was at work");
    assert!(
        u64::from(hits) * 2 > rounds,
        "only {hits} of the kills met a living process: the test proves nothing"
    );
}

/// A life without a kill brings it to its end.
async fn last_life(
    dir: &Path,
    stack: &StackName,
    order: Order,
    stop: &Stop,
    context: &str,
) -> DeploymentState {
    let (engine, handle) = bench::engine(dir).await;
    let tasks = TaskSet::new(stop.child(), Random::system());
    tasks.spawn("engine", OnFailure::Log, engine.run(tasks.stop().clone()));
    let op = order.op;
    handle.apply(order).await.unwrap();
    let state = bench::ended(&handle, stack, op).await;
    truthful(&handle.reports(0, 1_000), op, &state, context);
    handle.reports_ack(u64::MAX).await.unwrap();
    drop(handle);
    let drained = tasks.drain(Duration::from_secs(20)).await;
    assert!(
        drained.unfinished.is_empty(),
        "{context}: {:?}",
        drained.unfinished
    );
    state
}

/// What is told of an operation is one legal way to its one end.
fn truthful(reports: &[Report], op: OpId, end: &DeploymentState, context: &str) {
    let mut state = DeploymentState::Offered;
    let mut ends = 0;
    for report in reports.iter().filter(|report| report.op == op) {
        state = state
            .next(&report.event)
            .unwrap_or_else(|error| panic!("{context}: {error} in {reports:#?}"));
        ends += u32::from(state.is_terminal());
    }
    assert_eq!((&state, ends), (end, 1), "{context}");
}

/// Revisions that the journal keeps for going back.
const KEPT: usize = 10;

/// No step is left open, and no order that nobody needs.
async fn clean_journal(dir: &Path, context: &str) {
    let store = RedbStore::open(dir.join("state"), RedbOptions::default()).unwrap();
    let below = |kind: &str| {
        let key = Key::new([OrgId::DEFAULT.to_string()]).push("engine").push(kind);
        Prefix::below(&key)
    };
    let steps = store.scan(&below("step"), None, 100).await.unwrap().records;
    assert!(steps.is_empty(), "{context}: {steps:?}");
    let orders = store.scan(&below("order"), None, 100).await.unwrap().records;
    assert!(
        orders.len() <= KEPT + 1,
        "{context}: the held order and the history, not {}",
        orders.len()
    );
}

/// One container in each place, up, on both networks; nothing else.
async fn check(docker: &Docker, there: &[ContainerSummary], scale: u64, context: &str) {
    let mut expected = vec![format!("{STACK}-a-1"), format!("{STACK}-c-1")];
    expected.extend((1..=scale).map(|number| format!("{STACK}-b-{number}")));
    expected.sort();
    let names: Vec<String> = there.iter().map(bench::name).collect();
    assert_eq!(
        names, expected,
        "{context}: no duplicate, no orphan, no temporary name"
    );
    let both = [format!("{STACK}_back"), format!("{STACK}_default")];
    for container in there {
        let status = container.status.as_deref().unwrap_or_default();
        assert!(
            status.starts_with("Up"),
            "{context}: {} {status}",
            bench::name(container)
        );
        let settings = container.network_settings.clone().unwrap_or_default();
        let mut on: Vec<String> = settings.networks.unwrap_or_default().into_keys().collect();
        on.sort();
        assert_eq!(on, both, "{context}: {}", bench::name(container));
    }
    let mut networks = bench::networks(docker, STACK).await;
    networks.sort();
    assert_eq!(networks, both, "{context}");
}

async fn env(docker: &Docker, container: &ContainerSummary) -> String {
    let id = container.id.as_deref().unwrap();
    let found = docker
        .inspect_container(id, None::<bollard::query_parameters::InspectContainerOptions>)
        .await
        .unwrap();
    let env = found.config.unwrap().env.unwrap();
    env.iter()
        .find_map(|item| item.strip_prefix("VARIANT="))
        .unwrap()
        .to_owned()
}

/// The volume that container a-1 has at /anon.
async fn anonymous_volume(docker: &Docker, there: &[ContainerSummary]) -> String {
    anonymous_volumes(docker, there).await.remove(0)
}

/// The volumes that the containers have at /anon, in the order of their names.
async fn anonymous_volumes(docker: &Docker, there: &[ContainerSummary]) -> Vec<String> {
    let mut volumes = Vec::new();
    for container in there {
        let id = container.id.as_deref().unwrap();
        let found = docker
            .inspect_container(id, None::<bollard::query_parameters::InspectContainerOptions>)
            .await
            .unwrap();
        let mut mounts = found.mounts.unwrap().into_iter();
        let mount = mounts.find(|mount| mount.destination.as_deref() == Some("/anon"));
        volumes.push(mount.and_then(|mount| mount.name).unwrap());
    }
    volumes
}
