//! The canonical document, as `docker compose config` prints it (order of keys aside).

mod yaml;

use crate::model::Project;
use serde_json::{Map, Value};

/// The document as JSON.
#[must_use]
pub fn json(project: &Project) -> String {
    let mut document = document(project);
    if let Value::Object(map) = &mut document {
        map.remove("models");
        for (_, section) in map.iter_mut().filter(|(key, _)| !key.starts_with("x-")) {
            strip_extensions(section, true);
        }
        each(map, "services", |service| {
            for key in ["command", "entrypoint"] {
                service.entry(key).or_insert(Value::Null);
            }
            if let Some(Value::Object(deploy)) = service.get_mut("deploy") {
                for key in ["resources", "placement"] {
                    deploy.entry(key).or_insert_with(|| Value::Object(Map::new()));
                }
            }
            if let Some(Value::Object(blkio)) = service.get_mut("blkio_config") {
                blkio.values_mut().for_each(capitalise);
            }
        });
        each(map, "networks", |network| {
            network.entry("ipam").or_insert_with(|| Value::Object(Map::new()));
        });
    }
    format!("{document:#}")
}

/// The document as YAML.
#[must_use]
pub fn yaml(project: &Project) -> String {
    yaml::write(&document(project))
}

/// The canonical tree with dollar signs doubled, so that it can be read again.
fn document(project: &Project) -> Value {
    let mut value = serde_json::to_value(project).unwrap_or(Value::Null);
    if let Value::Object(map) = &mut value {
        each(map, "configs", |config| {
            if config.contains_key("environment") {
                config.remove("content");
            }
        });
    }
    escape(&mut value);
    value
}

fn each(map: &mut Map<String, Value>, section: &str, mut change: impl FnMut(&mut Map<String, Value>)) {
    if let Some(Value::Object(entries)) = map.get_mut(section) {
        entries
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(&mut change);
    }
}

fn escape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(map) => map.values_mut().for_each(escape),
        _ => {}
    }
}

/// Removes `x-*` keys, but not where the keys are names that the author chose.
fn strip_extensions(value: &mut Value, chosen: bool) {
    const CHOSEN: [&str; 14] = [
        "environment",
        "labels",
        "annotations",
        "args",
        "options",
        "driver_opts",
        "sysctls",
        "storage_opt",
        "additional_contexts",
        "aux_addresses",
        "networks",
        "depends_on",
        "models",
        "ulimits",
    ];
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| strip_extensions(item, false)),
        Value::Object(map) => {
            map.retain(|key, _| chosen || !key.starts_with("x-"));
            for (key, inner) in map.iter_mut() {
                strip_extensions(inner, !chosen && CHOSEN.contains(&key.as_str()));
            }
        }
        _ => {}
    }
}

/// The reference has no names for these keys, so that they come out capitalised.
fn capitalise(value: &mut Value) {
    for item in value
        .as_array_mut()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        for (from, to) in [("path", "Path"), ("weight", "Weight"), ("rate", "Rate")] {
            if let Some(inner) = item.remove(from) {
                item.insert(to.to_owned(), inner);
            }
        }
    }
}
