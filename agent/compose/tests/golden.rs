//! The golden corpus: projects of our own writing, each with what Docker Compose 2.40.3 makes of it
//! (`golden/README.md`; recorded by `scripts/record-golden`).
//!
//! With `WINDFLOW_BLESS=1` in the environment the `.ours` files, our own words, are written anew.

#[cfg(test)]
#[path = "golden/cases.rs"]
mod cases;
#[cfg(test)]
#[path = "golden/data.rs"]
mod data;

use cases::{Case, blocks, cases, directory, read, subjects};
use data::{data, differences, yaml};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use windflow_compose::config::Format;
use windflow_compose::{LoadRequest, Problem, Source, load, print};

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// Problems of the command line and its environment lie in no file.
const OF_THE_COMMAND_LINE: &[&str] = &[
    "deploy-health/selected-service-unknown",
    "extends-include/file-missing",
    "extends-include/found-nothing",
    "interpolation/dotenv-explicit-missing",
    "top-level/name-empty",
    "top-level/name-environment-not-normal",
    "top-level/name-flag-not-normal",
];

/// What the reference prints in a way that it cannot read again.
const NOT_TO_BE_READ_AGAIN: &[(&str, &str)] = &[
    (
        "deploy-health/profile-dependency-off-optional",
        "the service that is off is gone from the document",
    ),
    (
        "interpolation/casts-blkio",
        "JSON has its own keys below blkio_config",
    ),
    ("merge/blkio", "JSON has its own keys below blkio_config"),
    ("service-keys/blkio", "JSON has its own keys below blkio_config"),
    (
        "interpolation/keys-are-kept",
        "dollar signs of names are doubled, and not read back",
    ),
    (
        "interpolation/no-interpolate",
        "nothing is escaped where nothing was read",
    ),
    (
        "interpolation/no-interpolate-numbers",
        "nothing is escaped where nothing was read",
    ),
    (
        "ports-volumes/volumes-long",
        "`create_host_path: false` is not printed",
    ),
    ("top-level/models-and-providers", "JSON has no models"),
    ("merge/models", "JSON has no models"),
];

/// The document as JSON and as YAML, or what is wrong.
type Result = std::result::Result<(String, String), Vec<Problem>>;

fn both(case: &Case) -> Result {
    Ok((case.config(Format::Json)?, case.config(Format::Yaml)?))
}

/// How a result differs from the recorded one.
fn compare(got: &Result, want: &BTreeMap<String, String>) -> Vec<String> {
    if let Some(words) = want.get("crashed") {
        return vec![format!("the reference crashed: {}", words.trim())];
    }
    match (got, want.get("refused")) {
        (Err(_), Some(_)) => Vec::new(),
        (Ok(_), Some(words)) => vec![format!("accepted, but the reference says: {}", words.trim())],
        (Err(problems), None) => vec![format!("refused: {}", lines(problems).trim())],
        (Ok((json_text, yaml_text)), None) => {
            let mut out = Vec::new();
            differences("json", &data(&want["json"]), &data(json_text), &mut out);
            differences("yaml", &yaml(&want["yaml"]), &yaml(yaml_text), &mut out);
            // The same data may still look different.
            let line = want["yaml"]
                .lines()
                .zip(yaml_text.lines())
                .find(|(want, got)| want != got);
            if let (Some((want, got)), true) = (line, out.is_empty()) {
                out.push(format!("yaml: the line {got:?} instead of {want:?}"));
            }
            out
        }
    }
}

/// What we say ourselves where it is not the reference's document: the problems, or a meant difference.
fn ours(case: &Case, got: &Result) -> Option<String> {
    match (got, &case.differs) {
        (Err(problems), _) => Some(lines(problems)),
        (Ok((_, yaml)), Some(_)) => Some(yaml.clone()),
        (Ok(_), None) => None,
    }
}

#[test]
fn equals_the_reference() {
    let bless = std::env::var_os("WINDFLOW_BLESS").is_some();
    let (mut wrong, mut count) = (
        String::new(),
        BTreeMap::from([("valid", 0), ("refused", 0), ("meant", 0)]),
    );
    for subject in subjects() {
        let recorded: BTreeMap<_, _> = blocks(&read(&subject, "golden")).into_iter().collect();
        let said = read(&subject, "ours");
        let mut words = String::new();
        for case in cases(&subject) {
            let got = both(&case);
            for problem in got.as_ref().err().into_iter().flatten() {
                // Every problem has its place, but those of the command line.
                let placed = problem.file.starts_with('/') && problem.line > 0 && problem.column > 0;
                let name = format!("{subject}/{}", case.name);
                if !placed && !OF_THE_COMMAND_LINE.contains(&name.as_str()) {
                    let _ = writeln!(wrong, "{name}: a problem without a place: {problem}");
                }
            }
            if let Some(text) = ours(&case, &got) {
                let _ = write!(words, "=== {}\n{text}\n", case.name);
            }
            let Some(want) = recorded.get(&case.name) else {
                let _ = writeln!(wrong, "{subject}/{}: not recorded", case.name);
                continue;
            };
            let found = compare(&got, want);
            let kind = match (&case.differs, want.contains_key("refused")) {
                (Some(_), _) => "meant",
                (None, true) => "refused",
                (None, false) => "valid",
            };
            *count.get_mut(kind).unwrap() += 1;
            match (&case.differs, found.as_slice()) {
                (None, []) | (Some(_), [_, ..]) => {}
                (None, found) => {
                    let _ = writeln!(wrong, "{subject}/{}:\n    {}", case.name, found.join("\n    "));
                }
                (Some(_), []) => {
                    let _ = writeln!(
                        wrong,
                        "{subject}/{}: equals the reference; take `differs` away",
                        case.name
                    );
                }
            }
        }
        let words = words.trim_end().to_owned() + "\n";
        if bless && words.trim().is_empty() {
            // Nothing to say: no file.
            let _ = fs_err::remove_file(directory().join(format!("{subject}.ours")));
        } else if bless {
            fs_err::write(directory().join(format!("{subject}.ours")), &words).unwrap();
        } else if words != said && !(words.trim().is_empty() && said.is_empty()) {
            let line = words.lines().zip(said.lines()).find(|(a, b)| a != b);
            let _ = writeln!(
                wrong,
                "{subject}.ours: our words changed, first at {line:?} (WINDFLOW_BLESS=1 writes them)"
            );
        }
    }
    println!("{count:?}");
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What was printed means the same when it is loaded again.
#[test]
fn printed_projects_are_fixed_points() {
    let mut wrong = String::new();
    for subject in subjects() {
        for case in cases(&subject) {
            let name = format!("{subject}/{}", case.name);
            if NOT_TO_BE_READ_AGAIN.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let (Ok((first, yaml)), Ok(request)) = (both(&case), case.request()) else {
                continue;
            };
            for (form, text) in [("JSON", &first), ("YAML", &yaml)] {
                let again = LoadRequest {
                    files: vec![Source {
                        path: "/project/canonical.yaml".to_owned(),
                        text: Some(text.clone()),
                    }],
                    services: Vec::new(),
                    profiles: vec!["*".to_owned()],
                    ..request.load.clone()
                };
                let mut out = Vec::new();
                match load(&again, &case.memory()) {
                    Err(problems) => out.push(lines(&problems)),
                    Ok(again) => {
                        differences("", &data(&first), &data(&print::json(&again.project)), &mut out)
                    }
                }
                if !out.is_empty() {
                    let _ = writeln!(wrong, "{name} as {form}:\n    {}", out.join("\n    "));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
