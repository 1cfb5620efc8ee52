//! Recordings of terminals.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use windflow_api::{Page, RecordingQuery, RecordingView};
use windflow_kit::{Chain, blocking};
use windflow_model::TerminalId;

use super::{
    error::{Answer, ApiFailure},
    extract::{Caller, Params, Route},
};
use crate::app::App;

/// Recordings of terminals, newest first.
#[utoipa::path(get, path = "/api/v1/recordings", operation_id = "recording_list", tag = "terminals",
    params(RecordingQuery), responses((status = 200, body = Page<RecordingView>)))]
pub(super) async fn recording_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<RecordingQuery>,
) -> Answer<Page<RecordingView>> {
    Ok(Json(app.recording_list(&op, &query)?))
}

/// One recording, and whether its file is what the audit trail says.
#[utoipa::path(get, path = "/api/v1/recordings/{id}", operation_id = "recording_view", tag = "terminals",
    params(("id" = TerminalId, Path)), responses((status = 200, body = RecordingView)))]
pub(super) async fn recording_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<TerminalId>,
) -> Answer<RecordingView> {
    Ok(Json(app.recording_view(&op, id).await?))
}

/// What a recording shows, as asciicast v2. The audit trail has who asked for it.
#[utoipa::path(get, path = "/api/v1/recordings/{id}/cast", operation_id = "recording_read", tag = "terminals",
    params(("id" = TerminalId, Path)),
    responses((status = 200, body = String, content_type = "application/x-asciicast")))]
pub(super) async fn recording_cast(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<TerminalId>,
) -> Result<Response, ApiFailure> {
    let play = app.recording_read(&op, id).await?;
    let pieces = stream::try_unfold(play, |mut play| async move {
        let next = move || {
            let piece = play.next();
            (play, piece)
        };
        let (play, piece) = blocking::run(next).await.map_err(std::io::Error::other)?;
        match piece {
            Ok(Some(piece)) => Ok(Some((piece, play))),
            Ok(None) => Ok(None),
            Err(error) => {
                // The answer is cut off: it is not taken for a whole one.
                tracing::error!(error = %Chain(&error), "a recording cannot be read to its end");
                Err(std::io::Error::other(error))
            }
        }
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-asciicast"),
    );
    let name = format!("attachment; filename=\"{id}.cast\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
