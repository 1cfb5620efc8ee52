//! Programs that cannot start, or not reach their engine.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use tokio::net::UnixListener;
use windflow_model::DeploymentState;
use windflow_tests::{Fleet, Host, Target, fleet::free_port, program::Launch, spec, wait};

use super::{Case, check, files};

const SOON: Duration = Duration::from_secs(30);

fn serve(dir: &Path, http: SocketAddr, quic: SocketAddr) -> Launch {
    let (http, quic, dir) = (http.to_string(), quic.to_string(), dir.display().to_string());
    Launch::ours(
        "windflow-controller",
        ["serve", "--http", &http, "--quic", &quic, "--data-dir", &dir],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_cannot_start() {
    let fleet = Fleet::start().await;
    let host = fleet.host("held", Target::Fake).await;
    let free = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let dir = fleet.scratch().join("second");

    let said = serve(&dir, fleet.http(), free).finish().await;
    let mut left = files(&dir);
    left.retain(|name| name != "LOCK");
    let holder = fleet.controller.pid().unwrap();
    let expected = format!(
        "error: TCP port {} is in use by process {holder} (windflow-contro); stop that or choose another port with --http",
        fleet.http().port()
    );
    check(&Case::exit("HTTPS port in use", &said, left), "1", &expected);

    let said = serve(&dir, free, fleet.quic()).finish().await;
    let expected = format!(
        "error: UDP port {} is in use by process {holder} (windflow-contro); stop that or choose another port with --quic",
        fleet.quic().port()
    );
    check(&Case::exit("QUIC port in use", &said, Vec::new()), "1", &expected);

    let said = serve(&fleet.data_dir(), free, free).finish().await;
    let expected = format!(
        "error: data directory {} is in use by process {}; stop it or choose another with --data-dir",
        fleet.data_dir().display(),
        fleet.controller.pid().unwrap()
    );
    check(
        &Case::exit("data directory locked", &said, Vec::new()),
        "1",
        &expected,
    );

    let said = host.command(&["run", "--target", "fake"]).finish().await;
    let expected = format!(
        "error: data directory {} is in use by process {}; stop it or choose another with --state-dir",
        host.state_dir().display(),
        host.agent.pid().unwrap()
    );
    check(
        &Case::exit("state directory locked", &said, Vec::new()),
        "1",
        &expected,
    );

    let closed = fleet.scratch().join("closed");
    fs_err::create_dir(&closed).unwrap();
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    let said = serve(&closed, free, free)
        .without_rights(fleet.scratch())
        .finish()
        .await;
    let expected = format!(
        "error: data directory {} is not writable; give it to this user (chown) or choose another with --data-dir: failed to open file `{}`: Permission denied (os error 13)",
        closed.display(),
        closed.join("LOCK").display()
    );
    check(
        &Case::exit("data directory not writable", &said, files(&closed)),
        "1",
        &expected,
    );

    let other = Host::new("closed", Target::Fake);
    let mut launch = other
        .command(&["run", "--target", "fake"])
        .without_rights(other.scratch());
    launch = launch.env("WINDFLOW_STATE_DIR", &closed);
    let said = launch.finish().await;
    let expected = expected.replace("--data-dir", "--state-dir");
    check(
        &Case::exit("state directory not writable", &said, files(&closed)),
        "1",
        &expected,
    );

    // The first of each was not disturbed.
    fleet.connected(&host).await;
}

/// The engine's address cannot be used: the agent runs and says so on its host, and a deployment says it to who sent it.
async fn unreachable(what: &'static str, mut host: Host, fleet: &Fleet, said: &str) {
    let remedy =
        "Start the engine and check its socket and the agent's right to it: `windflow-agent doctor`.";
    let mut launch = host.command(&["doctor"]);
    if what == "socket forbidden" {
        launch = launch.without_rights(host.scratch());
    }
    let found = launch.finish().await;
    let line = found
        .stdout
        .lines()
        .skip_while(|line| !line.contains("engine"))
        .take(2);
    let case = Case {
        what,
        code: found.code.to_string(),
        said: line.collect::<Vec<_>>().join("\n"),
        left: Vec::new(),
    };
    check(
        &case,
        "1",
        &format!("FAIL  engine: …{said} (WF-2006)\n      {remedy}"),
    );

    let mut run = host.command(&["run"]);
    if what == "socket forbidden" {
        run = run.without_rights(host.scratch());
        give_away(&host.state_dir());
    }
    host.agent.start(&run);
    fleet.connected(&host).await;
    let shown = wait::until("the host shows its problem", SOON, async || {
        let agent = fleet.client().agent_show(host.id()).await.unwrap();
        agent.record.inventory.engine_problem
    });
    let shown = shown.await;
    let compose = "services:\n  web:\n    image: windflow-test/busybox:1\n";
    // An engine may be away for a moment: it is waited for as long as for a service.
    let mut spec = spec(compose);
    spec.policy.health_timeout_s = 2;
    let stack = format!("on-{}", host.name());
    let deployed = fleet.deploy_spec(&stack, spec, &[&host]).await;
    let ended = fleet
        .ended(deployed.first().unwrap().deployment.id, SOON)
        .await
        .deployment;
    let DeploymentState::Failed { failure } = ended.state else {
        panic!("{what}: {:?}", ended.state);
    };
    check(
        &Case::failure(what, &failure, Vec::new()),
        "WF-2006",
        &format!("…{said}\n{remedy}"),
    );
    let place = said.split(": ").next().unwrap_or_default();
    assert!(shown.contains(place), "the host shows another problem: {shown}");
}

/// Gives everything in a folder to the user without rights, if this test has rights at all.
fn give_away(dir: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(dir, Some(65_534), Some(65_534)).unwrap();
    for name in files(dir) {
        std::os::unix::fs::chown(dir.join(name), Some(65_534), Some(65_534)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_cannot_be_reached() {
    let fleet = Fleet::start().await;
    let mut host = fleet.enrol("nosocket", Target::Docker).await;
    let socket = host.scratch().join("none.sock");
    host.set_env("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let place = socket.display();
    let said = format!(
        "the engine at unix://{place}: there is no such socket; start Docker or Podman, or name its socket in DOCKER_HOST: …"
    );
    unreachable("socket missing", host, &fleet, &said).await;

    let mut host = fleet.enrol("forbidden", Target::Docker).await;
    let socket = host.scratch().join("engine.sock");
    let _listening = UnixListener::bind(&socket).unwrap();
    // A user with rights is asked for none: the socket is closed for the others.
    let mode = if rustix::process::geteuid().is_root() {
        0o600
    } else {
        0o000
    };
    fs_err::set_permissions(&socket, std::fs::Permissions::from_mode(mode)).unwrap();
    host.set_env("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let place = socket.display();
    let said = format!(
        "the engine at unix://{place}: this user may not open the socket; add it to the socket's group (usually docker) or run as root: …Permission denied (os error 13)"
    );
    unreachable("socket forbidden", host, &fleet, &said).await;
}
