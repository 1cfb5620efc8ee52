//! The long forms of a document whose variables are left as they are. What cannot be read for its variables stays as it
//! was written, and no value is converted.

use super::parts::{dependencies, device, env_files, named};
use super::{external, listed, ports, volumes};
use crate::problem::Report;
use crate::yaml::{Map, Mark, Node, Value};

/// Brings a file into the forms that the reference prints with `--no-interpolate`.
pub(crate) fn draft(root: &mut Node) {
    let mut quiet = Report::default();
    for service in root
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        self::service(service);
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        for resource in root
            .get_mut(section)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flat_map(Map::values_mut)
        {
            external(resource, section, &mut quiet);
        }
    }
}

/// A change that is taken back if it finds a problem.
fn attempt(node: &mut Node, change: impl FnOnce(&mut Node, &str, &mut Report)) {
    let before = node.value.clone();
    let mut quiet = Report::default();
    change(node, "", &mut quiet);
    if quiet.failed() {
        node.value = before;
    }
}

fn attempt_at(node: &mut Node, key: &str, change: impl FnOnce(&mut Node, &str, &mut Report)) {
    if let Some(inner) = node.get_mut(key) {
        attempt(inner, change);
    }
}

fn items<'n>(node: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    node.get_mut(key)
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
}

fn service(node: &mut Node) {
    for key in ["networks", "models"] {
        attempt_at(node, key, |n, _, _| named(n));
    }
    attempt_at(node, "depends_on", |n, _, _| dependencies(n));
    attempt_at(node, "env_file", |n, _, _| env_files(n));
    for key in ["dns", "dns_search", "label_file"] {
        attempt_at(node, key, |n, _, _| listed(n));
    }
    attempt_at(node, "ports", ports);
    for item in items(node, "volumes") {
        attempt(item, volumes::one);
    }
    for item in items(node, "devices") {
        attempt(item, device);
    }
    for key in ["secrets", "configs"] {
        references(node, key, key == "secrets");
    }
    if let Some(gpus) = node.get_mut("gpus")
        && matches!(gpus.value, Value::Str(_))
    {
        let (mark, count) = (gpus.at, gpus.clone());
        gpus.value = Value::List(vec![Node::map([("count", count)], mark)]);
    }
    for item in node
        .get_mut("develop")
        .into_iter()
        .flat_map(|develop| items(develop, "watch"))
    {
        for key in ["ignore", "include"] {
            attempt_at(item, key, |n, _, _| listed(n));
        }
    }
    if let Some(node) = node.get_mut("build") {
        build(node);
    }
}

/// The long form of ports; numbers in it stay numbers.
fn ports(node: &mut Node, path: &str, report: &mut Report) {
    let Some(items) = node.as_list_mut() else { return };
    let mut out = Vec::new();
    for item in std::mem::take(items) {
        let published = item.get("published").cloned();
        let mut one = Node::new(Value::List(vec![item]), Mark::default());
        ports::canonical(&mut one, path, report);
        let Value::List(mut long) = one.value else {
            continue;
        };
        if let (Some(port), Some(published)) = (long.first_mut(), published) {
            port.set("published", published);
        }
        out.append(&mut long);
    }
    *items = out;
}

fn build(node: &mut Node) {
    if let Value::Str(text) = &node.value {
        let context = Node::text(text.clone(), node.at);
        node.value = Node::map([("context", context)], node.at).value;
    }
    references(node, "secrets", false);
    for key in ["ssh", "additional_contexts"] {
        let Some(inner) = node.get_mut(key) else { continue };
        listed(inner);
        let Value::List(items) = &inner.value else {
            continue;
        };
        let entry = |item: &Node| {
            let text = item.as_str()?;
            let (name, value) = text.split_once('=').map_or((text, Value::Null), |(name, value)| {
                (name, Value::Str(value.to_owned()))
            });
            Some((name.to_owned(), Node::new(value, item.at)))
        };
        inner.value = Value::Map(items.iter().filter_map(entry).collect());
    }
}

fn references(node: &mut Node, key: &str, secret: bool) {
    for item in items(node, key) {
        let mark = item.at;
        if let Value::Str(name) = &item.value {
            let source = Node::text(name.clone(), mark);
            item.value = Node::map([("source", source)], mark).value;
        }
        if secret && item.get("target").is_none() {
            let target = format!("/run/secrets/{}", item.str_at("source").unwrap_or(""));
            item.set("target", Node::text(target, mark));
        }
    }
}
