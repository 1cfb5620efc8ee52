//! Alerts.

use axum::{Json, extract::State};
use windflow_api::{AlertAcknowledge, AlertQuery, AlertView, Page};
use windflow_model::AlertId;

use super::{
    error::Answer,
    extract::{Body, Caller, Params, Route},
};
use crate::app::App;

/// Alerts, the newest first.
#[utoipa::path(get, path = "/api/v1/alerts", operation_id = "alert_list", tag = "alerts", params(AlertQuery),
    responses((status = 200, body = Page<AlertView>)))]
pub(super) async fn alert_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<AlertQuery>,
) -> Answer<Page<AlertView>> {
    Ok(Json(app.alert_list(&op, &query).await?))
}

/// One alert.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", operation_id = "alert_view", tag = "alerts",
    params(("id" = AlertId, Path)), responses((status = 200, body = AlertView)))]
pub(super) async fn alert_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AlertId>,
) -> Answer<AlertView> {
    Ok(Json(app.alert_view(&op, id).await?))
}

/// Says that somebody knows of an alert: nobody is told of it again, unless it ends.
#[utoipa::path(put, path = "/api/v1/alerts/{id}/acknowledgement", operation_id = "alert_acknowledge", tag = "alerts",
    params(("id" = AlertId, Path)), request_body = AlertAcknowledge, responses((status = 200, body = AlertView)))]
pub(super) async fn alert_acknowledge(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AlertId>,
    Body(request): Body<AlertAcknowledge>,
) -> Answer<AlertView> {
    let owner = app.clone();
    let done = app.owned("alert_acknowledge", async move {
        owner.alert_acknowledge(&op, id, Some(request)).await
    });
    Ok(Json(done.await?))
}

/// Takes that back.
#[utoipa::path(delete, path = "/api/v1/alerts/{id}/acknowledgement", operation_id = "alert_unacknowledge", tag = "alerts",
    params(("id" = AlertId, Path)), responses((status = 200, body = AlertView)))]
pub(super) async fn alert_unacknowledge(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<AlertId>,
) -> Answer<AlertView> {
    let owner = app.clone();
    let done = app.owned("alert_acknowledge", async move {
        owner.alert_acknowledge(&op, id, None).await
    });
    Ok(Json(done.await?))
}
