//! Sessions: the engine answers with an upgrade, and the connection then belongs to the process.

mod frames;

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, ReadHalf};
use windflow_kit::task::{TaskHandle, spawn_scoped};

use self::frames::Frames;
use super::{DockerTarget, error::refused, execute::short, wire};
use crate::targets::{
    AttachRequest, Ending, ExecRequest, Output, Processes, Session, SessionId, TargetError,
    TargetErrorKind as Kind,
};

/// Bytes asked for at once.
const PIECE: usize = 16 << 10;

pub(super) async fn exec(target: &DockerTarget, request: ExecRequest) -> Result<Session, TargetError> {
    let what = format!("run a command in container {}", short(&request.container));
    let body = json!({
        "AttachStdin": request.stdin && !request.detach,
        "AttachStdout": !request.detach,
        "AttachStderr": !request.detach,
        "Tty": request.tty,
        "Env": request.env,
        "Cmd": request.command,
        "Privileged": request.privileged,
        "User": request.user.unwrap_or_default(),
        "WorkingDir": request.working_dir.unwrap_or_default(),
    });
    let path = format!("/containers/{}/exec", request.container);
    let (status, answer) = wire::post(target, &path, &body, &what).await?;
    if !status.is_success() {
        return Err(refused(&what, status.as_u16(), &answer));
    }
    let id = text(&answer, "Id");
    let start = format!("/exec/{id}/start");
    let body = json!({ "Detach": request.detach, "Tty": request.tty });
    if request.detach {
        let (status, answer) = wire::post(target, &start, &body, &what).await?;
        if !status.is_success() {
            return Err(refused(&what, status.as_u16(), &answer));
        }
        return Ok(Session {
            id: SessionId::Exec(id),
            output: stream::empty().boxed(),
            input: Box::pin(tokio::io::sink()),
        });
    }
    upgrade(target, &start, &body, &what, SessionId::Exec(id), request.tty).await
}

pub(super) async fn attach(target: &DockerTarget, request: AttachRequest) -> Result<Session, TargetError> {
    let what = format!("attach to container {}", short(&request.container));
    let keys = request.detach_keys.as_deref().map(|keys| ("detachKeys", keys));
    let switch = |on: bool| if on { "1" } else { "0" };
    let always = [("stream", "1"), ("stdout", "1"), ("stderr", "1")];
    let asked = [("stdin", switch(request.stdin)), ("logs", switch(request.logs))];
    let query = wire::query(always.into_iter().chain(asked).chain(keys));
    let path = format!("/containers/{}/attach{query}", request.container);
    let id = SessionId::Container(request.container);
    upgrade(target, &path, &Value::Null, &what, id, request.tty).await
}

async fn upgrade(
    target: &DockerTarget,
    path: &str,
    body: &Value,
    what: &str,
    id: SessionId,
    raw: bool,
) -> Result<Session, TargetError> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    let (upgraded, driver) = wire::upgrade(target, request, "tcp", body, what).await?;
    let (read, write) = tokio::io::split(upgraded);
    let reading = Reading {
        read,
        frames: Frames::new(raw),
        what: what.to_owned(),
        done: false,
        _driver: driver,
    };
    Ok(Session {
        id,
        output: outputs(reading),
        input: Box::pin(write),
    })
}

struct Reading {
    read: ReadHalf<TokioIo<hyper::upgrade::Upgraded>>,
    frames: Frames,
    what: String,
    done: bool,
    /// Ends the connection with the session.
    _driver: TaskHandle<()>,
}

type Batch = Vec<Result<Output, TargetError>>;

fn outputs(reading: Reading) -> BoxStream<'static, Result<Output, TargetError>> {
    let batches: Pin<Box<dyn futures_util::Stream<Item = Batch> + Send>> =
        Box::pin(stream::unfold(reading, |mut reading| async move {
            if reading.done {
                return None;
            }
            let mut piece = BytesMut::with_capacity(PIECE);
            match reading.read.read_buf(&mut piece).await {
                Ok(0) => None,
                Ok(_) => {
                    let batch = reading.frames.feed(&piece.freeze()).into_iter().map(Ok);
                    Some((batch.collect(), reading))
                }
                Err(error) => {
                    reading.done = true;
                    let text = format!("cannot {}: the engine broke it off", reading.what);
                    let error = TargetError::caused(Kind::Unreachable, text, error);
                    Some((vec![Err(error)], reading))
                }
            }
        }));
    batches.map(stream::iter).flatten().boxed()
}

pub(super) async fn resize(
    target: &DockerTarget,
    id: &SessionId,
    columns: u16,
    rows: u16,
) -> Result<(), TargetError> {
    let place = match id {
        SessionId::Exec(id) => format!("/exec/{id}"),
        SessionId::Container(id) => format!("/containers/{id}"),
    };
    let path = format!("{place}/resize?h={rows}&w={columns}");
    let what = "tell the size of the terminal";
    let (status, answer) = wire::post(target, &path, &json!({}), what).await?;
    if status.is_success() {
        return Ok(());
    }
    Err(refused(what, status.as_u16(), &answer))
}

/// The exit code of a command that has ended.
pub(super) async fn exec_code(target: &DockerTarget, id: &str) -> Result<i64, TargetError> {
    let what = "ask for the end of a command";
    let (status, answer) = wire::get(target, &format!("/exec/{id}/json"), what).await?;
    if !status.is_success() {
        return Err(refused(what, status.as_u16(), &answer));
    }
    let found: Value = serde_json::from_slice(&answer).unwrap_or_default();
    Ok(found.get("ExitCode").and_then(Value::as_i64).unwrap_or(-1))
}

/// Begins to wait; what it gives waits as long as it takes.
pub(super) async fn wait(
    target: &DockerTarget,
    container: &str,
    ending: Ending,
) -> Result<BoxFuture<'static, Result<i64, TargetError>>, TargetError> {
    let word = match ending {
        Ending::NotRunning => "not-running",
        Ending::NextExit => "next-exit",
        Ending::Removed => "removed",
    };
    let what = format!("wait for container {}", short(container));
    let (mut sender, connection) = wire::dial(target, &what).await?;
    let driver = spawn_scoped("docker-wait", async move {
        // Its error is seen by the request.
        let _ = connection.await;
    });
    let request = Request::post(format!("/containers/{container}/wait?condition={word}"))
        .header(header::HOST, "docker")
        .body(Full::<Bytes>::default())
        .map_err(|error| TargetError::caused(Kind::Host, format!("cannot {what}"), error))?;
    // The engine sends the head when it has begun to wait, and the body when the wait is over.
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| target.unreachable(error))?;
    let status = answer.status();
    if !status.is_success() {
        let body = answer.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(refused(&what, status.as_u16(), &body));
    }
    Ok(Box::pin(async move {
        let _driver = driver;
        let body = answer.into_body().collect().await.map_err(|error| {
            let text = format!("cannot {what}: the engine broke it off");
            TargetError::caused(Kind::Unreachable, text, error)
        })?;
        let ended: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        Ok(ended.get("StatusCode").and_then(Value::as_i64).unwrap_or(-1))
    }))
}

pub(super) async fn top(target: &DockerTarget, container: &str) -> Result<Processes, TargetError> {
    let what = format!("list the processes of container {}", short(container));
    let (status, answer) = wire::get(target, &format!("/containers/{container}/top"), &what).await?;
    if !status.is_success() {
        return Err(refused(&what, status.as_u16(), &answer));
    }
    let found: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let rows = found.get("Processes").and_then(Value::as_array);
    Ok(Processes {
        titles: found.get("Titles").map(texts).unwrap_or_default(),
        rows: rows.into_iter().flatten().map(texts).collect(),
    })
}

fn text(answer: &[u8], key: &str) -> String {
    let found: Value = serde_json::from_slice(answer).unwrap_or_default();
    let text = found.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
