//! One call, from either side.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{Semaphore, mpsc};

use super::{
    grpc::{self, Status},
    hpack::Headers,
    link::{CREDIT, Inbox, Order},
};

/// A call, with both directions.
pub(super) struct Call {
    pub(super) receiver: Receiver,
    pub(super) sender: Sender,
}

/// What comes.
pub(super) struct Receiver {
    stream: u32,
    inbox: Arc<Inbox>,
    orders: mpsc::Sender<Order>,
    buffer: BytesMut,
}

/// What goes.
pub(super) struct Sender {
    stream: u32,
    credit: Arc<Semaphore>,
    orders: mpsc::Sender<Order>,
}

/// What an inbox has to offer.
enum Found {
    Bytes(BytesMut),
    End(Result<Headers, Status>),
    Nothing,
}

fn gone<T>(_: T) -> Status {
    Status::unknown("the connection to the engine is closed")
}

impl Call {
    pub(super) fn new(
        stream: u32,
        inbox: Arc<Inbox>,
        credit: Arc<Semaphore>,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        Self {
            receiver: Receiver {
                stream,
                inbox,
                orders: orders.clone(),
                buffer: BytesMut::new(),
            },
            sender: Sender {
                stream,
                credit,
                orders,
            },
        }
    }

    /// Ends a served call.
    pub(super) async fn finish(self, result: Result<(), Status>) {
        let (code, text) = match result {
            Ok(()) => (0, String::new()),
            Err(status) => (status.code, grpc::encode(&status.text)),
        };
        let end = Order::End(self.sender.stream, Some((code, text)));
        // Nobody there any more: nobody to tell.
        let _ = self.sender.orders.send(end).await;
    }
}

impl Receiver {
    /// The next message, `None` behind the last of a call that went well.
    pub(super) async fn message(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = grpc::take(&mut self.buffer)? {
                return Ok(Some(message));
            }
            let bell = self.inbox.bell.notified();
            let found = self.inbox.with(|received| {
                if !received.bytes.is_empty() {
                    Found::Bytes(received.bytes.split())
                } else if received.ended {
                    Found::End(Ok(received.headers.clone()))
                } else if let Some(status) = &received.lost {
                    Found::End(Err(status.clone()))
                } else {
                    Found::Nothing
                }
            });
            match found {
                Found::Bytes(bytes) => {
                    self.buffer.extend_from_slice(&bytes);
                    let consumed = Order::Consumed(self.stream, bytes.len());
                    // If nobody takes it, the inbox says why.
                    let _ = self.orders.send(consumed).await;
                }
                Found::End(Err(status)) => return Err(status),
                // A client has no result to tell.
                Found::End(Ok(headers)) if headers.is_empty() => return Ok(None),
                Found::End(Ok(headers)) => return Status::read(&headers).map(|()| None),
                Found::Nothing => bell.await,
            }
        }
    }
}

impl Sender {
    /// Sends a message, as soon as the peer has room for it.
    pub(super) async fn send(&self, message: &[u8]) -> Result<(), Status> {
        for piece in grpc::framed(message).chunks(CREDIT / 2) {
            let length = u32::try_from(piece.len()).map_err(gone)?;
            self.credit.acquire_many(length).await.map_err(gone)?.forget();
            let order = Order::Send(self.stream, piece.to_vec());
            self.orders.send(order).await.map_err(gone)?;
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub(super) async fn close(&self) -> Result<(), Status> {
        self.orders
            .send(Order::End(self.stream, None))
            .await
            .map_err(gone)
    }
}
