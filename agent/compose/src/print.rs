//! The canonical document, as `docker compose config` prints it, letter by letter.

pub(crate) mod doc;
pub(crate) mod json;
pub(crate) mod yaml;

use crate::model::{Project, Service};
use doc::Doc;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A document that is not a project: variables were left as they are, so that it has no types.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft(Doc);

impl Draft {
    pub(crate) fn new(tree: &crate::yaml::Node) -> Self {
        Self(Doc::from(tree))
    }

    /// Keys of a top-level section, sorted.
    pub(crate) fn keys(&self, section: &str) -> Vec<String> {
        let Doc::Map(entries) = &self.0 else {
            return Vec::new();
        };
        let mut keys: Vec<String> = entries
            .iter()
            .filter(|(own, _)| own == section)
            .filter_map(|(_, value)| match value {
                Doc::Map(entries) => Some(entries.iter().map(|(key, _)| key.clone())),
                _ => None,
            })
            .flatten()
            .collect();
        keys.sort();
        keys
    }

    /// All texts, in the order of the tree.
    pub(crate) fn texts(&self, hear: &mut dyn FnMut(&str)) {
        self.0.texts(hear);
    }

    /// The draft as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let mut doc = self.0.clone();
        doc.sort(str::cmp);
        json::pretty(&doc, 2)
    }

    /// The draft as YAML.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut doc = self.0.clone();
        doc.sort(doc::natural);
        yaml::write(&doc, 2)
    }
}

/// The document as JSON.
#[must_use]
pub fn json(project: &Project) -> String {
    let mut document = document(project);
    escape(&mut document);
    document.remove("models");
    for (key, section) in document.map_mut().into_iter().flatten() {
        if key.starts_with("x-") {
            section.sort(str::cmp);
            empty_lists(section);
        } else {
            strip_extensions(section, true);
        }
    }
    each(&mut document, "services", service_as_json);
    each(&mut document, "networks", |network| {
        if network.get_mut("ipam").is_none() {
            let before = ["name", "driver", "driver_opts"];
            insert_after(network, &before, "ipam", Doc::Map(Vec::new()));
        }
    });
    if let Some(entries) = document.map_mut() {
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    json::pretty(&document, 2)
}

/// The document as YAML.
#[must_use]
pub fn yaml(project: &Project) -> String {
    let mut document = document(project);
    escape(&mut document);
    each(&mut document, "services", |service| {
        if let Some(Doc::Map(limits)) = service.get_mut("ulimits") {
            for (_, limit) in limits {
                if let Doc::Map(_) = limit {
                    both_limits(limit);
                }
            }
        }
    });
    for (key, section) in document.map_mut().into_iter().flatten() {
        if key.starts_with("x-") {
            section.sort(doc::natural);
        } else {
            arrange(section, true);
        }
    }
    yaml::write(&document, 2)
}

/// The hash that `docker compose config --hash` prints for a service: over its JSON, without what does not matter to a
/// container.
#[must_use]
pub fn service_hash(service: &Service) -> String {
    let mut document = to_doc(service);
    for key in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
        document.remove(key);
    }
    if let Some(deploy) = document.get_mut("deploy") {
        deploy.remove("replicas");
    }
    for item in env_files(&mut document) {
        always(item, "required", &["path"], Doc::Bool(false));
        if item.get_mut("format").is_none() && item.get_mut("required") == Some(&mut Doc::Bool(true)) {
            *item = item.get_mut("path").cloned().unwrap_or(Doc::Null);
        }
    }
    omit_empty(&mut document, false);
    strip_extensions(&mut document, false);
    service_as_json(&mut document);
    hex::encode(Sha256::digest(json::compact(&document)))
}

fn env_files(service: &mut Doc) -> impl Iterator<Item = &mut Doc> {
    let items = match service.get_mut("env_file") {
        Some(Doc::List(items)) => Some(items),
        _ => None,
    };
    items.into_iter().flatten()
}

/// What each object gets in JSON beyond what it has in YAML.
fn service_as_json(service: &mut Doc) {
    always(service, "command", SERVICE_BEFORE_COMMAND, Doc::Null);
    always(service, "entrypoint", SERVICE_BEFORE_ENTRYPOINT, Doc::Null);
    if let Some(deploy) = service.get_mut("deploy") {
        let empty = || Doc::Map(Vec::new());
        let before = ["mode", "replicas", "labels", "update_config", "rollback_config"];
        always(deploy, "resources", &before, empty());
        let before = [
            "mode",
            "replicas",
            "labels",
            "update_config",
            "rollback_config",
            "resources",
            "restart_policy",
        ];
        always(deploy, "placement", &before, empty());
    }
    if let Some(Doc::List(watches)) = service.get_mut("develop").and_then(|n| n.get_mut("watch")) {
        for watch in watches {
            always(watch, "exec", &["path", "action", "target"], Doc::Map(Vec::new()));
            if let Some(exec) = watch.get_mut("exec") {
                always(exec, "command", &[], Doc::Null);
            }
        }
    }
    if let Some(Doc::List(watches)) = service
        .get_mut("develop")
        .and_then(|develop| develop.get_mut("watch"))
    {
        for watch in watches {
            let none = Doc::Map(vec![("command".to_owned(), Doc::Null)]);
            always(watch, "exec", &["path", "action", "target"], none);
        }
    }
    if let Some(Doc::Map(blkio)) = service.get_mut("blkio_config") {
        blkio.iter_mut().for_each(|(_, value)| capitalise(value));
    }
}

/// Keys of a service that come before `command`.
const SERVICE_BEFORE_COMMAND: &[&str] = &[
    "profiles",
    "annotations",
    "attach",
    "build",
    "develop",
    "blkio_config",
    "cap_add",
    "cap_drop",
    "cgroup_parent",
    "cgroup",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpus",
    "cpuset",
    "cpu_shares",
];

/// Keys of a service that come between `command` and `entrypoint`, `command` included.
const SERVICE_BEFORE_ENTRYPOINT: &[&str] = &[
    "command",
    "configs",
    "container_name",
    "credential_spec",
    "depends_on",
    "deploy",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
];

fn always(object: &mut Doc, key: &str, before: &[&str], value: Doc) {
    if object.get_mut(key).is_none() {
        insert_after(object, before, key, value);
    }
}

/// Puts a key behind the last of some others.
fn insert_after(object: &mut Doc, before: &[&str], key: &str, value: Doc) {
    if let Some(entries) = object.map_mut() {
        let at = entries
            .iter()
            .rposition(|(own, _)| before.contains(&own.as_str()))
            .map_or(0, |at| at + 1);
        entries.insert(at, (key.to_owned(), value));
    }
}

fn both_limits(limit: &mut Doc) {
    for (key, before) in [("soft", &[][..]), ("hard", &["soft"][..])] {
        always(limit, key, before, Doc::Int(0));
    }
}

fn to_doc(value: &impl Serialize) -> Doc {
    // By way of text, because that keeps the order of keys.
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Doc::Null)
}

/// The canonical tree.
fn document(project: &Project) -> Doc {
    let mut document = to_doc(project);
    each(&mut document, "configs", |config| {
        if config.get_mut("environment").is_some() {
            config.remove("content");
        }
    });
    each(&mut document, "services", |service| {
        for item in env_files(service) {
            always(item, "required", &["path"], Doc::Bool(false));
        }
    });
    for (key, section) in document.map_mut().into_iter().flatten() {
        if !key.starts_with("x-") {
            omit_empty(section, true);
        }
    }
    document
}

/// A key that was given an empty text is the same as a key that is not there.
fn omit_empty(value: &mut Doc, chosen: bool) {
    match value {
        Doc::List(items) => items.iter_mut().for_each(|item| omit_empty(item, false)),
        Doc::Map(entries) => {
            entries.retain(|(_, inner)| chosen || *inner != Doc::Str(String::new()));
            for (key, inner) in entries.iter_mut().filter(|(key, _)| !key.starts_with("x-")) {
                omit_empty(inner, !chosen && CHOSEN.contains(&key.as_str()));
            }
        }
        _ => {}
    }
}

fn each(document: &mut Doc, section: &str, mut change: impl FnMut(&mut Doc)) {
    if let Some(Doc::Map(entries)) = document.get_mut(section) {
        entries.iter_mut().for_each(|(_, value)| change(value));
    }
}

/// Dollar signs are doubled, so that the document can be read again. Those of keys too, though keys have no variables:
/// it is what the reference does.
fn escape(document: &mut Doc) {
    document.words_mut(&mut |text| {
        if text.contains('$') {
            *text = text.replace('$', "$$");
        }
    });
}

/// JSON has no empty lists in what is nobody's business.
fn empty_lists(value: &mut Doc) {
    match value {
        Doc::List(items) if items.is_empty() => *value = Doc::Null,
        Doc::List(items) => items.iter_mut().for_each(empty_lists),
        Doc::Map(entries) => entries.iter_mut().for_each(|(_, inner)| empty_lists(inner)),
        _ => {}
    }
}

/// Mappings whose keys the author chose.
const CHOSEN: [&str; 15] = [
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
    "runtime_flags",
];

/// Removes `x-*` keys, but not where the keys are names that the author chose.
fn strip_extensions(value: &mut Doc, chosen: bool) {
    match value {
        Doc::List(items) => items.iter_mut().for_each(|item| strip_extensions(item, false)),
        Doc::Map(entries) => {
            entries.retain(|(key, _)| chosen || !key.starts_with("x-"));
            for (key, inner) in entries.iter_mut() {
                strip_extensions(inner, !chosen && CHOSEN.contains(&key.as_str()));
            }
        }
        _ => {}
    }
}

/// Sorts the keys that the author chose as the reference's YAML does; others have their own order.
fn arrange(value: &mut Doc, chosen: bool) {
    match value {
        Doc::List(items) => items.iter_mut().for_each(|item| arrange(item, false)),
        Doc::Map(entries) => {
            if chosen {
                entries.sort_by(|(a, _), (b, _)| doc::natural(a, b));
            }
            for (key, inner) in entries.iter_mut() {
                if key.starts_with("x-") && !chosen {
                    inner.sort(doc::natural);
                } else {
                    arrange(inner, !chosen && CHOSEN.contains(&key.as_str()));
                }
            }
        }
        _ => {}
    }
}

/// The reference has no names for these keys, so that they come out capitalised.
fn capitalise(value: &mut Doc) {
    let Doc::List(items) = value else { return };
    for (key, _) in items.iter_mut().filter_map(Doc::map_mut).flatten() {
        for (from, to) in [("path", "Path"), ("weight", "Weight"), ("rate", "Rate")] {
            if key == from {
                to.clone_into(key);
            }
        }
    }
}
