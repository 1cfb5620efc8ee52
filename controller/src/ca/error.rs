//! What can be wrong with the authority.

use std::{io, path::PathBuf};

use thiserror::Error;
use windflow_kit::random::RandomError;
use windflow_transport::{identity::IdentityError, tls::TlsError};

/// Why the authority cannot work.
#[derive(Debug, Error)]
pub enum CaError {
    /// A key or certificate file is of no use.
    #[error("the certificate authority in {} cannot be opened", dir.display())]
    Open {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// A file cannot be read or written.
    #[error("the certificate authority in {} cannot be read", dir.display())]
    Read {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot make {what}")]
    Make {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// One half of the authority is gone.
    #[error(
        "the certificate authority in {} is not whole: {missing} is missing. Restore it from a backup; without it every \
         host has to enrol again: move the directory away and start once more",
        dir.display()
    )]
    Incomplete {
        /// Its directory.
        dir: PathBuf,
        /// Which file.
        missing: &'static str,
    },
    /// Key and certificate are not a pair.
    #[error("ca.key and ca.crt in {} do not belong together; restore both from one backup", dir.display())]
    Mismatch {
        /// Its directory.
        dir: PathBuf,
    },
    /// No randomness.
    #[error("cannot make a key")]
    Random(#[source] RandomError),
    /// The request is no certificate request or its signature is wrong.
    #[error("the certificate request is not valid")]
    Request(#[source] rcgen::Error),
    /// TLS does not take the controller's own certificate.
    #[error("TLS cannot use the controller's certificate")]
    Tls(#[source] TlsError),
    /// A certificate just made cannot be read.
    #[error("the new certificate cannot be read")]
    Unreadable(#[source] IdentityError),
}
