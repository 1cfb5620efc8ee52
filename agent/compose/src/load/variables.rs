//! Files of variables and labels.

use crate::collect::IntoMap as _;
use crate::dotenv;
use crate::files::Files;
use crate::problem::Report;
use crate::yaml::{Map, Mark, Node, Value, join};
use std::collections::{BTreeMap, BTreeSet};

/// Reads the files of labels of the enabled services, and those of variables if they are wanted.
pub(super) fn variables(
    tree: &mut Node,
    enabled: &BTreeSet<String>,
    wanted: bool,
    env: &BTreeMap<String, String>,
    files: &dyn Files,
    report: &mut Report,
) {
    for (name, service) in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        let Some(map) = service.as_map_mut() else { continue };
        let env_files = if wanted {
            map.shift_remove("env_file")
        } else {
            None
        };
        let label_files = map.shift_remove("label_file");
        if !enabled.contains(name) {
            continue;
        }
        let own: BTreeMap<String, String> = texts(service.get("environment"));
        let key = format!("services.{name}");
        let mut found = Map::new();
        for item in env_files.as_ref().and_then(Node::as_list).into_iter().flatten() {
            let path = item.str_at("path").unwrap_or("");
            let required = item.get("required").is_none_or(Node::is_true);
            let raw = match item.str_at("format") {
                None | Some("") => false,
                Some("raw") => true,
                Some(other) => {
                    report.error(
                        item.at,
                        &key,
                        format!("the env_file format {other:?} is not known; use raw, or none"),
                    );
                    continue;
                }
            };
            let lookup = |key: &str| env.get(key).or_else(|| own.get(key)).cloned();
            read(
                path,
                raw,
                required,
                &lookup,
                item.at,
                &join(&key, "env_file"),
                files,
                report,
                &mut found,
            );
        }
        if !found.is_empty() {
            let declared = service
                .get("environment")
                .and_then(Node::as_map)
                .cloned()
                .unwrap_or_default();
            found.extend(declared);
            let mark = service
                .get("environment")
                .map_or_else(Mark::default, |node| node.key);
            service.set("environment", Node::new(Value::Map(found), mark));
        }
        let mut found = Map::new();
        for item in label_files.as_ref().and_then(Node::as_list).into_iter().flatten() {
            let path = item.as_str().unwrap_or("");
            // Files of labels see nothing but those before them.
            let before = texts_of(&found);
            let lookup = |name: &str| before.get(name).cloned();
            read(
                path,
                false,
                true,
                &lookup,
                item.at,
                &join(&key, "label_file"),
                files,
                report,
                &mut found,
            );
        }
        if !found.is_empty() {
            let declared = service
                .get("labels")
                .and_then(Node::as_map)
                .cloned()
                .unwrap_or_default();
            found.extend(declared);
            let mark = service.get("labels").map_or_else(Mark::default, |node| node.key);
            service.set("labels", Node::new(Value::Map(found), mark));
        }
    }
}

fn texts(node: Option<&Node>) -> BTreeMap<String, String> {
    node.and_then(Node::as_map).map(texts_of).unwrap_or_default()
}

fn texts_of(map: &Map) -> BTreeMap<String, String> {
    map.iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .into_map()
}

#[expect(
    clippy::too_many_arguments,
    reason = "the two kinds of files differ in these values only"
)]
fn read(
    path: &str,
    raw: bool,
    required: bool,
    lookup: &dyn Fn(&str) -> Option<String>,
    at: Mark,
    key: &str,
    files: &dyn Files,
    report: &mut Report,
    found: &mut Map,
) {
    let read = files.read(path);
    let path = report.shown(path);
    let text = match read {
        Ok(Some(text)) => text,
        Ok(None) if !required => return,
        Ok(None) => return report.error(at, key, format!("the file {path} does not exist")),
        Err(cause) => return report.error(at, key, format!("the file {path} cannot be read: {cause}")),
    };
    let mut unset = Vec::new();
    let parsed = if raw {
        dotenv::parse_raw(&text, lookup)
    } else {
        let before = texts_of(found);
        let before = |name: &str| before.get(name).cloned();
        dotenv::parse_after(&text, lookup, &before, &mut |name| unset.push(name.to_owned()))
    };
    for name in unset {
        report.warn(
            at,
            key,
            format!("the variable {name} in {path} is not set; an empty text stands for it"),
        );
    }
    match parsed {
        Ok(values) => found.extend(
            values
                .into_iter()
                .map(|(name, value)| (name, Node::text(value, at))),
        ),
        Err(error) => report.error(at, key, format!("{path}:{}: {error}", error.line)),
    }
}
