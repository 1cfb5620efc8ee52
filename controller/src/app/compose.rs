//! The check of a stack's files: the same code that the agent loads them with, over files in memory.

use std::collections::BTreeSet;

use windflow_api::{Problem, Severity, Validation};
use windflow_compose::{self as compose, Files, discover};
use windflow_kit::blocking;
use windflow_model::{StackName, StackSpec};

use super::{AppError, AppResult};

/// Most bytes of a spec as JSON: it must fit into one record (1 MiB) together with the rest of the stack.
pub(crate) const MAX_SPEC_BYTES: usize = 900 << 10;
/// Most files of a spec.
const MAX_FILES: usize = 256;
/// Where the files seem to lie. Taken out of every message again.
const ROOT: &str = "/windflow-stack";

/// Checks a spec. Never fails for what is wrong with it.
pub(crate) async fn validate(name: Option<StackName>, spec: StackSpec) -> AppResult<Validation> {
    let work = blocking::run(move || check(name.as_ref(), &spec)).await;
    work.map_err(AppError::internal("stack_validate"))
}

/// Refuses a spec that cannot be deployed.
pub(crate) async fn require(name: &StackName, spec: &StackSpec) -> AppResult<()> {
    let found = validate(Some(name.clone()), spec.clone()).await?;
    if found.ok {
        return Ok(());
    }
    let errors: Vec<Problem> = found
        .problems
        .into_iter()
        .filter(|p| p.severity == Severity::Error)
        .collect();
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    let more = match errors.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Err(AppError::compose(format!("{first}{more}"), errors))
}

fn check(name: Option<&StackName>, spec: &StackSpec) -> Validation {
    let mut problems = shape(spec);
    let mut services = Vec::new();
    if problems.is_empty() {
        match load(name, spec) {
            Ok(loaded) => {
                let warnings = loaded.warnings.into_iter();
                problems.extend(warnings.map(|problem| tell(problem, Severity::Warning)));
                services.extend(loaded.project.services.into_keys());
                if services.is_empty() {
                    problems.push(error(
                        "",
                        "no service would run: add one under `services`, or activate a profile",
                    ));
                }
            }
            Err(found) => problems.extend(found.into_iter().map(|problem| tell(problem, Severity::Error))),
        }
    }
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Validation {
        ok: !problems.iter().any(|problem| problem.severity == Severity::Error),
        problems,
        services,
    }
}

fn load(name: Option<&StackName>, spec: &StackSpec) -> Result<compose::Loaded, Vec<compose::Problem>> {
    let files = SpecFiles(spec);
    let invocation = discover::Invocation {
        files: spec.compose_files.clone(),
        project_directory: Some(ROOT.to_owned()),
        name: Some(name.map_or("stack", StackName::as_str).to_owned()),
        profiles: spec.profiles.clone(),
        working_dir: ROOT.to_owned(),
        env: spec.env.clone(),
        ..discover::Invocation::default()
    };
    let (request, _) = discover::plan(&invocation, &files)?;
    compose::load(&request, &files)
}

/// What makes files and settings acceptable before anybody parses them.
fn shape(spec: &StackSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let bytes = serde_json::to_vec(spec).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_SPEC_BYTES {
        let kib = MAX_SPEC_BYTES >> 10;
        problems.push(error(
            "",
            format!(
                "the stack's files are too large: {} KiB, the limit is {kib} KiB",
                bytes >> 10
            ),
        ));
    }
    if spec.files.is_empty() {
        problems.push(error("", "there is no file: add a compose.yaml"));
    }
    if spec.files.len() > MAX_FILES {
        problems.push(error(
            "",
            format!("there are {} files, the limit is {MAX_FILES}", spec.files.len()),
        ));
    }
    let mut seen = BTreeSet::new();
    for file in &spec.files {
        if !safe(&file.path) {
            let message =
                "the path must be relative, with forward slashes, and stay in the project directory";
            problems.push(error(&file.path, message));
        }
        if !seen.insert(&file.path) {
            problems.push(error(&file.path, "this file is there twice"));
        }
    }
    for path in &spec.compose_files {
        if !seen.contains(path) {
            problems.push(error(path, "this Compose file is named, but not among the files"));
        }
    }
    for name in spec.env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            problems.push(error("", format!("{name:?} cannot name a variable")));
        }
    }
    if !(1..=86_400).contains(&spec.policy.health_timeout_s) {
        problems.push(error("", "policy.health_timeout_s: use 1 to 86400 seconds"));
    }
    if spec.policy.rollback.watch_s > 3_600 {
        problems.push(error("", "policy.rollback.watch_s: use 0 to 3600 seconds"));
    }
    if spec.policy.rollback.restarts > 100 {
        problems.push(error("", "policy.rollback.restarts: use 0 to 100"));
    }
    problems
}

fn safe(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 512
        && !path.contains(['\\', '\0', '\n', '\r'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn error(file: &str, message: impl Into<String>) -> Problem {
    Problem {
        file: file.to_owned(),
        line: 0,
        column: 0,
        severity: Severity::Error,
        message: message.into(),
        hint: None,
    }
}

fn tell(problem: compose::Problem, severity: Severity) -> Problem {
    let plain = |text: &str| text.replace(&format!("{ROOT}/"), "").replace(ROOT, "the stack");
    let place = plain(&problem.path);
    let message = plain(&problem.message);
    Problem {
        file: plain(&problem.file),
        line: problem.line,
        column: problem.column,
        severity,
        message: if place.is_empty() {
            message
        } else {
            format!("{place}: {message}")
        },
        hint: problem.hint.as_deref().map(plain),
    }
}

/// The spec's files. What lies elsewhere on the host is not known here; the host looks when it deploys.
struct SpecFiles<'a>(&'a StackSpec);

impl Files for SpecFiles<'_> {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        match path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/')) {
            Some(inside) => Ok(self.0.file(inside).map(|file| file.content.clone())),
            // Discovery walks up to `/`; only files that are named explicitly lie elsewhere.
            None if path.matches('/').count() <= 1 => Ok(None),
            None => Ok(Some(String::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use windflow_model::SpecFile;

    use super::*;

    fn spec(files: &[(&str, &str)]) -> StackSpec {
        StackSpec {
            files: files
                .iter()
                .map(|(path, content)| SpecFile {
                    path: (*path).to_owned(),
                    content: (*content).to_owned(),
                })
                .collect(),
            ..StackSpec::default()
        }
    }

    #[test]
    fn bad_specs_are_told_with_their_place() {
        let check = |spec: &StackSpec, says: &str| {
            let found = check(Some(&"web".parse().unwrap()), spec);
            assert!(!found.ok, "{spec:?}");
            let text = found
                .problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n");
            assert!(text.contains(says), "wanted {says:?} in:\n{text}");
            assert!(!text.contains("windflow-stack"), "{text}");
        };
        let one = |text: &str| spec(&[("compose.yaml", text)]);
        check(&spec(&[]), "there is no file");
        check(&spec(&[("notes.txt", "x")]), "no Compose file");
        check(&one("services: {web: {image: a, imagee: b}}"), "imagee");
        check(&one("services:\n  web:\n    image: [\n"), "compose.yaml:");
        check(&one("services: {}"), "no service would run");
        check(
            &spec(&[("../compose.yaml", "services: {}")]),
            "stay in the project directory",
        );
        check(
            &spec(&[("/etc/compose.yaml", "services: {}")]),
            "stay in the project directory",
        );
        check(&spec(&[("a.yaml", "x"), ("a.yaml", "y")]), "twice");
        let mut named = one("services: {web: {image: a}}");
        named.compose_files = vec!["prod.yaml".into()];
        check(&named, "not among the files");
        let mut long = one("services: {web: {image: a}}");
        long.policy.health_timeout_s = 0;
        check(&long, "1 to 86400");
        let mut watched = one("services: {web: {image: a}}");
        watched.policy.rollback.watch_s = 3_601;
        check(&watched, "0 to 3600");
        watched.policy.rollback.restarts = 101;
        check(&watched, "0 to 100");
        check(&one(&"x".repeat(1 << 20)), "too large");
    }

    #[test]
    fn a_good_spec_names_its_services() {
        let found = check(
            Some(&"web".parse().unwrap()),
            &spec(&[
                (
                    "compose.yaml",
                    "services:\n  web:\n    image: ${IMAGE}\n    env_file: app.env\n  db: {image: db}\n",
                ),
                (".env", "IMAGE=nginx\n"),
                ("app.env", "A=1\n"),
            ]),
        );
        assert!(found.ok, "{found:?}");
        assert_eq!(found.services, ["db", "web"]);
    }
}
