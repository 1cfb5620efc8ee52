//! Problems and warnings with their place in the files.

use crate::yaml::Mark;
use std::fmt;

/// One thing that is wrong with a project, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File in which it is, as it was named when read; empty if it has no file.
    pub file: String,
    /// Line, from 1; 0 if it has no place.
    pub line: u32,
    /// Column in characters, from 1; 0 if it has no place.
    pub column: u32,
    /// Path of keys: `services.web.ports[0]`; empty at the top.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem that has no place in a file.
    #[must_use]
    pub fn general(message: impl Into<String>) -> Self {
        Self {
            file: String::new(),
            line: 0,
            column: 0,
            path: String::new(),
            message: message.into(),
            hint: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Collects problems and warnings during a load. All are kept, so that they are reported at once.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The load leaves variables as they are, so that short forms are still there when files are merged.
    pub(crate) draft: bool,
    /// Directory with its slash, below which files are told by their path from there.
    root: Option<String>,
    /// Bytes of all texts in which variables were replaced.
    pub(crate) replaced: usize,
    pub(crate) files: Vec<String>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// More problems than this help nobody; the rest is dropped.
const MOST: usize = 1_000;

impl Report {
    /// A report that tells files below a directory by their path from there.
    pub(crate) fn below(root: Option<&str>) -> Self {
        Self {
            root: root.map(|root| format!("{}/", root.trim_end_matches('/'))),
            ..Self::default()
        }
    }

    /// A path as it is told.
    pub(crate) fn shown<'p>(&self, path: &'p str) -> &'p str {
        let root = self.root.as_deref();
        root.and_then(|root| path.strip_prefix(root)).unwrap_or(path)
    }

    /// Registers a file and returns its number for marks.
    pub(crate) fn file(&mut self, name: &str) -> u32 {
        if let Some(at) = self.files.iter().position(|known| known == name) {
            return u32::try_from(at).unwrap_or(0);
        }
        self.files.push(name.to_owned());
        u32::try_from(self.files.len() - 1).unwrap_or(0)
    }

    pub(crate) fn place(&self, mark: Mark, path: &str, message: impl Into<String>) -> Problem {
        let file = if mark.line == 0 {
            None
        } else {
            self.files.get(mark.file as usize)
        };
        Problem {
            file: file.map_or("", |file| self.shown(file)).to_owned(),
            line: mark.line,
            column: mark.column,
            path: path.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn error(&mut self, mark: Mark, path: &str, message: impl Into<String>) {
        let problem = self.place(mark, path, message);
        self.push(problem);
    }

    pub(crate) fn hinted(
        &mut self,
        mark: Mark,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let mut problem = self.place(mark, path, message);
        problem.hint = Some(hint.into());
        self.push(problem);
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        if self.problems.len() < MOST && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(crate) fn warn(&mut self, mark: Mark, path: &str, message: impl Into<String>) {
        let warning = self.place(mark, path, message);
        if self.warnings.len() < MOST && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Whether further problems are dropped, so that nobody needs to look for their remedy.
    pub(crate) fn full(&self) -> bool {
        self.problems.len() >= MOST
    }

    /// Whether a problem was found in the part of the tree at a path: then something may be missing there that was written.
    pub(crate) fn touches(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| {
            problem
                .path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    pub(crate) fn failed(&self) -> bool {
        !self.problems.is_empty()
    }

    /// The name of the file in which a mark lies, as it is told.
    pub(crate) fn name(&self, mark: Mark) -> &str {
        self.files
            .get(mark.file as usize)
            .map_or("", |file| self.shown(file))
    }
}
