//! Hosts.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use windflow_api::{Agent, AgentPatch, HostContainers, Page, PageQuery};
use windflow_model::AgentId;

use super::{
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Params, Route, if_match},
    guard::nothing,
};
use crate::app::App;

/// Hosts in the order of their enrolment.
#[utoipa::path(get, path = "/api/v1/agents", operation_id = "agent_list", tag = "agents", params(PageQuery),
    responses((status = 200, body = Page<Agent>)))]
pub(super) async fn agent_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<PageQuery>,
) -> Answer<Page<Agent>> {
    Ok(Json(app.agent_list(&op, &query).await?))
}

/// One host.
#[utoipa::path(get, path = "/api/v1/agents/{id}", operation_id = "agent_view", tag = "agents",
    params(("id" = AgentId, Path)), responses((status = 200, body = Agent)))]
pub(super) async fn agent_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
) -> Answer<Agent> {
    Ok(Json(app.agent_view(&op, id).await?))
}

/// Renames or labels a host. With `If-Match` only if it is still that version.
#[utoipa::path(patch, path = "/api/v1/agents/{id}", operation_id = "agent_update", tag = "agents",
    params(("id" = AgentId, Path), ("If-Match" = Option<String>, Header, description = "The version that was read.")),
    request_body = AgentPatch, responses((status = 200, body = Agent)))]
pub(super) async fn agent_update(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
    headers: HeaderMap,
    Body(patch): Body<AgentPatch>,
) -> Answer<Agent> {
    let version = if_match(&headers)?;
    let owner = app.clone();
    let changed = app.owned("agent_update", async move {
        owner.agent_update(&op, id, version, patch).await
    });
    Ok(Json(changed.await?))
}

/// Removes a host for good. What runs there is left alone.
#[utoipa::path(delete, path = "/api/v1/agents/{id}", operation_id = "agent_delete", tag = "agents",
    params(("id" = AgentId, Path)), responses((status = 204)))]
pub(super) async fn agent_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned("agent_delete", async move { owner.agent_delete(&op, id).await })
        .await?;
    Ok(nothing())
}

/// Containers of a host, as it said last.
#[utoipa::path(get, path = "/api/v1/agents/{id}/containers", operation_id = "agent_containers", tag = "agents",
    params(("id" = AgentId, Path)), responses((status = 200, body = HostContainers)))]
pub(super) async fn agent_containers(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
) -> Answer<HostContainers> {
    Ok(Json(app.agent_containers(&op, id).await?))
}
