//! The only way out: every HTTP request that the controller makes goes through here (webhooks, remote write, …).
//!
//! ```text
//! Request ─ judged: http(s), no user in it, no address that is refused ─▶ name resolved once ─ every address judged
//!         ─▶ TCP to the very address that was judged ─▶ TLS (rustls, ring) ─▶ one exchange ─▶ Answer, at most so long
//! ```
//! Who may name an address for the controller to call could otherwise read what only the controller can reach: its own
//! machine, the network behind it, a cloud's metadata. So addresses that are not of the public internet are refused unless
//! `egress_allow` lists them. A redirect is an answer like any other and not followed; proxies of the environment are
//! not used; a connection is used once.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Method, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use tokio::time::Instant;

pub mod address;
mod connect;
mod error;
#[cfg(test)]
mod tests;
mod url;
mod wire;

pub use address::Allow;
pub use connect::EgressOptions;
pub use error::{EgressError, Step};
pub use wire::Wire;

use self::{
    connect::{Connector, Stream},
    url::Target,
};

/// What the client says of itself and of the connection is not the caller's to say.
const OWN: [HeaderName; 5] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
];
/// Time for all of a request, unless it says another one.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer, unless the request says another number.
const MOST: usize = 64 << 10;
/// Most bytes of the head of an answer.
const HEAD: usize = 64 << 10;

/// A request. Its URL and headers may hold secrets: `Debug` shows neither.
#[derive(Clone)]
pub struct Request {
    method: Method,
    target: Target,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
    most: usize,
}

impl Request {
    /// A request to this URL: 10 s for all of it, at most 64 KiB of an answer.
    ///
    /// # Errors
    /// [`EgressError::Url`]: nothing that could be asked for.
    pub fn new(method: Method, url: &str) -> Result<Self, EgressError> {
        let mut headers = HeaderMap::new();
        let agent = concat!("windflow-controller/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        Ok(Self {
            method,
            target: Target::parse(url)?,
            headers,
            body: Bytes::new(),
            timeout: TIMEOUT,
            most: MOST,
        })
    }

    /// Sets a header. Those of the connection (`Host`, `Content-Length`, …) are the client's own and left as they are.
    ///
    /// # Errors
    /// [`EgressError::Header`]: a name or value that is none. The value is not in the error.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, EgressError> {
        let bad = || EgressError::Header(name.to_owned());
        let key = HeaderName::try_from(name).map_err(|_| bad())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        if !OWN.contains(&key) {
            self.headers.insert(key, value);
        }
        Ok(self)
    }

    /// Host and port, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.target.place()
    }

    /// Whether a header is the client's own, so that [`Request::header`] leaves it as it is.
    #[must_use]
    pub fn is_own(name: &str) -> bool {
        OWN.iter().any(|own| own.as_str().eq_ignore_ascii_case(name))
    }

    /// What is sent.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Time for all of it, from the name to the last byte of the answer.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Most bytes of the answer's body; a longer one is an error.
    #[must_use]
    pub const fn most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.target.place())
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What came back, whatever its status. A redirect is an answer, too.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// From the request to the last byte.
    pub took: Duration,
}

impl Answer {
    /// The begin of the body as one line of text, for people: control characters are left out.
    #[must_use]
    pub fn told(&self, most: usize) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let plain: String = plain.take(most).collect();
        plain.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Seconds that the other side wants to be left alone (`Retry-After`). A date is not understood: it would need its clock.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Handle to the client.
#[derive(Debug, Clone)]
pub struct Egress {
    connector: Arc<Connector>,
    /// What this handle may reach besides.
    trusted: Allow,
}

impl Egress {
    /// A handle that may reach the host of this URL, too, wherever it is: for addresses that the operator has written into
    /// the configuration of the controller, and for no others.
    ///
    /// # Errors
    /// [`EgressError::Url`].
    pub fn trusting(&self, url: &str) -> Result<Self, EgressError> {
        let mut trusted = self.trusted.clone();
        trusted.add_host(Target::parse(url)?.host());
        Ok(Self {
            connector: Arc::clone(&self.connector),
            trusted,
        })
    }

    /// Whether a URL could be asked for, as far as that can be told without resolving its name: for the moment in which
    /// somebody enters it. Each request is judged again.
    ///
    /// # Errors
    /// [`EgressError::Url`], [`EgressError::Refused`].
    pub fn judge(&self, url: &str) -> Result<(), EgressError> {
        self.judge_target(&Target::parse(url)?)
    }

    fn judge_target(&self, target: &Target) -> Result<(), EgressError> {
        match target.address() {
            Some(ip) => self.connector.judge(&self.trusted, target, ip),
            None => Ok(()),
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`EgressError`]. An answer with a status of failure is none.
    pub async fn send(&self, request: Request) -> Result<Answer, EgressError> {
        let begun = Instant::now();
        let deadline = begun + request.timeout;
        let stream = self
            .connector
            .connect(&self.trusted, &request.target, deadline)
            .await?;
        let place = request.target.place();
        let timeout = request.timeout;
        let exchanged = tokio::time::timeout_at(deadline, exchange(stream, request)).await;
        let mut answer = exchanged.map_err(|_| EgressError::TimedOut {
            place,
            step: Step::Answer,
            after: timeout,
        })??;
        answer.took = begun.elapsed();
        Ok(answer)
    }
}

/// One request on a connection of its own.
async fn exchange(stream: Stream, request: Request) -> Result<Answer, EgressError> {
    let Request {
        method,
        target,
        headers,
        body,
        most,
        ..
    } = request;
    let place = target.place();
    let failed = |source: hyper::Error| EgressError::Exchange {
        place: place.clone(),
        source,
    };
    let mut wire = hyper::Request::new(Full::new(body));
    *wire.method_mut() = method;
    *wire.uri_mut() = target.path();
    *wire.headers_mut() = headers;
    wire.headers_mut().insert(header::HOST, target.host_header()?);
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD)
        .handshake(hyper_util::rt::TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let exchange = async {
        let answer = sender.send_request(wire).await.map_err(failed)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            match error.downcast::<hyper::Error>() {
                Ok(source) => failed(*source),
                Err(_) => EgressError::TooLong {
                    place: place.clone(),
                    most,
                },
            }
        })?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
            took: Duration::ZERO,
        })
    };
    // The connection is driven by whoever waits for the answer. How it ends, the exchange says.
    let driven = async {
        let _ended = connection.await;
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        answer = exchange => answer,
        never = driven => match never {},
    }
}
