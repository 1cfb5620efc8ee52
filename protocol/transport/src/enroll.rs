//! The host's side of joining: one request, one reply.

use std::{net::SocketAddr, time::Duration};

use thiserror::Error;
use windflow_protocol::{EnrollReply, EnrollRequest};

use crate::{
    endpoint::{self, CLOSE_DONE, DialError},
    network::Network,
    streams::{FrameReader, FrameWriter, StreamError},
    tls::{self, TlsError},
};

/// Server name sent while joining: the real one is not known yet, the pin decides.
const JOIN_NAME: &str = "enroll.windflow";

/// Why there was no reply.
#[derive(Debug, Error)]
pub enum AskError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] TlsError),
    /// The controller cannot be reached, or its key is not the pinned one.
    #[error("cannot reach the controller at {remote}")]
    Dial {
        /// Where.
        remote: SocketAddr,
        /// Why.
        #[source]
        source: DialError,
    },
    /// The exchange broke.
    #[error("the controller did not answer the request")]
    Exchange(#[source] StreamError),
    /// The connection closed without a reply.
    #[error("the controller closed the connection without an answer")]
    Silent,
}

impl AskError {
    /// How long the controller asks to stay away; zero if it does not.
    #[must_use]
    pub fn stay_away(&self) -> Duration {
        let lost = match self {
            Self::Dial {
                source: DialError::Connect { source, .. },
                ..
            } => Some(source),
            Self::Exchange(error) => error.lost(),
            _ => None,
        };
        lost.map_or(Duration::ZERO, endpoint::stay_away)
    }

    /// Whether the controller showed another key than the pinned one.
    #[must_use]
    pub fn is_pin_mismatch(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.to_string().contains(tls::PIN_MISMATCH) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Sends one request to the controller whose root key is among `pins`.
///
/// # Errors
/// [`AskError`].
pub async fn ask(
    network: &Network,
    remote: SocketAddr,
    pins: Vec<[u8; 32]>,
    request: &EnrollRequest,
) -> Result<EnrollReply, AskError> {
    let tls = tls::joining(pins).map_err(AskError::Tls)?;
    let wrap = |source| AskError::Dial { remote, source };
    let (endpoint, _recalls) = endpoint::agent(network, remote).map_err(wrap)?;
    let connection = endpoint::dial(&endpoint, remote, JOIN_NAME, tls)
        .await
        .map_err(wrap)?;
    let (send, receive) = connection
        .open_bi()
        .await
        .map_err(|source| wrap(DialError::Connect { remote, source }))?;
    let mut writer = FrameWriter::new(send);
    writer.send(request).await.map_err(AskError::Exchange)?;
    writer.finish();
    let reply = FrameReader::new(receive)
        .next()
        .await
        .map_err(AskError::Exchange)?;
    connection.close(CLOSE_DONE, b"");
    endpoint.wait_idle().await;
    reply.ok_or(AskError::Silent)
}

/// Shakes hands with the controller whose root key is among `pins`, and hangs up: the whole way there and its trust,
/// without being anybody. Gives the round-trip time.
///
/// # Errors
/// [`AskError`].
pub async fn probe(remote: SocketAddr, pins: Vec<[u8; 32]>) -> Result<Duration, AskError> {
    let tls = tls::joining(pins).map_err(AskError::Tls)?;
    let wrap = |source| AskError::Dial { remote, source };
    let (endpoint, _recalls) = endpoint::agent(&Network::default(), remote).map_err(wrap)?;
    let connection = endpoint::dial(&endpoint, remote, JOIN_NAME, tls)
        .await
        .map_err(wrap)?;
    let rtt = connection.rtt();
    connection.close(CLOSE_DONE, b"");
    endpoint.wait_idle().await;
    Ok(rtt)
}
