//! Terminals over a WebSocket: bytes as they are, both ways at once.

use std::time::Duration;

use axum::{
    Json,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Uri},
    response::Response,
};
use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use windflow_api::{
    Page, TerminalAction, TerminalCreate, TerminalEvent, TerminalParams, TerminalView,
    terminal::output_message,
};
use windflow_model::{Failure, TerminalCause, TerminalEnd, TerminalId};

use super::{
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Credential, Params, Route},
    guard::{nothing, own_page},
    live::signed_out,
};
use crate::{
    app::{App, AppError, session::Shown, terminal::Attached},
    fleet::{TerminalOutput, TerminalShown, TerminalStream, TerminalTyping},
};

/// A reader that takes nothing for this long is gone.
const STALLED: Duration = Duration::from_secs(60);
/// A ping this often keeps the way open.
const PING: Duration = Duration::from_secs(20);
/// A reader that says nothing for so long, not even an answer to a ping, is gone.
const SILENT: Duration = Duration::from_secs(60);
/// For a host to take the wish that a terminal be closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// For a host to end a process that must not go on.
const DOOMED_WITHIN: Duration = Duration::from_secs(10);
/// For a reader to say that it has heard the end.
const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// What may be typed, or pasted, in one message.
const MAX_MESSAGE: usize = 32 << 10;
/// Bytes read from the socket at once; the default would hold 128 KiB for every terminal.
const READ_BUFFER: usize = 4 << 10;
/// A reader that is this far behind is waited for, and with it the process.
const WRITE_BUFFER: usize = 256 << 10;

/// Starts a process on a host and keeps it 15 s for whoever attaches.
#[utoipa::path(post, path = "/api/v1/terminals", operation_id = "terminal_create", tag = "terminals",
    request_body = TerminalCreate, responses((status = 200, body = TerminalView)))]
pub(super) async fn terminal_create(
    State(app): State<App>,
    Caller(op): Caller,
    Body(request): Body<TerminalCreate>,
) -> Answer<TerminalView> {
    let owner = app.clone();
    let opened = app.owned("terminal_create", async move {
        owner.terminal_create(&op, request).await
    });
    Ok(Json(opened.await?))
}

/// Terminals that are open now.
#[utoipa::path(get, path = "/api/v1/terminals", operation_id = "terminal_list", tag = "terminals",
    responses((status = 200, body = Page<TerminalView>)))]
pub(super) async fn terminal_list(State(app): State<App>, Caller(op): Caller) -> Json<Page<TerminalView>> {
    Json(Page::whole(app.terminal_list(&op)))
}

/// Ends a terminal and its process.
#[utoipa::path(delete, path = "/api/v1/terminals/{id}", operation_id = "terminal_delete", tag = "terminals",
    params(("id" = TerminalId, Path)), responses((status = 204)))]
pub(super) async fn terminal_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<TerminalId>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned(
        "terminal_delete",
        async move { owner.terminal_delete(&op, id).await },
    )
    .await?;
    Ok(nothing())
}

/// Attaches to a terminal (WebSocket; binary frames both ways, text frames `TerminalEvent` and `TerminalAction`).
#[utoipa::path(get, path = "/api/v1/terminals/{id}", operation_id = "terminal_attach", tag = "terminals",
    params(("id" = TerminalId, Path), TerminalParams),
    responses((status = 101, description = "Switches to WebSocket.")))]
pub(super) async fn terminal_attach(
    State(app): State<App>,
    Caller(op): Caller,
    Credential(shown): Credential,
    Route(id): Route<TerminalId>,
    Params(params): Params<TerminalParams>,
    (headers, uri): (HeaderMap, Uri),
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiFailure> {
    own_page(&shown, &headers, &uri)?;
    let upgrade = upgrade.map_err(|rejection| ApiFailure::bad(rejection.body_text()))?;
    let attached = match app.terminal_attach(&op, id, params).await {
        Ok(attached) => Ok(attached),
        // A browser cannot read why a WebSocket was refused: it is let in and told.
        Err(AppError::Refused(refused)) if matches!(shown, Shown::Cookie(_)) => Err(TerminalEvent::Lost {
            code: refused.code.as_str().to_owned(),
            message: refused.message.clone(),
            hint: refused.hint.unwrap_or_else(|| refused.code.hint()).to_owned(),
        }),
        Err(error) => return Err(error.into()),
    };
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER);
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        match attached {
            Ok((stream, attached)) => pump(socket, stream, attached, signed_out(app, shown)).await,
            Err(lost) => {
                // A reader that has gone needs no reason.
                let _told = socket.send(text(&lost)).await;
                let _closed = socket.send(Message::Close(None)).await;
            }
        }
    }))
}

fn text(event: &TerminalEvent) -> Message {
    Message::text(serde_json::to_string(event).unwrap_or_default())
}

async fn pump(
    socket: WebSocket,
    stream: TerminalStream,
    attached: Attached,
    signed_out: impl Future<Output = ()>,
) {
    let (mut sink, mut source) = socket.split();
    let opened = text(&TerminalEvent::Opened(stream.opened.clone()));
    let (mut output, mut typing) = stream.split();
    if send(&mut sink, opened).await.is_none() {
        return;
    }
    let last = tokio::select! {
        last = show(&mut sink, &mut output, &attached) => last,
        // The socket is gone.
        () = take(&mut source, &mut typing, &attached) => None,
        () = signed_out => {
            if attached.may_type() {
                attached.closing();
                let _told = tokio::time::timeout(CLOSE_WITHIN, typing.close()).await;
            }
            None
        }
        why = attached.doomed() => {
            let end = doomed(&mut typing, &mut output, &attached, why).await;
            Some(TerminalEvent::Ended(end))
        }
    };
    match &last {
        // In the audit trail before the reader hears of it, and kept until they have.
        Some(TerminalEvent::Ended(end)) if attached.may_type() && end.cause != TerminalCause::TakenOver => {
            attached.ended(end.clone()).await;
            if send(&mut sink, text(&TerminalEvent::Ended(end.clone())))
                .await
                .is_some()
                && tokio::time::timeout(HEARD_WITHIN, heard(&mut source)).await == Ok(true)
            {
                let _told = tokio::time::timeout(CLOSE_WITHIN, typing.close()).await;
                attached.heard();
            }
        }
        Some(last) => {
            drop(attached);
            let _told = send(&mut sink, text(last)).await;
        }
        // Who signed out, or closed it and went, leaves no process behind.
        None if attached.is_closing() => attached.over(TerminalEnd::of(TerminalCause::Closed)).await,
        None => drop(attached),
    }
    let closed = tokio::time::timeout(STALLED, sink.close()).await;
    tracing::debug!(in_order = closed.is_ok(), "a terminal's reader has left");
}

/// Ends a terminal that must not go on; who types in it hears why.
async fn doomed(
    typing: &mut TerminalTyping,
    output: &mut TerminalOutput,
    attached: &Attached,
    why: String,
) -> TerminalEnd {
    let ended = async {
        if attached.may_type() && typing.close().await.is_err() {
            return;
        }
        while !matches!(
            output.next().await,
            TerminalShown::Ended(_) | TerminalShown::Lost(_)
        ) {}
    };
    if tokio::time::timeout(DOOMED_WITHIN, ended).await.is_err() {
        tracing::warn!("a terminal that must not go on did not end in time");
    }
    TerminalEnd {
        detail: why,
        ..TerminalEnd::of(TerminalCause::Closed)
    }
}

/// Shows output until it is over; `None` if the reader has gone.
async fn show(
    sink: &mut SplitSink<WebSocket, Message>,
    output: &mut TerminalOutput,
    attached: &Attached,
) -> Option<TerminalEvent> {
    let mut pings = tokio::time::interval(PING);
    pings.tick().await;
    loop {
        let shown = tokio::select! {
            shown = output.next() => shown,
            _ = pings.tick() => {
                send(sink, Message::Ping(Bytes::new())).await?;
                send(sink, text(&TerminalEvent::Alive)).await?;
                continue;
            }
        };
        match shown {
            TerminalShown::Output { from, stderr, bytes } => {
                attached.shown(bytes.len());
                send(sink, Message::Binary(output_message(stderr, from, &bytes).into())).await?;
            }
            TerminalShown::Gap { from, lost } => send(sink, text(&TerminalEvent::Gap { from, lost })).await?,
            TerminalShown::Taken(input) => send(sink, text(&TerminalEvent::Taken { input })).await?,
            TerminalShown::Ended(end) => return Some(TerminalEvent::Ended(end)),
            TerminalShown::Lost(failure) => {
                let Failure {
                    code, message, hint, ..
                } = failure;
                return Some(TerminalEvent::Lost { code, message, hint });
            }
        }
    }
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Option<()> {
    match tokio::time::timeout(STALLED, sink.send(message)).await {
        Ok(Ok(())) => Some(()),
        _ => None,
    }
}

/// Whether the reader says that it has heard the end, and not just goes away.
async fn heard(source: &mut SplitStream<WebSocket>) -> bool {
    while let Some(Ok(message)) = source.next().await {
        match message {
            Message::Close(_) => return true,
            Message::Text(text) if matches!(serde_json::from_str(&text), Ok(TerminalAction::Close)) => {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// Hands on what is typed until the reader or the host goes. Reading also answers pings.
async fn take(source: &mut SplitStream<WebSocket>, typing: &mut TerminalTyping, attached: &Attached) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(SILENT, source.next()).await {
        if !attached.may_type() && !matches!(message, Message::Close(_)) {
            continue;
        }
        let sent = match message {
            Message::Binary(bytes) => {
                attached.typed(bytes.len());
                typing.input(&bytes).await
            }
            // What a newer reader says beyond this is left out.
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(TerminalAction::Resize(size)) => {
                    attached.resized(size);
                    typing.resize(size).await
                }
                Ok(TerminalAction::Seen { position }) => typing.seen(position).await,
                Ok(TerminalAction::EndOfInput) => typing.end_of_input().await,
                Ok(TerminalAction::Close) => {
                    attached.closing();
                    typing.close().await
                }
                Err(_) => Ok(()),
            },
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        };
        if sent.is_err() {
            // The output says why.
            std::future::pending::<()>().await;
        }
    }
}
