//! From a command line and an environment to a [`LoadRequest`]: which files, which directory, which variables.

use crate::dotenv;
use crate::files::Files;
use crate::load::paths::{absolute, parent};
use crate::load::{LoadRequest, Source};
use crate::problem::Problem;
use std::collections::BTreeMap;

/// What was asked for. Everything is as the user wrote it; relative paths count from `working_dir`.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// `-f`; `-` is standard input, whose text is in `stdin`.
    pub files: Vec<String>,
    /// Text of standard input, if `-` is among the files.
    pub stdin: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<String>,
    /// `-p`.
    pub name: Option<String>,
    /// `--env-file`.
    pub env_files: Vec<String>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// Absolute working directory.
    pub working_dir: String,
    /// Environment of the process.
    pub env: BTreeMap<String, String>,
}

/// Names of the main file that are tried in a directory; the first that exists wins.
pub const BASES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
/// Names of the file that is merged on top of a main file found by [`BASES`]; the first that exists wins.
pub const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Finds the files, the project directory, the environment, the profiles and the name.
///
/// # Errors
/// A file that does not exist or cannot be read.
pub fn plan(invocation: &Invocation, files: &dyn Files) -> Result<(LoadRequest, Vec<Problem>), Vec<Problem>> {
    let mut planner = Planner {
        invocation,
        files,
        env: invocation.env.clone(),
        warnings: Vec::new(),
    };
    planner
        .plan()
        .map(|request| (request, planner.warnings))
        .map_err(|problem| vec![problem])
}

struct Planner<'a> {
    invocation: &'a Invocation,
    files: &'a dyn Files,
    env: BTreeMap<String, String>,
    warnings: Vec<Problem>,
}

impl Planner<'_> {
    fn plan(&mut self) -> Result<LoadRequest, Problem> {
        let working_dir = &self.invocation.working_dir;
        let explicit: Vec<String> = if !self.invocation.env_files.is_empty() {
            self.invocation.env_files.clone()
        } else {
            let list = self.env.get("COMPOSE_ENV_FILES").cloned().unwrap_or_default();
            list.split(',')
                .filter(|file| !file.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let explicit: Vec<String> = explicit
            .iter()
            .map(|file| absolute(working_dir, file, &self.env))
            .collect();
        let implicit = explicit.is_empty() && !self.flag("COMPOSE_DISABLE_ENV_FILE");
        for file in &explicit {
            let text = self.files.read(file).map_err(|cause| unreadable(file, &cause))?;
            let text = text.ok_or_else(|| Problem::general(format!("the file {file} does not exist")))?;
            self.take(file, &text, true)?;
        }
        if implicit {
            // Without `-f` this file may say which Compose files there are.
            let directory = match (&self.invocation.project_directory, self.invocation.files.first()) {
                (Some(directory), _) => absolute(working_dir, directory, &self.env),
                (None, Some(file)) if file != "-" => parent(&absolute(working_dir, file, &self.env)),
                _ => working_dir.clone(),
            };
            self.dotenv(&directory)?;
        }
        let sources = self.sources()?;
        let directory = match (&self.invocation.project_directory, sources.first()) {
            (Some(directory), _) => absolute(working_dir, directory, &self.env),
            (None, Some(source)) if source.text.is_none() => parent(&source.path),
            _ => working_dir.clone(),
        };
        if implicit {
            self.dotenv(&directory)?;
        }
        let mut profiles = self.invocation.profiles.clone();
        if profiles.is_empty() {
            let list = self.env.get("COMPOSE_PROFILES").cloned().unwrap_or_default();
            profiles = list
                .split(',')
                .map(str::trim)
                .filter(|p| !p.is_empty())
                .map(str::to_owned)
                .collect();
        }
        let name = self.invocation.name.clone().filter(|name| !name.is_empty());
        Ok(LoadRequest {
            files: sources,
            project_directory: directory,
            name: name.or_else(|| self.env.get("COMPOSE_PROJECT_NAME").cloned()),
            env: self.env.clone(),
            environment_files: explicit,
            profiles,
            ..LoadRequest::default()
        })
    }

    fn flag(&self, name: &str) -> bool {
        self.env
            .get(name)
            .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "t"))
    }

    fn dotenv(&mut self, directory: &str) -> Result<(), Problem> {
        let file = absolute(directory, ".env", &self.env);
        match self.files.read(&file) {
            Ok(Some(text)) => self.take(&file, &text, false),
            Ok(None) => Ok(()),
            Err(cause) => Err(unreadable(&file, &cause)),
        }
    }

    /// Takes the variables of a file. The process's always stay; a later explicit file wins over an earlier one.
    fn take(&mut self, file: &str, text: &str, replace: bool) -> Result<(), Problem> {
        let process = &self.invocation.env;
        let env = &self.env;
        let values = dotenv::parse(text, &|name| env.get(name).cloned(), &mut |_| {});
        let values = values.map_err(|error| Problem {
            file: file.to_owned(),
            line: error.line,
            column: 1,
            ..Problem::general(error.message)
        })?;
        for (name, value) in values {
            if !process.contains_key(&name) && (replace || !self.env.contains_key(&name)) {
                self.env.insert(name, value);
            }
        }
        Ok(())
    }

    fn sources(&mut self) -> Result<Vec<Source>, Problem> {
        let working_dir = &self.invocation.working_dir;
        let mut named = self.invocation.files.clone();
        if named.is_empty()
            && let Some(list) = self.env.get("COMPOSE_FILE")
        {
            let separator = self.env.get("COMPOSE_PATH_SEPARATOR").map_or(":", String::as_str);
            let separator = if separator.is_empty() { ":" } else { separator };
            named = list
                .split(separator)
                .filter(|file| !file.is_empty())
                .map(str::to_owned)
                .collect();
        }
        if named.is_empty() {
            return self.search();
        }
        Ok(named
            .iter()
            .map(|file| match (file.as_str(), &self.invocation.stdin) {
                ("-", Some(text)) => Source {
                    path: absolute(working_dir, "-", &self.env),
                    text: Some(text.clone()),
                },
                _ => Source {
                    path: absolute(working_dir, file, &self.env),
                    text: None,
                },
            })
            .collect())
    }

    /// The usual names in the directory and in those above it.
    fn search(&mut self) -> Result<Vec<Source>, Problem> {
        let base = self.invocation.project_directory.as_ref();
        let working_dir = &self.invocation.working_dir;
        let start = base.map_or_else(
            || working_dir.clone(),
            |dir| absolute(working_dir, dir, &self.env),
        );
        let mut directory = start.clone();
        loop {
            if let Some(here) = here(&directory, self.files)? {
                self.warnings.extend(here.warnings);
                let paths = here.files.into_iter();
                return Ok(paths.map(|path| Source { path, text: None }).collect());
            }
            let above = parent(&directory);
            if above == directory {
                let names = BASES.join(", ");
                return Err(Problem {
                    hint: Some(format!("name a file with -f, or write one of {names}")),
                    ..Problem::general(format!("no Compose file in {start} or any directory above"))
                });
            }
            directory = above;
        }
    }
}

/// What is taken in one directory if no file is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// The main file, then the one that is merged on top of it, if there is one.
    pub files: Vec<String>,
    /// Others that would have fitted.
    pub warnings: Vec<Problem>,
}

/// The usual names in one directory; `None` if there is no main file.
///
/// # Errors
/// A file that cannot be read.
pub fn here(directory: &str, files: &dyn Files) -> Result<Option<Here>, Problem> {
    let present = |names: &[&str]| {
        let mut found = Vec::new();
        for name in names {
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            let text = files.read(&path);
            if text.map_err(|cause| unreadable(&path, &cause))?.is_some() {
                found.push(path);
            }
        }
        Ok(found)
    };
    let mut here = Here::default();
    for names in [&BASES, &OVERRIDES] {
        let found = present(names)?;
        if let [first, _, ..] = &found[..] {
            let names = found.join(", ");
            here.warnings.push(Problem::general(format!(
                "several files fit: {names}; {first} is used"
            )));
        }
        match found.into_iter().next() {
            Some(first) => here.files.push(first),
            None if here.files.is_empty() => return Ok(None),
            None => {}
        }
    }
    Ok(Some(here))
}

fn unreadable(file: &str, cause: &str) -> Problem {
    Problem::general(format!("the file {file} cannot be read: {cause}"))
}
