//! Peers that begin and never end, and hosts that come at the same time.

use std::{net::SocketAddr, time::Duration};

use tokio::net::UdpSocket;
use windflow_controller::fleet::AdmissionOptions;
use windflow_kit::{Clock, TaskHandle, task::spawn_scoped};
use windflow_model::Code;
use windflow_protocol::{EnrollReply, VersionRange};
use windflow_transport::{HostKey, Network, endpoint, identity, quinn, tls};

use crate::rig::{Rig, eventually, rig_with};

/// Where the flood comes from; the host has another address.
const FLOOD_FROM: &str = "127.0.0.2:0";
const FLOOD: usize = 48;
const BOUNDS: AdmissionOptions = AdmissionOptions {
    handshakes: 32,
    handshakes_per_source: 16,
    handshakes_per_s: 500,
    joins_per_s: 20,
};

/// A way on which a handshake starves: it proves its address, sends its first flight, and hears nothing more.
async fn half_way(server: SocketAddr) -> (SocketAddr, TaskHandle<()>) {
    let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let outside = UdpSocket::bind(FLOOD_FROM).await.unwrap();
    let address = inside.local_addr().unwrap();
    let relay = spawn_scoped("half way", async move {
        let (mut up, mut down, mut client) = (0, 0, None);
        let (mut one, mut other) = (vec![0; 2_048], vec![0; 2_048]);
        loop {
            tokio::select! {
                Ok((len, from)) = inside.recv_from(&mut one) => {
                    client = Some(from);
                    up += 1;
                    if up <= 2 {
                        outside.send_to(one.get(..len).unwrap(), server).await.unwrap();
                    }
                }
                Ok((len, _)) = outside.recv_from(&mut other) => {
                    down += 1;
                    if let (1, Some(client)) = (down, client) {
                        inside.send_to(other.get(..len).unwrap(), client).await.unwrap();
                    }
                }
            }
        }
    });
    (address, relay)
}

/// Starts handshakes that never end, and keeps them going.
async fn flood(rig: &Rig, count: usize) -> Vec<(quinn::Connecting, quinn::Endpoint, TaskHandle<()>)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let (way, relay) = half_way(rig.address).await;
        let tls = tls::joining(vec![identity::parse_pin(&rig.ca.pin()).unwrap()]).unwrap();
        let (endpoint, _recalls) = endpoint::agent(&Network::default(), way).unwrap();
        let config = quinn::ClientConfig::new(std::sync::Arc::new(tls));
        all.push((
            endpoint.connect_with(config, way, "flood").unwrap(),
            endpoint,
            relay,
        ));
    }
    all
}

fn figure(rig: &Rig, name: &str) -> u64 {
    let text = rig.handle.metrics();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in:\n{text}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn half_open_handshakes_keep_no_host_out_and_let_nobody_join_before_those_that_have() {
    let rig = rig_with(Clock::system(), BOUNDS);
    let key = HostKey::generate().unwrap();
    let (agent, certificate) = rig.joined(&key).await;

    let flood = flood(&rig, FLOOD).await;
    let refused = "windflow_link_handshakes_total{end=\"refused_source\"}";
    eventually(async || figure(&rig, refused) > 0).await;
    let held = figure(&rig, "windflow_link_handshakes");
    assert!((8..=16).contains(&held), "{held} places are taken");
    assert!(figure(&rig, "windflow_link_handshakes_total{end=\"address_to_prove\"}") >= 32);

    // A host from elsewhere gets in at once.
    let begun = tokio::time::Instant::now();
    let mut peer = rig.dial(&key, &certificate, VersionRange::SUPPORTED).await;
    peer.resume().await;
    rig.connected(agent).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    // One that wants to join is told when to come back.
    match rig
        .join(&HostKey::generate().unwrap(), crate::home::TOKEN)
        .await
        .unwrap()
    {
        EnrollReply::Refused { denial, .. } => {
            assert_eq!(denial.code, Code::RateLimited.as_str());
            assert!((1_000..=5_000).contains(&denial.retry_after_ms), "{denial:?}");
        }
        other => panic!("{other:?}"),
    }

    // Places come back when the handshakes are given up.
    drop(flood);
    let within = tokio::time::Instant::now() + Duration::from_secs(20);
    while figure(&rig, "windflow_link_handshakes") > 0 {
        assert!(tokio::time::Instant::now() < within, "places are still taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_stop_tells_each_host_when_to_come_back() {
    let bounds = AdmissionOptions {
        handshakes_per_s: 10,
        ..BOUNDS
    };
    let rig = rig_with(Clock::system(), bounds);
    let key = HostKey::generate().unwrap();
    let (agent, certificate) = rig.joined(&key).await;
    let mut peer = rig.dial(&key, &certificate, VersionRange::SUPPORTED).await;
    peer.resume().await;
    rig.connected(agent).await;
    rig.stop().await;
    let told = tokio::time::timeout(Duration::from_secs(1), peer.connection.closed())
        .await
        .unwrap();
    assert_eq!(endpoint::stay_away(&told), Duration::from_secs(2), "{told}");
}
