//! How a command of the agent fails: text, remedy, exit code.

use std::fmt;

use windflow_model::Failure;

/// A failed command.
#[derive(Debug)]
pub struct CommandError {
    /// Exit code: 1 failed, 2 usage or input, 5 unreachable.
    pub exit: u8,
    /// Printed as it is, line by line.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// Whether the lines stand for themselves, without `error:` before them (problems with their place).
    pub bare: bool,
}

impl CommandError {
    /// Something that failed.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            exit: 1,
            message: message.into(),
            hint: String::new(),
            bare: false,
        }
    }

    /// A wrong command line or input.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: 2,
            ..Self::failed(message)
        }
    }

    /// Problems of files: one line each, `file:line:column: message`.
    #[must_use]
    pub fn problems<P: fmt::Display>(problems: &[P]) -> Self {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Self {
            bare: true,
            ..Self::usage(lines.join("\n"))
        }
    }

    /// Ends with somebody else's exit code, without a word; 0 is no failure.
    ///
    /// # Errors
    /// Itself, unless the code is 0.
    pub fn exit_code(code: i64) -> Result<(), Self> {
        match code {
            0 => Ok(()),
            code => Err(Self {
                exit: u8::try_from(code.clamp(1, 255)).unwrap_or(1),
                bare: true,
                ..Self::failed("")
            }),
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The lines for stderr.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = if self.bare {
            String::new()
        } else {
            "error: ".to_owned()
        };
        out.push_str(&self.message);
        if !self.hint.is_empty() {
            out.push_str("\nhint: ");
            out.push_str(&self.hint);
        }
        out
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        let exit = match failure.code.as_str() {
            code if code == windflow_model::Code::ComposeInvalid.as_str() => 2,
            code if code == windflow_model::Code::EngineUnreachable.as_str() => 5,
            _ => 1,
        };
        Self {
            exit,
            ..Self::failed(failure.to_string())
        }
        .hint(failure.hint)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}
