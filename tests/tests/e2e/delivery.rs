//! Deployments reach their hosts: at once, later, once, the newest only.

use std::time::Duration;

use windflow_client::live::DeploymentFeedEvent;
use windflow_model::{DeploymentId, DeploymentState, Rev};
use windflow_tests::{Fleet, Host, Target, UdpProxy, wait};

const SOON: Duration = Duration::from_secs(30);

/// Every variant is another desired state.
fn web(variant: u64) -> String {
    format!("services:\n  web:\n    image: example/web:1\n    environment: {{ VARIANT: '{variant}' }}\n")
}

async fn queue(fleet: &Fleet, stack: &str, variant: u64, host: &Host) -> DeploymentId {
    let made = fleet.deploy(stack, &web(variant), &[host]).await;
    made.first().expect("one host, one deployment").deployment.id
}

async fn succeeds(fleet: &Fleet, deployment: DeploymentId) {
    let ended = fleet.ended(deployment, SOON).await.deployment;
    assert_eq!(
        ended.state,
        DeploymentState::Succeeded,
        "{} rev {}",
        ended.stack_name,
        ended.rev
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_deployed_by_the_way_of_a_user() {
    let fleet = Fleet::start().await;
    let host = fleet.host("web1", Target::Fake).await;
    let deployment = queue(&fleet, "shop", 1, &host).await;
    succeeds(&fleet, deployment).await;
    let line = fleet.command_line().await;
    let shown = line.run(&["stack", "show", "shop"]).await.ok();
    assert!(shown.contains("web1"), "{shown}");
}

/// One round: the host is away, a deployment waits, the host comes back. Gives the milliseconds from the session's
/// begin to the acceptance (controller's clock), and from the start of the agent's process to the reader of the feed.
async fn comes_back(fleet: &Fleet, host: &mut Host, round: u64) -> (u64, u64) {
    host.agent.stop(SOON).await;
    fleet.offline(host, SOON).await;
    let deployment = queue(fleet, "late", round, host).await;
    let waiting = fleet.deployment(deployment).await.deployment;
    assert_eq!(waiting.state, DeploymentState::Queued, "round {round}");
    let mut feed = fleet.client().deployment_events(deployment).await.unwrap();
    let started = tokio::time::Instant::now();
    host.start();
    let accepted = async {
        loop {
            match feed.next().await.expect("the feed goes on until the end") {
                DeploymentFeedEvent::Snapshot(view) | DeploymentFeedEvent::State(view) => {
                    let state = &view.deployment.state;
                    if !matches!(state, DeploymentState::Queued | DeploymentState::Offered) {
                        return view.deployment.state_at.as_millis();
                    }
                }
                DeploymentFeedEvent::Progress(_) | DeploymentFeedEvent::End => {}
            }
        }
    };
    let accepted = tokio::time::timeout(SOON, accepted).await.expect("delivered");
    let whole = u64::try_from(started.elapsed().as_millis()).unwrap();
    let connected = fleet.connected(host).await;
    succeeds(fleet, deployment).await;
    (u64::try_from(accepted - connected).unwrap_or(0), whole)
}

async fn delivery(rounds: u64) {
    let fleet = Fleet::start().await;
    let mut host = fleet.host("away", Target::Fake).await;
    let (mut delivered, mut whole) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let (after_connect, after_start) = comes_back(&fleet, &mut host, round).await;
        delivered.push(after_connect);
        whole.push(after_start);
    }
    delivered.sort_unstable();
    whole.sort_unstable();
    println!(
        "delivered after reconnect, {rounds} runs: p50 {} ms, p99 {} ms; from the start of the agent: p50 {} ms, p99 {} ms",
        wait::percentile(&delivered, 50),
        wait::percentile(&delivered, 99),
        wait::percentile(&whole, 50),
        wait::percentile(&whole, 99)
    );
    assert!(wait::percentile(&delivered, 99) <= 5_000, "{delivered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_deployment_reaches_a_host_that_comes_back() {
    delivery(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_delivery_after_reconnect() {
    delivery(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_revision_is_delivered() {
    let fleet = Fleet::start().await;
    let mut host = fleet.enrol("late", Target::Fake).await;
    let mut queued = Vec::new();
    for variant in 1..=3 {
        queued.push(queue(&fleet, "shop", variant, &host).await);
    }
    host.start();
    succeeds(&fleet, queued[2]).await;
    for (older, by) in queued.iter().zip([Rev(2), Rev(3)]) {
        let ended = fleet.ended(*older, SOON).await.deployment;
        assert_eq!(ended.state, DeploymentState::Superseded { by });
        assert!(
            ended.reported_at.is_none(),
            "rev {} never reached the host",
            ended.rev
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_deployments_survive_a_controller_that_is_killed() {
    let mut fleet = Fleet::start().await;
    let mut host = fleet.enrol("late", Target::Fake).await;
    let first = queue(&fleet, "one", 1, &host).await;
    let second = queue(&fleet, "two", 1, &host).await;
    fleet.controller.kill().await;
    host.start();
    fleet.restart_controller().await;
    succeeds(&fleet, first).await;
    succeeds(&fleet, second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_offered_into_the_void_is_offered_again() {
    let fleet = Fleet::start().await;
    let proxy = UdpProxy::start(fleet.quic()).await;
    let mut host = fleet.enrol_by("cut", Target::Fake, proxy.address()).await;
    host.start();
    fleet.connected(&host).await;
    // A first one through: the greeting is over, the session is steady.
    let first = queue(&fleet, "first", 1, &host).await;
    succeeds(&fleet, first).await;
    proxy.blackhole();
    // The controller still believes in the session and sends both.
    let older = queue(&fleet, "shop", 1, &host).await;
    wait::until("the deployment is offered", SOON, async || {
        let state = fleet.deployment(older).await.deployment.state;
        (state == DeploymentState::Offered).then_some(())
    })
    .await;
    let newer = queue(&fleet, "shop", 2, &host).await;
    host.agent.kill().await;
    proxy.heal();
    host.start();
    succeeds(&fleet, newer).await;
    let state = fleet.ended(older, SOON).await.deployment.state;
    assert_eq!(state, DeploymentState::Superseded { by: Rev(2) });
}
