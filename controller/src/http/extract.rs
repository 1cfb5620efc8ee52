//! What handlers take, with refusals in our own shape.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, request::Parts},
};
use serde::{Serialize, de::DeserializeOwned};
use windflow_model::Code;

use super::error::ApiFailure;
use crate::{
    app::{idempotency::IdempotencyKey, session::Shown},
    context::OpContext,
};

/// Who asks. Only behind the guard: without a credential there is none, and the request is refused.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) OpContext);

/// The credential itself, to end it or to look whether it still stands.
#[derive(Debug, Clone)]
pub(super) struct Credential(pub(super) Shown);

/// Anybody, on the open operations.
#[derive(Debug, Clone)]
pub(super) struct Visitor(pub(super) OpContext);

macro_rules! from_extensions {
    ($($type:ident),*) => {$(
        impl<S: Send + Sync> FromRequestParts<S> for $type {
            type Rejection = ApiFailure;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiFailure> {
                parts.extensions.get::<Self>().cloned().ok_or_else(|| {
                    ApiFailure::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, "sign in first")
                })
            }
        }
    )*};
}
from_extensions!(Caller, Credential, Visitor);

/// A JSON body.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiFailure> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(body_refused(&rejection)),
        }
    }
}

fn body_refused(rejection: &JsonRejection) -> ApiFailure {
    let status = rejection.status();
    match rejection {
        JsonRejection::JsonDataError(_) | JsonRejection::JsonSyntaxError(_) => {
            let text = rejection.body_text();
            let text = text
                .rsplit_once("type: ")
                .map_or(text.as_str(), |(_, cause)| cause);
            ApiFailure::bad(format!("the body does not fit: {text}"))
        }
        JsonRejection::MissingJsonContentType(_) => ApiFailure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::BadRequest,
            "send the body as JSON, with Content-Type: application/json",
        ),
        _ if status == StatusCode::PAYLOAD_TOO_LARGE => ApiFailure::new(
            status,
            Code::TooLarge,
            format!("the body is larger than {} KiB", super::MAX_BODY >> 10),
        ),
        _ => ApiFailure::bad("the body could not be read"),
    }
}

/// Typed parts of the path.
#[derive(Debug)]
pub(super) struct Route<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Route<T> {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFailure> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiFailure::bad(rejection.body_text())),
        }
    }
}

/// Typed query parameters; unknown ones are refused.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiFailure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiFailure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiFailure::bad(rejection.body_text())),
        }
    }
}

/// The version in `If-Match`, if there is one.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, ApiFailure> {
    let Some(value) = headers.get("if-match") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let plain = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let version = plain.parse().map_err(|_| {
        ApiFailure::bad(format!(
            "If-Match: use the version (or ETag) that was read, not {text:?}"
        ))
    })?;
    Ok(Some(version))
}

/// The version in `If-Match`, which must be there.
pub(super) fn need_match(headers: &HeaderMap) -> Result<u64, ApiFailure> {
    if_match(headers)?.ok_or_else(|| {
        ApiFailure::new(
            StatusCode::PRECONDITION_REQUIRED,
            Code::PreconditionRequired,
            "If-Match is missing: a change says which version it changes",
        )
    })
}

/// The `Idempotency-Key`, bound to this request.
pub(super) fn idempotency(
    op: &OpContext,
    headers: &HeaderMap,
    request: &impl Serialize,
) -> Result<Option<IdempotencyKey>, ApiFailure> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = IdempotencyKey::new(op, value.to_str().unwrap_or_default(), request)?;
    Ok(Some(key))
}
