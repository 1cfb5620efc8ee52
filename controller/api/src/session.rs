//! First start, signing in and out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use windflow_model::{Timestamp, UserId};

/// Whether the first administrator still has to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetupStatus {
    /// `true` as long as no user exists.
    pub needed: bool,
}

/// Makes the first administrator.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The code on the controller's console and in its data directory, file `setup-code`.
    pub code: String,
    /// Sign-in name, 1–64 characters.
    pub username: String,
    /// Password, 8–256 characters.
    pub password: String,
    /// Answer with an API token instead of a browser session.
    #[serde(default)]
    pub token: bool,
}

/// Signs in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// Sign-in name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Answer with an API token instead of a browser session.
    #[serde(default)]
    pub token: bool,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The user.
    pub id: UserId,
    /// Sign-in name.
    pub name: String,
}

/// A session that was opened. For a browser the credential is in the cookie only.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Who.
    pub user: Me,
    /// The API token `wft_…`, shown once, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// When the credential ends.
    pub expires_at: Timestamp,
}

macro_rules! redacted {
    ($($type:ident),*) => {$(
        /// Secrets are left out.
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        }
    )*};
}
redacted!(SetupRequest, LoginRequest, Session);
