//! Bad networks: deployments work, short silences and new addresses cost no session, and a host that is gone is shown as
//! gone.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use windflow_model::{DeploymentState, Presence};
use windflow_tests::{Fleet, Host, Target, UdpProxy, fleet::memory, proxy::Faults};

use crate::world;

/// Longest time of a deployment on a bad line.
const DEPLOYED_WITHIN: Duration = Duration::from_secs(60);
/// A silence that no session may end of.
const SILENCE: Duration = Duration::from_secs(13);
/// Promised to users: a host that is gone is shown as gone.
const GONE_WITHIN: Duration = Duration::from_secs(25);
/// Deployments on each bad line.
const DEPLOYMENTS: u64 = 3;

/// What happens to a host.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It works on this line.
    Works(Faults),
    /// Nothing arrives for a while; the session lives on.
    Silence,
    /// It comes from a new address; the session lives on.
    Moves,
    /// Nothing arrives any more, in these directions: it is gone, and comes back later.
    Gone { up: bool, down: bool },
}

const NONE: Faults = Faults {
    drop_up: false,
    drop_down: false,
    delay: Duration::ZERO,
    jitter: Duration::ZERO,
    lost: 0,
    doubled: 0,
    reordered: 0,
    damaged: 0,
    rate: 0,
    mtu: 0,
};
const MS: fn(u64) -> Duration = Duration::from_millis;

fn web(variant: u64) -> String {
    let padding = "x".repeat(20_000);
    format!(
        "# {padding}\nservices:\n  web:\n    image: example/web:1\n    environment: {{ VARIANT: '{variant}' }}\n"
    )
}

/// The contract's line, a tunnel, a silence, a move.
fn few() -> Vec<(&'static str, Fate)> {
    vec![
        (
            "lost 10 %, 200 ms there and back",
            Fate::Works(Faults {
                lost: 100,
                delay: MS(100),
                ..NONE
            }),
        ),
        // 1,280 without the headers of IP and UDP.
        ("MTU 1280", Fate::Works(Faults { mtu: 1_252, ..NONE })),
        ("13 s of silence", Fate::Silence),
        ("a new address", Fate::Moves),
    ]
}

fn all() -> Vec<(&'static str, Fate)> {
    let mut all = few();
    all.extend([
        ("lost 30 %", Fate::Works(Faults { lost: 300, ..NONE })),
        (
            "500 ms there and back",
            Fate::Works(Faults {
                delay: MS(250),
                ..NONE
            }),
        ),
        (
            "jitter 100 ms",
            Fate::Works(Faults {
                jitter: MS(100),
                ..NONE
            }),
        ),
        (
            "reordered 10 %, doubled 5 %",
            Fate::Works(Faults {
                reordered: 100,
                doubled: 50,
                ..NONE
            }),
        ),
        ("damaged 5 %", Fate::Works(Faults { damaged: 50, ..NONE })),
        ("32 kB/s", Fate::Works(Faults { rate: 32_000, ..NONE })),
        (
            "nothing out",
            Fate::Gone {
                up: true,
                down: false,
            },
        ),
        (
            "nothing in",
            Fate::Gone {
                up: false,
                down: true,
            },
        ),
        ("nothing either way", Fate::Gone { up: true, down: true }),
    ]);
    all
}

async fn since(fleet: &Fleet, host: &Host) -> Option<i64> {
    match fleet.presence(host.id()).await {
        Presence::Connected { since, .. } => Some(since.as_millis()),
        Presence::Offline { .. } => None,
    }
}

/// One host on its line; gives a figure (ms) and what it is of.
async fn suffer(fleet: &Fleet, host: &Host, proxy: &UdpProxy, what: &str, fate: Fate) -> (u64, &'static str) {
    let stack = format!("on-{}", host.name());
    let session = since(fleet, host).await.expect("connected");
    let began = Instant::now();
    let millis = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap();
    let deploy = async |variant| {
        let made = fleet.deploy(&stack, &web(variant), &[host]).await;
        let ended = fleet
            .ended(made[0].deployment.id, DEPLOYED_WITHIN)
            .await
            .deployment;
        assert_eq!(ended.state, DeploymentState::Succeeded, "{what}");
    };
    match fate {
        Fate::Works(faults) => {
            proxy.set(faults);
            for variant in 0..DEPLOYMENTS {
                deploy(variant).await;
            }
            (millis(began) / DEPLOYMENTS, "a deployment")
        }
        Fate::Silence => {
            proxy.blackhole();
            tokio::time::sleep(SILENCE).await;
            proxy.heal();
            let healed = Instant::now();
            deploy(0).await;
            assert_eq!(since(fleet, host).await, Some(session), "{what}: another session");
            (millis(healed), "a deployment after it, the same session")
        }
        Fate::Moves => {
            assert!(proxy.rebind().await > 0, "{what}: nothing moved");
            deploy(0).await;
            assert_eq!(since(fleet, host).await, Some(session), "{what}: another session");
            (millis(began), "a deployment after it, the same session")
        }
        Fate::Gone { up, down } => {
            proxy.set(Faults {
                drop_up: up,
                drop_down: down,
                ..NONE
            });
            fleet.offline(host, GONE_WITHIN + Duration::from_secs(5)).await;
            let gone = began.elapsed();
            assert!(gone <= GONE_WITHIN, "{what}: shown as gone after {gone:?}");
            let made = fleet.deploy(&stack, &web(0), &[host]).await;
            proxy.heal();
            let ended = fleet
                .ended(made[0].deployment.id, DEPLOYED_WITHIN)
                .await
                .deployment;
            assert_eq!(ended.state, DeploymentState::Succeeded, "{what}");
            (
                u64::try_from(gone.as_millis()).unwrap(),
                "until it is shown as gone",
            )
        }
    }
}

/// All at the same time, each with a proxy of its own.
async fn lines(lines: Vec<(&'static str, Fate)>) {
    let seed = world::seed("bad networks");
    let fleet = Fleet::start_in(&memory(), &[]).await;
    let mut hosts = Vec::new();
    for n in 0..lines.len() {
        let proxy = UdpProxy::start_seeded(fleet.quic(), seed.wrapping_add(n as u64)).await;
        let mut host = fleet
            .enrol_by(&format!("line{n}"), Target::Fake, proxy.address())
            .await;
        host.start();
        fleet.connected(&host).await;
        hosts.push((host, proxy));
    }
    let suffered = lines
        .iter()
        .zip(&hosts)
        .map(|((what, fate), (host, proxy))| suffer(&fleet, host, proxy, what, *fate));
    for ((what, _), (ms, of)) in lines.iter().zip(join_all(suffered).await) {
        println!("{what}: {ms} ms {of}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_bad_networks() {
    lines(few()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_bad_networks() {
    lines(all()).await;
}
