//! Groups of hosts.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use windflow_api::{GroupCreate, GroupView, Page, PageQuery};
use windflow_model::GroupId;

use super::{
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Params, Route, idempotency, need_match},
    guard::nothing,
};
use crate::app::App;

/// Groups in the order of their creation, each with its hosts of this moment.
#[utoipa::path(get, path = "/api/v1/groups", operation_id = "group_list", tag = "groups", params(PageQuery),
    responses((status = 200, body = Page<GroupView>)))]
pub(super) async fn group_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<PageQuery>,
) -> Answer<Page<GroupView>> {
    Ok(Json(app.group_list(&op, &query).await?))
}

/// Makes a group.
#[utoipa::path(post, path = "/api/v1/groups", operation_id = "group_create", tag = "groups",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = GroupCreate,
    responses((status = 200, body = GroupView)))]
pub(super) async fn group_create(
    State(app): State<App>,
    Caller(op): Caller,
    headers: HeaderMap,
    Body(request): Body<GroupCreate>,
) -> Answer<GroupView> {
    let key = idempotency(&op, &headers, &("group_create", &request))?;
    let owner = app.clone();
    let made = app.owned("group_create", async move {
        owner.group_create(&op, request, key.as_ref()).await
    });
    Ok(Json(made.await?))
}

/// One group with its hosts of this moment.
#[utoipa::path(get, path = "/api/v1/groups/{id}", operation_id = "group_view", tag = "groups",
    params(("id" = GroupId, Path)), responses((status = 200, body = GroupView)))]
pub(super) async fn group_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<GroupId>,
) -> Answer<GroupView> {
    Ok(Json(app.group_view(&op, id).await?))
}

/// Saves a group. Rollouts that run keep the hosts they began with.
#[utoipa::path(put, path = "/api/v1/groups/{id}", operation_id = "group_update", tag = "groups",
    params(("id" = GroupId, Path), ("If-Match" = String, Header, description = "The version that was read.")),
    request_body = GroupCreate, responses((status = 200, body = GroupView)))]
pub(super) async fn group_update(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<GroupId>,
    headers: HeaderMap,
    Body(request): Body<GroupCreate>,
) -> Answer<GroupView> {
    let version = need_match(&headers)?;
    let owner = app.clone();
    let saved = app.owned("group_update", async move {
        owner.group_update(&op, id, version, request).await
    });
    Ok(Json(saved.await?))
}

/// Deletes a group. Its hosts stay.
#[utoipa::path(delete, path = "/api/v1/groups/{id}", operation_id = "group_delete", tag = "groups",
    params(("id" = GroupId, Path)), responses((status = 204)))]
pub(super) async fn group_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<GroupId>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned("group_delete", async move { owner.group_delete(&op, id).await })
        .await?;
    Ok(nothing())
}
