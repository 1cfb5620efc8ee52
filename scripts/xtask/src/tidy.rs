//! What a reader would stumble over: long files, unfinished markers, wire types that cannot be read back, crates that
//! forgot the house rules.

use crate::tool;
use anyhow::Result;
use std::path::Path;

/// Lines at which a source file is worth cutting (a warning) and at which it must be cut.
const WARN_LINES: usize = 400;
const MAX_LINES: usize = 600;

/// Words that must not be in the tree, with the reason. Written in two halves so that this file passes its own check.
const WORDS: &[(&str, &str)] = &[
    (
        concat!("TO", "DO"),
        "an unfinished marker: do it, or file an issue",
    ),
    (
        concat!("FIX", "ME"),
        "an unfinished marker: do it, or file an issue",
    ),
    (
        concat!("XX", "X:"),
        "an unfinished marker: do it, or file an issue",
    ),
    (
        concat!("todo", "!("),
        "an unfinished marker: do it, or file an issue",
    ),
    (
        concat!("unimplemented", "!("),
        "an unfinished marker: do it, or file an issue",
    ),
];

/// serde attributes that postcard writes without complaint and cannot read back.
const UNREADABLE: &[&str] = &["flatten", "tag =", "untagged", "skip_serializing_if"];

/// Every problem of the tree; warnings are printed and do not count.
pub(crate) fn check() -> Result<Vec<String>> {
    let root = tool::root();
    let mut problems = Vec::new();
    for file in tool::files()? {
        if generated(&file) {
            continue;
        }
        let path = root.join(&file);
        // The fuzz targets are a workspace of their own.
        if file.ends_with("Cargo.toml") && !file.ends_with("/fuzz/Cargo.toml") {
            problems.extend(manifest(&file, &fs_err::read_to_string(&path)?));
            problems.extend(crate_root(&root, &file)?);
        }
        if !is_source(&file) {
            continue;
        }
        let Ok(text) = fs_err::read_to_string(&path) else {
            continue;
        };
        problems.extend(words(&file, &text));
        match length(&file, &text) {
            Length::Fine => {}
            Length::Warn(lines) => {
                println!("warning: {file}: {lines} lines, cut it by what it is about ({WARN_LINES})")
            }
            Length::Fail(lines) => problems.push(format!("{file}: {lines} lines, the limit is {MAX_LINES}")),
        }
        if file.starts_with("protocol/src/") {
            problems.extend(wire(&file, &text));
        }
    }
    Ok(problems)
}

fn generated(file: &str) -> bool {
    [
        "web-ui/src/api/schema.ts",
        "controller/openapi.json",
        "Cargo.lock",
        "web-ui/package-lock.json",
    ]
    .contains(&file)
        || file.contains("/generated/")
}

fn is_source(file: &str) -> bool {
    let name = Path::new(file);
    let known = [
        "rs", "ts", "vue", "sh", "css", "py", "toml", "md", "js", "mjs", "yaml", "yml",
    ];
    name.extension()
        .is_none_or(|e| known.contains(&e.to_string_lossy().as_ref()))
        && file != "LICENSE"
}

#[derive(Debug, PartialEq)]
enum Length {
    Fine,
    Warn(usize),
    Fail(usize),
}

/// Only code counts; the tests at the end of a Rust file do not.
fn length(file: &str, text: &str) -> Length {
    if ![".rs", ".ts", ".vue"].iter().any(|e| file.ends_with(e)) {
        return Length::Fine;
    }
    match text.lines().count() {
        0..=WARN_LINES => Length::Fine,
        lines @ ..=MAX_LINES => Length::Warn(lines),
        lines => Length::Fail(lines),
    }
}

fn words(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (word, reason) in WORDS.iter().filter(|(word, _)| line.contains(word)) {
            problems.push(format!("{file}:{}: `{word}`: {reason}", number + 1));
        }
    }
    problems
}

fn wire(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| l.contains("serde(") && !l.trim_start().starts_with("//"))
    {
        for word in UNREADABLE.iter().filter(|word| line.contains(**word)) {
            problems.push(format!(
                "{file}:{}: serde `{word}` in a wire type: postcard cannot read it back",
                number + 1
            ));
        }
    }
    problems
}

fn manifest(file: &str, text: &str) -> Option<String> {
    if !text.contains("[package]") {
        return None;
    }
    let inherits = text
        .split("[lints]")
        .nth(1)
        .is_some_and(|rest| rest.trim_start().starts_with("workspace = true"));
    (!inherits)
        .then(|| format!("{file}: no `[lints] workspace = true`: the house rules do not apply to this crate"))
}

fn crate_root(root: &Path, manifest: &str) -> Result<Vec<String>> {
    let folder = Path::new(manifest).parent().unwrap_or_else(|| Path::new(""));
    let mut problems = Vec::new();
    for name in ["src/lib.rs", "src/main.rs"] {
        let file = folder.join(name);
        if root.join(&file).is_file()
            && !fs_err::read_to_string(root.join(&file))?.contains("#![forbid(unsafe_code)]")
        {
            problems.push(format!("{}: no `#![forbid(unsafe_code)]`", file.display()));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let check = |file: &str, lines: usize, expected: Length| {
            assert_eq!(length(file, &"x\n".repeat(lines)), expected)
        };
        check("a.rs", WARN_LINES, Length::Fine);
        check("a.rs", WARN_LINES + 1, Length::Warn(WARN_LINES + 1));
        check("a.vue", MAX_LINES + 1, Length::Fail(MAX_LINES + 1));
        check("a.md", 5000, Length::Fine);
    }

    #[test]
    fn unfinished_markers_are_found_at_their_line() {
        let text = format!("one\n// {}: later\n", concat!("TO", "DO"));
        assert!(words("a.rs", &text)[0].starts_with("a.rs:2: "));
        assert!(words("a.rs", "to do: nothing\n").is_empty());
    }

    #[test]
    fn wire_types_that_cannot_be_read_back() {
        let check = |line: &str, problems: usize| {
            assert_eq!(wire("protocol/src/x.rs", line).len(), problems, "{line}")
        };
        check("#[serde(default)]", 0);
        check("#[serde(flatten)]", 1);
        check("#[serde(tag = \"kind\")]", 1);
        check("#[serde(untagged)]", 1);
        check("#[serde(skip_serializing_if = \"Option::is_none\")]", 1);
        check("// #[serde(flatten)] is not readable", 0);
    }

    #[test]
    fn every_crate_inherits_the_lints() {
        assert!(
            manifest(
                "a/Cargo.toml",
                "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"
            )
            .is_none()
        );
        assert!(manifest("a/Cargo.toml", "[package]\nname = \"a\"\n").is_some());
        assert!(manifest("Cargo.toml", "[workspace]\n").is_none());
    }
}
