//! Enrolment tokens.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use windflow_api::{EnrolmentToken, EnrolmentTokenCreate, EnrolmentTokenCreated, Page};
use windflow_model::TokenId;

use super::{
    Facts,
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Route},
    guard::nothing,
    install,
};
use crate::app::App;

/// Enrolment tokens, newest first.
#[utoipa::path(get, path = "/api/v1/enrolment-tokens", operation_id = "enrolment_token_list",
    tag = "enrolment-tokens", responses((status = 200, body = Page<EnrolmentToken>)))]
pub(super) async fn enrolment_token_list(
    State(app): State<App>,
    Caller(op): Caller,
) -> Answer<Page<EnrolmentToken>> {
    Ok(Json(app.token_list(&op).await?))
}

/// Makes an enrolment token. Its secret is in this answer only, so an `Idempotency-Key` has no effect here.
#[utoipa::path(post, path = "/api/v1/enrolment-tokens", operation_id = "enrolment_token_create",
    tag = "enrolment-tokens", request_body = EnrolmentTokenCreate,
    responses((status = 200, body = EnrolmentTokenCreated)))]
pub(super) async fn enrolment_token_create(
    State(app): State<App>,
    State(facts): State<Arc<Facts>>,
    Caller(op): Caller,
    Body(wanted): Body<EnrolmentTokenCreate>,
) -> Answer<EnrolmentTokenCreated> {
    let owner = app.clone();
    let made = app.owned("enrolment_token_create", async move {
        owner.token_create(&op, wanted).await
    });
    let (token, secret) = made.await?;
    Ok(Json(EnrolmentTokenCreated {
        token,
        secret: secret.expose().clone(),
        installer: install::one_line(&facts),
    }))
}

/// Revokes an enrolment token.
#[utoipa::path(delete, path = "/api/v1/enrolment-tokens/{id}", operation_id = "enrolment_token_delete",
    tag = "enrolment-tokens", params(("id" = TokenId, Path)), responses((status = 204)))]
pub(super) async fn enrolment_token_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Route(id): Route<TokenId>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned("enrolment_token_delete", async move {
        owner.token_delete(&op, id).await
    })
    .await?;
    Ok(nothing())
}
