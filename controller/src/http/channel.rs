//! Channels, and what was sent over them.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use windflow_api::{
    ChannelPreview, ChannelPreviewRequest, ChannelSave, ChannelTest, ChannelTested, ChannelView, NoticeQuery,
    NoticeView, Page, PageQuery,
};
use windflow_model::ChannelId;

use super::{
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Params, Route, idempotency, need_match},
    guard::nothing,
};
use crate::app::App;

/// Channels in the order of their creation, without their secrets.
#[utoipa::path(get, path = "/api/v1/channels", operation_id = "channel_list", tag = "channels", params(PageQuery),
    responses((status = 200, body = Page<ChannelView>)))]
pub(super) async fn channel_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<PageQuery>,
) -> Answer<Page<ChannelView>> {
    Ok(Json(app.channel_list(&op, &query).await?))
}

/// Makes a channel.
#[utoipa::path(post, path = "/api/v1/channels", operation_id = "channel_create", tag = "channels",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = ChannelSave,
    responses((status = 200, body = ChannelView)))]
pub(super) async fn channel_create(
    State(app): State<App>,
    Caller(op): Caller,
    headers: HeaderMap,
    Body(request): Body<ChannelSave>,
) -> Answer<ChannelView> {
    let key = idempotency(&op, &headers, &("channel_create", &request))?;
    let owner = app.clone();
    let made = app.owned("channel_create", async move {
        owner.channel_create(&op, request, key.as_ref()).await
    });
    Ok(Json(made.await?))
}

/// One channel, without its secrets.
#[utoipa::path(get, path = "/api/v1/channels/{id}", operation_id = "channel_view", tag = "channels",
    params(("id" = ChannelId, Path)), responses((status = 200, body = ChannelView)))]
pub(super) async fn channel_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<ChannelId>,
) -> Answer<ChannelView> {
    Ok(Json(app.channel_view(&op, id).await?))
}

/// Saves a channel. Secrets that are left empty stay as they were, unless the server is another one.
#[utoipa::path(put, path = "/api/v1/channels/{id}", operation_id = "channel_update", tag = "channels",
    params(("id" = ChannelId, Path), ("If-Match" = String, Header, description = "The version that was read.")),
    request_body = ChannelSave, responses((status = 200, body = ChannelView)))]
pub(super) async fn channel_update(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<ChannelId>,
    headers: HeaderMap,
    Body(request): Body<ChannelSave>,
) -> Answer<ChannelView> {
    let version = need_match(&headers)?;
    let owner = app.clone();
    let saved = app.owned("channel_update", async move {
        owner.channel_update(&op, id, version, request).await
    });
    Ok(Json(saved.await?))
}

/// Deletes a channel. What waits for it is not sent any more.
#[utoipa::path(delete, path = "/api/v1/channels/{id}", operation_id = "channel_delete", tag = "channels",
    params(("id" = ChannelId, Path)), responses((status = 204)))]
pub(super) async fn channel_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<ChannelId>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned(
        "channel_delete",
        async move { owner.channel_delete(&op, id).await },
    )
    .await?;
    Ok(nothing())
}

/// Sends a test at once, waits for at most 20 s, and says what the server said.
#[utoipa::path(post, path = "/api/v1/channels/{id}/test", operation_id = "channel_test", tag = "channels",
    params(("id" = ChannelId, Path)), responses((status = 200, body = ChannelTested)))]
pub(super) async fn channel_test(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<ChannelId>,
) -> Answer<ChannelTested> {
    let owner = app.clone();
    let tested = app.owned("channel_test", async move { owner.channel_test(&op, id).await });
    Ok(Json(tested.await?))
}

/// Sends a test with settings that are not saved.
#[utoipa::path(post, path = "/api/v1/channels/test", operation_id = "channel_test_unsaved", tag = "channels",
    request_body = ChannelTest, responses((status = 200, body = ChannelTested)))]
pub(super) async fn channel_test_unsaved(
    State(app): State<App>,
    Caller(op): Caller,
    Body(request): Body<ChannelTest>,
) -> Answer<ChannelTested> {
    let owner = app.clone();
    let tested = app.owned("channel_test", async move {
        owner.channel_test_unsaved(&op, request).await
    });
    Ok(Json(tested.await?))
}

/// What templates make of an example. Nothing is sent.
#[utoipa::path(post, path = "/api/v1/channels/preview", operation_id = "channel_preview", tag = "channels",
    request_body = ChannelPreviewRequest, responses((status = 200, body = ChannelPreview)))]
pub(super) async fn channel_preview(
    State(app): State<App>,
    _caller: Caller,
    Body(request): Body<ChannelPreviewRequest>,
) -> Answer<ChannelPreview> {
    Ok(Json(app.channel_preview(&request)?))
}

/// Notifications and how they got on, the newest first.
#[utoipa::path(get, path = "/api/v1/notices", operation_id = "notice_list", tag = "channels", params(NoticeQuery),
    responses((status = 200, body = Page<NoticeView>)))]
pub(super) async fn notice_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<NoticeQuery>,
) -> Answer<Page<NoticeView>> {
    Ok(Json(app.notice_list(&op, &query).await?))
}
