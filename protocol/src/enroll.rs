//! Joining a controller: one request, one reply, on its own ALPN.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use windflow_model::AgentId;

use crate::{codec::Frame, control::Denial, version::VersionRange};

/// From the host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrollRequest {
    /// First time: a one-use token and a key made on the host.
    Join {
        /// Versions the agent speaks: better refused now than after the token is used.
        versions: VersionRange,
        /// `wfj_<id>_<secret>`.
        token: String,
        /// PKCS #10, DER: proves possession of the key.
        csr: Vec<u8>,
        /// The host's name for itself.
        hostname: String,
        /// Name shown to people, if the operator chose one.
        name: Option<String>,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// The host's wall clock in milliseconds since 1970.
        wall_ms: i64,
    },
    /// The certificate ran out while the controller was away: the same key asks for a new one.
    Reattest {
        /// PKCS #10, DER, signed by the key of the expired certificate.
        csr: Vec<u8>,
        /// The expired certificate, X.509, DER.
        certificate: Vec<u8>,
        /// The host's wall clock in milliseconds since 1970.
        wall_ms: i64,
    },
    /// The host leaves for good: the same key asks to be removed.
    Leave {
        /// PKCS #10, DER, signed by the key of the certificate.
        csr: Vec<u8>,
        /// The host's certificate, X.509, DER; it may have run out.
        certificate: Vec<u8>,
    },
}

// By hand: the token must not reach a log.
impl std::fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Join { hostname, name, .. } => f
                .debug_struct("Join")
                .field("hostname", hostname)
                .field("name", name)
                .finish_non_exhaustive(),
            Self::Reattest { .. } => f.debug_struct("Reattest").finish_non_exhaustive(),
            Self::Leave { .. } => f.debug_struct("Leave").finish_non_exhaustive(),
        }
    }
}

impl Frame for EnrollRequest {
    const KIND: &'static str = "enrolment request";
    const VARIANTS: u32 = 3;
    /// A CSR is ~300 bytes, a certificate ~600: unauthenticated peers get no more room than that needs.
    const MAX: usize = 16 << 10;
}

/// From the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrollReply {
    /// Welcome.
    Granted {
        /// The host's id, for good.
        agent: AgentId,
        /// Its certificate, X.509, DER.
        certificate: Vec<u8>,
        /// The controller's root, X.509, DER.
        ca: Vec<u8>,
        /// Name that the controller's certificate carries on the control connection.
        server_name: String,
        /// The controller's wall clock in milliseconds since 1970.
        wall_ms: i64,
    },
    /// No.
    Refused {
        /// Why.
        denial: Denial,
        /// The controller's wall clock in milliseconds since 1970.
        wall_ms: i64,
    },
    /// The host is removed; its certificate never works again.
    Left,
}

impl Frame for EnrollReply {
    const KIND: &'static str = "enrolment reply";
    const VARIANTS: u32 = 3;
    /// Two certificates and a text.
    const MAX: usize = 16 << 10;
}

/// Clocks further apart than this make certificates useless; both sides refuse and say so.
pub const MAX_CLOCK_SKEW_MS: i64 = 10 * 60 * 1_000;
