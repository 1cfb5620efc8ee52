//! Why an operation was not done. What the user may read is in [`Refused`]; everything else is for the log.

use windflow_api::Problem;
use windflow_kit::{BoxError, random::RandomError};
use windflow_model::{Code, Failure};
use windflow_store::StoreError;

/// Result of an operation.
pub type AppResult<T> = Result<T, AppError>;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A clear no, with its remedy.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// The store did not do its part.
    #[error("{operation}: the store failed")]
    Store {
        /// Which operation, e.g. `stack_create`.
        operation: &'static str,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The controller itself failed.
    #[error("{operation} failed")]
    Internal {
        /// Which operation.
        operation: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// A refusal, in words for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refused {
    /// Code with its remedy.
    pub code: Code,
    /// What was refused and why.
    pub message: String,
    /// The remedy, if it is not the usual one of the code.
    pub hint: Option<&'static str>,
    /// The places in the files, if a Compose project is the reason.
    pub problems: Vec<Problem>,
    /// Seconds to wait before trying again.
    pub retry_after_s: Option<u64>,
    /// The object has another version than the caller believed.
    pub stale: bool,
}

impl AppError {
    /// A refusal.
    #[must_use]
    pub fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::Refused(Box::new(Refused {
            code,
            message: message.into(),
            hint: None,
            problems: Vec::new(),
            retry_after_s: None,
            stale: false,
        }))
    }

    /// What was asked does not go with the present state; `hint` says what to do instead.
    #[must_use]
    pub fn conflict(message: impl Into<String>, hint: &'static str) -> Self {
        Self::with(Self::refused(Code::Conflict, message), |refused| {
            refused.hint = Some(hint);
        })
    }

    /// A field of the request is wrong.
    #[must_use]
    pub fn bad(message: impl Into<String>) -> Self {
        Self::refused(Code::BadRequest, message)
    }

    /// There is no such object here.
    #[must_use]
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::refused(Code::NotFound, format!("there is no {what}"))
    }

    /// A Compose project with problems.
    #[must_use]
    pub fn compose(message: impl Into<String>, problems: Vec<Problem>) -> Self {
        Self::with(Self::refused(Code::ComposeInvalid, message), |refused| {
            refused.problems = problems;
        })
    }

    /// What a host answered; its hint is the usual one of the code, or the host's own behind the message.
    #[must_use]
    pub fn of_host(failure: &Failure) -> Self {
        let known = Code::ALL.iter().find(|code| code.as_str() == failure.code);
        let code = known.copied().unwrap_or(Code::HostFailure);
        let mut message = failure.message.clone();
        if !failure.hint.is_empty() && failure.hint != code.hint() {
            message = format!("{message}. {}", failure.hint.trim_end_matches('.'));
        }
        Self::refused(code, message)
    }

    /// Too many requests.
    #[must_use]
    pub fn limited(message: impl Into<String>, retry_after_s: u64) -> Self {
        Self::with(Self::refused(Code::RateLimited, message), |refused| {
            refused.retry_after_s = Some(retry_after_s);
        })
    }

    /// The object has changed since the caller read it.
    #[must_use]
    pub fn stale(message: impl Into<String>) -> Self {
        Self::with(Self::refused(Code::Conflict, message), |refused| {
            refused.stale = true
        })
    }

    /// Wraps a store error with the operation; a value that is too large is the caller's fault.
    pub fn store(operation: &'static str) -> impl Fn(StoreError) -> Self {
        move |source| match source {
            StoreError::TooLarge { what, size, limit } => Self::refused(
                Code::TooLarge,
                format!("{what} would be {size}, over the limit of {limit}"),
            ),
            source => Self::Store { operation, source },
        }
    }

    /// Wraps any other failure.
    pub fn internal<E: Into<BoxError>>(operation: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::Internal {
            operation,
            source: source.into(),
        }
    }

    /// The refusal, if it is one.
    #[must_use]
    pub fn as_refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }

    /// Whether reading again and deciding anew may help: somebody else was faster, or the commit's fate is unknown.
    #[must_use]
    pub const fn wants_fresh_read(&self) -> bool {
        matches!(
            self,
            Self::Store {
                source: StoreError::Conflict { .. } | StoreError::Unknown { .. },
                ..
            }
        )
    }

    fn with(error: Self, change: impl FnOnce(&mut Refused)) -> Self {
        match error {
            Self::Refused(mut refused) => {
                change(&mut refused);
                Self::Refused(refused)
            }
            other => other,
        }
    }
}

impl From<RandomError> for AppError {
    fn from(source: RandomError) -> Self {
        Self::Internal {
            operation: "drawing random bytes",
            source: Box::new(source),
        }
    }
}
