//! Real quinn on simulated sockets and time. What turmoil's network does not do by itself is drawn here, per datagram:
//! loss, duplicates, flipped bits.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use futures_util::FutureExt as _;
use tokio::time::Sleep;
use turmoil::net::UdpSocket;
use windflow_kit::{Random, TaskHandle, task::spawn_scoped};
use windflow_transport::{
    SimulatedNetwork,
    quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller, udp},
};

/// How bad the network is, in parts of a thousand datagrams; changes as the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    pub(crate) lost: AtomicU32,
    pub(crate) doubled: AtomicU32,
    pub(crate) flipped: AtomicU32,
    /// Datagrams that were.
    pub(crate) sent: AtomicU64,
    pub(crate) spoilt: AtomicU64,
}

/// The network as one simulated host sees it.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) weather: Arc<Weather>,
    pub(crate) random: Random,
}

impl SimulatedNetwork for Net {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // turmoil answers at once.
        let bound = UdpSocket::bind(address)
            .now_or_never()
            .unwrap_or_else(|| Err(io::Error::other("the simulated socket is not bound at once")))?;
        let (socket, inbox) = (Arc::new(bound), Arc::new(Mutex::new(Inbox::default())));
        let reader = spawn_scoped("datagrams", receive(Arc::clone(&socket), Arc::clone(&inbox)));
        Ok(Arc::new(Socket {
            socket,
            inbox,
            weather: Arc::clone(&self.weather),
            random: self.random.clone(),
            _reader: Mutex::new(reader),
        }))
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(SimRuntime)
    }

    fn seed(&self) -> [u8; 32] {
        self.random.bytes().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Inbox {
    datagrams: VecDeque<(Vec<u8>, SocketAddr)>,
    waker: Option<Waker>,
}

/// Datagrams that wait for QUIC; more are lost, as on a real host.
const INBOX: usize = 4_096;

async fn receive(socket: Arc<UdpSocket>, inbox: Arc<Mutex<Inbox>>) {
    let mut buffer = vec![0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let mut inbox = inbox.lock().unwrap();
        if inbox.datagrams.len() < INBOX {
            inbox.datagrams.push_back((buffer[..length].to_vec(), from));
        }
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
    }
}

struct Socket {
    socket: Arc<UdpSocket>,
    inbox: Arc<Mutex<Inbox>>,
    weather: Arc<Weather>,
    random: Random,
    /// Ends with the socket.
    _reader: Mutex<TaskHandle<()>>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl Socket {
    fn happens(&self, per_mille: &AtomicU32) -> bool {
        let per_mille = u64::from(per_mille.load(Ordering::Relaxed));
        per_mille > 0 && self.random.up_to(999) < per_mille
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) {
        self.weather.sent.fetch_add(1, Ordering::Relaxed);
        if self.happens(&self.weather.lost) {
            self.weather.spoilt.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut bytes = datagram.to_vec();
        if self.happens(&self.weather.flipped) {
            self.weather.spoilt.fetch_add(1, Ordering::Relaxed);
            let bit = self.random.up_to(bytes.len() as u64 * 8 - 1);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        // A host that is gone, or a full queue, is a datagram lost on the way.
        let _lost = self.socket.try_send_to(&bytes, to);
        if self.happens(&self.weather.doubled) {
            self.weather.spoilt.fetch_add(1, Ordering::Relaxed);
            let _lost = self.socket.try_send_to(&bytes, to);
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &udp::Transmit<'_>) -> io::Result<()> {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for datagram in transmit.contents.chunks(size) {
            self.send(datagram, transmit.destination);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [udp::RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.inbox.lock().unwrap();
        let mut count = 0;
        for (buffer, meta) in bufs.iter_mut().zip(meta) {
            let Some((bytes, addr)) = inbox.datagrams.pop_front() else {
                break;
            };
            let len = bytes.len().min(buffer.len());
            buffer[..len].copy_from_slice(&bytes[..len]);
            *meta = udp::RecvMeta {
                addr,
                len,
                stride: len,
                ecn: None,
                dst_ip: None,
            };
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        inbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug)]
struct SimRuntime;

impl Runtime for SimRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(Box::pin(tokio::time::sleep_until(at.into()))))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "quinn owns the drivers of its connections"
    )]
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(tokio::spawn(future));
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::Error::other("a simulation has no real sockets"))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

struct Timer(Pin<Box<Sleep>>);

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timer")
    }
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.as_mut().reset(at.into());
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self.0.as_mut(), cx)
    }
}
