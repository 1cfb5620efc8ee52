//! From the application's errors to answers: the one place that knows which code is which status.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use windflow_api::ApiError;
use windflow_kit::Chain;
use windflow_model::Code;
use windflow_store::StoreError;

use crate::app::{AppError, error::Refused};

/// What a handler answers if it does not do what was asked.
#[derive(Debug)]
pub(super) struct ApiFailure {
    status: StatusCode,
    error: Box<ApiError>,
    retry_after_s: Option<u64>,
}

/// Answer of a handler.
pub(super) type Answer<T> = Result<Json<T>, ApiFailure>;

/// The body of an error on its way out; the frame adds the request id.
#[derive(Debug, Clone)]
pub(super) struct ErrorBody(pub(super) ApiError);

impl ApiFailure {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            retry_after_s: None,
            error: Box::new(ApiError {
                code: code.as_str().to_owned(),
                message: message.into(),
                hint: code.hint().to_owned(),
                request_id: String::new(),
                problems: Vec::new(),
            }),
        }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }
}

impl From<AppError> for ApiFailure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Refused(refused) => Self::from(*refused),
            other => {
                tracing::error!(error = %Chain(&other), "a request failed");
                let (status, code, message) = match &other {
                    AppError::Store {
                        source: StoreError::Full { .. },
                        ..
                    } => (
                        StatusCode::INSUFFICIENT_STORAGE,
                        Code::StoreFull,
                        "the disk of the controller's data directory is full; nothing was changed",
                    ),
                    AppError::Store { source, .. } if source.retryable() => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        Code::StoreUnavailable,
                        "the store cannot be used now; nothing was changed",
                    ),
                    _ => (
                        StatusCode::INTERNAL_SERVER_ERROR,
                        Code::Internal,
                        "the controller could not do it",
                    ),
                };
                Self::new(status, code, message)
            }
        }
    }
}

impl From<Refused> for ApiFailure {
    fn from(refused: Refused) -> Self {
        let status = if refused.stale {
            StatusCode::PRECONDITION_FAILED
        } else {
            status_of(refused.code)
        };
        let mut failure = Self::new(status, refused.code, refused.message);
        if let Some(hint) = refused.hint {
            hint.clone_into(&mut failure.error.hint);
        }
        failure.error.problems = refused.problems;
        failure.retry_after_s = refused.retry_after_s;
        failure
    }
}

const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::BadRequest => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::SetupCode | Code::SetupDone | Code::TokenInvalid | Code::PolicyRefused => {
            StatusCode::FORBIDDEN
        }
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::ComposeInvalid => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::StoreFull => StatusCode::INSUFFICIENT_STORAGE,
        Code::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::AgentTimeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::CONFLICT,
    }
}

impl IntoResponse for ApiFailure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response.extensions_mut().insert(ErrorBody(*self.error));
        response
    }
}
