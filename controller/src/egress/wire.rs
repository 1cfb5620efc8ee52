//! A connection for what is not HTTP (mail), judged like any other.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{
    Egress, EgressError, Step,
    connect::{Connector, Stream},
    url::Target,
};

/// A connection to a host and a port.
pub struct Wire {
    stream: Stream,
    target: Target,
    connector: Arc<Connector>,
    local: bool,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("place", &self.target.place())
            .finish_non_exhaustive()
    }
}

impl Egress {
    /// A connection to a host and a port, with TLS or without. The rules on addresses are those of requests.
    ///
    /// # Errors
    /// [`EgressError`].
    pub async fn wire(
        &self,
        host: &str,
        port: u16,
        tls: bool,
        timeout: Duration,
    ) -> Result<Wire, EgressError> {
        let target = Target::of(host, port, tls)?;
        let deadline = Instant::now() + timeout;
        let tcp = self.connector.reach(&self.trusted, &target, deadline).await?;
        let _slower = tcp.set_nodelay(true);
        let wire = Wire {
            local: tcp
                .peer_addr()
                .is_ok_and(|peer| peer.ip().to_canonical().is_loopback()),
            stream: Stream::Plain(tcp),
            connector: Arc::clone(&self.connector),
            target,
        };
        if tls { wire.secure(timeout).await } else { Ok(wire) }
    }

    /// Whether such a connection could be made, as [`Egress::judge`] says of a URL.
    ///
    /// # Errors
    /// [`EgressError::Url`], [`EgressError::Refused`].
    pub fn judge_wire(&self, host: &str, port: u16) -> Result<(), EgressError> {
        self.judge_target(&Target::of(host, port, false)?)
    }
}

impl Wire {
    /// Host and port, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.target.place()
    }

    /// Whether nobody in between can read along.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Whether the other side is this machine.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.local
    }

    /// TLS from here on. Nothing that was read before may be left over: it was not said within TLS.
    ///
    /// # Errors
    /// [`EgressError::Tls`], [`EgressError::TimedOut`], [`EgressError::Roots`].
    pub async fn secure(self, timeout: Duration) -> Result<Self, EgressError> {
        let Stream::Plain(tcp) = self.stream else {
            return Ok(self);
        };
        let place = self.target.place();
        let late = |step: Step| EgressError::TimedOut {
            place: place.clone(),
            step,
            after: timeout,
        };
        let deadline = Instant::now() + timeout;
        let stream = self
            .connector
            .shake(tcp, &self.target, false, deadline, &late)
            .await?;
        Ok(Self { stream, ..self })
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
