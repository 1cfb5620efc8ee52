//! Silences.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use windflow_api::{Page, PageQuery, SilenceCreate, SilenceView};
use windflow_model::SilenceId;

use super::{
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Params, Route, idempotency, need_match},
    guard::nothing,
};
use crate::app::App;

/// Silences in the order of their creation.
#[utoipa::path(get, path = "/api/v1/silences", operation_id = "silence_list", tag = "alerts", params(PageQuery),
    responses((status = 200, body = Page<SilenceView>)))]
pub(super) async fn silence_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<PageQuery>,
) -> Answer<Page<SilenceView>> {
    Ok(Json(app.silence_list(&op, &query).await?))
}

/// Makes a silence.
#[utoipa::path(post, path = "/api/v1/silences", operation_id = "silence_create", tag = "alerts",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = SilenceCreate,
    responses((status = 200, body = SilenceView)))]
pub(super) async fn silence_create(
    State(app): State<App>,
    Caller(op): Caller,
    headers: HeaderMap,
    Body(request): Body<SilenceCreate>,
) -> Answer<SilenceView> {
    let key = idempotency(&op, &headers, &("silence_create", &request))?;
    let owner = app.clone();
    let made = app.owned("silence_create", async move {
        owner.silence_create(&op, request, key.as_ref()).await
    });
    Ok(Json(made.await?))
}

/// One silence.
#[utoipa::path(get, path = "/api/v1/silences/{id}", operation_id = "silence_view", tag = "alerts",
    params(("id" = SilenceId, Path)), responses((status = 200, body = SilenceView)))]
pub(super) async fn silence_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<SilenceId>,
) -> Answer<SilenceView> {
    Ok(Json(app.silence_view(&op, id).await?))
}

/// Saves a silence.
#[utoipa::path(put, path = "/api/v1/silences/{id}", operation_id = "silence_update", tag = "alerts",
    params(("id" = SilenceId, Path), ("If-Match" = String, Header, description = "The version that was read.")),
    request_body = SilenceCreate, responses((status = 200, body = SilenceView)))]
pub(super) async fn silence_update(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<SilenceId>,
    headers: HeaderMap,
    Body(request): Body<SilenceCreate>,
) -> Answer<SilenceView> {
    let version = need_match(&headers)?;
    let owner = app.clone();
    let saved = app.owned("silence_update", async move {
        owner.silence_update(&op, id, version, request).await
    });
    Ok(Json(saved.await?))
}

/// Deletes a silence: alerts that it covered and that still fire are told of.
#[utoipa::path(delete, path = "/api/v1/silences/{id}", operation_id = "silence_delete", tag = "alerts",
    params(("id" = SilenceId, Path)), responses((status = 204)))]
pub(super) async fn silence_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<SilenceId>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned(
        "silence_delete",
        async move { owner.silence_delete(&op, id).await },
    )
    .await?;
    Ok(nothing())
}
