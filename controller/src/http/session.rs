//! First start, signing in and out.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use windflow_api::{LoginRequest, Me, Session, SetupRequest, SetupStatus};
use windflow_kit::Secret;

use super::{
    error::{Answer, ApiFailure},
    extract::{Body, Caller, Credential, Visitor},
    guard::{COOKIE, nothing},
};
use crate::app::{
    App, AppError,
    session::{Opened, SESSION_LIFE},
};

/// Whether the first administrator still has to be made.
#[utoipa::path(get, path = "/api/v1/setup", operation_id = "setup_status", tag = "sessions",
    responses((status = 200, body = SetupStatus)))]
pub(super) async fn setup_status(State(app): State<App>) -> Answer<SetupStatus> {
    let needed = app.setup_needed().await?;
    Ok(Json(SetupStatus { needed }))
}

/// Makes the first administrator and signs in.
#[utoipa::path(post, path = "/api/v1/setup", operation_id = "setup_create", tag = "sessions",
    request_body = SetupRequest, responses((status = 200, body = Session)))]
pub(super) async fn setup_create(
    State(app): State<App>,
    Visitor(op): Visitor,
    Body(request): Body<SetupRequest>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    let opened = app.owned("setup_create", async move {
        let password = Secret::new(request.password);
        let user = owner
            .setup_create(&op, &request.code, &request.username, password)
            .await?;
        owner
            .session_create(&op, user, request.token)
            .await
            .map(|opened| (opened, request.token))
    });
    let (opened, token) = opened.await?;
    answer(opened, token)
}

/// Signs in: sets the session cookie, or answers with an API token.
#[utoipa::path(post, path = "/api/v1/sessions", operation_id = "session_create", tag = "sessions",
    request_body = LoginRequest, responses((status = 200, body = Session)))]
pub(super) async fn session_create(
    State(app): State<App>,
    Visitor(op): Visitor,
    Body(request): Body<LoginRequest>,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    let opened = app.owned("session_create", async move {
        let password = Secret::new(request.password);
        let user = owner.user_verify(&op, &request.username, password).await?;
        owner
            .session_create(&op, user, request.token)
            .await
            .map(|opened| (opened, request.token))
    });
    let (opened, token) = opened.await?;
    answer(opened, token)
}

fn answer(opened: Opened, token: bool) -> Result<Response, ApiFailure> {
    let body = Session {
        user: Me {
            id: opened.user.id,
            name: opened.user.name,
        },
        token: token.then(|| opened.secret.expose().clone()),
        expires_at: opened.expires_at,
    };
    let mut response = Json(body).into_response();
    if !token {
        set_cookie(&mut response, opened.secret.expose(), SESSION_LIFE.as_secs())?;
    }
    Ok(response)
}

fn set_cookie(response: &mut Response, value: &str, seconds: u64) -> Result<(), ApiFailure> {
    let cookie = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    let cookie = HeaderValue::from_str(&cookie).map_err(AppError::internal("session_create"))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(())
}

/// Signs out: ends the credential of this request.
#[utoipa::path(delete, path = "/api/v1/sessions/current", operation_id = "session_delete", tag = "sessions",
    responses((status = 204)))]
pub(super) async fn session_delete(
    State(app): State<App>,
    Caller(op): Caller,
    Credential(shown): Credential,
) -> Result<Response, ApiFailure> {
    let owner = app.clone();
    app.owned("session_delete", async move {
        owner.session_delete(&op, &shown).await
    })
    .await?;
    let mut response = nothing();
    set_cookie(&mut response, "", 0)?;
    Ok(response)
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/me", operation_id = "me", tag = "sessions", responses((status = 200, body = Me)))]
pub(super) async fn me(Caller(op): Caller) -> Json<Me> {
    Json(Me {
        id: op.user,
        name: op.user_name,
    })
}
