//! One registry of typed, prefixed ids.
//!
//! An id is a UUIDv7 (RFC 9562 §5.7) behind a type: `agt_01hx…`. As text it is the prefix and 26 characters of
//! Crockford's base32 in lower case, so ids sort by creation time and can be selected with a double click. Parsing
//! refuses a wrong prefix. On the wire (postcard) an id is its 16 bytes. Ids are never reused.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use uuid::Uuid;

use crate::time::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of 128 bits in base32: ceil(128 / 5).
const TEXT_LEN: usize = 26;

/// Why a text is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text does not begin with the prefix of the type.
    #[error("{text:?} is not an id of kind {expected}: it must begin with \"{expected}_\"")]
    Prefix {
        /// The prefix of the type that was asked for.
        expected: &'static str,
        /// What was given.
        text: String,
    },
    /// The part after the prefix is not 26 characters of base32.
    #[error(
        "{text:?} is not a valid id: 26 characters 0-9 a-z (without i l o u) must follow \"{expected}_\""
    )]
    Body {
        /// The prefix of the type that was asked for.
        expected: &'static str,
        /// What was given.
        text: String,
    },
}

fn encode(uuid: Uuid, prefix: &str) -> String {
    let value = uuid.as_u128();
    let mut out = String::with_capacity(prefix.len() + 1 + TEXT_LEN);
    out.push_str(prefix);
    out.push('_');
    for index in (0..TEXT_LEN).rev() {
        let digit = (value >> (index * 5)) & 31;
        let byte = ALPHABET
            .get(usize::try_from(digit).unwrap_or(0))
            .copied()
            .unwrap_or(b'0');
        out.push(char::from(byte));
    }
    out
}

fn decode(text: &str, prefix: &'static str) -> Result<Uuid, IdError> {
    let body = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or_else(|| IdError::Prefix {
            expected: prefix,
            text: text.to_owned(),
        })?;
    let bad = || IdError::Body {
        expected: prefix,
        text: text.to_owned(),
    };
    if body.len() != TEXT_LEN {
        return Err(bad());
    }
    let mut value: u128 = 0;
    for (index, byte) in body.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|&a| a == byte).ok_or_else(bad)?;
        // 26 * 5 = 130 bits: the first character may only carry three.
        if index == 0 && digit > 7 {
            return Err(bad());
        }
        value = (value << 5) | u128::try_from(digit).unwrap_or(0);
    }
    Ok(Uuid::from_u128(value))
}

fn made_at(uuid: Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
    let millis = seconds
        .checked_mul(1_000)?
        .checked_add(u64::from(nanos) / 1_000_000)?;
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID made by the caller (version 7 by convention: it sorts by time).
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID behind the type.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// When it was made, if its UUID tells (version 7 does, to the millisecond).
            #[must_use]
            pub fn made_at(self) -> Option<Timestamp> {
                made_at(self.0)
            }

            /// The last eight characters, for log lines and narrow tables. Not unique: never a key.
            #[must_use]
            pub fn short(self) -> String {
                let text = self.to_string();
                text.get(text.len().saturating_sub(8)..).unwrap_or_default().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&encode(self.0, $prefix))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode(self.0, $prefix))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                decode(text, $prefix).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.serialize_str(&encode(self.0, $prefix))
                } else {
                    self.0.as_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(|bytes| Self(Uuid::from_bytes(bytes)))
                }
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some(concat!("Id with the prefix `", $prefix, "_`.")))
                    .examples([concat!($prefix, "_01jd4x2m8v7f3k9q0zt5n6r1wc")])
                    .build()
                    .into()
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {}
    )*

        /// Every prefix in use, for the test that keeps them apart.
        #[cfg(test)]
        const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

ids! {
    /// A host that runs the agent.
    AgentId = "agt";
    /// A stack: one Compose project as the controller knows it.
    StackId = "stk";
    /// One revision of a stack on one agent.
    DeploymentId = "dep";
    /// One unit of work; the idempotency key on the way to the agent and back.
    OpId = "op";
    /// An organisation. Every key in the store begins with one.
    OrgId = "org";
    /// A person or a service account.
    UserId = "usr";
    /// An enrolment token or an API token (the record, not the secret).
    TokenId = "tok";
    /// A browser session (the record, not the cookie).
    SessionId = "ses";
    /// One revision of a stack, brought to many hosts in waves.
    RolloutId = "rol";
    /// A saved choice of hosts.
    GroupId = "grp";
    /// A terminal on a host. Not kept: it is gone with its process.
    TerminalId = "trm";
    /// A rule of which alerts are made.
    RuleId = "rul";
    /// An alert, from its begin to its end.
    AlertId = "alr";
    /// Alerts of which nobody wants to be told for a while.
    SilenceId = "sil";
    /// Where notifications go.
    ChannelId = "chn";
    /// A notification; the same at each attempt.
    NoticeId = "ntc";
}

impl OrgId {
    /// The only organisation until organisations can be created: the nil UUID.
    pub const DEFAULT: Self = Self(Uuid::nil());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefixes_are_unique() {
        let mut seen = PREFIXES.to_vec();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), PREFIXES.len());
    }

    #[test]
    fn refusals() {
        let good = AgentId::from_uuid(Uuid::from_u128(7)).to_string();
        let check = |text: &str, says: &str| {
            let error = text.parse::<AgentId>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        };
        check("", "must begin with \"agt_\"");
        check(&good.replace("agt", "stk"), "must begin with \"agt_\"");
        check("agt_", "26 characters");
        check(&format!("{good}0"), "26 characters");
        check("agt_8zzzzzzzzzzzzzzzzzzzzzzzzz", "26 characters");
        check("agt_0000000000000000000000000l", "26 characters");
    }

    proptest! {
        #[test]
        fn text_and_wire_round_trip(value: u128) {
            let id = StackId::from_uuid(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse::<StackId>().unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<StackId>(&json).unwrap(), id);
        }

        #[test]
        fn text_sorts_like_the_value(a: u128, b: u128) {
            let (x, y) = (AgentId::from_uuid(Uuid::from_u128(a)), AgentId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(x.to_string().cmp(&y.to_string()), a.cmp(&b));
        }
    }
}
