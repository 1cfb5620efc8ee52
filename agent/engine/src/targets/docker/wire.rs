//! Requests over a connection of their own, past the client library: what it cannot carry, and what must not be kept
//! waiting by others.

mod messages;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode,
    body::{Body, Incoming},
    client::conn::http1::{self, Connection, SendRequest},
    header,
    http::{request, response},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use windflow_kit::{
    BoxError,
    task::{TaskHandle, spawn_scoped},
};
use windflow_model::Timestamp;

pub(super) use self::messages::Messages;
use super::{
    DockerTarget,
    connect::{Address, READ_TIMEOUT},
    error::{message, refused},
};
use crate::targets::{Stream, TargetError, TargetErrorKind};

/// Longest time a create may take: it copies an image's files into new volumes.
const WORK_TIMEOUT: Duration = Duration::from_secs(600);

/// Either kind of socket.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

type Socket = TokioIo<Box<dyn Wire>>;

/// A connection to the engine; its second half must be driven.
pub(super) async fn dial<B>(
    target: &DockerTarget,
    what: &str,
) -> Result<(SendRequest<B>, Connection<Socket, B>), TargetError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let wire: Box<dyn Wire> = match &target.address {
        Address::Unix(path) => Box::new(
            UnixStream::connect(path)
                .await
                .map_err(|error| target.gone(what, error))?,
        ),
        Address::Tcp(host) => Box::new(
            TcpStream::connect(host)
                .await
                .map_err(|error| target.gone(what, error))?,
        ),
    };
    http1::handshake(TokioIo::new(wire))
        .await
        .map_err(|error| target.gone(what, error))
}

/// Posts JSON; gives the answer, whatever its status. `what` completes "cannot …".
pub(super) async fn post(
    target: &DockerTarget,
    path: &str,
    body: &serde_json::Value,
    what: &str,
) -> Result<(StatusCode, Bytes), TargetError> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    ask(target, request, body.to_string(), what, WORK_TIMEOUT).await
}

/// Gets JSON; `None` if the engine says that the thing is not there.
pub(super) async fn json<T: DeserializeOwned>(
    target: &DockerTarget,
    path: &str,
    what: &str,
) -> Result<Option<T>, TargetError> {
    let (status, answer) = get(target, path, what).await?;
    if status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !status.is_success() {
        return Err(refused(what, status.as_u16(), &answer));
    }
    let broken = |error| TargetError::caused(TargetErrorKind::Engine, format!("cannot {what}"), error);
    serde_json::from_slice(&answer).map(Some).map_err(broken)
}

/// Does something to a thing that its path names.
pub(super) async fn send(
    target: &DockerTarget,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
    what: &str,
) -> Result<Sent, TargetError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json");
    let (status, answer) = ask(target, request, body, what, WORK_TIMEOUT).await?;
    Ok(Sent { status, answer })
}

/// What became of it.
pub(super) struct Sent {
    status: StatusCode,
    answer: Bytes,
}

impl Sent {
    /// The thing is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// It is so already, or somebody does it right now ("removal … in progress").
    pub(super) fn is_already(&self) -> bool {
        self.status == StatusCode::NOT_MODIFIED
            || self.status == StatusCode::CONFLICT && self.says("already in progress")
    }

    /// Whether it was refused with these words.
    pub(super) fn says(&self, words: &str) -> bool {
        !self.status.is_success() && message(&self.answer).contains(words)
    }

    /// The answer, if it was done; `what` completes "cannot …".
    pub(super) fn done(self, what: &str) -> Result<Bytes, TargetError> {
        if self.status.is_success() {
            return Ok(self.answer);
        }
        Err(refused(what, self.status.as_u16(), &self.answer))
    }
}

/// Gets something; gives the answer, whatever its status. `what` completes "cannot …".
pub(super) async fn get(
    target: &DockerTarget,
    path: &str,
    what: &str,
) -> Result<(StatusCode, Bytes), TargetError> {
    ask(target, Request::get(path), String::new(), what, READ_TIMEOUT).await
}

async fn ask(
    target: &DockerTarget,
    request: request::Builder,
    body: impl Into<Bytes>,
    what: &str,
    patience: Duration,
) -> Result<(StatusCode, Bytes), TargetError> {
    let body = Full::new(body.into());
    let asked = async {
        let (head, body, _driver) = begin(target, request, body, what).await?;
        let body = body.collect().await.map_err(|error| target.gone(what, error))?;
        Ok((head.status, body.to_bytes()))
    };
    match tokio::time::timeout(patience, asked).await {
        Ok(answer) => answer,
        Err(late) => Err(target.gone(what, late)),
    }
}

/// Sends a request whose answer is a stream of messages. An answer that is an error ends it here.
pub(super) async fn messages<B, T>(
    target: &DockerTarget,
    request: request::Builder,
    body: B,
    what: &str,
    stall: Duration,
) -> Result<Messages<T>, TargetError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    T: DeserializeOwned,
{
    let (head, body, driver) = begin(target, request, body, what).await?;
    if head.status.is_success() {
        return Ok(Messages::new(body, driver, what, stall));
    }
    let body = body.collect().await.map_err(|error| target.unreachable(error))?;
    Err(refused(what, head.status.as_u16(), &body.to_bytes()))
}

/// The head of the answer; the handle drives the connection for as long as it lives.
pub(super) async fn begin<B>(
    target: &DockerTarget,
    request: request::Builder,
    body: B,
    what: &str,
) -> Result<(response::Parts, Incoming, TaskHandle<()>), TargetError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let request = request
        .header(header::HOST, "docker")
        .body(body)
        .map_err(|error| TargetError::caused(TargetErrorKind::Host, format!("cannot {what}"), error))?;
    let (mut sender, connection) = dial(target, what).await?;
    let driver = spawn_scoped("docker-ask", async move {
        // Its error is seen by the request.
        let _ = connection.await;
    });
    let answer = sender.send_request(request).await;
    let (head, body) = answer.map_err(|error| target.gone(what, error))?.into_parts();
    Ok((head, body, driver))
}

/// The answer's body as it comes; an answer that is an error ends it here. A piece that does not come within `stall` is not
/// waited for.
pub(super) async fn pieces(
    target: &DockerTarget,
    request: request::Builder,
    what: String,
    stall: Duration,
) -> Result<Stream<Bytes>, TargetError> {
    let (head, body, driver) = begin(target, request, Full::<Bytes>::default(), &what).await?;
    if !head.status.is_success() {
        let body = body.collect().await.map_err(|error| target.unreachable(error))?;
        return Err(refused(&what, head.status.as_u16(), &body.to_bytes()));
    }
    let pieces = stream::try_unfold((body, driver, what), move |(mut body, driver, what)| async move {
        loop {
            let frame = match tokio::time::timeout(stall, body.frame()).await {
                Ok(frame) => frame,
                Err(late) => {
                    let text = format!("cannot {what}: the engine stopped answering");
                    return Err(TargetError::caused(TargetErrorKind::Unreachable, text, late));
                }
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some((piece, (body, driver, what))));
                    }
                }
                Some(Err(error)) => {
                    let text = format!("cannot {what}: the engine broke it off");
                    return Err(TargetError::caused(TargetErrorKind::Unreachable, text, error));
                }
            }
        }
    });
    Ok(pieces.boxed())
}

/// Sends a request that the engine answers by handing the connection over; the handle drives it for as long as it
/// lives.
pub(super) async fn upgrade(
    target: &DockerTarget,
    request: request::Builder,
    protocol: &str,
    body: String,
    what: &str,
) -> Result<(TokioIo<Upgraded>, TaskHandle<()>), TargetError> {
    let (mut sender, connection) = dial(target, what).await?;
    let driver = spawn_scoped("docker-session", async move {
        // Its error is seen as the end of what comes.
        let _ = connection.with_upgrades().await;
    });
    let request = request
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, protocol)
        .body(Full::<Bytes>::from(body))
        .map_err(|error| TargetError::caused(TargetErrorKind::Host, format!("cannot {what}"), error))?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| target.gone(what, error))?;
    let status = answer.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let body = answer.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(refused(what, status.as_u16(), &body));
    }
    let upgraded = hyper::upgrade::on(answer)
        .await
        .map_err(|error| target.gone(what, error))?;
    Ok((TokioIo::new(upgraded), driver))
}

/// A name in a path.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::new();
    escape(name, b"/:@+", &mut out);
    out
}

/// A moment as the API takes it: seconds since 1970 with a fraction, as whole seconds leave out what has just happened.
pub(super) fn time(at: Timestamp) -> String {
    let millis = at.as_millis();
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

/// A query of names and values.
pub(super) fn query<'q>(pairs: impl IntoIterator<Item = (&'q str, &'q str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        escape(value, b"", &mut out);
    }
    out
}

fn escape(text: &str, kept: &[u8], out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other if kept.contains(&other) => out.push(char::from(other)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(
            query([("name", "a-1"), ("t", "r:5000/é&x=1 +")]),
            "?name=a-1&t=r%3A5000%2F%C3%A9%26x%3D1%20%2B"
        );
        assert_eq!(query([]), "");
        assert_eq!(segment("r:5000/é x@sha256:1?"), "r:5000/%C3%A9%20x@sha256:1%3F");
    }
}
