//! QUIC endpoints. The numbers were measured (idle memory, handshake cost, way back after a restart); change them with a
//! bench in hand.

use std::{io, net::SocketAddr, net::UdpSocket, sync::Arc, time::Duration};

use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, IdleTimeout, ServerConfig,
    TransportConfig, VarInt,
    crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig},
};
use quinn_proto::HashedConnectionIdGenerator;
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use windflow_protocol::{ALPN_CONTROL, ALPN_ENROLL, session::HEARTBEAT_EVERY};

use crate::{
    network::Network,
    recall::{Listening, Recaller, Recalls},
};

/// Only cleans up: presence has its own, shorter timer in the session.
const IDLE_TIMEOUT_MS: u32 = 30_000;
/// What a round trip is taken for before one is measured. RFC 9002 (section 6.2.2) suggests 333 ms, which makes a host that
/// dials while its controller starts try again after 1 s and 3 s; so it does after 0.3 s, 0.9 s and 2.1 s.
const DIAL_RTT: Duration = Duration::from_millis(100);
/// Log streams of a busy host; the limit binds the end that receives streams.
const AGENT_BIDI: u32 = 256;
/// The control stream and room for a hostile peer to fail in.
pub const CONTROLLER_BIDI: u32 = 16;
/// Streams in one direction that a peer may open.
const UNI: u32 = 4;
/// What a peer may send on one stream before it is read.
const STREAM_WINDOW: u32 = 256 << 10;
/// What a peer may send on one connection before it is read.
const WINDOW: VarInt = VarInt::from_u32(1 << 20);
/// As much as all streams of a link can hold: see [`widen`].
const LINK_WINDOW: VarInt = VarInt::from_u32((AGENT_BIDI + CONTROLLER_BIDI + UNI) * STREAM_WINDOW);
/// See [`probe`].
const WINDOW_PROBE: VarInt = VarInt::from_u32((1 << 20) + 1);
/// What is sent and not yet acknowledged, of all streams: one log may fill its own window and must leave room for a terminal.
const SEND_WINDOW: u64 = 8 << 20;
/// Handshakes waiting for the accept loop: what it takes in a second or two at the default pace.
const MAX_INCOMING: usize = 2_048;

/// Code of a close on purpose, of a refusal, and of a lane that does not exist.
pub const CLOSE_DONE: VarInt = VarInt::from_u32(0);
/// The peer is not let in (or no longer).
pub const CLOSE_REFUSED: VarInt = VarInt::from_u32(1);
/// The peer broke the protocol.
pub const CLOSE_PROTOCOL: VarInt = VarInt::from_u32(2);
/// The controller stops and comes back.
pub const CLOSE_RESTART: VarInt = VarInt::from_u32(3);
/// The controller has no time for this lane now.
pub const CLOSE_BUSY: VarInt = VarInt::from_u32(4);

/// The kind of a close is in these bits of its code, above them is the time to stay away in milliseconds.
const CLOSE_BITS: u32 = 8;

/// A close code that also says how long to stay away, at most 2^32 ms.
#[must_use]
pub fn close_for(code: VarInt, stay_away: Duration) -> VarInt {
    let millis = u32::try_from(stay_away.as_millis()).unwrap_or(u32::MAX);
    let kind = code.into_inner() & ((1 << CLOSE_BITS) - 1);
    VarInt::from_u64(u64::from(millis) << CLOSE_BITS | kind).unwrap_or(code)
}

/// How long the peer that closed asks to stay away; zero if it does not.
#[must_use]
pub fn stay_away(error: &ConnectionError) -> Duration {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let millis = close.error_code.into_inner() >> CLOSE_BITS;
            Duration::from_millis(millis.min(u64::from(u32::MAX)))
        }
        _ => Duration::ZERO,
    }
}

/// Why a controller could not be reached.
#[derive(Debug, Error)]
pub enum DialError {
    /// No socket.
    #[error("cannot open a UDP socket")]
    Socket(#[source] io::Error),
    /// The address or name cannot be dialled.
    #[error("cannot dial {remote}")]
    Dial {
        /// Whom.
        remote: SocketAddr,
        /// What quinn says.
        #[source]
        source: quinn::ConnectError,
    },
    /// No connection came about.
    #[error("no connection to {remote}")]
    Connect {
        /// Whom.
        remote: SocketAddr,
        /// What quinn says.
        #[source]
        source: ConnectionError,
    },
}

/// The settings of a link, at the end that accepts `bidi` streams and keeps it alive at this interval.
#[must_use]
pub fn transport(bidi: u32, keep_alive: Option<Duration>) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .max_concurrent_bidi_streams(VarInt::from_u32(bidi))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(WINDOW)
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .mtu_discovery_config(None)
        .initial_mtu(1_200)
        .keep_alive_interval(keep_alive);
    config
}

/// Keys that must survive a restart, so that agents learn of it at their next packet and not by a timeout.
#[derive(Clone)]
pub struct StableKeys {
    /// For stateless resets.
    pub reset: [u8; 64],
    /// For connection ids.
    pub connection_id: u64,
}

/// Binds the controller's endpoint; with it comes what calls its hosts back after a restart.
///
/// # Errors
/// The socket cannot be bound, e.g. because the port is in use.
pub fn controller(
    network: &Network,
    address: SocketAddr,
    tls: QuicServerConfig,
    keys: &StableKeys,
) -> io::Result<(Endpoint, Recaller)> {
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &keys.reset);
    let mut endpoint = EndpointConfig::new(Arc::new(reset));
    let id = keys.connection_id;
    endpoint
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id)))
        // After a restart every host asks for one, many at once. Quinn takes one time for all packets that it reads
        // together, so that with any interval one of them is answered; the others ask again, later and later. A reset is
        // smaller than what brought it: nobody is flooded by it, and two ends that answer each other come to an end.
        .min_reset_interval(Duration::ZERO);
    let mut link = transport(CONTROLLER_BIDI, None);
    // Quinn would keep room for ten packets with every link that ever had two to send: 12 KB, or a quarter of what a host
    // costs. What goes to a host is orders; what comes from it is not touched by this.
    link.enable_segmentation_offload(false);
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(link))
        .migration(true)
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(16 << 20);
    let socket = network.socket(address, true)?;
    let recaller = Recaller(Arc::clone(&socket));
    Ok((network.endpoint(socket, endpoint, Some(server))?, recaller))
}

/// Binds an agent's endpoint on any port, for the address family of `remote`; with it comes what hears the
/// controller's recalls.
///
/// # Errors
/// [`DialError::Socket`].
pub fn agent(network: &Network, remote: SocketAddr) -> Result<(Endpoint, Recalls), DialError> {
    let any: SocketAddr = if remote.is_ipv4() {
        SocketAddr::from(([0, 0, 0, 0], 0))
    } else {
        SocketAddr::from(([0u16; 8], 0))
    };
    let bound = network.socket(any, false).and_then(|inner| {
        let (socket, recalls) = Listening::new(inner);
        let endpoint = network.endpoint(Arc::new(socket), EndpointConfig::default(), None)?;
        Ok((endpoint, recalls))
    });
    bound.map_err(DialError::Socket)
}

/// Moves an endpoint to a new local port, as an address change of the host would.
///
/// # Errors
/// No socket.
pub fn rebind(endpoint: &Endpoint) -> io::Result<()> {
    let local = endpoint.local_addr()?;
    endpoint.rebind(UdpSocket::bind(SocketAddr::new(local.ip(), 0))?)
}

/// Dials. A connection proves nothing yet: the controller may refuse the certificate a moment later, so only its first
/// frame counts.
///
/// # Errors
/// [`DialError`].
pub async fn dial(
    endpoint: &Endpoint,
    remote: SocketAddr,
    server_name: &str,
    tls: QuicClientConfig,
) -> Result<Connection, DialError> {
    let mut config = ClientConfig::new(Arc::new(tls));
    let mut transport = transport(AGENT_BIDI, Some(HEARTBEAT_EVERY));
    transport.initial_rtt(DIAL_RTT);
    config.transport_config(Arc::new(transport));
    let connecting = endpoint
        .connect_with(config, remote, server_name)
        .map_err(|source| DialError::Dial { remote, source })?;
    connecting
        .await
        .map_err(|source| DialError::Connect { remote, source })
}

/// Sends a packet that has to be answered, whatever the streams are held up by: one to a controller that was restarted
/// brings its stateless reset. Quinn does not offer QUIC's PING; MAX_DATA does the same (RFC 9000, sections 10.3 and 13.2),
/// and goes out whenever the window grows, here by a byte that is taken back at once.
pub fn probe(connection: &Connection) {
    connection.set_receive_window(WINDOW_PROBE);
    connection.set_receive_window(WINDOW);
}

/// Lets every stream of a host's link have a whole window of its own, so that streams nobody reads (logs in a browser that
/// hangs) never use up what the control stream needs. A host can only fill streams that the controller has opened, and the
/// few of its own: what is held for it stays bounded by their number. For a peer that is known.
pub fn widen(link: &Connection) {
    link.set_receive_window(LINK_WINDOW);
}

/// How many packets of the peer have come that say something: what a session takes for its pulse. Only what was decrypted
/// counts.
#[must_use]
pub fn packets(connection: &Connection) -> u64 {
    let heard = connection.stats().frame_rx;
    heard.ping.wrapping_add(heard.acks).wrapping_add(heard.stream)
}

/// What an accepted connection is for.
#[derive(Debug, Clone)]
pub enum Lane {
    /// The control lane with the agent's certificate, which the root has signed and which is valid now.
    Control(CertificateDer<'static>),
    /// Enrolment; the peer is nobody yet.
    Enroll,
    /// Neither: close it.
    Nothing(&'static str),
}

/// Tells the lane of an accepted connection. Default is deny: the control lane without a certificate is nothing.
#[must_use]
pub fn lane(connection: &Connection) -> Lane {
    let alpn = connection
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .and_then(|data| data.protocol);
    match alpn.as_deref() {
        Some(ALPN_ENROLL) => Lane::Enroll,
        Some(ALPN_CONTROL) => connection
            .peer_identity()
            .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
            .and_then(|chain| chain.into_iter().next())
            .map_or(
                Lane::Nothing("the control lane needs a client certificate"),
                Lane::Control,
            ),
        _ => Lane::Nothing("no such protocol"),
    }
}

#[cfg(test)]
mod tests {
    use quinn::ApplicationClose;

    use super::*;

    #[test]
    fn a_close_carries_its_kind_and_a_time() {
        let check = |code: VarInt, asked: Duration, told: Duration| {
            let error_code = close_for(code, asked);
            assert_eq!(error_code.into_inner() & 0xff, code.into_inner());
            let close = ApplicationClose {
                error_code,
                reason: Vec::new().into(),
            };
            assert_eq!(
                stay_away(&ConnectionError::ApplicationClosed(close)),
                told,
                "{asked:?}"
            );
        };
        check(CLOSE_RESTART, Duration::ZERO, Duration::ZERO);
        check(
            CLOSE_BUSY,
            Duration::from_millis(1_500),
            Duration::from_millis(1_500),
        );
        check(
            CLOSE_BUSY,
            Duration::MAX,
            Duration::from_millis(u64::from(u32::MAX)),
        );
        assert_eq!(stay_away(&ConnectionError::TimedOut), Duration::ZERO);
    }
}
