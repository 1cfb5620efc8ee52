//! The `.cases` files and what stands in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use windflow_compose::config::{ConfigRequest, Format, config};
use windflow_compose::discover::{self, Invocation};
use windflow_compose::{MemoryFiles, Problem};

/// A project, as a `.cases` file gives it.
#[derive(Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    args: Option<String>,
    env: BTreeMap<String, String>,
    /// Why the result is not the reference's, where that is meant.
    pub(crate) differs: Option<String>,
    files: BTreeMap<String, String>,
}

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The subjects: names of the `.cases` files.
pub(crate) fn subjects() -> Vec<String> {
    let mut names: Vec<String> = fs_err::read_dir(directory())
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem()?.to_str()?.to_owned();
            (path.extension()? == "cases").then_some(name)
        })
        .collect();
    names.sort();
    names
}

pub(crate) fn read(subject: &str, extension: &str) -> String {
    fs_err::read_to_string(directory().join(format!("{subject}.{extension}"))).unwrap_or_default()
}

/// The parts of each `=== name` block: lines before the first `--- part` have the name "".
pub(crate) fn blocks(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut out: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut part = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("=== ") {
            let name = title.split(':').next().unwrap_or(title);
            out.push((name.trim().to_owned(), BTreeMap::new()));
            part = String::new();
        } else if let Some((_, parts)) = out.last_mut() {
            if let Some(name) = line.strip_prefix("--- ") {
                part = name.trim().to_owned();
                parts.insert(part.clone(), String::new());
            } else {
                let text = parts.entry(part.clone()).or_default();
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    for (_, parts) in &mut out {
        for text in parts.values_mut() {
            let kept = text.trim_end_matches('\n');
            *text = if kept.trim().is_empty() {
                String::new()
            } else {
                format!("{kept}\n")
            };
        }
    }
    out
}

pub(crate) fn cases(subject: &str) -> Vec<Case> {
    let mut out = Vec::new();
    for (name, mut files) in blocks(&read(subject, "cases")) {
        let mut case = Case {
            name,
            ..Case::default()
        };
        for line in files.remove("").unwrap_or_default().lines() {
            match line.split_once(':').map(|(key, rest)| (key, rest.trim())) {
                Some(("args", rest)) => case.args = Some(rest.to_owned()),
                Some(("env", rest)) => {
                    let (key, value) = rest.split_once('=').unwrap();
                    case.env.insert(key.to_owned(), value.to_owned());
                }
                Some(("differs", rest)) => case.differs = Some(rest.to_owned()),
                _ => assert!(line.trim().is_empty(), "{subject}/{}: {line}", case.name),
            }
        }
        for (short, path, head) in [
            ("service", "compose.yaml", "services:\n  s:\n    image: i\n"),
            ("override", "override.yaml", "services:\n  s:\n"),
        ] {
            if let Some(lines) = files.remove(short) {
                let lines = lines.lines().map(|line| match line {
                    "" => "\n".to_owned(),
                    line => format!("    {line}\n"),
                });
                files.insert(path.to_owned(), head.to_owned() + &lines.collect::<String>());
            }
        }
        case.files = files
            .into_iter()
            .map(|(path, text)| (path, text.replace("<CR>", "\r").replace("<BOM>", "\u{feff}")))
            .collect();
        out.push(case);
    }
    out
}

impl Case {
    pub(crate) fn memory(&self) -> MemoryFiles {
        let files = self.files.iter();
        MemoryFiles(files.map(|(path, text)| (absolute(path), text.clone())).collect())
    }

    pub(crate) fn request(&self) -> Result<ConfigRequest, Vec<Problem>> {
        let given: Vec<String> = ["compose.yaml", "override.yaml"]
            .into_iter()
            .filter(|path| self.files.contains_key(*path))
            .map(|path| format!(" -f {path}"))
            .collect();
        let args = self
            .args
            .clone()
            .unwrap_or_else(|| format!("-p golden{}", given.concat()));
        let mut env = self.env.clone();
        env.insert("HOME".to_owned(), "/home/someone".to_owned());
        env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        let mut invocation = Invocation {
            working_dir: "/project".to_owned(),
            stdin: self.files.get("stdin").cloned(),
            env,
            ..Invocation::default()
        };
        let (mut services, mut switches) = (Vec::new(), Vec::new());
        let mut words = args.split_whitespace().map(str::to_owned);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap();
            match word.as_str() {
                "-f" => invocation.files.push(value()),
                "-p" => invocation.name = Some(value()),
                "--env-file" => invocation.env_files.push(value()),
                "--profile" => invocation.profiles.push(value()),
                "--project-directory" => invocation.project_directory = Some(value()),
                "config" => {}
                switch if switch.starts_with("--") => switches.push(word),
                _ => services.push(word),
            }
        }
        let (mut load, _) = discover::plan(&invocation, &self.memory())?;
        let on = |name: &str| switches.iter().any(|switch| switch == name);
        load.services = services;
        load.normalize = !on("--no-normalize");
        load.resolve_paths = !on("--no-path-resolution");
        load.consistency = !on("--no-consistency");
        Ok(ConfigRequest {
            load,
            no_interpolate: on("--no-interpolate"),
            ..ConfigRequest::default()
        })
    }

    /// The document in a form.
    pub(crate) fn config(&self, format: Format) -> Result<String, Vec<Problem>> {
        let format = Some(format);
        let request = ConfigRequest {
            format,
            ..self.request()?
        };
        config(request, &self.memory()).map(|answer| answer.text)
    }
}

pub(crate) fn absolute(path: &str) -> String {
    path.strip_prefix("../")
        .map_or_else(|| format!("/project/{path}"), |path| format!("/{path}"))
}
