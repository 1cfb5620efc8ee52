//! Deployments.

use axum::{Json, extract::State, http::HeaderMap};
use windflow_api::{DeployRequest, DeploymentQuery, DeploymentView, Page, RemoveRequest, RollbackRequest};
use windflow_model::{DeploymentId, StackId};

use super::{
    error::Answer,
    extract::{Body, Caller, Params, Route, idempotency},
};
use crate::app::App;

/// Deploys the stack's current spec, or that of an older revision, to hosts.
#[utoipa::path(post, path = "/api/v1/stacks/{id}/deployments", operation_id = "deployment_create",
    tag = "deployments", params(("id" = StackId, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = DeployRequest, responses((status = 200, body = Page<DeploymentView>)))]
pub(super) async fn deployment_create(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
    headers: HeaderMap,
    Body(request): Body<DeployRequest>,
) -> Answer<Page<DeploymentView>> {
    let key = idempotency(&op, &headers, &("deployment_create", id, &request))?;
    let owner = app.clone();
    let made = app.owned("deployment_create", async move {
        owner.deployment_create(&op, id, request, key.as_ref()).await
    });
    Ok(Json(Page::whole(made.await?)))
}

/// Deploys the spec of an older revision as a new one.
#[utoipa::path(post, path = "/api/v1/stacks/{id}/rollback", operation_id = "stack_rollback", tag = "deployments",
    params(("id" = StackId, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = RollbackRequest,
    responses((status = 200, body = Page<DeploymentView>)))]
pub(super) async fn stack_rollback(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
    headers: HeaderMap,
    Body(request): Body<RollbackRequest>,
) -> Answer<Page<DeploymentView>> {
    let key = idempotency(&op, &headers, &("stack_rollback", id, &request))?;
    let owner = app.clone();
    let made = app.owned("stack_rollback", async move {
        owner.stack_rollback(&op, id, request, key.as_ref()).await
    });
    Ok(Json(Page::whole(made.await?)))
}

/// Removes the stack from hosts.
#[utoipa::path(post, path = "/api/v1/stacks/{id}/remove", operation_id = "stack_remove", tag = "deployments",
    params(("id" = StackId, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = RemoveRequest,
    responses((status = 200, body = Page<DeploymentView>)))]
pub(super) async fn stack_remove(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<StackId>,
    headers: HeaderMap,
    Body(request): Body<RemoveRequest>,
) -> Answer<Page<DeploymentView>> {
    let key = idempotency(&op, &headers, &("stack_remove", id, &request))?;
    let owner = app.clone();
    let made = app.owned("stack_remove", async move {
        owner.stack_remove(&op, id, request, key.as_ref()).await
    });
    Ok(Json(Page::whole(made.await?)))
}

/// Deployments without their step trees, newest first; with `latest`, by stack and host.
#[utoipa::path(get, path = "/api/v1/deployments", operation_id = "deployment_list", tag = "deployments",
    params(DeploymentQuery), responses((status = 200, body = Page<DeploymentView>)))]
pub(super) async fn deployment_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<DeploymentQuery>,
) -> Answer<Page<DeploymentView>> {
    Ok(Json(app.deployment_list(&op, &query).await?))
}

/// One deployment with its step tree.
#[utoipa::path(get, path = "/api/v1/deployments/{id}", operation_id = "deployment_view", tag = "deployments",
    params(("id" = DeploymentId, Path)), responses((status = 200, body = DeploymentView)))]
pub(super) async fn deployment_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<DeploymentId>,
) -> Answer<DeploymentView> {
    Ok(Json(app.deployment_view(&op, id).await?))
}

/// Takes a deployment back while nothing has changed on the host.
#[utoipa::path(post, path = "/api/v1/deployments/{id}/cancel", operation_id = "deployment_cancel",
    tag = "deployments", params(("id" = DeploymentId, Path)), responses((status = 200, body = DeploymentView)))]
pub(super) async fn deployment_cancel(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<DeploymentId>,
) -> Answer<DeploymentView> {
    let owner = app.clone();
    let taken = app.owned("deployment_cancel", async move {
        owner.deployment_cancel(&op, id).await
    });
    Ok(Json(taken.await?))
}
