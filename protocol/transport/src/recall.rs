//! A recall: one datagram that is not QUIC, by which a controller that has just started asks a host to say something.
//! The host's probe finds that the connection is gone (a stateless reset comes back), so it dials again at once and not
//! only when its next ping is due.
//!
//! ```text
//! controller: Recaller::recall(address) ── the endpoint's own socket, which a NAT lets through ──┐
//! agent: Listening (takes recalls out of what arrives; the rest is quinn's) ◄─────────────────────┘
//!            └── Recalls (watch) ──▶ the link probes
//! ```
//! It proves nothing and is not authenticated: whoever forges one gets a host to probe the controller it is connected
//! to, and [`EVERY`] bounds how often.

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::{sync::watch, time::Instant};

/// Its bytes. Every packet of QUIC is longer (RFC 9000, section 10.3: at least 21 bytes); the fifth is the version.
const DATAGRAM: [u8; 8] = [0x0f, b'w', b'f', b'r', 1, 0, 0, 0];

/// A host follows at most one in this time.
pub const EVERY: Duration = Duration::from_secs(1);

/// Sends recalls from a controller's socket.
#[derive(Debug, Clone)]
pub struct Recaller(pub(crate) Arc<dyn AsyncUdpSocket>);

impl Recaller {
    /// Sends one. It may be lost: the host finds out by itself, later.
    ///
    /// # Errors
    /// The socket takes nothing now.
    pub fn recall(&self, destination: SocketAddr) -> io::Result<()> {
        self.0.try_send(&Transmit {
            destination,
            ecn: None,
            contents: &DATAGRAM,
            segment_size: None,
            src_ip: None,
        })
    }
}

/// Hears recalls on an agent's socket.
#[derive(Debug, Clone)]
pub struct Recalls(watch::Receiver<u64>);

impl Recalls {
    /// Those from now on, for one more connection of the same socket.
    #[must_use]
    pub fn from_now(&self) -> Self {
        let mut recalls = self.0.clone();
        recalls.mark_unchanged();
        Self(recalls)
    }

    /// Waits for the next one.
    pub async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            // The socket is gone, and with it the connection; that is somebody else's news.
            std::future::pending().await
        }
    }
}

/// A socket that keeps recalls to itself.
pub(crate) struct Listening {
    inner: Arc<dyn AsyncUdpSocket>,
    heard: watch::Sender<u64>,
    last: Mutex<Option<Instant>>,
}

impl Listening {
    pub(crate) fn new(inner: Arc<dyn AsyncUdpSocket>) -> (Self, Recalls) {
        let (heard, recalls) = watch::channel(0);
        let last = Mutex::new(None);
        (Self { inner, heard, last }, Recalls(recalls))
    }

    fn hear(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if last.is_none_or(|last| now.duration_since(last) >= EVERY) {
            *last = Some(now);
            self.heard.send_modify(|count| *count += 1);
        }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl AsyncUdpSocket for Listening {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.inner.poll_recv(cx, buffers, meta))?;
        for (buffer, meta) in buffers.iter().zip(meta.iter_mut()).take(count) {
            if buffer.get(..meta.len) == Some(DATAGRAM.as_slice()) {
                // Nothing is left of it for QUIC.
                meta.len = 0;
                self.hear();
            }
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
