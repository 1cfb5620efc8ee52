//! The one shape of every refusal.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stack::Problem;

/// What went wrong, in words for the user. The log of the controller has the rest under `request_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// `WF-` and four digits; stable.
    #[schema(examples("WF-1001"))]
    pub code: String,
    /// What happened: operation, thing, cause.
    pub message: String,
    /// What to do next.
    #[serde(default)]
    pub hint: String,
    /// The id under which the controller logged this request.
    #[serde(default)]
    pub request_id: String,
    /// The places in the files, when a Compose project is the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for ApiError {}
