//! Stacks, their revisions, plans and containers.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use windflow_api::{
    AgentPlan, HostContainers, Page, PageQuery, PlanRequest, StackCreate, StackPreview, StackUpdate,
    StackView, ValidateRequest, Validation,
};
use windflow_model::{Rev, Revision, StackId};

use super::{
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Params, Route, idempotency, need_match},
    guard::nothing,
};
use crate::app::App;

fn tagged(status: StatusCode, view: StackView) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{}\"", view.version));
    let mut response = (status, Json(view)).into_response();
    if let Ok(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Checks files without saving them.
#[utoipa::path(post, path = "/api/v1/stacks/validate", operation_id = "stack_validate", tag = "stacks",
    request_body = ValidateRequest, responses((status = 200, body = Validation)))]
pub(super) async fn stack_validate(
    State(app): State<App>,
    _caller: Caller,
    Body(request): Body<ValidateRequest>,
) -> Answer<Validation> {
    Ok(Json(app.stack_validate(request.name, request.spec).await?))
}

/// Stacks in the order of their creation.
#[utoipa::path(get, path = "/api/v1/stacks", operation_id = "stack_list", tag = "stacks", params(PageQuery),
    responses((status = 200, body = Page<StackView>)))]
pub(super) async fn stack_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<PageQuery>,
) -> Answer<Page<StackView>> {
    Ok(Json(app.stack_list(&op, &query).await?))
}

/// Makes a stack. Nothing is deployed.
#[utoipa::path(post, path = "/api/v1/stacks", operation_id = "stack_create", tag = "stacks",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = StackCreate,
    responses((status = 200, body = StackView)))]
pub(super) async fn stack_create(
    State(app): State<App>,
    Caller(op): Caller,
    headers: HeaderMap,
    Body(request): Body<StackCreate>,
) -> Result<Response, ApiFailure> {
    let key = idempotency(&op, &headers, &("stack_create", &request))?;
    let owner = app.clone();
    let made = app.owned("stack_create", async move {
        owner
            .stack_create(&op, request.name, request.spec, key.as_ref())
            .await
    });
    Ok(tagged(StatusCode::OK, made.await?))
}

/// One stack; its version is in the `ETag`.
#[utoipa::path(get, path = "/api/v1/stacks/{id}", operation_id = "stack_view", tag = "stacks",
    params(("id" = StackId, Path)), responses((status = 200, body = StackView)))]
pub(super) async fn stack_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
) -> Result<Response, ApiFailure> {
    Ok(tagged(StatusCode::OK, app.stack_view(&op, id).await?))
}

/// Saves a spec. Nothing is deployed.
#[utoipa::path(put, path = "/api/v1/stacks/{id}", operation_id = "stack_update", tag = "stacks",
    params(("id" = StackId, Path), ("If-Match" = String, Header, description = "The version that was read.")),
    request_body = StackUpdate, responses((status = 200, body = StackView)))]
pub(super) async fn stack_update(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
    headers: HeaderMap,
    Body(request): Body<StackUpdate>,
) -> Result<Response, ApiFailure> {
    let version = need_match(&headers)?;
    let owner = app.clone();
    let saved = app.owned("stack_update", async move {
        owner.stack_update(&op, id, version, request.spec).await
    });
    Ok(tagged(StatusCode::OK, saved.await?))
}

/// Deletes a stack that no host has any more.
#[utoipa::path(delete, path = "/api/v1/stacks/{id}", operation_id = "stack_delete", tag = "stacks",
    params(("id" = StackId, Path)), responses((status = 204)))]
pub(super) async fn stack_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned("stack_delete", async move { owner.stack_delete(&op, id).await })
        .await?;
    Ok(nothing())
}

/// Asks hosts what a deploy would do.
#[utoipa::path(post, path = "/api/v1/stacks/{id}/plan", operation_id = "stack_plan", tag = "stacks",
    params(("id" = StackId, Path)), request_body = PlanRequest, responses((status = 200, body = Page<AgentPlan>)))]
pub(super) async fn stack_plan(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
    Body(request): Body<PlanRequest>,
) -> Answer<Page<AgentPlan>> {
    Ok(Json(app.stack_plan(&op, id, request).await?))
}

/// Asks hosts what a deploy of an unsaved spec would do; the stack need not exist.
#[utoipa::path(post, path = "/api/v1/stacks/plan", operation_id = "stack_preview", tag = "stacks",
    request_body = StackPreview, responses((status = 200, body = Page<AgentPlan>)))]
pub(super) async fn stack_preview(
    State(app): State<App>,
    Caller(op): Caller,
    Body(request): Body<StackPreview>,
) -> Answer<Page<AgentPlan>> {
    Ok(Json(app.stack_preview(&op, request).await?))
}

/// Revisions of a stack, oldest first.
#[utoipa::path(get, path = "/api/v1/stacks/{id}/revisions", operation_id = "revision_list", tag = "revisions",
    params(("id" = StackId, Path), PageQuery), responses((status = 200, body = Page<Revision>)))]
pub(super) async fn revision_list(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
    Params(query): Params<PageQuery>,
) -> Answer<Page<Revision>> {
    Ok(Json(app.revision_list(&op, id, &query).await?))
}

/// One revision.
#[utoipa::path(get, path = "/api/v1/stacks/{id}/revisions/{rev}", operation_id = "revision_view", tag = "revisions",
    params(("id" = StackId, Path), ("rev" = u64, Path)), responses((status = 200, body = Revision)))]
pub(super) async fn revision_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route((id, rev)): Route<(StackId, u64)>,
) -> Answer<Revision> {
    Ok(Json(app.revision_view(&op, id, Rev(rev)).await?))
}

/// Containers of a stack on every host that has it.
#[utoipa::path(get, path = "/api/v1/stacks/{id}/containers", operation_id = "stack_containers", tag = "stacks",
    params(("id" = StackId, Path)), responses((status = 200, body = Page<HostContainers>)))]
pub(super) async fn stack_containers(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
) -> Answer<Page<HostContainers>> {
    Ok(Json(app.stack_containers(&op, id).await?))
}
