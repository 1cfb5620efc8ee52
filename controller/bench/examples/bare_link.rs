//! The limit that `scripts/bench link-idle` compares the controller with: a server that takes the same connections with
//! the same windows and limits, but quinn's way of sending, and does nothing with them.
//!
//! `bare_link serve DIR` prints its port and holds what comes; `bare_link hold DIR PORT COUNT SECONDS` connects,
//! prints a line, waits, and prints what went over the wire. Both use the authority in DIR.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream, stream::FuturesUnordered};
use tokio::time::Instant;
use windflow_bench::HOSTS_PER_SOCKET;
use windflow_controller::ca::{Ca, ServerCertificate};
use windflow_kit::{BoxError, Clock, Random, task::spawn_scoped};
use windflow_model::AgentId;
use windflow_transport::{HostKey, Network, endpoint, quinn::ServerConfig, tls};

fn main() -> Result<(), BoxError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words {
        ["serve", dir] => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(serve(dir.as_ref())),
        ["hold", dir, port, count, seconds] => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(hold(
                dir.as_ref(),
                SocketAddr::from(([127, 0, 0, 1], port.parse()?)),
                count.parse()?,
                Duration::from_secs(seconds.parse()?),
            )),
        _ => Err("use: bare_link serve DIR | bare_link hold DIR PORT COUNT SECONDS".into()),
    }
}

fn authority(dir: &Path) -> Result<Arc<Ca>, BoxError> {
    let ca = Ca::open_or_create(dir.join("ca"), "bare", Clock::system(), Random::system())?;
    Ok(Arc::new(ca))
}

async fn serve(dir: &Path) -> Result<(), BoxError> {
    let ca = authority(dir)?;
    let certificate = ServerCertificate::make(Arc::clone(&ca), Vec::new())?;
    let tls = || tls::quic_server(tls::server(certificate.live(), ca.root())?);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (endpoint, _recaller) = endpoint::controller(&Network::default(), any, tls()?, &ca.stable_keys()?)?;
    let mut server = ServerConfig::with_crypto(Arc::new(tls()?));
    server.transport_config(Arc::new(endpoint::transport(endpoint::CONTROLLER_BIDI, None)));
    endpoint.set_server_config(Some(server));
    println!("{}", endpoint.local_addr()?.port());
    let mut held = FuturesUnordered::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { return Ok(()) };
                held.push(spawn_scoped("connection", async move {
                    if let Ok(connection) = incoming.await {
                        connection.closed().await;
                    }
                }));
            }
            Some(_over) = held.next() => {}
        }
    }
}

async fn hold(dir: &Path, remote: SocketAddr, count: usize, window: Duration) -> Result<(), BoxError> {
    let ca = authority(dir)?;
    let sockets = (0..count.div_ceil(HOSTS_PER_SOCKET))
        .map(|_| endpoint::agent(&Network::default(), remote).map(|(endpoint, _recalls)| endpoint));
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    let mut dials = Vec::new();
    for number in 0..count {
        let key = HostKey::generate()?;
        let agent = AgentId::from_uuid(Random::system().uuid_v7(&Clock::system())?);
        let certificate = ca.sign_agent(&key.csr()?, agent, 1)?;
        let config = tls::agent(certificate.into(), key.private_der(), ca.root())?;
        let socket = sockets.get(number / HOSTS_PER_SOCKET).cloned();
        dials.push((socket.ok_or("there is no socket")?, config));
    }
    println!("ready");
    let begun = Instant::now();
    let name = ca.server_name();
    let dials = stream::iter(dials).map(|(socket, config)| {
        let name = name.clone();
        async move { endpoint::dial(&socket, remote, &name, config).await }
    });
    let connected: Vec<_> = dials.buffer_unordered(64).collect().await;
    let connected = connected.into_iter().collect::<Result<Vec<_>, _>>()?;
    println!("connected {:.3}", begun.elapsed().as_secs_f64());
    // What the handshakes have left to do is not idleness.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let wire = || {
        connected.iter().fold((0, 0), |(datagrams, bytes), connection| {
            let stats = connection.stats();
            let both = |tx: u64, rx: u64| tx + rx;
            (
                datagrams + both(stats.udp_tx.datagrams, stats.udp_rx.datagrams),
                bytes + both(stats.udp_tx.bytes, stats.udp_rx.bytes),
            )
        })
    };
    println!("idle");
    let before = wire();
    tokio::time::sleep(window).await;
    let after = wire();
    println!("wire {} {}", after.0 - before.0, after.1 - before.1);
    let lost = connected
        .iter()
        .filter(|one| one.close_reason().is_some())
        .count();
    println!("lost {lost}");
    Ok(())
}
