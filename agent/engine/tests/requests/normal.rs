//! The comparable form of recorded requests: what means the same looks the same.

use std::path::Path;

use serde_json::{Map, Value, json};

use windflow_tests::engine::{Recorded, id};

/// Labels with a value of each engine's own.
const OWN: [&str; 2] = ["com.docker.compose.version", "com.docker.compose.image"];
const HASH: &str = "com.docker.compose.config-hash";

/// Creates, connects and uploads, sorted. Ids are names, the project's directory is `${DIR}`.
pub(crate) fn of(recorded: &[Recorded], dir: &Path) -> Value {
    let made = recorded.iter().filter(|one| {
        ["/create", "/connect", "/archive"]
            .iter()
            .any(|end| one.path.ends_with(end))
    });
    let mut out: Vec<Value> = made.map(one).collect();
    let mut text = Value::from(std::mem::take(&mut out)).to_string();
    for one in recorded {
        let (prefix, name) = match one.path.as_str() {
            "/containers/create" => ('c', one.query.get("name").cloned().unwrap_or_default()),
            "/networks/create" => ('f', one.body["Name"].as_str().unwrap_or_default().to_owned()),
            _ => continue,
        };
        text = text.replace(&id(prefix, &name), &format!("<{name}>"));
    }
    text = text.replace(&dir.to_string_lossy().into_owned(), "${DIR}");
    let mut out: Vec<Value> = serde_json::from_str(&text).unwrap();
    // Only now: the place of the project on this machine, or an id, would decide the order.
    out.iter_mut().for_each(order);
    out.sort_by_key(Value::to_string);
    Value::from(out)
}

fn one(recorded: &Recorded) -> Value {
    let mut body = recorded.body.clone();
    labels(&recorded.path, &mut body);
    if let Some(fields) = body.as_object_mut() {
        // Newer engines have dropped the field.
        fields.shift_remove("CheckDuplicate");
        sets(fields);
    }
    let mut query = Map::new();
    for (name, value) in &recorded.query {
        query.insert(name.clone(), json!(value));
    }
    let mut out = json!({ "path": recorded.path, "query": query, "body": body, "files": recorded.files });
    prune(&mut out);
    sorted(out)
}

fn labels(path: &str, body: &mut Value) {
    let Some(labels) = body.get_mut("Labels").and_then(Value::as_object_mut) else {
        return;
    };
    labels.retain(|name, _| !name.starts_with("io.windflow.") && !OWN.contains(&name.as_str()));
    if path == "/containers/create" {
        if let Some(hash) = labels.get_mut(HASH) {
            *hash = json!("<hash>");
        }
    } else {
        labels.shift_remove(HASH);
    }
    if let Some(Value::String(list)) = labels.get_mut("com.docker.compose.depends_on") {
        let mut items: Vec<&str> = list.split(',').collect();
        items.sort_unstable();
        *list = items.join(",");
    }
}

/// What is written in two ways: exposed ports, named volumes.
fn sets(body: &mut Map<String, Value>) {
    let ports: Option<Vec<String>> = body
        .get("ExposedPorts")
        .and_then(Value::as_object)
        .map(|ports| ports.keys().cloned().collect());
    if let Some(ports) = ports {
        body.insert("ExposedPorts".to_owned(), json!(ports));
    }
    if let Some(host) = body.get_mut("HostConfig").and_then(Value::as_object_mut) {
        let mounts = host.shift_remove("Mounts");
        let mut binds = host.shift_remove("Binds").unwrap_or_else(|| json!([]));
        let mut kept = Vec::new();
        for mount in mounts.iter().filter_map(Value::as_array).flatten() {
            let options = mount
                .get("VolumeOptions")
                .is_none_or(|options| options == &json!({}));
            match (mount["Type"].as_str(), mount["Source"].as_str()) {
                (Some("volume"), Some(source)) if options && !source.is_empty() => {
                    let mode = if mount["ReadOnly"] == json!(true) {
                        "ro"
                    } else {
                        "rw"
                    };
                    let target = mount["Target"].as_str().unwrap_or_default();
                    if let Some(binds) = binds.as_array_mut() {
                        binds.push(json!(format!("{source}:{target}:{mode}")));
                    }
                }
                _ => kept.push(mount.clone()),
            }
        }
        host.insert("Binds".to_owned(), binds);
        host.insert("Mounts".to_owned(), json!(kept));
    }
}

/// Lists whose order says nothing.
const UNORDERED: [&str; 9] = [
    "ExposedPorts",
    "Env",
    "Binds",
    "Mounts",
    "Links",
    "VolumesFrom",
    "ExtraHosts",
    "Ulimits",
    "Aliases",
];

/// Sorts them, however deep. Keys are in order already.
fn order(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        match value {
            Value::Array(items) if UNORDERED.contains(&name.as_str()) => items.sort_by_key(Value::to_string),
            value => order(value),
        }
    }
}

/// Takes away what means the same as nothing.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|name, value| {
                // An endpoint without settings is an endpoint.
                let nothing = matches!(value, Value::Null | Value::Bool(false))
                    || *value == json!("")
                    || *value == json!(0)
                    || *value == json!([])
                    || *value == json!({});
                !nothing && name != "ConsoleSize"
            });
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// Keys in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
