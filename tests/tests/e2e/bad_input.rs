//! What goes wrong by a wrong input: one clear error with its remedy, on the right side, and nothing half-done.

#[path = "bad_input/compose.rs"]
mod compose;
#[path = "bad_input/docker.rs"]
mod docker;
#[path = "bad_input/hosts.rs"]
mod hosts;
#[path = "bad_input/start.rs"]
mod start;

use windflow_tests::program::Finished;

/// What a person gets to see, and what must hold afterwards.
struct Case {
    what: &'static str,
    /// Exit code, or the code of the failure.
    code: String,
    /// What is said, and the remedy.
    said: String,
    /// What was left half-done; empty as it should be.
    left: Vec<String>,
}

impl Case {
    fn exit(what: &'static str, finished: &Finished, left: Vec<String>) -> Self {
        Self {
            what,
            code: finished.code.to_string(),
            said: finished.stderr.trim().to_owned(),
            left,
        }
    }

    fn failure(what: &'static str, failure: &windflow_model::Failure, left: Vec<String>) -> Self {
        Self {
            what,
            code: failure.code.clone(),
            said: format!("{}\n{}", failure.message, failure.hint),
            left,
        }
    }
}

/// `expected` is the whole text; `…` stands for what differs between runs.
fn check(case: &Case, code: &str, expected: &str) {
    println!("{} ({}): {}", case.what, case.code, case.said);
    assert_eq!(case.code, code, "{}: {}", case.what, case.said);
    assert!(
        fits(&case.said, expected),
        "{}:\n{}\nis not\n{expected}",
        case.what,
        case.said
    );
    assert!(
        case.left.is_empty(),
        "{}: left half-done: {:?}",
        case.what,
        case.left
    );
}

fn fits(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(behind) = rest.strip_prefix(first) else {
        return false;
    };
    rest = behind;
    let mut exact = true;
    for part in parts {
        exact = part.is_empty();
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    exact || rest.is_empty()
}

/// The names in a folder, sorted.
fn files(dir: &std::path::Path) -> Vec<String> {
    let entries = fs_err::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}
