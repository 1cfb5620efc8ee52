//! What hosts measure: now, live, and before.

use std::convert::Infallible;

use axum::{Json, extract::State};
use futures_util::StreamExt as _;
use windflow_api::{HostMetrics, MetricsHistory, MetricsHistoryQuery, MetricsQuery, Page, metrics::LIVE};
use windflow_model::AgentId;

use super::{
    error::{Answer, ApiFailure},
    extract::{Caller, Credential, Params, Route},
    live::{Feed, event, until_signed_out},
};
use crate::app::App;

/// The newest values of hosts. Hosts that said nothing since the controller started are left out.
#[utoipa::path(get, path = "/api/v1/metrics", operation_id = "metrics_list", tag = "metrics",
    params(MetricsQuery), responses((status = 200, body = Page<HostMetrics>)))]
pub(super) async fn metrics_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<MetricsQuery>,
) -> Answer<Page<HostMetrics>> {
    Ok(Json(app.metrics_list(&op, &query).await?))
}

/// The newest values of one host, with its containers.
#[utoipa::path(get, path = "/api/v1/agents/{id}/metrics", operation_id = "agent_metrics", tag = "metrics",
    params(("id" = AgentId, Path)), responses((status = 200, body = HostMetrics)))]
pub(super) async fn agent_metrics(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AgentId>,
) -> Answer<HostMetrics> {
    Ok(Json(app.agent_metrics(&op, id).await?))
}

/// A metric over time, by host, stack, container or label.
#[utoipa::path(get, path = "/api/v1/metrics/query", operation_id = "metrics_query", tag = "metrics",
    params(MetricsHistoryQuery), responses((status = 200, body = MetricsHistory)))]
pub(super) async fn metrics_query(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<MetricsHistoryQuery>,
) -> Answer<MetricsHistory> {
    Ok(Json(app.metrics_query(&op, &query).await?))
}

/// The newest values as they come (server-sent events `metrics`, each a list of `HostMetrics`).
#[utoipa::path(get, path = "/api/v1/metrics/live", operation_id = "metrics_live", tag = "live",
    params(MetricsQuery), responses((status = 200, body = String, content_type = "text/event-stream")))]
pub(super) async fn metrics_live(
    State(app): State<App>,
    Caller(op): Caller,
    Credential(shown): Credential,
    Params(query): Params<MetricsQuery>,
) -> Result<Feed, ApiFailure> {
    let new = app.metrics_live(&op, &query).await?;
    let events = new.map(|hosts| Ok::<_, Infallible>(event(LIVE, &hosts)));
    Ok(until_signed_out(&app, shown, events))
}
