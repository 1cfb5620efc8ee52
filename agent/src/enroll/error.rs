//! Why a host could not join, come back or leave.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;
use windflow_model::{Failure, Timestamp};
use windflow_transport::{IdentityError, enroll::AskError};

/// Why a host could not join, come back or leave.
#[derive(Debug, Error)]
pub enum EnrollError {
    /// The pin is no pin.
    #[error(
        "{0:?} is not a pin: it is `sha256:` and 44 characters, copied from the controller's install command"
    )]
    Pin(String),
    /// The controller's key is another one.
    #[error(
        "the controller at {address} has another key than the pinned one; nothing was sent. Copy the install command of the \
         controller you mean to trust again, and do not go on if its key changed unexpectedly"
    )]
    PinMismatch {
        /// Where.
        address: String,
    },
    /// The address means nothing.
    #[error("cannot find the controller {address}; write host:port as in the install command")]
    Resolve {
        /// What was given.
        address: String,
        /// What the resolver says.
        #[source]
        source: io::Error,
    },
    /// No answer.
    #[error("no answer from the controller at {address}; check that UDP to it is not blocked")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: Box<AskError>,
    },
    /// It said no.
    #[error("the controller refused: {failure}. {}", failure.hint)]
    Refused {
        /// Code, reason and remedy.
        failure: Failure,
        /// Shortest time before another try; zero if time alone changes nothing.
        retry_after: Duration,
    },
    /// It answered something else than what was asked.
    #[error("the controller's answer does not fit the question; update the older side")]
    Unexpected,
    /// The clocks are too far apart.
    #[error(
        "this host's clock says {own}, the controller's {theirs}: set the one that is wrong (with NTP, for example), then try again"
    )]
    Clock {
        /// This host.
        own: Timestamp,
        /// The controller.
        theirs: Timestamp,
    },
    /// A file in the state directory.
    #[error("the identity in {} cannot be used", dir.display())]
    Files {
        /// Which directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// `controller.epoch`.
    #[error(
        "{} is damaged: this host no longer knows which controller is the newest; delete the file if no older copy of the \
         controller can be running, then start again",
        path.display()
    )]
    Epoch {
        /// Which file.
        path: PathBuf,
    },
    /// `controller.toml`.
    #[error("{} is not readable; enrol this host again", path.display())]
    Membership {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EnrollError {
    /// How long the controller asks to stay away; zero if it does not.
    #[must_use]
    pub fn stay_away(&self) -> Duration {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Unreachable { source, .. } => source.stay_away(),
            _ => Duration::ZERO,
        }
    }
}
