//! Relative paths become absolute, each against the directory that counts for it.

use crate::canonical::volumes::clean;
use crate::yaml::{Map, Node, Value};
use std::collections::BTreeMap;

/// The directory that holds a path.
pub(crate) fn parent(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((parent, _)) => parent.to_owned(),
    }
}

/// A path below a directory, cleaned. `~` is `HOME`.
pub(crate) fn absolute(directory: &str, path: &str, env: &BTreeMap<String, String>) -> String {
    if let Some(rest) = path.strip_prefix('~')
        && let Some(home) = env.get("HOME")
    {
        return clean(&format!("{home}/{rest}"));
    }
    if path.starts_with('/') {
        clean(path)
    } else {
        clean(&format!("{directory}/{path}"))
    }
}

/// The same, but an absolute path stays as it was written.
fn kept(directory: &str, path: &str, env: &BTreeMap<String, String>) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        absolute(directory, path, env)
    }
}

fn is_windows(path: &str) -> bool {
    let mut chars = path.chars();
    path.starts_with("\\\\")
        || chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.next() == Some(':')
            && chars.next().is_some_and(|c| matches!(c, '\\' | '/'))
}

fn is_remote(context: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "github.com/", "git@"]
        .iter()
        .any(|prefix| context.starts_with(prefix))
}

fn resolve(node: Option<&mut Node>, directory: &str, env: &BTreeMap<String, String>) {
    if let Some(Value::Str(path)) = node.map(|node| &mut node.value)
        && !is_windows(path)
        && !path.is_empty()
    {
        *path = kept(directory, path, env);
    }
}

/// Paths of a canonical service.
pub(crate) fn service(node: &mut Node, directory: &str, env: &BTreeMap<String, String>) {
    if let Some(build) = node.get_mut("build") {
        if build.as_map().is_some() && build.get("context").is_none() {
            let here = Node::text(directory, build.at);
            build.set("context", here);
        }
        if let Some(Value::Str(context)) = build.get_mut("context").map(|n| &mut n.value)
            && !is_remote(context)
        {
            *context = kept(directory, context, env);
        }
        for context in build
            .get_mut("additional_contexts")
            .and_then(Node::as_map_mut)
            .into_iter()
            .flat_map(Map::values_mut)
        {
            if let Value::Str(text) = &mut context.value
                && !is_remote(text)
                && !text.contains(':')
            {
                *text = absolute(directory, text, env);
            }
        }
        for item in build
            .get_mut("ssh")
            .and_then(Node::as_list_mut)
            .into_iter()
            .flatten()
        {
            if let Value::Str(text) = &mut item.value
                && let Some((id, path)) = text.split_once('=')
            {
                *text = format!("{id}={}", kept(directory, path, env));
            }
        }
    }
    for item in node
        .get_mut("env_file")
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
    {
        resolve(item.get_mut("path"), directory, env);
    }
    for item in node
        .get_mut("label_file")
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
    {
        resolve(Some(item), directory, env);
    }
    for item in node
        .get_mut("volumes")
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
    {
        if item.str_at("type") == Some("bind") {
            if item.str_at("source") == Some("") {
                let here = Node::text(directory, item.at);
                item.set("source", here);
            }
            resolve(item.get_mut("source"), directory, env);
        }
    }
    for item in node
        .get_mut("develop")
        .and_then(|n| n.get_mut("watch"))
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
    {
        resolve(item.get_mut("path"), directory, env);
    }
}

/// Paths of a whole canonical tree.
pub(crate) fn file(root: &mut Node, directory: &str, env: &BTreeMap<String, String>) {
    for node in root
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        service(node, directory, env);
    }
    for section in ["secrets", "configs"] {
        for node in root
            .get_mut(section)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flat_map(Map::values_mut)
        {
            resolve(node.get_mut("file"), directory, env);
        }
    }
    for node in root
        .get_mut("volumes")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        let local = node.str_at("driver") == Some("local");
        if let Some(options) = node.get_mut("driver_opts")
            && local
            && options.str_at("o") == Some("bind")
        {
            resolve(options.get_mut("device"), directory, env);
        }
    }
}
