//! Revisions: the desired state of a stack, numbered.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    doc::Document,
    id::{OpId, StackId, UserId},
    stack::StackSpec,
    time::Timestamp,
};

/// Number of a revision: strictly rising per stack, never reused. A rollback is a *new* revision with an old spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Rev(pub u64);

impl Rev {
    /// Before the first revision.
    pub const ZERO: Self = Self(0);

    /// The next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// SHA-256 of a spec, 64 hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SpecDigest([u8; 32]);

impl SpecDigest {
    /// Wraps the 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for SpecDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SpecDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SpecDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for SpecDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let mut bytes = [0; 32];
            hex::decode_to_slice(&text, &mut bytes).map_err(de::Error::custom)?;
            Ok(Self(bytes))
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for SpecDigest {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[0-9a-f]{64}$"))
            .build()
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for SpecDigest {}

/// Whether the stack shall be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// Run it as the spec says.
    Present,
    /// Remove its containers and networks; volumes stay.
    Absent,
    /// Remove its containers, networks and its own (not external) volumes.
    AbsentWithVolumes,
}

impl Want {
    /// Whether the stack shall be gone.
    #[must_use]
    pub const fn is_absent(self) -> bool {
        matches!(self, Self::Absent | Self::AbsentWithVolumes)
    }
}

/// One numbered desired state of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Revision {
    /// The stack.
    pub stack: StackId,
    /// Its number.
    pub rev: Rev,
    /// The operation that minted it.
    pub op: OpId,
    /// Digest of `spec`.
    pub digest: SpecDigest,
    /// Present or absent.
    pub want: Want,
    /// The spec at that time.
    pub spec: StackSpec,
    /// The revision whose spec this one carries again, if it is a rollback.
    #[serde(default)]
    pub rollback_of: Option<Rev>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// Who asked for it.
    pub created_by: UserId,
}

impl Document for Revision {
    const NAME: &'static str = "revision";
    const SCHEMA: u16 = 1;
}
