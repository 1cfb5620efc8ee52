//! The walls between our crates, as drawn in ARCHITECTURE.md.
//!
//! Two kinds of rule: which of our crates a crate may name in its manifest, and which packages may not be anywhere in the
//! tree that cargo resolves for it. Dev-dependencies are free: a test may use what it likes.

use crate::tool;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a crate may depend on, without the prefix `windflow-`. A crate of ours that is not listed is itself a problem.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("kit", &[]),
    ("compose", &[]),
    ("protocol", &["model", "kit"]),
    ("transport", &["protocol", "model", "kit"]),
    ("store", &["model", "kit"]),
    ("engine", &["model", "compose", "kit", "store"]),
    ("wake", &["model", "kit"]),
    (
        "agent",
        &[
            "engine",
            "wake",
            "compose",
            "model",
            "kit",
            "store",
            "protocol",
            "transport",
        ],
    ),
    ("api", &["model"]),
    // Simulated hosts speak as agents do; what they need of the API the command line brings.
    ("bench", &["protocol", "transport", "model", "kit"]),
    ("client", &["api", "bench", "model", "kit"]),
    (
        "controller",
        &["store", "api", "compose", "protocol", "transport", "model", "kit"],
    ),
];

/// Crates outside the walls: they test or build the others.
const FREE: &[&str] = &["windflow-tests", "xtask"];

/// Edges that exist only behind a cargo feature: (crate, dependency, feature).
const BEHIND_FEATURE: &[(&str, &str, &str)] = &[
    ("agent", "protocol", "link"),
    ("agent", "transport", "link"),
    ("client", "bench", "bench"),
];

/// Packages that may not be in a crate's resolved tree: (package, extra arguments, forbidden, rule).
const TREES: &[(&str, &[&str], &[&str], &str)] = &[
    (
        "windflow-model",
        &[],
        &["tokio", "quinn", "rustls", "axum", "bollard"],
        "the model has no runtime and no IO",
    ),
    (
        "windflow-compose",
        &[],
        &["tokio", "quinn", "rustls", "bollard"],
        "the compose language does no IO",
    ),
    (
        "windflow-engine",
        &[],
        &["windflow-protocol", "windflow-transport", "quinn", "axum"],
        "the engine never hears of the network protocol",
    ),
    (
        "windflow-agent",
        &["--no-default-features"],
        &[
            "windflow-protocol",
            "windflow-transport",
            "quinn",
            "quinn-proto",
            "rustls",
        ],
        "the agent without `link` holds no network protocol",
    ),
    (
        "windflow-controller",
        &[],
        &["bollard", "windflow-engine"],
        "the controller never talks to a container engine",
    ),
    (
        "windflow-controller",
        &[],
        &["reqwest", "ureq", "hyper-rustls"],
        "what the controller calls, it calls through `egress`",
    ),
    (
        "windflow-api",
        &[],
        &["windflow-store", "axum", "tokio"],
        "HTTP types know no handlers and no store",
    ),
    (
        "windflow-client",
        &[],
        &["windflow-store", "windflow-controller", "bollard"],
        "the client is a client of the API",
    ),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    #[serde(default)]
    optional: bool,
}

/// Every edge and every tree that breaks a rule.
pub(crate) fn check() -> Result<Vec<String>> {
    let root = tool::root();
    let json = tool::capture(
        &root,
        "cargo",
        &["metadata", "--no-deps", "--locked", "--format-version", "1"],
    )?;
    let metadata: Metadata =
        serde_json::from_str(&json).context("cargo metadata printed something unexpected")?;
    let mut problems = edges(&metadata.packages);
    for (package, extra, forbidden, rule) in TREES {
        if !metadata.packages.iter().any(|p| p.name == *package) {
            continue;
        }
        let mut arguments = vec![
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ];
        arguments.extend_from_slice(extra);
        problems.extend(tree(
            package,
            extra,
            forbidden,
            rule,
            &tool::capture(&root, "cargo", &arguments)?,
        ));
    }
    Ok(problems)
}

fn edges(packages: &[Package]) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut problems = Vec::new();
    for package in packages.iter().filter(|p| !FREE.contains(&p.name.as_str())) {
        let from = short(&package.name);
        let Some(may) = allowed.get(from) else {
            problems.push(format!(
                "{}: this crate is in no wall rule; add it to scripts/xtask/src/deps.rs",
                package.name
            ));
            continue;
        };
        let ours = package
            .dependencies
            .iter()
            .filter(|d| d.kind.as_deref() != Some("dev"));
        for dependency in ours.filter(|d| d.name.starts_with("windflow-")) {
            let to = short(&dependency.name);
            if !may.contains(&to) {
                let may = if may.is_empty() {
                    "nothing of ours".to_owned()
                } else {
                    may.join(", ")
                };
                problems.push(format!(
                    "forbidden edge {from} → {to}: `{from}` may depend on {may}"
                ));
            }
            for (_, _, feature) in BEHIND_FEATURE.iter().filter(|(f, t, _)| *f == from && *t == to) {
                if !dependency.optional {
                    problems.push(format!(
                        "edge {from} → {to} must be optional, behind the feature `{feature}`"
                    ));
                }
            }
        }
    }
    problems
}

fn short(name: &str) -> &str {
    name.strip_prefix("windflow-").unwrap_or(name)
}

fn tree(package: &str, extra: &[&str], forbidden: &[&str], rule: &str, listing: &str) -> Vec<String> {
    let names: Vec<&str> = listing
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    forbidden
        .iter()
        .filter(|f| names.contains(f))
        .map(|f| {
            format!(
                "{package} {}holds `{f}`: {rule}",
                extra.iter().map(|e| format!("{e} ")).collect::<String>()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>, bool)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind, optional)| Dependency {
                name: format!("windflow-{name}"),
                kind: kind.map(str::to_owned),
                optional: *optional,
            })
            .collect();
        Package {
            name: format!("windflow-{name}"),
            dependencies,
        }
    }

    #[track_caller]
    fn check(from: &str, dependency: (&str, Option<&str>, bool), expected: &[&str]) {
        let found = edges(&[package(from, &[dependency])]);
        assert_eq!(found.len(), expected.len(), "{from} → {dependency:?}: {found:?}");
        for (found, part) in found.iter().zip(expected) {
            assert!(found.contains(part), "{found:?} should say {part:?}");
        }
    }

    #[test]
    fn edges_are_judged() {
        check("engine", ("model", None, false), &[]);
        check(
            "engine",
            ("protocol", None, false),
            &["forbidden edge engine → protocol"],
        );
        check(
            "engine",
            ("transport", Some("build"), false),
            &["forbidden edge engine → transport"],
        );
        check("engine", ("transport", Some("dev"), false), &[]);
        check(
            "compose",
            ("model", None, false),
            &["forbidden edge compose → model: `compose` may depend on nothing of ours"],
        );
        check(
            "controller",
            ("engine", None, false),
            &["forbidden edge controller → engine"],
        );
        check("api", ("store", None, false), &["forbidden edge api → store"]);
        check(
            "store",
            ("protocol", None, false),
            &["forbidden edge store → protocol"],
        );
        check("agent", ("transport", None, true), &[]);
        check(
            "agent",
            ("transport", None, false),
            &["must be optional, behind the feature `link`"],
        );
        check("novel", ("model", None, false), &["in no wall rule"]);
    }

    #[test]
    fn the_free_crates_are_not_judged() {
        assert!(
            edges(&[package(
                "tests",
                &[("engine", None, false), ("controller", None, false)]
            )])
            .is_empty()
        );
    }

    #[test]
    fn trees_are_judged_by_whole_names() {
        let listing = "windflow-model v0.1.0 (/x)\ntokio-util v0.7.1\nserde v1.0.0\n";
        assert!(tree("windflow-model", &[], &["tokio"], "no runtime", listing).is_empty());
        let listing = "windflow-model v0.1.0 (/x)\ntokio v1.52.0 (*)\n";
        assert_eq!(
            tree("windflow-model", &["--all"], &["tokio"], "no runtime", listing),
            ["windflow-model --all holds `tokio`: no runtime"]
        );
    }

    #[test]
    fn the_tree_as_it_stands_is_in_order() {
        assert_eq!(super::check().unwrap(), Vec::<String>::new());
    }
}
