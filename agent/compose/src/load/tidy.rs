//! What says nothing is left out, so that a variable without a value is the same as a missing key.

use crate::yaml::{Map, Node, Value};

/// Mappings whose keys the author chose: an empty text is a value there.
const CHOSEN: &[&str] = &[
    "environment",
    "labels",
    "annotations",
    "args",
    "options",
    "driver_opts",
    "sysctls",
    "storage_opt",
    "additional_contexts",
];

/// Takes empty texts, and an empty test of health, out of all services; a resource of which nothing is said is an empty one.
pub(super) fn tidy(tree: &mut Node) {
    for section in ["networks", "volumes"] {
        for entry in tree
            .get_mut(section)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flat_map(Map::values_mut)
        {
            if entry.is_null() {
                entry.value = Value::Map(Map::new());
            }
        }
    }
    for service in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        texts(service);
        if let Some(servers) = service.get_mut("dns").and_then(Node::as_list_mut) {
            servers.retain(|server| server.as_str() != Some(""));
        }
        if let Some(health) = service.get_mut("healthcheck").and_then(Node::as_map_mut)
            && health
                .get("test")
                .and_then(Node::as_list)
                .is_some_and(<[Node]>::is_empty)
        {
            health.shift_remove("test");
        }
    }
}

fn texts(node: &mut Node) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|key, value| key.starts_with("x-") || value.as_str() != Some(""));
            for (key, value) in map.iter_mut() {
                if !key.starts_with("x-") && !CHOSEN.contains(&key.as_str()) {
                    texts(value);
                }
            }
        }
        Value::List(items) => items.iter_mut().for_each(texts),
        _ => {}
    }
}
