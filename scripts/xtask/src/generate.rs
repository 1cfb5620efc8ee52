//! Files that are generated and checked in: the OpenAPI document, the web UI's types made from it, and the table of
//! Compose keys in the guide.

use crate::tool;
use anyhow::{Context, Result};

const OPENAPI: &str = "controller/openapi.json";
const SCHEMA: &str = "web-ui/src/api/schema.ts";
const KEYS: &str = "docs/compose.md";
/// The last line of the guide's page that is written by hand begins with this.
const KEYS_MARK: &str = "<!-- generated from ";

/// Writes the files; with `check`, leaves them as they were and tells which ones differ.
pub(crate) fn run(check: bool) -> Result<Vec<String>> {
    let root = tool::root();
    let mut stale = Vec::new();
    let read = |file: &str| fs_err::read_to_string(root.join(file)).unwrap_or_default();

    let old_openapi = read(OPENAPI);
    let mut document = tool::capture(
        &root,
        "cargo",
        &[
            "run",
            "--quiet",
            "--locked",
            // Of the whole workspace, so that no dependency is built twice with other features.
            "--bin",
            "windflow-controller",
            "--",
            "openapi",
        ],
    )
    .context("the OpenAPI document could not be made")?;
    if !document.ends_with('\n') {
        document.push('\n');
    }
    fs_err::write(root.join(OPENAPI), &document)?;
    if document != old_openapi {
        stale.push(OPENAPI);
    }

    let mut old_schema = None;
    if root.join("web-ui/node_modules").is_dir() {
        let old = read(SCHEMA);
        tool::run(&root.join("web-ui"), "npm", &["run", "--silent", "schema"], &[])
            .context("the web UI's types could not be made")?;
        if read(SCHEMA) != old {
            stale.push(SCHEMA);
        }
        old_schema = Some(old);
    } else {
        println!("skipped {SCHEMA}: web-ui/node_modules is not there (npm ci)");
    }

    let old_keys = read(KEYS);
    let new_keys = keys(&root, &old_keys)?;
    if new_keys != old_keys {
        stale.push(KEYS);
        if !check {
            fs_err::write(root.join(KEYS), new_keys)?;
        }
    }

    if !check {
        for file in &stale {
            println!("wrote {file}");
        }
        return Ok(Vec::new());
    }
    fs_err::write(root.join(OPENAPI), old_openapi)?;
    if let Some(old) = old_schema {
        fs_err::write(root.join(SCHEMA), old)?;
    }
    Ok(stale
        .iter()
        .map(|f| format!("{f}: not what the source says; run `cargo xtask gen` and commit it"))
        .collect())
}

/// The page with its tables made anew.
fn keys(root: &std::path::Path, page: &str) -> Result<String> {
    let tables = tool::capture(
        root,
        "cargo",
        &[
            "run",
            "--quiet",
            "--locked",
            "--package",
            "windflow-compose",
            "--example",
            "keys",
        ],
    )
    .context("the table of Compose keys could not be made")?;
    let at = page
        .find(KEYS_MARK)
        .with_context(|| format!("{KEYS} has no line that begins with {KEYS_MARK}"))?;
    let (above, below) = page.split_at(at);
    let mark = below.lines().next().unwrap_or_default();
    Ok(format!("{above}{mark}\n{}\n", tables.trim_end()))
}
