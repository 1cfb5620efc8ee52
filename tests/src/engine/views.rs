//! Objects as the engine shows them.

#![expect(clippy::indexing_slicing, reason = "JSON: what is not there is null")]

use serde_json::{Value, json};

use super::{http::Request, state::Container};

/// An id of 64 hex digits out of a name; `prefix` tells the kinds apart.
#[must_use]
pub fn id(prefix: char, name: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = hex::encode(Sha256::digest(name));
    format!("{prefix}{}", hash.get(1..).unwrap_or_default())
}

/// Filters come as a list or as a map of names to true.
pub(super) fn has_labels(labels: &Value, request: &Request) -> bool {
    let filters: Value = serde_json::from_str(request.query("filters").unwrap_or("{}")).unwrap_or_default();
    let wanted: Vec<String> = match &filters["label"] {
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Value::Object(items) => items.keys().cloned().collect(),
        _ => Vec::new(),
    };
    wanted.iter().all(|wanted| match wanted.split_once('=') {
        Some((name, value)) => labels[name] == value,
        None => labels.get(wanted).is_some(),
    })
}

pub(super) fn image(name: &str) -> Value {
    json!({
        "Id": format!("sha256:{}", id('a', name)), "RepoTags": [name], "Config": {}, "Os": "linux",
        "Architecture": "amd64", "Created": "2020-01-01T00:00:00Z", "Size": 1,
        "RootFS": { "Type": "layers", "Layers": [] }, "Metadata": { "LastTagTime": "2099-01-01T00:00:00Z" },
    })
}

fn image_id(container: &Container) -> String {
    let name = container.body["Image"].as_str().unwrap_or_default();
    format!("sha256:{}", id('a', name))
}

fn networks_of(container: &Container) -> Value {
    let endpoints = container.body["NetworkingConfig"]["EndpointsConfig"].as_object();
    let names = endpoints.into_iter().flatten();
    names
        .map(|(name, _)| (name.clone(), json!({ "NetworkID": id('f', name) })))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

pub(super) fn summary(id: &str, container: &Container) -> Value {
    let (state, status) = match (container.up, container.ended) {
        (true, _) => ("running", "Up 3 minutes (healthy)"),
        (false, true) => ("exited", "Exited (137) 3 minutes ago"),
        (false, false) => ("created", "Created"),
    };
    json!({
        "Id": id, "Names": [format!("/{}", container.name)], "Image": container.body["Image"], "ImageID": image_id(container),
        "Created": 1_600_000_000, "Ports": [], "Labels": container.body["Labels"], "State": state, "Status": status,
        "NetworkSettings": { "Networks": networks_of(container) }, "Mounts": mounts(container),
    })
}

/// Named volumes, so that the plan after the deploy finds nothing missing.
fn mounts(container: &Container) -> Value {
    let binds = container.body["HostConfig"]["Binds"].as_array();
    let named = binds.into_iter().flatten().filter_map(|bind| {
        let mut parts = bind.as_str()?.split(':');
        let (source, target) = (parts.next()?, parts.next()?);
        (!source.starts_with('/')).then(|| json!({ "Type": "volume", "Name": source, "Destination": target }))
    });
    let mounts = container.body["HostConfig"]["Mounts"].as_array();
    let given = mounts.into_iter().flatten().map(
        |mount| json!({ "Type": mount["Type"], "Name": mount["Source"], "Destination": mount["Target"] }),
    );
    named.chain(given).collect::<Vec<_>>().into()
}

pub(super) fn inspected(id: &str, container: &Container) -> Value {
    let mut config = container.body.clone();
    for key in ["HostConfig", "NetworkingConfig"] {
        config.as_object_mut().map(|config| config.shift_remove(key));
    }
    let status = match (container.up, container.ended) {
        (true, _) => "running",
        (false, true) => "exited",
        (false, false) => "created",
    };
    let mut state = json!({
        "Status": status, "Running": container.up, "ExitCode": if container.ended { 137 } else { 0 },
        "StartedAt": "2020-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z",
    });
    if container.up && container.body["Healthcheck"]["Test"].is_array() {
        state["Health"] = json!({ "Status": "healthy", "FailingStreak": 0, "Log": [] });
    }
    json!({
        "Id": id, "Name": format!("/{}", container.name), "Created": "2020-01-01T00:00:00Z", "State": state,
        "Image": image_id(container), "Config": config, "HostConfig": container.body["HostConfig"], "Mounts": mounts(container),
        "NetworkSettings": { "Networks": networks_of(container), "Ports": {} }, "Platform": "linux",
    })
}
