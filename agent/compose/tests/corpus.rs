//! The shared corpus: every project that the reference accepts gives the same canonical JSON, every other is refused.
//! It lies outside of the repository; where it is absent the test says so, and why it matters little: our own corpus
//! (`golden`) is compared with the recorded reference wherever the tests run.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use windflow_compose::discover::{self, Invocation};
use windflow_compose::{Files, load, print};

struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        match fs_err::read(path) {
            Ok(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|error| error.to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Drops what means the same as absent, and makes integers of whole numbers.
fn prune(value: Value) -> Value {
    let empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) => false,
    };
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(k, v)| (k, prune(v)))
                .filter(|(_, v)| !empty(v))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(prune).collect()),
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        other => other,
    }
}

fn config(directory: &str, files: Vec<String>) -> Result<String, String> {
    let env = BTreeMap::from([
        ("HOME".to_owned(), "@HOME@".to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ]);
    let name = Some("wfcase".to_owned());
    let invocation = Invocation {
        files,
        name,
        working_dir: directory.to_owned(),
        env,
        ..Invocation::default()
    };
    let shown = |problems: Vec<windflow_compose::Problem>| {
        problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (request, _) = discover::plan(&invocation, &Disk).map_err(shown)?;
    load(&request, &Disk)
        .map(|loaded| print::json(&loaded.project))
        .map_err(shown)
}

#[test]
fn equals_the_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/compose-corpus");
    let root = match fs_err::canonicalize(&root) {
        Ok(root) => root,
        Err(why) => {
            // nextest is told to show this although the test passes.
            eprintln!(
                "SKIPPED: the shared corpus is not beside this tree ({why}); our own is compared by `golden`"
            );
            return;
        }
    };
    let known =
        fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/known-differences.txt"))
            .unwrap();
    let known: BTreeSet<&str> = known.lines().filter(|line| !line.starts_with('#')).collect();
    let index = fs_err::read_to_string(root.join("INDEX.tsv")).unwrap();
    let corpus = root.to_string_lossy();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for row in index
        .lines()
        .skip(1)
        .filter(|row| row.starts_with("parse/") || row.starts_with("merge/"))
    {
        let cells: Vec<&str> = row.split('\t').collect();
        let (path, expected, file) = (cells[0], cells[2], cells[3]);
        if expected == "tree-merge" || known.contains(path) {
            continue;
        }
        cases += 1;
        let parent = file.rsplit_once('/').map_or(file, |(parent, _)| parent);
        let case = parent.rsplit_once("/expected").map_or(parent, |(case, _)| case);
        let directory = format!("{corpus}/{case}");
        let files = path[case.len() + 1..].split('+').map(str::to_owned).collect();
        let got = config(&directory, files);
        match (got, expected.starts_with("invalid")) {
            (Err(_), true) => {}
            (Ok(_), true) => wrong.push(format!("{path}: accepted")),
            (Err(problem), false) => wrong.push(format!("{path}: {problem}")),
            (Ok(text), false) => {
                let text = text.replace(&directory, "${DIR}").replace(&*corpus, "${CORPUS}");
                let want = |file: &str| -> Option<Value> {
                    serde_json::from_str(&fs_err::read_to_string(root.join(file)).ok()?)
                        .ok()
                        .map(prune)
                };
                let got: Option<Value> = serde_json::from_str(&text).ok().map(prune);
                let alternative = file.replace(".json", ".alt.json");
                if got != want(file) && got != want(&alternative) {
                    wrong.push(format!("{path}: differs"));
                }
            }
        }
    }
    assert!(cases > 0, "the shared corpus is empty");
    eprintln!("{} of {cases} equal", cases - wrong.len());
    assert!(
        wrong.is_empty(),
        "{} of {cases}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
