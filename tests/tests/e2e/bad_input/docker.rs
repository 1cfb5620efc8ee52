//! What a real engine refuses.

use std::{net::TcpListener, time::Duration};

use windflow_model::{DeploymentState, Failure};
use windflow_tests::{Fleet, Host, Project, Target};

use super::{Case, check};

const WITHIN: Duration = Duration::from_secs(60);

async fn fails(fleet: &Fleet, project: &Project, host: &Host, compose: &str) -> (Failure, Vec<String>) {
    let deployed = fleet.deploy(project.name(), compose, &[host]).await;
    let ended = fleet
        .ended(deployed.first().unwrap().deployment.id, WITHIN)
        .await
        .deployment;
    let failure = match ended.state {
        DeploymentState::Failed { failure }
        | DeploymentState::Rejected { failure }
        | DeploymentState::RolledBack { failure, .. } => failure,
        other => panic!("{other:?}"),
    };
    (failure, there(project).await)
}

/// What the engine has of a project, as `docker ps -a`, `docker network ls` and `docker volume ls` show it: also
/// containers that were only created.
async fn there(project: &Project) -> Vec<String> {
    let containers = project.containers().await.into_iter().map(|container| {
        let name = windflow_tests::project::container_name(&container);
        let status = container.status.unwrap_or_default();
        let state = status.split_whitespace().next().unwrap_or_default();
        format!("container {name} {state} {}", container.id.unwrap_or_default())
    });
    let (networks, volumes) = project.networks_and_volumes().await;
    containers.chain(networks).chain(volumes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_what_the_engine_refuses() {
    let Some(project) = Project::claim("refused").await else {
        return;
    };
    let fleet = Fleet::start().await;
    let mut host = fleet.host("engine", Target::Docker).await;

    let image = "services:\n  web:\n    image: registry.invalid/no/such:1\n";
    let (failure, left) = fails(&fleet, &project, &host, image).await;
    check(
        &Case::failure("image that cannot be pulled", &failure, left),
        "WF-2002",
        "…registry.invalid/no/such:1…\nCheck the image name and tag, and that the host can reach and sign in to the registry.",
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let compose = format!(
        "services:\n  web:\n    image: windflow-test/busybox:1\n    init: true\n    command: [sleep, '60']\n    stop_grace_period: 1s\n    volumes: ['data:/data']\n    ports: ['127.0.0.1:{port}:80']\nvolumes: {{ data: {{}} }}\n"
    );
    let says = format!("…{port}…\nChoose another host port, or stop what uses it.");
    let (failure, left) = fails(&fleet, &project, &host, &compose).await;
    check(&Case::failure("port taken", &failure, left), "WF-2003", &says);
    // The same over a stack that runs: it runs on, and nothing stands beside it.
    let runs = "services:\n  web:\n    image: windflow-test/busybox:1\n    init: true\n    command: [sleep, '600']\n    stop_grace_period: 1s\n";
    let deployed = fleet.deploy(project.name(), runs, &[&host]).await;
    let ended = fleet.ended(deployed.first().unwrap().deployment.id, WITHIN);
    assert_eq!(ended.await.deployment.state, DeploymentState::Succeeded);
    let before = there(&project).await;
    assert!(before.iter().any(|one| one.contains(" Up ")), "{before:?}");
    let (failure, after) = fails(&fleet, &project, &host, &compose).await;
    assert_eq!(after, before, "the stack is as it was");
    check(
        &Case::failure("port taken in an update", &failure, Vec::new()),
        "WF-2003",
        &says,
    );
    drop(taken);

    // The same name, brought up by hand on this host.
    host.agent.stop(WITHIN).await;
    let clash = Project::claim("clash").await.expect("there is an engine");
    let file = host.scratch().join("compose.yaml");
    let compose = "services:\n  web:\n    image: windflow-test/busybox:1\n    init: true\n    command: [sleep, '600']\n    stop_grace_period: 1s\n";
    fs_err::write(&file, compose).unwrap();
    let path = file.display().to_string();
    let up = ["local", "-f", &path, "-p", clash.name(), "up", "-d"];
    let _said = host.command(&up).finish().await.ok();
    let before = there(&clash).await;
    assert_eq!(
        before.iter().filter(|one| one.contains(" Up ")).count(),
        1,
        "{before:?}"
    );
    host.start();
    fleet.connected(&host).await;
    let (failure, after) = fails(&fleet, &clash, &host, compose).await;
    assert_eq!(after, before, "the other stack runs on");
    check(
        &Case::failure("name clash", &failure, Vec::new()),
        "WF-2010",
        &format!(
            "…{}…\nRename the stack, or remove the other one from this host first.",
            clash.name()
        ),
    );
    // Declared after the host, so removed before it: the agent is stopped first.
    host.agent.stop(WITHIN).await;
}
