//! What cannot work: one clear failure with its remedy, and nothing half-done on the host.

use std::{
    collections::HashMap,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt},
        process::CommandExt as _,
    },
    path::Path,
};

use bollard::{
    models::{ContainerCreateBody, HostConfig, PortBinding},
    query_parameters::{CreateContainerOptions, StartContainerOptions},
};
use windflow_engine::{DockerOptions, DockerTarget, Target as _};
use windflow_model::{DeploymentState, Failure, Want};

use crate::bench::{self, Bench, Guard};

const FORBIDDEN: &str = "WINDFLOW_TEST_FORBIDDEN_SOCKET";

/// Everything that is left of a project on the host.
async fn left(bench: &Bench) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (docker, stack) = (&bench.docker, bench.stack.as_str());
    (
        bench.ids().await.into_keys().collect(),
        bench::networks(docker, stack).await,
        bench::volumes(docker, stack).await,
    )
}

fn failure(state: &DeploymentState) -> &Failure {
    state.failure().unwrap_or_else(|| panic!("{state:?}"))
}

/// A deploy of `yaml` fails with `code`, says `words`, and leaves the host as it was, on an empty host and over a stack
/// that runs.
async fn check(name: &str, yaml: &str, code: &str, words: &[&str]) {
    let Some(mut bench) = Bench::start(name).await else {
        return;
    };
    let state = bench.apply(yaml).await;
    let told = failure(&state);
    assert_eq!(told.code, code, "{name}: {told}");
    assert!(!told.hint.is_empty(), "{name}");
    for word in words {
        assert!(told.message.contains(word), "{name}: {word:?} in {told}");
    }
    let nothing: Vec<String> = Vec::new();
    assert_eq!(
        left(&bench).await,
        (nothing.clone(), nothing.clone(), nothing),
        "{name}: {told}"
    );
    let good = "services: { a: { image: 'windflow-test/busybox:1', command: [sleep, '3600'], stop_grace_period: 0s } }";
    assert_eq!(bench.apply(good).await, DeploymentState::Succeeded, "{name}");
    let before = (bench.ids().await, left(&bench).await);
    assert_eq!(failure(&bench.apply(yaml).await).code, code, "{name}");
    assert_eq!(
        (bench.ids().await, left(&bench).await),
        before,
        "{name}: what ran still runs"
    );
    for container in bench.containers().await {
        let status = container.status.unwrap_or_default();
        assert!(status.starts_with("Up"), "{name}: {status}");
    }
    bench.end().await;
}

/// What is told of the engine at a socket.
async fn told(path: &Path) -> Failure {
    let options = DockerOptions {
        host: Some(format!("unix://{}", path.display())),
        ..DockerOptions::default()
    };
    let target = DockerTarget::connect(options).unwrap();
    target.info().await.unwrap_err().failure()
}

fn service(more: &str) -> String {
    format!(
        "services:\n  a:\n    image: windflow-test/busybox:1\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n    volumes: ['data:/data']\n    networks: [back]\n{more}volumes: {{ data: {{}} }}\nnetworks: {{ back: {{}} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_image_that_cannot_be_pulled() {
    // Port 9 of this machine: nobody answers.
    let yaml = service("").replace("windflow-test/busybox:1", "127.0.0.1:9/nothing:1");
    check("nopull", &yaml, "WF-2002", &["127.0.0.1:9/nothing:1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_port_that_a_program_holds() {
    let holder = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let yaml = service(&format!("    ports: ['{port}:80']\n"));
    check("portprog", &yaml, "WF-2003", &["service a", &format!(":{port}")]).await;
}

/// A foreign container with a name of its own; the guard of its project removes it.
async fn foreigner(docker: &bollard::Docker, project: &str, name: &str, port: Option<u16>) {
    let bindings = port.map(|port| {
        let binding = PortBinding {
            host_ip: None,
            host_port: Some(port.to_string()),
        };
        HashMap::from([("80/tcp".to_owned(), Some(vec![binding]))])
    });
    let body = ContainerCreateBody {
        image: Some("windflow-test/busybox:1".to_owned()),
        cmd: Some(vec!["sleep".to_owned(), "3600".to_owned()]),
        exposed_ports: port.map(|_| vec!["80/tcp".to_owned()]),
        labels: Some(HashMap::from([(
            "com.docker.compose.project".to_owned(),
            project.to_owned(),
        )])),
        host_config: Some(HostConfig {
            port_bindings: bindings,
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptions {
        name: Some(name.to_owned()),
        ..CreateContainerOptions::default()
    };
    let made = docker.create_container(Some(options), body).await.unwrap();
    docker
        .start_container(&made.id, None::<StartContainerOptions>)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_port_that_a_container_holds() {
    let Some(docker) = bench::docker().await else {
        return;
    };
    let _guard = Guard::new("wft-engine-porthold", windflow_kit::Stop::new());
    bench::sweep(&docker, "wft-engine-porthold").await;
    // A port that was free a moment ago.
    let port = TcpListener::bind("0.0.0.0:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    foreigner(
        &docker,
        "wft-engine-porthold",
        "wft-engine-porthold-x",
        Some(port),
    )
    .await;
    let yaml = service(&format!("    ports: ['{port}:80']\n"));
    let words = [
        format!("{port}/tcp"),
        "container wft-engine-porthold-x".to_owned(),
    ];
    check("portcont", &yaml, "WF-2003", &[&words[0], &words[1]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_name_that_a_container_has() {
    let Some(docker) = bench::docker().await else {
        return;
    };
    let _guard = Guard::new("wft-engine-namehold", windflow_kit::Stop::new());
    bench::sweep(&docker, "wft-engine-namehold").await;
    foreigner(&docker, "wft-engine-namehold", "wft-engine-taken", None).await;
    let yaml = service("    container_name: wft-engine-taken\n");
    check("name", &yaml, "WF-2004", &["the name wft-engine-taken is used"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_network_and_volume_that_are_not_there() {
    let yaml = service("").replace("back: {}", "back: { external: true, name: wft-engine-far }");
    check(
        "nonet",
        &yaml,
        "WF-2017",
        &["network wft-engine-far", "create it first"],
    )
    .await;
    let yaml = service("").replace("data: {}", "data: { external: true, name: wft-engine-away }");
    check(
        "novol",
        &yaml,
        "WF-2017",
        &["volume wft-engine-away", "create it first"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_program_that_is_not_in_the_image() {
    let yaml = service("").replace("[sleep, '3600']", "[/no/such/program]");
    check("noprog", &yaml, "WF-2005", &["service a", "/no/such/program"]).await;
}

#[tokio::test]
async fn sockets_that_do_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let missing = told(&dir.path().join("none.sock")).await;
    assert_eq!(missing.code, "WF-2006");
    assert!(missing.message.contains("there is no such socket"), "{missing}");

    let dead = dir.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let refused = told(&dead).await;
    assert_eq!(refused.code, "WF-2006");
    assert!(refused.message.contains("nobody listens there"), "{refused}");
}

/// Runs in the child only, as a user that may not open the socket.
#[tokio::test]
async fn forbidden_child() {
    let Ok(path) = std::env::var(FORBIDDEN) else {
        return;
    };
    let forbidden = told(Path::new(&path)).await;
    assert_eq!(forbidden.code, "WF-2006");
    assert!(
        forbidden.message.contains("may not open the socket"),
        "{forbidden}"
    );
}

#[tokio::test]
async fn a_socket_that_is_for_others() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let path = dir.path().join("closed.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    // Root may open everything: a copy of this program, which anybody may run, asks as nobody.
    let program = dir.path().join("test");
    fs_err::copy(std::env::current_exe().unwrap(), &program).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "a second copy of this test binary as another user"
    )]
    let mut child = std::process::Command::new(&program);
    child
        .args(["trouble::forbidden_child", "--exact"])
        .env(FORBIDDEN, &path)
        .current_dir("/");
    if fs_err::metadata(&path).unwrap().uid() == 0 {
        child.uid(65_534).gid(65_534);
    } else {
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A removal of what is not there is a success, and stays one.
#[tokio::test(flavor = "multi_thread")]
async fn docker_removal_of_nothing() {
    let Some(mut bench) = Bench::start("nothing").await else {
        return;
    };
    for _ in 0..2 {
        let order = bench.order(&service(""), Want::AbsentWithVolumes);
        assert_eq!(bench.run(order).await, DeploymentState::Succeeded);
    }
    bench.end().await;
}
