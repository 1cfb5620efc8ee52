//! Rollouts.

use axum::{Json, extract::State, http::HeaderMap};
use windflow_api::{
    Page, RolloutCancel, RolloutCreate, RolloutHost, RolloutHostQuery, RolloutPreview, RolloutQuery,
    RolloutView, RolloutWaves,
};
use windflow_model::RolloutId;

use super::{
    error::Answer,
    extract::{Body, Caller, Params, Route, idempotency, if_match},
};
use crate::{
    app::{App, rollout::RolloutAct},
    context::OpContext,
};

/// Brings a stack to hosts in waves.
#[utoipa::path(post, path = "/api/v1/rollouts", operation_id = "rollout_create", tag = "rollouts",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = RolloutCreate,
    responses((status = 200, body = RolloutView)))]
pub(super) async fn rollout_create(
    State(app): State<App>,
    Caller(op): Caller,
    headers: HeaderMap,
    Body(request): Body<RolloutCreate>,
) -> Answer<RolloutView> {
    let key = idempotency(&op, &headers, &("rollout_create", &request))?;
    let owner = app.clone();
    let made = app.owned("rollout_create", async move {
        owner.rollout_create(&op, request, key.as_ref()).await
    });
    Ok(Json(made.await?))
}

/// Who would be in which wave. Nothing is written.
#[utoipa::path(post, path = "/api/v1/rollouts/preview", operation_id = "rollout_preview", tag = "rollouts",
    request_body = RolloutPreview, responses((status = 200, body = RolloutWaves)))]
pub(super) async fn rollout_preview(
    State(app): State<App>,
    Caller(op): Caller,
    Body(request): Body<RolloutPreview>,
) -> Answer<RolloutWaves> {
    Ok(Json(app.rollout_preview(&op, request).await?))
}

/// Rollouts, newest first, without the sums of their waves.
#[utoipa::path(get, path = "/api/v1/rollouts", operation_id = "rollout_list", tag = "rollouts",
    params(RolloutQuery), responses((status = 200, body = Page<RolloutView>)))]
pub(super) async fn rollout_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<RolloutQuery>,
) -> Answer<Page<RolloutView>> {
    Ok(Json(app.rollout_list(&op, &query).await?))
}

/// One rollout with its sums.
#[utoipa::path(get, path = "/api/v1/rollouts/{id}", operation_id = "rollout_view", tag = "rollouts",
    params(("id" = RolloutId, Path)), responses((status = 200, body = RolloutView)))]
pub(super) async fn rollout_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RolloutId>,
) -> Answer<RolloutView> {
    Ok(Json(app.rollout_view(&op, id).await?))
}

/// The hosts of a rollout, in the order of their turns.
#[utoipa::path(get, path = "/api/v1/rollouts/{id}/hosts", operation_id = "rollout_hosts", tag = "rollouts",
    params(("id" = RolloutId, Path), RolloutHostQuery), responses((status = 200, body = Page<RolloutHost>)))]
pub(super) async fn rollout_hosts(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RolloutId>,
    Params(query): Params<RolloutHostQuery>,
) -> Answer<Page<RolloutHost>> {
    Ok(Json(app.rollout_hosts(&op, id, &query).await?))
}

async fn act(
    app: App,
    op: OpContext,
    id: RolloutId,
    headers: &HeaderMap,
    act: RolloutAct,
) -> Answer<RolloutView> {
    let version = if_match(headers)?;
    let owner = app.clone();
    let done = app.owned("rollout_act", async move {
        owner.rollout_act(&op, id, version, act).await
    });
    Ok(Json(done.await?))
}

/// Nothing new begins; what has begun goes on.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/pause", operation_id = "rollout_pause", tag = "rollouts",
    params(("id" = RolloutId, Path), ("If-Match" = Option<String>, Header, description = "The version that was read.")),
    responses((status = 200, body = RolloutView)))]
pub(super) async fn rollout_pause(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RolloutId>,
    headers: HeaderMap,
) -> Answer<RolloutView> {
    act(app, op, id, &headers, RolloutAct::Pause).await
}

/// A paused rollout goes on where it was.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/resume", operation_id = "rollout_resume", tag = "rollouts",
    params(("id" = RolloutId, Path), ("If-Match" = Option<String>, Header, description = "The version that was read.")),
    responses((status = 200, body = RolloutView)))]
pub(super) async fn rollout_resume(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RolloutId>,
    headers: HeaderMap,
) -> Answer<RolloutView> {
    act(app, op, id, &headers, RolloutAct::Resume).await
}

/// The next wave begins now, whatever this one still waits for.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/promote", operation_id = "rollout_promote", tag = "rollouts",
    params(("id" = RolloutId, Path), ("If-Match" = Option<String>, Header, description = "The version that was read.")),
    responses((status = 200, body = RolloutView)))]
pub(super) async fn rollout_promote(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RolloutId>,
    headers: HeaderMap,
) -> Answer<RolloutView> {
    act(app, op, id, &headers, RolloutAct::Promote).await
}

/// Ends a rollout: what has changed stays, or goes back to what ran before.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/cancel", operation_id = "rollout_cancel", tag = "rollouts",
    params(("id" = RolloutId, Path), ("If-Match" = Option<String>, Header, description = "The version that was read.")),
    request_body = RolloutCancel, responses((status = 200, body = RolloutView)))]
pub(super) async fn rollout_cancel(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RolloutId>,
    headers: HeaderMap,
    Body(request): Body<RolloutCancel>,
) -> Answer<RolloutView> {
    act(app, op, id, &headers, request.into()).await
}
