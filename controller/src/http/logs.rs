//! Logs over a WebSocket: pulled from the hosts only as fast as the reader takes them.

use std::time::Duration;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use windflow_api::{LogFrame, LogParams};
use windflow_kit::Gather;
use windflow_model::{LogEvent, StackId};

use super::{
    error::ApiFailure,
    extract::{Caller, Credential, Params, Route},
    guard::own_page,
    live::signed_out,
};
use crate::app::{App, session::Shown};

/// A reader that takes nothing for this long is gone; until then everything waits for it that is its own.
const STALLED: Duration = Duration::from_secs(30);
/// A ping this often keeps the way open.
const PING: Duration = Duration::from_secs(20);
/// What is written at once.
const BATCH: Gather = Gather {
    items: 128,
    bytes: 16 << 10,
};
/// Bytes that are written at once. tungstenite's own 128 KiB would be held for every reader that stalls.
const WRITE_BUFFER: usize = 16 << 10;
/// Readers only send close and pong.
const MAX_MESSAGE: usize = 4 << 10;

/// Logs of a stack (WebSocket; text frames, each a `LogFrame`).
#[utoipa::path(get, path = "/api/v1/stacks/{id}/logs", operation_id = "stack_logs", tag = "live",
    params(("id" = StackId, Path), LogParams), responses((status = 101, description = "Switches to WebSocket.")))]
pub(super) async fn stack_logs(
    State(app): State<App>,
    Caller(op): Caller,
    Credential(shown): Credential,
    Route(id): Route<StackId>,
    Params(params): Params<LogParams>,
    (headers, uri): (HeaderMap, Uri),
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiFailure> {
    own_page(&shown, &headers, &uri)?;
    let frames = app.stack_logs(&op, id, &params);
    send(upgrade, frames.await?, app, shown)
}

/// Logs of any containers of hosts, or a search in them (WebSocket; text frames, each a `LogFrame`). Without a WebSocket it only
/// says whether it could be had: browsers are not told why one is refused.
#[utoipa::path(get, path = "/api/v1/logs", operation_id = "fleet_logs", tag = "live",
    params(LogParams), responses(
        (status = 101, description = "Switches to WebSocket."),
        (status = 204, description = "It can be had, over a WebSocket.")))]
pub(super) async fn fleet_logs(
    State(app): State<App>,
    Caller(op): Caller,
    Credential(shown): Credential,
    Params(params): Params<LogParams>,
    (headers, uri): (HeaderMap, Uri),
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiFailure> {
    if !headers.contains_key(header::UPGRADE) {
        drop(app.fleet_logs(&op, &params).await?);
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    own_page(&shown, &headers, &uri)?;
    let frames = app.fleet_logs(&op, &params).await?;
    send(upgrade, frames, app, shown)
}

fn send(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    frames: BoxStream<'static, LogFrame>,
    app: App,
    shown: Shown,
) -> Result<Response, ApiFailure> {
    let upgrade = upgrade.map_err(|rejection| ApiFailure::bad(rejection.body_text()))?;
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(MAX_MESSAGE)
        .write_buffer_size(WRITE_BUFFER);
    Ok(upgrade.on_upgrade(move |socket| async move {
        tokio::select! {
            () = pump(socket, frames) => {}
            () = signed_out(app, shown) => {}
        }
    }))
}

fn text(frame: &LogFrame) -> Message {
    Message::text(serde_json::to_string(frame).unwrap_or_default())
}

fn size(frame: &LogFrame) -> usize {
    match &frame.event {
        LogEvent::Line { text, .. } => text.len(),
        LogEvent::Gap { .. } | LogEvent::Searched(_) | LogEvent::End { .. } => 0,
    }
}

async fn pump(socket: WebSocket, mut frames: BoxStream<'static, LogFrame>) {
    let (mut sink, mut source) = socket.split();
    // What is ready together is written together: a message a line would cost a system call each.
    let mut pings = tokio::time::interval(PING);
    loop {
        let batch = tokio::select! {
            // Reading answers pings, and notices a reader that has gone.
            read = source.next() => match read {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            frame = BATCH.next(&mut frames, size) => match frame {
                Some(frames) => frames.iter().map(text).collect(),
                None => break,
            },
            _ = pings.tick() => vec![Message::Ping(axum::body::Bytes::new())],
        };
        let mut batch = stream::iter(batch.into_iter().map(Ok));
        match tokio::time::timeout(STALLED, sink.send_all(&mut batch)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
    let closed = tokio::time::timeout(STALLED, sink.close()).await;
    tracing::debug!(in_order = closed.is_ok(), "log stream is over");
}
