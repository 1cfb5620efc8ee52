//! Defaults, names and implied dependencies.

use crate::yaml::{Map, Mark, Node, Value};
use std::collections::BTreeMap;

/// `KEY` without a value takes the one of the environment, in environments and build arguments.
pub(super) fn resolve_values(tree: &mut Node, env: &BTreeMap<String, String>) {
    for service in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        fill(service.get_mut("environment"), env);
        fill(
            service.get_mut("build").and_then(|build| build.get_mut("args")),
            env,
        );
    }
}

fn fill(node: Option<&mut Node>, env: &BTreeMap<String, String>) {
    let Some(node) = node else { return };
    // A draft keeps lists.
    for item in node.as_list_mut().into_iter().flatten() {
        if let Value::Str(text) = &mut item.value
            && let Some(value) = env.get(text)
        {
            text.push('=');
            text.push_str(value);
        }
    }
    for (key, value) in node.as_map_mut().into_iter().flatten() {
        if value.is_null()
            && let Some(text) = env.get(key)
        {
            value.value = Value::Str(text.clone());
        }
    }
}

/// Build arguments that have no value anywhere are not passed on.
pub(super) fn drop_unset_args(tree: &mut Node) {
    for args in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(|service| service.get_mut("build")?.get_mut("args")?.as_map_mut())
    {
        args.retain(|_, value| !value.is_null());
    }
}

/// Defaults that count only after all files are merged.
pub(super) fn defaults(tree: &mut Node) {
    for dependency in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(|service| service.get_mut("depends_on")?.as_map_mut())
        .flat_map(Map::values_mut)
    {
        let mark = dependency.at;
        if dependency.get("required").is_none() {
            dependency.set("required", Node::new(Value::Bool(true), mark));
        }
    }
}

fn entry<'t>(tree: &'t mut Node, key: &str) -> Option<&'t mut Map> {
    if tree.get(key).is_none_or(Node::is_null) {
        tree.set(key, Node::new(Value::Map(Map::new()), Mark::default()));
    }
    tree.get_mut(key).and_then(Node::as_map_mut)
}

pub(super) fn normalise(tree: &mut Node, project: &str, directory: &str) {
    let mut default_used = false;
    for service in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        normalise_service(service, directory);
        default_used |= service
            .get("networks")
            .is_some_and(|networks| networks.get("default").is_some());
    }
    if default_used
        && let Some(networks) = entry(tree, "networks")
        && !networks.contains_key("default")
    {
        networks.insert(
            "default".to_owned(),
            Node::new(Value::Map(Map::new()), Mark::default()),
        );
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        for (key, node) in tree
            .get_mut(section)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flatten()
        {
            if node.is_null() {
                node.value = Value::Map(Map::new());
            }
            if node.get("name").is_none() {
                let external = node.get("external").is_some_and(Node::is_true);
                let name = if external {
                    key.clone()
                } else {
                    format!("{project}_{key}")
                };
                node.set("name", Node::text(name, node.at));
            }
        }
    }
}

fn normalise_service(service: &mut Node, directory: &str) {
    let mark = service.key;
    let lonely = service
        .get("networks")
        .and_then(Node::as_map)
        .is_none_or(Map::is_empty);
    if lonely && service.get("network_mode").is_none() && service.get("provider").is_none() {
        service.set(
            "networks",
            Node::map([("default", Node::new(Value::Null, mark))], mark),
        );
    }
    if service.str_at("pull_policy") == Some("if_not_present") {
        service.set("pull_policy", Node::text("missing", mark));
    }
    if let Some(build) = service.get_mut("build") {
        if build.get("context").is_none() {
            build.set("context", Node::text(directory, mark));
        }
        if build.get("dockerfile").is_none() && build.get("dockerfile_inline").is_none() {
            build.set("dockerfile", Node::text("Dockerfile", mark));
        }
    }
    let mut implied: Vec<(String, bool)> = Vec::new();
    for link in service
        .get("links")
        .and_then(Node::as_list)
        .into_iter()
        .flatten()
        .filter_map(Node::as_str)
    {
        let service = match link.split_once(':') {
            Some((service, alias)) if !alias.contains(':') => service,
            _ => link,
        };
        implied.push((service.to_owned(), true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(name) = service.str_at(key).and_then(|text| text.strip_prefix("service:")) {
            implied.push((name.to_owned(), true));
        }
    }
    for from in service
        .get("volumes_from")
        .and_then(Node::as_list)
        .into_iter()
        .flatten()
        .filter_map(Node::as_str)
    {
        if !from.starts_with("container:") {
            implied.push((from.split(':').next().unwrap_or(from).to_owned(), false));
        }
    }
    if implied.is_empty() {
        return;
    }
    let Some(dependencies) = entry(service, "depends_on") else {
        return;
    };
    for (name, restart) in implied {
        dependencies.entry(name).or_insert_with(|| {
            let flag = |value| Node::new(Value::Bool(value), mark);
            let condition = Node::text("service_started", mark);
            Node::map(
                [
                    ("condition", condition),
                    ("restart", flag(restart)),
                    ("required", flag(true)),
                ],
                mark,
            )
        });
    }
}
