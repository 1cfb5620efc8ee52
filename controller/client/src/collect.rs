//! Turns Compose files on disk into a spec: the files themselves and the files they refer to.
//!
//! The controller and the host see only what is in the spec, so `env_file`, `label_file`, `extends.file`, `include`,
//! and the `file` of configs and secrets are read here and travel along, by their path relative to the project
//! directory (the folder of the first file). A path with a variable in it cannot be known here and is skipped with a
//! warning; what is missing is then found by the controller's check.

use std::path::{Component, Path, PathBuf};

use saphyr_parser::{Event, Parser};
use windflow_kit::Chain;
use windflow_model::{DeployPolicy, SpecFile, StackSpec};

use crate::error::{Error, Result};

/// Largest file taken into a spec, in bytes: the store's bound on a value is 1 MiB.
const MAX_FILE: u64 = 512 * 1024;
/// Most files of a spec.
const MAX_FILES: usize = 200;
/// Names tried in the current directory, in Compose's order.
const DEFAULT_FILES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
/// Overrides that go with a default file.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What the command line says about a spec.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// `-f`; empty means the default files of the current directory.
    pub files: Vec<PathBuf>,
    /// `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
}

/// A spec and what was left out of it.
#[derive(Debug)]
pub struct Collected {
    /// The spec.
    pub spec: StackSpec,
    /// Lines for the user.
    pub warnings: Vec<String>,
}

/// Reads everything.
///
/// # Errors
/// If a named file is missing, too large, no text, or outside of the project directory.
pub fn collect(source: &Source) -> Result<Collected> {
    let files = if source.files.is_empty() {
        discover()?
    } else {
        source.files.clone()
    };
    let first = files.first().cloned().unwrap_or_default();
    let root = match first.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut out = Collector {
        root,
        files: Vec::new(),
        warnings: Vec::new(),
    };
    let mut compose_files = Vec::new();
    for file in &files {
        compose_files.push(out.add(file, true)?);
    }
    // Includes and bases refer to further files, so the list grows while it is walked.
    let mut next = 0;
    while let Some(file) = out.files.get(next) {
        let refers = if file.path.ends_with(".yaml") || file.path.ends_with(".yml") {
            references(&file.content)
        } else {
            Vec::new()
        };
        let dir = Path::new(&file.path)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default();
        for path in refers {
            out.refer(&dir, &path)?;
        }
        next += 1;
    }
    let dot_env = out.root.join(".env");
    if source.env_files.is_empty() {
        if dot_env.is_file() {
            out.add(&dot_env, true)?;
        }
    } else {
        out.env(&source.env_files)?;
    }
    Ok(Collected {
        spec: StackSpec {
            compose_files,
            files: out.files,
            profiles: source.profiles.clone(),
            policy: DeployPolicy::default(),
            ..StackSpec::default()
        },
        warnings: out.warnings,
    })
}

fn discover() -> Result<Vec<PathBuf>> {
    let found = DEFAULT_FILES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    let main = found.ok_or_else(|| {
        Error::usage("there is no compose.yaml in this directory").hint("Name the file with -f FILE.")
    })?;
    let mut files = vec![main];
    files.extend(OVERRIDES.iter().map(PathBuf::from).find(|path| path.is_file()));
    Ok(files)
}

struct Collector {
    root: PathBuf,
    files: Vec<SpecFile>,
    warnings: Vec<String>,
}

impl Collector {
    /// Takes a file in and returns its path in the spec.
    fn add(&mut self, path: &Path, required: bool) -> Result<String> {
        let name = self.name(path)?;
        if self.files.iter().any(|file| file.path == name) {
            return Ok(name);
        }
        let content = match read(path) {
            Ok(content) => content,
            Err(_) if !required => return Ok(name),
            Err(error) => return Err(error),
        };
        if self.files.len() >= MAX_FILES {
            return Err(Error::usage(format!(
                "a stack may have {MAX_FILES} files, this one has more"
            )));
        }
        self.files.push(SpecFile {
            path: name.clone(),
            content,
        });
        Ok(name)
    }

    /// Takes a file in that another one refers to; one that does not exist is left to the controller's check, which
    /// knows whether it is needed and on which line.
    fn refer(&mut self, dir: &Path, path: &str) -> Result<()> {
        if path.contains('$') {
            self.warnings
                .push(format!("`{path}` holds a variable and is not taken along"));
            return Ok(());
        }
        if path.starts_with('/') || path.starts_with('~') {
            self.warnings.push(format!(
                "`{path}` is absolute: it is read on the host, not taken along"
            ));
            return Ok(());
        }
        // Compose resolves most paths against the project directory, those of included files against their own.
        let candidates = [self.root.join(path), self.root.join(dir).join(path)];
        let Some(found) = candidates.iter().find(|path| path.is_file()) else {
            return Ok(());
        };
        self.add(found, true).map(drop)
    }

    /// Several env files become one `.env`: a later one wins, as with docker compose.
    fn env(&mut self, paths: &[PathBuf]) -> Result<()> {
        let mut content = String::new();
        for path in paths {
            content.push_str(&read(path)?);
            if !content.ends_with('\n') {
                content.push('\n');
            }
        }
        self.files.retain(|file| file.path != ".env");
        self.files.push(SpecFile {
            path: ".env".to_owned(),
            content,
        });
        Ok(())
    }

    /// The path relative to the project directory with forward slashes.
    fn name(&self, path: &Path) -> Result<String> {
        let full = absolute(path)?;
        let root = absolute(&self.root)?;
        let relative = full.strip_prefix(&root).map_err(|_| {
            Error::usage(format!(
                "{} lies outside of the project directory {}",
                path.display(),
                root.display()
            ))
            .hint("Move it below the directory of the first Compose file.")
        })?;
        Ok(relative.to_string_lossy().replace('\\', "/"))
    }
}

/// Absolute, without `.` and `..`, links left as they are.
fn absolute(path: &Path) -> Result<PathBuf> {
    let full = std::path::absolute(path)
        .map_err(|error| Error::usage(format!("{} is no usable path: {error}", path.display())))?;
    let mut out = PathBuf::new();
    for part in full.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    Ok(out)
}

fn read(path: &Path) -> Result<String> {
    let usage = |error: std::io::Error| Error::usage(Chain(&error).to_string());
    let size = fs_err::metadata(path).map_err(usage)?.len();
    if size > MAX_FILE {
        return Err(Error::usage(format!(
            "{} has {size} bytes; a file of a stack may have {MAX_FILE}",
            path.display()
        )));
    }
    let bytes = fs_err::read(path).map_err(usage)?;
    String::from_utf8(bytes).map_err(|_| {
        Error::usage(format!(
            "{} is no UTF-8 text and cannot travel in a stack",
            path.display()
        ))
    })
}

/// The paths that a Compose file names. A file that does not parse names none: its errors are the check's business.
fn references(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut path: Vec<Frame> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, _)) = event else { return found };
        match event {
            Event::MappingStart(..) => path.push(Frame::map()),
            Event::SequenceStart(..) => path.push(Frame {
                map: false,
                key: None,
            }),
            Event::MappingEnd | Event::SequenceEnd => {
                path.pop();
                value_done(&mut path);
            }
            Event::Scalar(value, ..) => match path.last_mut() {
                Some(frame) if frame.map && frame.key.is_none() => frame.key = Some(value.into_owned()),
                _ => {
                    if refers(&keys(&path)) {
                        found.push(value.into_owned());
                    }
                    value_done(&mut path);
                }
            },
            Event::Alias(_) => value_done(&mut path),
            _ => {}
        }
    }
    found
}

struct Frame {
    map: bool,
    key: Option<String>,
}

impl Frame {
    const fn map() -> Self {
        Self { map: true, key: None }
    }
}

fn value_done(path: &mut [Frame]) {
    if let Some(frame) = path.last_mut() {
        frame.key = None;
    }
}

fn keys(path: &[Frame]) -> Vec<&str> {
    path.iter().filter_map(|frame| frame.key.as_deref()).collect()
}

/// Whether the value at this path is a file of the project.
fn refers(keys: &[&str]) -> bool {
    matches!(
        keys,
        ["services", _, "env_file" | "label_file"]
            | ["services", _, "env_file", "path"]
            | ["services", _, "extends", "file"]
            | ["configs" | "secrets", _, "file"]
            | ["include"]
            | ["include", "path" | "env_file"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_kind_of_reference() {
        let text = "
include: [a.yaml, {path: [b.yaml, c.yaml], env_file: d.env}]
services:
  web:
    image: x
    env_file:
      - e.env
      - path: f.env
        required: false
    label_file: g.labels
    extends: {file: h.yaml, service: base}
    environment: {file: no}
  db: {env_file: i.env, volumes: ['./no:/x']}
configs: {c: {file: ./j.conf}}
secrets: {s: {file: k.txt}}
";
        let expected = [
            "a.yaml", "b.yaml", "c.yaml", "d.env", "e.env", "f.env", "g.labels", "h.yaml", "i.env",
            "./j.conf", "k.txt",
        ];
        assert_eq!(references(text), expected);
        assert!(references("a: [").is_empty());
    }

    #[test]
    fn files_travel_by_their_place_in_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write(
            "compose.yaml",
            "services: {a: {image: x, env_file: [conf/a.env, ${X}.env, gone.env]}}\n",
        );
        write("conf/a.env", "A=1\n");
        write(".env", "TAG=1\n");
        write("prod.env", "TAG=2");
        let mut source = Source {
            files: vec![dir.path().join("compose.yaml")],
            ..Source::default()
        };
        let names = |collected: &Collected| -> Vec<String> {
            collected
                .spec
                .files
                .iter()
                .map(|file| file.path.clone())
                .collect()
        };
        let collected = collect(&source).unwrap();
        assert_eq!(names(&collected), ["compose.yaml", "conf/a.env", ".env"]);
        assert_eq!(collected.spec.compose_files, ["compose.yaml"]);
        assert_eq!(collected.warnings.len(), 1);
        source.env_files = vec![dir.path().join("prod.env")];
        let collected = collect(&source).unwrap();
        assert_eq!(collected.spec.file(".env").unwrap().content, "TAG=2\n");
        source.files.push(dir.path().join("missing.yaml"));
        assert!(collect(&source).unwrap_err().message.contains("missing.yaml"));
    }
}
