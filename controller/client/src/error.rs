//! What can go wrong between the command line and the controller, and the exit code of each.

use std::fmt;

use windflow_model::Failure;

/// Exit codes of `windflow`; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// The operation failed.
    Failed,
    /// The command line or an input file is wrong.
    Usage,
    /// The controller does not let this user do it.
    Refused,
    /// There is no such thing.
    NotFound,
    /// The controller cannot be reached, or is not the one that is trusted.
    Unreachable,
    /// What a command on a host ended with; nothing is printed about it.
    Command(u8),
}

impl Exit {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Unreachable => 5,
            Self::Command(code) => code,
        }
    }
}

/// A failed command: the text for the user, what to do, and the exit code.
#[derive(Debug)]
pub struct Error {
    /// How the process ends.
    pub exit: Exit,
    /// What happened.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// HTTP status, if the controller answered.
    pub status: Option<u16>,
    /// `WF-…`, if the controller gave one.
    pub code: Option<String>,
    /// Request id to look for in the controller's log.
    pub request_id: Option<String>,
}

/// Result of a client operation.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with an exit code and no hint.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: String::new(),
            status: None,
            code: None,
            request_id: None,
        }
    }

    /// A wrong command line or input.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Something that failed.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The answer of the controller to a refused request.
    #[must_use]
    pub fn answered(status: u16, failure: Failure, request_id: Option<String>) -> Self {
        let exit = match status {
            401 | 403 => Exit::Refused,
            404 => Exit::NotFound,
            400 | 422 => Exit::Usage,
            _ => Exit::Failed,
        };
        Self {
            exit,
            message: failure.message,
            hint: failure.hint,
            status: Some(status),
            code: Some(failure.code).filter(|code| !code.is_empty()),
            request_id: request_id.filter(|id| !id.is_empty()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The lines for stderr: `error: …`, then `hint: …` and `request: …` if there are any.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = format!("error: {self}");
        if !self.hint.is_empty() {
            out.push_str("\nhint: ");
            out.push_str(&self.hint);
        }
        // A request id helps only when the fault is the controller's.
        if let (Some(id), Some(500..)) = (&self.request_id, self.status) {
            out.push_str("\nrequest: ");
            out.push_str(id);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_decides_the_exit_code() {
        let check = |status, exit: Exit| {
            let failure = Failure {
                code: "WF-1".into(),
                message: "m".into(),
                hint: "h".into(),
                check: None,
            };
            let error = Error::answered(status, failure, Some("r".into()));
            assert_eq!(error.exit, exit, "{status}");
            error.report()
        };
        assert_eq!(check(401, Exit::Refused), "error: m (WF-1)\nhint: h");
        check(403, Exit::Refused);
        check(404, Exit::NotFound);
        check(422, Exit::Usage);
        check(409, Exit::Failed);
        assert_eq!(check(500, Exit::Failed), "error: m (WF-1)\nhint: h\nrequest: r");
    }
}
