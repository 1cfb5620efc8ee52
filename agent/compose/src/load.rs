//! Loading: from files to a project, in the order of the reference.
//!
//! Per document: parse, interpolate and cast, include, extends, shape, long forms, merge. At the end: paths, defaults,
//! profiles, consistency, files of variables, unused resources.

mod check;
mod finish;
mod include;
mod normalise;
pub(crate) mod paths;
mod tidy;
mod tree;
mod variables;

use crate::files::Files;
use crate::model::Project;
use crate::print::Draft;
use crate::problem::{Problem, Report};
use std::collections::BTreeMap;

/// A Compose file to load.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Absolute path; also the name in problems.
    pub path: String,
    /// The content, if the caller has it already (standard input, an editor's buffer).
    pub text: Option<String>,
}

/// What to load. `discover` makes one from a command line and an environment.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// Files, first the base, then the overrides.
    pub files: Vec<Source>,
    /// Absolute project directory.
    pub project_directory: String,
    /// Project name that was asked for (`-p`, `COMPOSE_PROJECT_NAME`). Else the files' `name`, else the directory.
    pub name: Option<String>,
    /// Environment for interpolation: the process's and the `.env` files' together.
    pub env: BTreeMap<String, String>,
    /// Absolute paths of `--env-file`s, for the label only: their content is in `env`.
    pub environment_files: Vec<String>,
    /// Active profiles; `*` is all.
    pub profiles: Vec<String>,
    /// Services to take, with what they depend on; empty is all.
    pub services: Vec<String>,
    /// Keep networks, volumes, configs and secrets that no service uses.
    pub all_resources: bool,
    /// Replace variables; else texts are taken as they are, dollar signs and all.
    pub interpolate: bool,
    /// Check that everything that is named exists and fits together.
    pub consistency: bool,
    /// Read `env_file` (`label_file` is always read).
    pub resolve_env: bool,
    /// Make relative paths absolute.
    pub resolve_paths: bool,
    /// Add defaults and names, drop what is unused.
    pub normalize: bool,
    /// Absolute directory below which files are told by their path from here, in problems and places: where they lie
    /// on this host says nothing to whoever wrote them.
    pub display_root: Option<String>,
}

impl Default for LoadRequest {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            project_directory: "/".to_owned(),
            name: None,
            env: BTreeMap::new(),
            environment_files: Vec::new(),
            profiles: Vec::new(),
            services: Vec::new(),
            all_resources: false,
            interpolate: true,
            consistency: true,
            resolve_env: true,
            resolve_paths: true,
            normalize: true,
            display_root: None,
        }
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// The result of a load.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What works but deserves a word.
    pub warnings: Vec<Problem>,
    /// Where each key of the canonical tree was written: `services.web.image` → place.
    pub locations: BTreeMap<String, Location>,
}

impl Loaded {
    /// The line that caused a key: `services.web.ports[0].published`. A key that was written nowhere is told by the
    /// nearest one around it; none if not even its service or resource is there.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<&Location> {
        let mut path = path;
        loop {
            if let Some(place) = self.locations.get(path) {
                return Some(place);
            }
            path = path.get(..path.rfind(['.', '['])?)?;
            // The whole section is no answer.
            path.find('.')?;
        }
    }
}

/// Loads a project.
///
/// # Errors
/// All problems of the project at once.
pub fn load(request: &LoadRequest, files: &dyn Files) -> Result<Loaded, Vec<Problem>> {
    let mut report = Report::below(request.display_root.as_deref());
    let result = finish::load(request, files, &mut report);
    let ((project, locations), warnings) = outcome(result, report)?;
    Ok(Loaded {
        project,
        warnings,
        locations,
    })
}

/// Loads files as [`load`] does, but leaves variables as they are: the result has no types, and all services are in it.
///
/// # Errors
/// All problems of the files at once.
pub fn draft(request: &LoadRequest, files: &dyn Files) -> Result<(Draft, Vec<Problem>), Vec<Problem>> {
    let mut report = Report::below(request.display_root.as_deref());
    let result = finish::draft(request, files, &mut report);
    let ((_, tree), warnings) = outcome(result, report)?;
    Ok((Draft::new(&tree), warnings))
}

/// Problems come in the order of files and lines.
fn outcome<T>(result: Option<T>, report: Report) -> Result<(T, Vec<Problem>), Vec<Problem>> {
    let order = |problem: &Problem| {
        let mut files = report.files.iter();
        let file = files.position(|name| report.shown(name) == problem.file);
        (file, problem.line, problem.column)
    };
    let mut problems = report.problems.clone();
    match result {
        Some(result) if problems.is_empty() => Ok((result, report.warnings)),
        _ => {
            if problems.is_empty() {
                problems.push(Problem::general("the project could not be loaded"));
            }
            problems.sort_by_key(order);
            Err(problems)
        }
    }
}
