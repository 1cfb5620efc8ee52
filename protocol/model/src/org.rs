//! Users. Organisations and roles come later; the ids and keys already carry the organisation.

use serde::{Deserialize, Serialize};

use crate::{
    doc::Document,
    id::{OrgId, UserId},
    time::Timestamp,
};

/// A person who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct User {
    /// Id, never reused.
    pub id: UserId,
    /// Organisation.
    pub org: OrgId,
    /// Sign-in name, unique in the organisation, 1–64 characters.
    pub name: String,
    /// When the user was created.
    pub created_at: Timestamp,
}

impl Document for User {
    const NAME: &'static str = "user";
    const SCHEMA: u16 = 1;
}
