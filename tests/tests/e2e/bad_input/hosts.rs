//! Hosts that must not come in.

use std::{path::Path, time::Duration};

use windflow_model::Presence;
use windflow_protocol::{AgentFrame, AgentHello, ControllerFrame, Version, VersionRange};
use windflow_tests::{Fleet, Host, Target, wait};
use windflow_transport::{FrameReader, FrameWriter, HostKey, Network, endpoint, identity, tls};

use super::{Case, check, files};

const SOON: Duration = Duration::from_secs(30);

/// libfaketime of this machine; `None`, with a line for the reader, where it is missing.
fn faketime() -> Option<String> {
    let arch = std::env::consts::ARCH;
    let file = format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketime.so.1");
    if Path::new(&file).exists() {
        return Some(file);
    }
    eprintln!("SKIPPED: {file} is not there (scripts/setup tools installs it)");
    None
}

/// What a refused host must not leave: a record, a used token, an identity.
async fn half_joined(fleet: &Fleet, host: &Host) -> Vec<String> {
    let mut left: Vec<_> = fleet
        .client()
        .agent_list()
        .await
        .unwrap()
        .into_iter()
        .map(|agent| format!("host {}", agent.record.name))
        .collect();
    let tokens = fleet.client().enrolment_token_list().await.unwrap();
    left.extend(
        tokens
            .iter()
            .filter(|token| token.used_at.is_some())
            .map(|token| format!("used token {}", token.id)),
    );
    let kept = files(&host.state_dir());
    // The key is made before anybody is asked; it names nobody.
    left.extend(
        kept.into_iter()
            .filter(|name| name != "LOCK" && name != "agent.key"),
    );
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_may_not_join() {
    let mut fleet = Fleet::start().await;
    let mut host = Host::new("stranger", Target::Fake);
    let (quic, pin, token) = (fleet.quic(), fleet.pin().to_owned(), fleet.token().await);

    let mut wrong = token.clone();
    let last = if wrong.pop() == Some('a') { 'b' } else { 'a' };
    wrong.push(last);
    let said = host.enrol(quic, &pin, &wrong).await;
    let case = Case::exit("unknown token", &said, half_joined(&fleet, &host).await);
    check(
        &case,
        "3",
        "error: the controller refused: the enrolment token is unknown; it may have been revoked (WF-3003). Create a new token (`windflow agent token create`) and enrol within its time.",
    );

    let other_pin = identity::pin_text([7; 32]);
    let said = host.enrol(quic, &other_pin, &token).await;
    let case = Case::exit("wrong pin", &said, half_joined(&fleet, &host).await);
    let expected = format!(
        "error: the controller at {quic} has another key than the pinned one; nothing was sent. Copy the install command of the controller you mean to trust again, and do not go on if its key changed unexpectedly"
    );
    check(&case, "5", &expected);

    if let Some(library) = faketime() {
        host.set_env("LD_PRELOAD", &library);
        host.set_env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        host.set_env("FAKETIME", "+365d");
        let said = host.enrol(quic, &pin, &token).await;
        let case = Case::exit("clock off by a year", &said, half_joined(&fleet, &host).await);
        check(
            &case,
            "1",
            "error: this host's clock says 20…Z, the controller's 20…Z: set the one that is wrong (with NTP, for example), then try again",
        );

        host.set_env("FAKETIME", "+20m");
        fleet.controller.stop(SOON).await;
        fleet.set_env("LD_PRELOAD", &library);
        fleet.set_env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        fleet.set_env("FAKETIME", "+20m");
        fleet.restart_controller().await;
        let said = host.enrol(quic, &pin, &token).await;
        let case = Case::exit("expired token", &said, half_joined(&fleet, &host).await);
        check(
            &case,
            "3",
            "error: the controller refused: the enrolment token expired at 20…Z (WF-3003). Create a new token (`windflow agent token create`) and enrol within its time.",
        );
    }

    // None of this is in the way of the real thing.
    let token = fleet.token().await;
    let _said = host.enrol(quic, &pin, &token).await.ok();
    assert_eq!(fleet.client().agent_list().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_host_whose_clock_goes_wrong_says_so_and_recovers() {
    let Some(library) = faketime() else { return };
    let fleet = Fleet::start().await;
    let mut host = fleet.enrol("skewed", Target::Fake).await;
    host.set_env("LD_PRELOAD", &library);
    host.set_env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    host.set_env("FAKETIME", "+365d");
    host.start();
    let reason = wait::until("the agent says what is wrong", SOON, async || {
        let status = host.command(&["status"]).finish().await;
        let said = format!("{}{}", status.stdout, status.stderr);
        said.contains("this host's clock says").then_some(said)
    })
    .await;
    println!("{reason}");
    assert!(matches!(
        fleet.presence(host.id()).await,
        Presence::Offline { .. }
    ));
    host.agent.stop(SOON).await;
    host.set_env("FAKETIME", "+0");
    host.start();
    fleet.connected(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_a_newer_protocol_is_told_to_wait_for_its_controller() {
    let fleet = Fleet::start().await;
    let host = fleet.enrol("future", Target::Fake).await;
    let dir = host.state_dir();
    let certificate = identity::load_certificate(&dir.join("agent.crt")).unwrap();
    let ca = identity::load_certificate(&dir.join("ca.pem")).unwrap();
    let key = HostKey::load(&dir.join("agent.key")).unwrap();
    let name = identity_name(&dir);
    let (endpoint, _recalls) = endpoint::agent(&Network::default(), fleet.quic()).unwrap();
    let tls = tls::agent(certificate, key.private_der(), &ca).unwrap();
    let connection = endpoint::dial(&endpoint, fleet.quic(), &name, tls).await.unwrap();
    let (send, receive) = connection.open_bi().await.unwrap();
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(receive));
    let next = Version(VersionRange::SUPPORTED.max.0 + 1);
    let hello = AgentHello {
        versions: VersionRange { min: next, max: next },
        features: Vec::new(),
        build: "9.9.9".to_owned(),
        boot_id: [1; 16],
        wall_ms: windflow_kit::Clock::system().now_ms(),
    };
    writer.send(&AgentFrame::Hello(hello)).await.unwrap();
    let Some(ControllerFrame::Refused(denial)) = reader.next().await.unwrap() else {
        panic!("it was let in");
    };
    let left = match fleet.presence(host.id()).await {
        Presence::Offline { since: None, .. } => Vec::new(),
        other => vec![format!("{other:?}")],
    };
    let case = Case {
        what: "protocol N+1",
        code: denial.code,
        said: denial.message,
        left,
    };
    check(
        &case,
        "WF-3005",
        "the agent (9.9.9) speaks protocol 2, this controller 1: update the controller",
    );
}

/// The controller's name, as the host keeps it.
fn identity_name(dir: &Path) -> String {
    let text = fs_err::read_to_string(dir.join("controller.toml")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("server_name = "));
    line.unwrap().trim_matches('"').to_owned()
}
