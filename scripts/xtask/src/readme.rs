//! What the documents name must exist: scripts that run, and files that links point to.

use crate::tool;
use anyhow::Result;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/README.md",
    "docs/install.md",
    "docs/configuration.md",
    "docs/cli.md",
];

/// Every command or link of a document that leads nowhere.
pub(crate) fn check() -> Result<Vec<String>> {
    let root = tool::root();
    let mut problems = Vec::new();
    for document in DOCUMENTS {
        let path = root.join(document);
        if !path.is_file() {
            problems.push(format!("{document}: missing"));
            continue;
        }
        let text = fs_err::read_to_string(&path)?;
        for (line, command) in commands(&text) {
            if !executable(&root.join(&command)) {
                problems.push(format!(
                    "{document}:{line}: `{command}` is not an executable file"
                ));
            }
        }
        for (line, target) in links(&text) {
            // Links are relative to the document.
            if !path.with_file_name(&target).exists() {
                problems.push(format!("{document}:{line}: the link to `{target}` leads nowhere"));
            }
        }
    }
    Ok(problems)
}

/// A program that can be started; a folder passes too (a word for the folder itself).
fn executable(path: &Path) -> bool {
    fs_err::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o111 != 0)
}

/// Words in code that begin with `scripts/` or `.ci/` and stand where a command stands.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let code: Vec<&str> = if fenced {
            vec![line]
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        for word in code.iter().filter_map(|c| c.split_whitespace().next()) {
            let word = word.strip_prefix("./").unwrap_or(word);
            let a_command = (word.starts_with("scripts/") || word.starts_with(".ci/"))
                && !word.ends_with('/')
                && Path::new(word).extension().is_none()
                && !word.contains(['*', '{']);
            if a_command {
                found.push((number + 1, word.to_owned()));
            }
        }
    }
    found
}

/// Relative targets of Markdown links, without their anchors.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for part in line.split("](").skip(1) {
            let target = part.split([')', ' ', '#']).next().unwrap_or("");
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push((number + 1, target.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_code_only() {
        let text = "Run `scripts/run --check`, see `scripts/lib/common.sh` and scripts/none.\n```sh\n./scripts/test unit\nls\n```\n`scripts/xtask/`\n";
        assert_eq!(
            commands(text),
            [(1, "scripts/run".to_owned()), (3, "scripts/test".to_owned())]
        );
    }

    #[test]
    fn links_are_found() {
        let text = "[a](docs/a.md#top) [b](https://example.org) ![c](docs/c.png \"t\")\n[d](#here)";
        assert_eq!(
            links(text),
            [(1, "docs/a.md".to_owned()), (1, "docs/c.png".to_owned())]
        );
    }
}
