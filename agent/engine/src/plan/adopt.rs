//! Comparing a container that docker compose made: it has no hash of ours, so by what the engine tells of it.
//!
//! Only what can be told apart for sure counts. A value that the image or the engine may have put in is no difference.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use windflow_compose::model::{MountKind, Project, Service};

use super::{PlanInput, image_of};

/// A key that differs.
pub(super) struct Difference {
    pub(super) key: String,
    pub(super) old: String,
    pub(super) new: String,
}

/// The settings of a service in the form that targets give in
/// [`ObservedContainer::settings`](crate::targets::ObservedContainer::settings). A key that the service leaves to the
/// image or the engine is absent.
#[must_use]
pub fn settings_of(project: &Project, service: &str) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    let Some(spec) = project.services.get(service) else {
        return out;
    };
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(key.to_owned(), value);
        }
    };
    set("image", Some(json!(image_of(project, service))));
    set(
        "command",
        spec.command
            .as_ref()
            .filter(|words| !words.is_empty())
            .map(|words| json!(words)),
    );
    set(
        "entrypoint",
        spec.entrypoint
            .as_ref()
            .filter(|words| !words.is_empty())
            .map(|words| json!(words)),
    );
    set("user", spec.user.as_ref().map(|user| json!(user)));
    set("working_dir", spec.working_dir.as_ref().map(|dir| json!(dir)));
    set("hostname", spec.hostname.as_ref().map(|name| json!(name)));
    set("privileged", Some(json!(spec.privileged)));
    set("read_only", Some(json!(spec.read_only)));
    set("tty", Some(json!(spec.tty)));
    set("restart", Some(json!(spec.restart.as_deref().unwrap_or("no"))));
    let ports: Vec<String> = spec.ports.iter().filter_map(port).collect();
    set("ports", Some(sorted(ports)));
    let volumes = spec.volumes.iter().filter_map(|mount| {
        let source = mount.source.as_ref()?;
        let real = match mount.kind {
            MountKind::Volume => &project.volumes.get(source)?.name,
            MountKind::Bind => source,
            _ => return None,
        };
        Some(format!("{real}:{}", mount.target))
    });
    set("volumes", Some(sorted(volumes.collect())));
    let environment: BTreeMap<&String, &String> = spec
        .environment
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .collect();
    set("environment", Some(json!(environment)));
    set("labels", Some(json!(spec.labels)));
    out
}

fn port(port: &windflow_compose::model::Port) -> Option<String> {
    let published = port.published.as_ref().filter(|text| !text.contains('-'))?;
    let protocol = port.protocol.as_deref().unwrap_or("tcp");
    let ip = port
        .host_ip
        .as_deref()
        .filter(|ip| *ip != "0.0.0.0")
        .unwrap_or_default();
    Some(format!("{ip}:{published}:{}/{protocol}", port.target))
}

fn sorted(mut items: Vec<String>) -> Value {
    items.sort();
    items.dedup();
    json!(items)
}

/// The first key that differs for sure.
pub(super) fn difference(
    input: &PlanInput,
    service: &str,
    _spec: &Service,
    have: &BTreeMap<String, Value>,
) -> Option<Difference> {
    let want = settings_of(&input.project, service);
    want.iter().find_map(|(key, new)| {
        let old = have.get(key)?;
        let same = match (key.as_str(), new, old) {
            // The image adds its own.
            ("environment" | "labels", Value::Object(new), Value::Object(old)) => {
                new.iter().all(|(name, value)| old.get(name) == Some(value))
            }
            // Anonymous volumes and files come on top.
            ("volumes", Value::Array(new), Value::Array(old)) => new.iter().all(|item| old.contains(item)),
            _ => new == old,
        };
        (!same).then(|| Difference {
            key: key.clone(),
            old: old.to_string(),
            new: new.to_string(),
        })
    })
}
