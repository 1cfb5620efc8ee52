//! Requests over a connection of their own, past the client library: what it cannot carry.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, Connection, SendRequest},
    header,
    http::request,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use windflow_kit::task::spawn_scoped;

use super::{
    DockerTarget,
    connect::{Address, READ_TIMEOUT},
};
use crate::targets::{TargetError, TargetErrorKind};

/// Either kind of socket.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

type Socket = TokioIo<Box<dyn Wire>>;

/// A connection to the engine; its second half must be driven.
pub(super) async fn dial(
    target: &DockerTarget,
) -> Result<(SendRequest<Full<Bytes>>, Connection<Socket, Full<Bytes>>), TargetError> {
    let wire: Box<dyn Wire> = match &target.address {
        Address::Unix(path) => Box::new(
            UnixStream::connect(path)
                .await
                .map_err(|error| target.unreachable(error))?,
        ),
        Address::Tcp(host) => Box::new(
            TcpStream::connect(host)
                .await
                .map_err(|error| target.unreachable(error))?,
        ),
    };
    http1::handshake(TokioIo::new(wire))
        .await
        .map_err(|error| target.unreachable(error))
}

/// Posts JSON; gives the answer, whatever its status. `what` completes "cannot …".
pub(super) async fn post(
    target: &DockerTarget,
    path: &str,
    body: &serde_json::Value,
    what: &str,
) -> Result<(StatusCode, Bytes), TargetError> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    ask(target, request, body.to_string(), what).await
}

/// Gets something; gives the answer, whatever its status. `what` completes "cannot …".
pub(super) async fn get(
    target: &DockerTarget,
    path: &str,
    what: &str,
) -> Result<(StatusCode, Bytes), TargetError> {
    ask(target, Request::get(path), String::new(), what).await
}

async fn ask(
    target: &DockerTarget,
    request: request::Builder,
    body: String,
    what: &str,
) -> Result<(StatusCode, Bytes), TargetError> {
    let request = request
        .header(header::HOST, "docker")
        .body(Full::from(body))
        .map_err(|error| TargetError::caused(TargetErrorKind::Host, format!("cannot {what}"), error))?;
    let asked = async {
        let (mut sender, connection) = dial(target).await?;
        let _driver = spawn_scoped("docker-ask", async move {
            // Its error is seen by the request.
            let _ = connection.await;
        });
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(|error| target.unreachable(error))?.into_parts();
        let body = body.collect().await.map_err(|error| target.unreachable(error))?;
        Ok((head.status, body.to_bytes()))
    };
    match tokio::time::timeout(READ_TIMEOUT, asked).await {
        Ok(answer) => answer,
        Err(late) => Err(target.unreachable(late)),
    }
}
