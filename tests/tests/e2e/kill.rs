//! kill -9 of the agent or of the controller at random instants of deploys on the real engine: every deployment ends in
//! its true state, and on the engine nothing is there twice and nothing is left over.

use std::{collections::BTreeMap, time::Duration};

use bollard::query_parameters::InspectContainerOptions;
use windflow_kit::{Clock, Random};
use windflow_model::{DeploymentState, Rev};
use windflow_tests::{Fleet, Host, Project, Target, project::container_name};

/// Longest time until a deployment has ended, kills and restarts included.
const ENDS_WITHIN: Duration = Duration::from_secs(90);
/// A kill comes at most this long after the deployment was queued, or after the restart before it (milliseconds). A
/// whole deployment takes about that long.
const KILL_WITHIN: u64 = 3_000;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Agent,
    Controller,
}

/// Two services of which one waits for the other; every variant replaces all containers. `broken` does not come up.
fn compose(variant: u64, scale: u64, broken: bool) -> String {
    let command = if broken {
        "[sh, -c, 'exit 7']"
    } else {
        "[sleep, '3600']"
    };
    format!(
        "services:\n  db:\n    image: windflow-test/busybox:{image}\n    command: [sleep, '3600']\n    init: true\n    scale: {scale}\n    environment: {{ VARIANT: '{variant}' }}\n    volumes: ['data:/data']\n    networks: [default, back]\n  web:\n    image: windflow-test/busybox:{image}\n    command: {command}\n    init: true\n    environment: {{ VARIANT: '{variant}' }}\n    depends_on: [db]\n    networks: [default, back]\nvolumes: {{ data: {{}} }}\nnetworks: {{ back: {{}} }}\n",
        image = variant % 2 + 1,
    )
}

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Kills and starts the victim again. True if it was at work.
async fn strike(victim: Victim, fleet: &mut Fleet, host: &mut Host) -> bool {
    match victim {
        Victim::Agent => {
            let ran = host.agent.is_running();
            host.agent.kill().await;
            host.start();
            ran
        }
        Victim::Controller => {
            let ran = fleet.controller.is_running();
            fleet.controller.kill().await;
            fleet.restart_controller().await;
            ran
        }
    }
}

/// `WINDFLOW_TEST_KILL_ROUNDS` and `WINDFLOW_TEST_SEED` choose others.
async fn rounds(victim: Victim, default: u64) {
    let name = format!("{victim:?}").to_lowercase();
    let Some(project) = Project::claim(&format!("kill-{name}")).await else {
        return;
    };
    let rounds = number("WINDFLOW_TEST_KILL_ROUNDS", default);
    let now = u64::try_from(Clock::system().now_ms()).unwrap();
    let seed = number("WINDFLOW_TEST_SEED", now);
    println!("{name}, seed {seed}: repeat with WINDFLOW_TEST_SEED={seed} WINDFLOW_TEST_KILL_ROUNDS={rounds}");
    let random = Random::seeded(seed);
    let mut fleet = Fleet::start().await;
    let mut host = fleet.host(&format!("kill-{name}"), Target::Docker).await;
    let (mut good, mut scale) = (0, 1);
    let (mut kills, mut met, mut open) = (0_u64, 0_u64, 0_u64);
    for round in 1..=rounds {
        let broken = round % 5 == 4;
        if !broken {
            (good, scale) = (round, round % 2 + 1);
        }
        let context = format!("round {round} of {name}, seed {seed}");
        let queued = fleet
            .deploy(project.name(), &compose(round, scale, broken), &[&host])
            .await;
        assert_eq!(queued.len(), 1, "{context}");
        let deployment = queued.first().unwrap().deployment.id;
        for _ in 0..=random.up_to(1) {
            tokio::time::sleep(Duration::from_millis(random.up_to(KILL_WITHIN))).await;
            let view = fleet.deployment(deployment).await.deployment;
            open += u64::from(!view.state.is_terminal());
            kills += 1;
            met += u64::from(strike(victim, &mut fleet, &mut host).await);
        }
        let ended = fleet.ended(deployment, ENDS_WITHIN).await.deployment;
        assert_eq!(ended.rev, Rev(round), "{context}");
        if broken {
            let failure = ended.state.failure();
            let failure = failure.unwrap_or_else(|| panic!("{context}: {:?}", ended.state));
            assert_eq!(failure.code, "WF-2008", "{context}: {failure}");
        } else {
            assert_eq!(ended.state, DeploymentState::Succeeded, "{context}");
        }
        check(&project, good, scale, broken, &context).await;
    }
    // None is lost, none came twice, and none goes on.
    let stacks = fleet.client().stack_list().await.unwrap();
    assert_eq!(stacks.len(), 1);
    let all = fleet.client().deployment_list(&Default::default()).await.unwrap();
    let mut revs: Vec<Rev> = all.iter().map(|view| view.deployment.rev).collect();
    revs.sort_unstable();
    assert_eq!(revs, (1..=rounds).map(Rev).collect::<Vec<_>>());
    assert!(all.iter().all(|view| view.deployment.state.is_terminal()));
    println!(
        "{name}: {rounds} deployments, {kills} kills, {open} of them while the deployment was open; 0 wrong"
    );
    assert_eq!(met, kills, "every kill met a process");
    assert!(
        open * 3 > kills,
        "only {open} of {kills} kills met an open deployment"
    );
}

/// One container in each place, up, of the right variant; nothing else.
async fn check(project: &Project, good: u64, scale: u64, broken: bool, context: &str) {
    let name = project.name();
    let mut expected: Vec<String> = (1..=scale).map(|number| format!("{name}-db-{number}")).collect();
    expected.push(format!("{name}-web-1"));
    let there = project.containers().await;
    let names: Vec<String> = there.iter().map(container_name).collect();
    assert_eq!(names, expected, "{context}");
    let mut variants = BTreeMap::new();
    for container in &there {
        let status = container.status.as_deref().unwrap_or_default();
        assert!(
            status.starts_with("Up"),
            "{context}: {} {status}",
            container_name(container)
        );
        let id = container.id.as_deref().unwrap();
        let found = project
            .docker()
            .inspect_container(id, None::<InspectContainerOptions>);
        let env = found.await.unwrap().config.unwrap().env.unwrap();
        let variant = env.iter().find_map(|item| item.strip_prefix("VARIANT="));
        variants.insert(container_name(container), variant.unwrap_or_default().to_owned());
    }
    // Where the last service does not come up it is put back; those before it had been replaced well.
    let judged = variants
        .iter()
        .filter(|(container, _)| !broken || container.ends_with("-web-1"));
    for (container, variant) in judged {
        assert_eq!(*variant, good.to_string(), "{context}: {container}");
    }
    let (mut networks, volumes) = project.networks_and_volumes().await;
    networks.sort();
    assert_eq!(
        networks,
        [format!("{name}_back"), format!("{name}_default")],
        "{context}"
    );
    assert_eq!(volumes, [format!("{name}_data")], "{context}");
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_agent_killed_at_random_instants() {
    rounds(Victim::Agent, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_controller_killed_at_random_instants() {
    rounds(Victim::Controller, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_docker_agent_killed_at_random_instants() {
    rounds(Victim::Agent, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_docker_controller_killed_at_random_instants() {
    rounds(Victim::Controller, 100).await;
}
