//! Rules of alerts.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use windflow_api::{Page, PageQuery, RulePreview, RuleTry, RuleView};
use windflow_model::{RuleId, alert::RuleSpec};

use super::{
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Params, Route, idempotency, need_match},
    guard::nothing,
};
use crate::app::App;

/// Rules in the order of their creation.
#[utoipa::path(get, path = "/api/v1/alert-rules", operation_id = "rule_list", tag = "alerts", params(PageQuery),
    responses((status = 200, body = Page<RuleView>)))]
pub(super) async fn rule_list(
    State(app): State<App>,
    Caller(op): Caller,
    Params(query): Params<PageQuery>,
) -> Answer<Page<RuleView>> {
    Ok(Json(app.rule_list(&op, &query).await?))
}

/// Makes a rule.
#[utoipa::path(post, path = "/api/v1/alert-rules", operation_id = "rule_create", tag = "alerts",
    params(("Idempotency-Key" = Option<String>, Header)), request_body = RuleSpec,
    responses((status = 200, body = RuleView)))]
pub(super) async fn rule_create(
    State(app): State<App>,
    Caller(op): Caller,
    headers: HeaderMap,
    Body(request): Body<RuleSpec>,
) -> Answer<RuleView> {
    let key = idempotency(&op, &headers, &("rule_create", &request))?;
    let owner = app.clone();
    let made = app.owned("rule_create", async move {
        owner.rule_create(&op, request, key.as_ref()).await
    });
    Ok(Json(made.await?))
}

/// One rule.
#[utoipa::path(get, path = "/api/v1/alert-rules/{id}", operation_id = "rule_view", tag = "alerts",
    params(("id" = RuleId, Path)), responses((status = 200, body = RuleView)))]
pub(super) async fn rule_view(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RuleId>,
) -> Answer<RuleView> {
    Ok(Json(app.rule_view(&op, id).await?))
}

/// Saves a rule. Its alerts go on, unless it is about something else now: then they end.
#[utoipa::path(put, path = "/api/v1/alert-rules/{id}", operation_id = "rule_update", tag = "alerts",
    params(("id" = RuleId, Path), ("If-Match" = String, Header, description = "The version that was read.")),
    request_body = RuleSpec, responses((status = 200, body = RuleView)))]
pub(super) async fn rule_update(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RuleId>,
    headers: HeaderMap,
    Body(request): Body<RuleSpec>,
) -> Answer<RuleView> {
    let version = need_match(&headers)?;
    let owner = app.clone();
    let saved = app.owned("rule_update", async move {
        owner.rule_update(&op, id, version, request).await
    });
    Ok(Json(saved.await?))
}

/// Deletes a rule. Its alerts end.
#[utoipa::path(delete, path = "/api/v1/alert-rules/{id}", operation_id = "rule_delete", tag = "alerts",
    params(("id" = RuleId, Path)), responses((status = 204)))]
pub(super) async fn rule_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<RuleId>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned("rule_delete", async move { owner.rule_delete(&op, id).await })
        .await?;
    Ok(nothing())
}

/// What a rule would see at this moment, without making it.
#[utoipa::path(post, path = "/api/v1/alert-rules/preview", operation_id = "rule_preview", tag = "alerts",
    request_body = RuleTry, responses((status = 200, body = RulePreview)))]
pub(super) async fn rule_preview(
    State(app): State<App>,
    Caller(op): Caller,
    Body(request): Body<RuleTry>,
) -> Answer<RulePreview> {
    Ok(Json(app.rule_preview(&op, request.spec).await?))
}
