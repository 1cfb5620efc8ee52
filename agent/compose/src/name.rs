//! The project name.

use crate::interpolate::interpolate;
use crate::load::LoadRequest;
use crate::problem::{Problem, Report};
use crate::yaml::{self, Mark, Node};

/// Makes a name of any text: lower case, only `a-z 0-9 _ -`, beginning with a letter or digit. May be empty.
#[must_use]
pub fn normalise(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

/// The name asked for, else that of the files (the last wins), else that of the directory.
pub(crate) fn choose(
    request: &LoadRequest,
    texts: &[(String, String)],
    report: &mut Report,
) -> Option<String> {
    if let Some(name) = request.name.as_ref().filter(|name| !name.is_empty()) {
        if normalise(name) != *name {
            let message = format!("the project name {name:?} is not allowed");
            let mut problem = Problem::general(message);
            problem.hint = Some(
                "use lower-case letters, digits, `_` and `-`, beginning with a letter or digit".to_owned(),
            );
            report.push(problem);
            return None;
        }
        return Some(name.clone());
    }
    let mut found = None;
    for (path, text) in texts {
        // Problems of these files are found again, and reported, when they are loaded.
        let mut quiet = Report::default();
        for document in yaml::parse(path, text, &mut quiet) {
            if let Some(node) = document.get("name") {
                let mark = Mark {
                    file: report.file(path),
                    ..node.at
                };
                found = Some(written(node, mark, request, report)?);
            }
        }
    }
    if let Some(name) = &found
        && name.is_empty()
    {
        let mut problem = Problem::general("`name` is empty, or has no character that a name may have");
        problem.hint = Some("write a name, or take the key away".to_owned());
        report.push(problem);
        return None;
    }
    let directory = request
        .project_directory
        .rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or("");
    let name = found.unwrap_or_else(|| normalise(directory));
    if name.is_empty() {
        report.push(Problem::general(
            "the project has no name: give one with -p, or write `name:` into the file",
        ));
        return None;
    }
    Some(name)
}

fn written(node: &Node, mark: Mark, request: &LoadRequest, report: &mut Report) -> Option<String> {
    let Some(text) = node.as_str() else {
        report.hinted(
            mark,
            "name",
            format!("must be a string, not {}", node.kind()),
            "put the value in quotes",
        );
        return None;
    };
    let lookup = |name: &str| request.env.get(name).cloned();
    match interpolate(text, &lookup, &mut |_| {}) {
        Ok(text) => Some(normalise(&text)),
        Err(error) => {
            report.error(mark, "name", error.to_string());
            None
        }
    }
}
