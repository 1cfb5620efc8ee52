//! A connection that was handed over by the engine, with calls over it in either direction.
//!
//! ```text
//! engine ◄──socket──► driver (task): Connection ◄──channel of 64 orders── calls and services
//!                        │                                                   ▲
//!                        └── one inbox per stream: bytes, headers, bell ─────┘
//! ```
//! An inbox holds no more than its stream's window, which opens as it is emptied. A sender waits for credit: no more
//! than 256 KiB of a stream wait for the peer. The services of a serving end run as tasks that the driver holds; with
//! the [`Link`] the driver ends, and they with it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{Notify, Semaphore, mpsc, oneshot},
};
use windflow_kit::task::{TaskHandle, spawn_scoped};

use super::{
    call::Call,
    grpc::Status,
    h2::{Broken, Connection, Event},
    hpack::Headers,
};

/// Orders on their way to the driver.
const ORDERS: usize = 64;
/// Bytes read at once.
const PIECE: usize = 16 << 10;
/// Bytes of one stream that may wait for the peer.
pub(super) const CREDIT: usize = 256 << 10;

/// What a service does with a call; whatever the peer asks for, it must end.
pub(super) type Service = Arc<dyn Fn(Call, Headers) -> BoxFuture<'static, ()> + Send + Sync>;

/// What came in a stream and is not read yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<Received>,
    pub(super) bell: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: BytesMut,
    pub(super) headers: Headers,
    pub(super) ended: bool,
    /// Why nothing more comes.
    pub(super) lost: Option<Status>,
}

impl Inbox {
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Received) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, change: impl FnOnce(&mut Received)) {
        self.with(change);
        self.bell.notify_one();
    }
}

/// What the driver is to do.
pub(super) enum Order {
    Request {
        path: String,
        inbox: Arc<Inbox>,
        credit: Arc<Semaphore>,
        stream: oneshot::Sender<u32>,
    },
    Send(u32, Vec<u8>),
    /// No more will be sent. A server says how it went.
    End(u32, Option<(u32, String)>),
    Consumed(u32, usize),
}

/// A connection in use. Dropping it closes the connection and ends every service.
#[derive(Debug)]
pub(super) struct Link {
    orders: mpsc::Sender<Order>,
    _driver: TaskHandle<()>,
}

impl Link {
    /// Drives a connection as its client.
    pub(super) fn client(wire: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::start(wire, None)
    }

    /// Drives a connection as its server.
    pub(super) fn server(
        wire: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        service: Service,
    ) -> Self {
        Self::start(wire, Some(service))
    }

    fn start(wire: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, service: Option<Service>) -> Self {
        let (orders, queue) = mpsc::channel(ORDERS);
        let driver = Driver {
            connection: Connection::new(service.is_none()),
            streams: BTreeMap::new(),
            // What a call of the peer is answered through; weak, so that the driver ends with its link.
            orders: orders.downgrade(),
            service,
        };
        Self {
            orders,
            _driver: spawn_scoped("buildkit-link", driver.run(wire, queue)),
        }
    }

    /// Begins a call.
    pub(super) async fn call(&self, path: &str) -> Result<Call, Status> {
        let (stream, begun) = oneshot::channel();
        let (inbox, credit) = (Arc::<Inbox>::default(), Arc::new(Semaphore::new(CREDIT)));
        let order = Order::Request {
            path: path.to_owned(),
            inbox: Arc::clone(&inbox),
            credit: Arc::clone(&credit),
            stream,
        };
        let gone = || Status::unknown("the connection to the engine is closed");
        self.orders.send(order).await.map_err(|_| gone())?;
        let stream = begun.await.map_err(|_| gone())?;
        Ok(Call::new(stream, inbox, credit, self.orders.clone()))
    }
}

struct Held {
    inbox: Arc<Inbox>,
    credit: Arc<Semaphore>,
    _service: Option<TaskHandle<()>>,
}

struct Driver {
    connection: Connection,
    streams: BTreeMap<u32, Held>,
    orders: mpsc::WeakSender<Order>,
    service: Option<Service>,
}

impl Driver {
    async fn run(
        mut self,
        mut wire: impl AsyncRead + AsyncWrite + Send + Unpin,
        mut queue: mpsc::Receiver<Order>,
    ) {
        let error = self.drive(&mut wire, &mut queue).await;
        let lost = Status::unknown(error.0);
        for held in self.streams.values() {
            held.credit.close();
            held.inbox.put(|received| received.lost = Some(lost.clone()));
        }
    }

    async fn drive(
        &mut self,
        wire: &mut (impl AsyncRead + AsyncWrite + Send + Unpin),
        queue: &mut mpsc::Receiver<Order>,
    ) -> Broken {
        let mut input = BytesMut::with_capacity(PIECE);
        loop {
            let (output, gone) = self.connection.output();
            if !output.is_empty() {
                let written = async {
                    wire.write_all(&output).await?;
                    wire.flush().await
                };
                if let Err(error) = written.await {
                    return Broken(format!("the connection to the engine broke: {error}"));
                }
            }
            for (stream, length) in gone {
                if let Some(held) = self.streams.get(&stream) {
                    held.credit.add_permits(length);
                }
            }
            input.clear();
            tokio::select! {
                read = wire.read_buf(&mut input) => match read {
                    Ok(0) => return Broken("the engine closed the connection".to_owned()),
                    Ok(_) => match self.connection.receive(&input) {
                        Ok(events) => events.into_iter().for_each(|event| self.event(event)),
                        Err(error) => return error,
                    },
                    Err(error) => return Broken(format!("the connection to the engine broke: {error}")),
                },
                order = queue.recv() => match order {
                    Some(order) => self.order(order),
                    None => return Broken("the connection is not needed any more".to_owned()),
                },
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Headers { stream, headers, end } => match self.streams.get(&stream) {
                Some(held) => held.inbox.put(|received| {
                    received.headers.extend(headers);
                    received.ended |= end;
                }),
                None => self.serve(stream, headers, end),
            },
            Event::Data { stream, bytes, end } => {
                if let Some(held) = self.streams.get(&stream) {
                    held.inbox.put(|received| {
                        received.bytes.extend_from_slice(&bytes);
                        received.ended |= end;
                    });
                }
            }
            Event::Reset { stream, code } => {
                if let Some(held) = self.streams.remove(&stream) {
                    held.credit.close();
                    let text = format!("the engine gave the call up (code {code})");
                    held.inbox
                        .put(|received| received.lost = Some(Status::unknown(text)));
                }
            }
        }
    }

    /// A call of the peer.
    fn serve(&mut self, stream: u32, headers: Headers, end: bool) {
        let (Some(service), Some(orders)) = (&self.service, self.orders.upgrade()) else {
            self.connection.reset(stream);
            return;
        };
        let (inbox, credit) = (Arc::<Inbox>::default(), Arc::new(Semaphore::new(CREDIT)));
        inbox.put(|received| received.ended = end);
        let head = [(":status", "200"), ("content-type", "application/grpc")];
        self.connection.answer(stream, &head);
        let call = Call::new(stream, Arc::clone(&inbox), Arc::clone(&credit), orders);
        let held = Held {
            inbox,
            credit,
            _service: Some(spawn_scoped("buildkit-service", service(call, headers))),
        };
        self.streams.insert(stream, held);
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Request {
                path,
                inbox,
                credit,
                stream,
            } => {
                let id = self.connection.request(&[
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", &path),
                    (":authority", "localhost"),
                    ("te", "trailers"),
                    ("content-type", "application/grpc"),
                ]);
                let held = Held {
                    inbox,
                    credit,
                    _service: None,
                };
                self.streams.insert(id, held);
                if stream.send(id).is_err() {
                    self.streams.remove(&id);
                    self.connection.reset(id);
                }
            }
            Order::Send(stream, bytes) => self.connection.send(stream, &bytes),
            Order::End(stream, None) => self.connection.end(stream, None),
            Order::End(stream, Some((code, text))) => {
                let code = code.to_string();
                let trailers = [("grpc-status", code.as_str()), ("grpc-message", text.as_str())];
                self.connection.end(stream, Some(&trailers));
                self.streams.remove(&stream);
            }
            Order::Consumed(stream, length) => self.connection.consumed(stream, length),
        }
    }
}
