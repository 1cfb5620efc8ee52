//! Stacks and the check of their files.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use windflow_model::{Stack, StackName, StackSpec};

/// A stack with the version of its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StackView {
    /// The stack.
    #[serde(flatten)]
    pub stack: Stack,
    /// Version of the record: send it in `If-Match` when saving. Also in the `ETag`.
    pub version: u64,
}

/// Makes a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StackCreate {
    /// Its name, unique; it becomes the Compose project name on every host.
    pub name: StackName,
    /// What to run.
    pub spec: StackSpec,
}

/// Saves a new spec; needs `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StackUpdate {
    /// What to run from the next deploy on.
    pub spec: StackSpec,
}

/// Checks files without saving them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateRequest {
    /// The project's name, if it has one already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<StackName>,
    /// The files.
    pub spec: StackSpec,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The project cannot be deployed.
    Error,
    /// It can, but perhaps it does not do what was meant.
    Warning,
}

/// Something about a file that the user should correct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The file as named in the spec; empty if it belongs to none.
    pub file: String,
    /// Line from 1; 0 if it belongs to none.
    pub line: u32,
    /// Column from 1 in characters; 0 if it belongs to none.
    pub column: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.file.is_empty() || self.line > 0 {
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Validation {
    /// Whether the project can be deployed: no problem is an error.
    pub ok: bool,
    /// All problems, sorted by file and place.
    pub problems: Vec<Problem>,
    /// The services that would run, sorted.
    pub services: Vec<String>,
}
