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
        DeploymentState::Failed { failure } | DeploymentState::Rejected { failure } => failure,
        other => panic!("{other:?}"),
    };
    (failure, running(project).await)
}

/// What runs of a project.
async fn running(project: &Project) -> Vec<String> {
    let containers = project.containers().await.into_iter();
    containers
        .filter(|container| {
            container
                .status
                .as_deref()
                .is_some_and(|status| status.starts_with("Up"))
        })
        .map(|container| windflow_tests::project::container_name(&container))
        .collect()
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
        "services:\n  web:\n    image: windflow-test/busybox:1\n    init: true\n    command: [sleep, '60']\n    stop_grace_period: 1s\n    ports: ['127.0.0.1:{port}:80']\n"
    );
    let (failure, left) = fails(&fleet, &project, &host, &compose).await;
    check(
        &Case::failure("port taken", &failure, left),
        "WF-2003",
        &format!("…{port}…\nChoose another host port, or stop what uses it."),
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
    let before = running(&clash).await;
    assert_eq!(before.len(), 1);
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
