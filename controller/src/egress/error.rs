//! Why a request has no answer. None of it repeats a path, a query or a header: they may hold secrets.

use std::{io, net::IpAddr, time::Duration};

use thiserror::Error;

use super::address::Kind;

/// What was being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The address of a name.
    Name,
    /// A connection, with TLS if it has any.
    Connection,
    /// The answer.
    Answer,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "its name was not resolved",
            Self::Connection => "no connection came about",
            Self::Answer => "no whole answer came",
        })
    }
}

/// Why a request has no answer.
#[derive(Debug, Error)]
pub enum EgressError {
    /// Not a URL that can be asked for.
    #[error("the URL cannot be used: {0}")]
    Url(&'static str),
    /// Not a header.
    #[error("the header {0:?} cannot be sent: its name or value is not well formed")]
    Header(String),
    /// An address that is not of the public internet, and not listed.
    #[error("{place} is refused: {address} is {kind}; the setting egress_allow can list it")]
    Refused {
        /// Host and port.
        place: String,
        /// What its name resolves to.
        address: IpAddr,
        /// What that is.
        kind: Kind,
    },
    /// The name has no address.
    #[error("the name of {place} cannot be resolved")]
    Name {
        /// Host and port.
        place: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// No connection.
    #[error("{place} cannot be reached")]
    Connect {
        /// Host and port.
        place: String,
        /// What the last address said.
        source: io::Error,
    },
    /// Its certificate is not accepted, or it does not speak TLS.
    #[error("no TLS with {place}")]
    Tls {
        /// Host and port.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// There are no roots to judge certificates by.
    #[error("certificates cannot be judged: {0}")]
    Roots(String),
    /// The connection broke, or what came is no HTTP.
    #[error("{place} gave no answer")]
    Exchange {
        /// Host and port.
        place: String,
        /// What happened.
        source: hyper::Error,
    },
    /// The answer is longer than the request allows.
    #[error("the answer of {place} is longer than {most} bytes")]
    TooLong {
        /// Host and port.
        place: String,
        /// The bound.
        most: usize,
    },
    /// The time of the request is over.
    #[error("{place}: {step} within {after:?}")]
    TimedOut {
        /// Host and port.
        place: String,
        /// What did not come.
        step: Step,
        /// The time it had.
        after: Duration,
    },
}

impl EgressError {
    /// Whether the same request may be answered later although nobody changed anything here.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Url(_) | Self::Header(_) | Self::Roots(_) => false,
            // A name may resolve to another address tomorrow, a certificate may be renewed.
            Self::Refused { .. }
            | Self::Name { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Exchange { .. }
            | Self::TooLong { .. }
            | Self::TimedOut { .. } => true,
        }
    }
}
