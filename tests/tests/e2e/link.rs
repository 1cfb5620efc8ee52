//! The link under faults: half-open, moved to another address, ended on purpose.

use std::time::Duration;

use tokio::time::Instant;
use windflow_api::LogParams;
use windflow_model::{DeploymentState, LogEvent, Presence, Timestamp};
use windflow_tests::{Fleet, Host, Project, Target, UdpProxy, wait};

const SOON: Duration = Duration::from_secs(30);
/// Promised to users: a host that is gone is shown as gone.
const GONE_WITHIN: Duration = Duration::from_secs(25);
const WEB: &str = "services:\n  web:\n    image: example/web:1\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_link_is_found_by_both_sides_and_comes_back() {
    let fleet = Fleet::start().await;
    let proxy = UdpProxy::start(fleet.quic()).await;
    let mut host = fleet.enrol_by("cut", Target::Fake, proxy.address()).await;
    host.start();
    fleet.connected(&host).await;
    proxy.blackhole();
    let cut = Instant::now();
    let (by_controller, by_agent) = tokio::join!(
        async {
            let reason = fleet.offline(&host, GONE_WITHIN + Duration::from_secs(5)).await;
            (cut.elapsed(), reason)
        },
        async {
            wait::until(
                "the agent knows",
                GONE_WITHIN + Duration::from_secs(5),
                async || {
                    let status = host.command(&["status", "--json"]).finish().await;
                    (!status.stdout.contains("\"connected\"")).then_some(())
                },
            )
            .await;
            cut.elapsed()
        }
    );
    println!(
        "half-open link found: controller {} ms ({}), agent {} ms",
        by_controller.0.as_millis(),
        by_controller.1,
        by_agent.as_millis()
    );
    assert!(by_controller.0 <= GONE_WITHIN && by_agent <= GONE_WITHIN);
    let deployed = fleet.deploy("shop", WEB, &[&host]).await;
    let state = fleet.deployment(deployed[0].deployment.id).await.deployment.state;
    assert_eq!(
        state,
        DeploymentState::Queued,
        "nothing is offered to a host that is gone"
    );
    proxy.heal();
    let ended = fleet.ended(deployed[0].deployment.id, SOON).await;
    assert_eq!(ended.deployment.state, DeploymentState::Succeeded);
}

/// Long before the next ping of a host that has just proved its connection is due.
const RECALLED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_host_is_back_at_once_after_a_kill_of_the_controller() {
    let mut fleet = Fleet::start().await;
    let host = fleet.host("idle", Target::Fake).await;
    let before = session(&fleet, &host).await;
    fleet.controller.kill().await;
    fleet.restart_controller().await;
    let up = Instant::now();
    wait::until("the host is back", RECALLED_WITHIN, async || {
        let presence = fleet.presence(host.id()).await;
        matches!(presence, Presence::Connected { since, .. } if since > before.0).then_some(())
    })
    .await;
    println!("back {} ms after the controller", up.elapsed().as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_host_is_cut_off_at_once_and_for_good() {
    let fleet = Fleet::start().await;
    let mut host = fleet.host("gone", Target::Fake).await;
    let deployed = fleet.deploy("shop", WEB, &[&host]).await;
    fleet.ended(deployed[0].deployment.id, SOON).await;
    let params = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let stack = deployed[0].deployment.stack;
    let mut logs = fleet.client().stack_logs(stack, &params).await.unwrap();
    let first = logs.next().await.unwrap().unwrap();
    assert!(matches!(first.event, LogEvent::Line { .. }), "{first:?}");
    let removed = Instant::now();
    fleet.client().agent_delete(host.id()).await.unwrap();
    let ended = tokio::time::timeout(SOON, async {
        while let Some(frame) = logs.next().await.unwrap() {
            if let LogEvent::End { reason } = frame.event {
                return reason;
            }
        }
        "closed".to_owned()
    });
    let reason = ended.await.expect("the stream ends");
    let stream = removed.elapsed();
    let refused = wait::until("the agent knows why", SOON, async || {
        let status = host.command(&["status", "--json"]).finish().await.stdout;
        (!status.contains("\"connected\"")).then_some(status)
    })
    .await;
    let link = removed.elapsed();
    println!(
        "removed host: stream ended after {} ms ({reason}), link after {} ms",
        stream.as_millis(),
        link.as_millis()
    );
    assert!(
        stream <= Duration::from_secs(1) && link <= Duration::from_secs(1),
        "{refused}"
    );
    // A new process, the same certificate.
    host.agent.stop(SOON).await;
    host.start();
    let refused = wait::until("its certificate is refused", SOON, async || {
        let status = host.command(&["status"]).finish().await;
        status.stderr.contains("(WF-3007)").then_some(status)
    });
    let refused = refused.await;
    assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);
    assert!(fleet.client().agent_list().await.unwrap().is_empty());
}

/// As many lines as a busy service writes in some seconds, each with its number.
const LINES: u64 = 30_000;
const REBINDS: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn docker_an_address_change_under_an_open_log_follow_loses_no_line() {
    let Some(project) = Project::claim("rebind").await else {
        return;
    };
    let fleet = Fleet::start().await;
    let proxy = UdpProxy::start(fleet.quic()).await;
    let mut host = fleet.enrol_by("moves", Target::Docker, proxy.address()).await;
    host.start();
    fleet.connected(&host).await;
    let before = session(&fleet, &host).await;
    let talk = format!(
        "i=1; while [ $$i -le {LINES} ]; do seq $$i $$((i+99)); i=$$((i+100)); usleep 20000; done; sleep 3600"
    );
    let compose = format!(
        "services:\n  talk:\n    image: windflow-test/busybox:1\n    init: true\n    network_mode: none\n    stop_grace_period: 1s\n    command: [sh, -c, '{talk}']\n"
    );
    let deployed = fleet.deploy(project.name(), &compose, &[&host]).await;
    let deployment = &deployed[0].deployment;
    let ended = fleet.ended(deployment.id, SOON).await;
    assert_eq!(ended.deployment.state, DeploymentState::Succeeded);
    let params = LogParams {
        follow: true,
        timestamps: false,
        ..LogParams::default()
    };
    let mut logs = fleet
        .client()
        .stack_logs(deployment.stack, &params)
        .await
        .unwrap();
    let (mut next, mut moved, begun) = (1, 0, Instant::now());
    let counted = async {
        while next <= LINES {
            let frame = logs.next().await.unwrap().expect("the stream goes on");
            let LogEvent::Line { seq, text, .. } = frame.event else {
                panic!("after line {next}: {:?}", frame.event);
            };
            assert_eq!((seq, text), (next - 1, next.to_string()), "line by line");
            if next % (LINES / (REBINDS + 1)) == 0 && next < LINES {
                assert!(proxy.rebind().await > 0, "a flow moves");
                moved += 1;
            }
            next += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), counted)
        .await
        .expect("all lines arrive");
    println!(
        "address changes under a log follow: {} changes, {LINES} lines in {} ms, 0 lost, 0 doubled, 0 gaps",
        moved,
        begun.elapsed().as_millis()
    );
    assert_eq!(moved, REBINDS);
    // The address is shown from the next round trip on.
    let after = wait::until("the controller shows the new address", SOON, async || {
        let seen = session(&fleet, &host).await;
        (seen.1 != before.1).then_some(seen)
    })
    .await;
    assert_eq!(after.0, before.0, "the session is the same one");
}

/// Since when a host is connected, and from where.
async fn session(fleet: &Fleet, host: &Host) -> (Timestamp, String) {
    match fleet.presence(host.id()).await {
        Presence::Connected { since, remote, .. } => (since, remote),
        Presence::Offline { reason, .. } => panic!("the session is gone: {reason}"),
    }
}
