//! Events: pages of what happened, and what happens as it does, as server-sent events or over a WebSocket.

use std::time::Duration;

use axum::{
    Json,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Uri, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{SinkExt as _, StreamExt as _, stream};
use windflow_api::{EventParams, Page, live::FLEET};
use windflow_model::FleetEvent;

use super::{
    error::ApiFailure,
    extract::{Caller, Credential, Params},
    guard::own_page,
    live::{event, signed_out, until_signed_out},
};
use crate::app::{App, event_bus::EventReader};

/// A reader that takes nothing for this long is gone.
const STALLED: Duration = Duration::from_secs(30);
/// A ping this often keeps the way open.
const PING: Duration = Duration::from_secs(20);
/// Readers only send close and pong.
const MAX_MESSAGE: usize = 4 << 10;

/// What happened in the fleet, the newest first.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "event_list", tag = "events",
    params(EventParams), responses((status = 200, body = Page<FleetEvent>)))]
pub(super) async fn event_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(params): Params<EventParams>,
) -> Result<Json<Page<FleetEvent>>, ApiFailure> {
    Ok(Json(app.event_list(&op, &params).await?))
}

/// What happens in the fleet, as it does: server-sent events named `fleet`, or, over a WebSocket, text frames; each a `FleetEvent`.
#[utoipa::path(get, path = "/api/v1/events/live", operation_id = "event_live", tag = "live",
    params(EventParams, ("Last-Event-ID" = Option<String>, Header, description = "Goes on after this event.")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 101, description = "Switches to WebSocket.")))]
pub(super) async fn event_live(
    State(app): State<App>,
    Caller(op): Caller,
    Credential(shown): Credential,
    Params(mut params): Params<EventParams>,
    (headers, uri): (HeaderMap, Uri),
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiFailure> {
    // A browser that comes back repeats the address that it began with.
    if let Some(last) = headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
        let last = last
            .parse()
            .map_err(|error| ApiFailure::bad(format!("Last-Event-ID: {error}")))?;
        params.after = Some(last);
    }
    let reader = app.event_feed(&op, &params).await?;
    if headers.contains_key(header::UPGRADE) {
        own_page(&shown, &headers, &uri)?;
        let upgrade = upgrade.map_err(|rejection| ApiFailure::bad(rejection.body_text()))?;
        let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
        return Ok(upgrade.on_upgrade(move |socket| async move {
            tokio::select! {
                () = pump(socket, reader) => {}
                () = signed_out(app, shown) => {}
            }
        }));
    }
    let events = stream::unfold(reader, |mut reader| async move {
        let happened = reader.next().await?;
        let id = happened.id.to_string();
        Some((Ok(event(FLEET, &*happened).id(id)), reader))
    });
    Ok(until_signed_out(&app, shown, events).into_response())
}

async fn pump(socket: WebSocket, mut reader: EventReader) {
    let (mut sink, mut source) = socket.split();
    let mut pings = tokio::time::interval(PING);
    loop {
        let message = tokio::select! {
            read = source.next() => match read {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            happened = reader.next() => match happened {
                Some(happened) => Message::text(serde_json::to_string(&*happened).unwrap_or_default()),
                None => break,
            },
            _ = pings.tick() => Message::Ping(axum::body::Bytes::new()),
        };
        if !matches!(
            tokio::time::timeout(STALLED, sink.send(message)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
    let _closed = tokio::time::timeout(STALLED, sink.close()).await;
}
