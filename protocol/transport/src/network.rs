//! Where the packets of an endpoint go: the sockets of this machine, or a simulated network.
//!
//! A simulation brings its own sockets, timers and tasks, so that real QUIC and TLS run on its time.

use std::{fmt, io, net::SocketAddr, net::UdpSocket, sync::Arc};

use quinn::{
    AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime,
    udp::{UdpSockRef, UdpSocketState},
};

/// Wanted for the controller's socket, which a whole fleet writes to at once; the system may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// A network of a simulation.
pub trait SimulatedNetwork: fmt::Debug + Send + Sync + 'static {
    /// A socket of the simulated host that asks.
    ///
    /// # Errors
    /// As binding a real one: the address is taken or not this host's.
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>;

    /// Its time and tasks.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// For what QUIC itself draws, different for each endpoint.
    fn seed(&self) -> [u8; 32];
}

/// The network that endpoints are made on. The default is this machine's.
#[derive(Debug, Clone, Default)]
pub struct Network(Option<Arc<dyn SimulatedNetwork>>);

impl Network {
    /// A simulated one.
    #[must_use]
    pub fn simulated(network: Arc<dyn SimulatedNetwork>) -> Self {
        Self(Some(network))
    }

    /// A socket on this network.
    pub(crate) fn socket(&self, address: SocketAddr, large: bool) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        match &self.0 {
            None => {
                let socket = UdpSocket::bind(address)?;
                if large {
                    enlarge(&socket);
                }
                TokioRuntime.wrap_udp_socket(socket)
            }
            Some(network) => network.bind(address),
        }
    }

    /// An endpoint on that socket.
    pub(crate) fn endpoint(
        &self,
        socket: Arc<dyn AsyncUdpSocket>,
        mut config: EndpointConfig,
        server: Option<ServerConfig>,
    ) -> io::Result<Endpoint> {
        let runtime: Arc<dyn Runtime> = match &self.0 {
            None => Arc::new(TokioRuntime),
            Some(network) => {
                config.rng_seed(Some(network.seed()));
                network.runtime()
            }
        };
        Endpoint::new_with_abstract_socket(config, server, socket, runtime)
    }
}

/// Larger buffers, as far as the system allows: a burst that does not fit is lost and sent again.
fn enlarge(socket: &UdpSocket) {
    let enlarged = UdpSocketState::new(UdpSockRef::from(socket)).and_then(|state| {
        state.set_recv_buffer_size(UdpSockRef::from(socket), SOCKET_BUFFER)?;
        state.set_send_buffer_size(UdpSockRef::from(socket), SOCKET_BUFFER)
    });
    if let Err(error) = enlarged {
        tracing::debug!(%error, "the UDP socket keeps its small buffers");
    }
}
