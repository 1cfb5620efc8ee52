//! Reasons in terms of keys: which one, from what to what, and where it stands in the file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use windflow_compose::model::{Service, to_json};
use windflow_model::{Change, Reason};

use super::{
    adopt::{self, Settings, settings_of},
    builder::Builder,
    hash::{self, ServiceHash},
    labels,
};
use crate::targets::{ObservedContainer, ObservedImage};

impl Builder<'_> {
    /// Where a key stands, or the nearest one around it: a key that was taken out stands nowhere.
    pub(super) fn place(&self, key: &str) -> Option<String> {
        let mut key = key;
        loop {
            if let Some(at) = self.input.locations.get(key) {
                return Some(format!("{}:{}:{}", at.file, at.line, at.column));
            }
            key = key.rsplit_once('.')?.0;
        }
    }

    pub(super) fn change(&self, key: impl Into<String>, old: Option<String>, new: Option<String>) -> Change {
        let key = key.into();
        Change {
            at: self.place(&key),
            key,
            old,
            new,
        }
    }
}

/// A reason with its changes; the first is the one that is named.
pub(super) fn reason(text: impl Into<String>, changes: Vec<Change>) -> Reason {
    let told = |one: &Change| one.old.is_some() || one.new.is_some();
    let known: BTreeSet<String> = changes
        .iter()
        .filter(|one| told(one))
        .map(|one| one.key.clone())
        .collect();
    // What is told with its values is not told again without them.
    let changes: Vec<Change> = changes
        .into_iter()
        .filter(|one| told(one) || !known.contains(&one.key))
        .collect();
    let first = changes.first().cloned().unwrap_or_default();
    Reason {
        text: text.into(),
        key: Some(first.key).filter(|key| !key.is_empty()),
        old: first.old,
        new: first.new,
        at: first.at,
        changes,
    }
}

/// The configuration keys in which a container differs from its service, with a word for each; empty if it does not.
pub(super) fn configuration(
    builder: &Builder<'_>,
    service: &str,
    spec: &Service,
    want: &ServiceHash,
    container: &ObservedContainer,
) -> Option<(Vec<String>, Vec<Change>)> {
    let image = builder
        .observed
        .images
        .values()
        .find(|image| image.id == container.image_id);
    let below = |key: &str| format!("services.{service}.{key}");
    let Some(have) = container.label(labels::WF_HASH) else {
        let settings = container.settings.as_ref()?;
        let found = adopt::differences(&settings_of(&builder.input.project, service), settings, image);
        let changes: Vec<Change> = found
            .into_iter()
            .map(|one| builder.change(below(&one.key), one.old, one.new))
            .collect();
        return (!changes.is_empty()).then(|| (words(service, &changes), changes));
    };
    if have == want.full {
        return None;
    }
    let keys = hash::changed_keys(container.label(labels::WF_KEYS).unwrap_or_default(), &want.keys);
    if keys.is_empty() {
        return Some((vec!["its configuration".to_owned()], Vec::new()));
    }
    let told = Told {
        builder,
        service,
        want: settings_of(&builder.input.project, service),
        canonical: canonical(spec),
        have: container.settings.as_ref(),
        image,
    };
    let mut changes = Vec::new();
    let mut names = Vec::new();
    for key in &keys {
        names.push(told.key(key, &mut changes));
    }
    names.dedup();
    Some((names, changes))
}

fn canonical(spec: &Service) -> BTreeMap<String, Value> {
    match to_json(spec) {
        Value::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

fn words(service: &str, changes: &[Change]) -> Vec<String> {
    let prefix = format!("services.{service}.");
    let mut out: Vec<String> = changes
        .iter()
        .filter_map(|change| {
            change
                .key
                .strip_prefix(&prefix)?
                .split('.')
                .next()
                .map(str::to_owned)
        })
        .collect();
    out.dedup();
    out
}

/// What can be told of a changed key.
struct Told<'t> {
    builder: &'t Builder<'t>,
    service: &'t str,
    want: Settings,
    canonical: BTreeMap<String, Value>,
    have: Option<&'t Settings>,
    image: Option<&'t ObservedImage>,
}

impl Told<'_> {
    /// Adds the changes of one key of the label; gives the word for it.
    fn key(&self, key: &str, changes: &mut Vec<Change>) -> String {
        if let Some(reference) = key.strip_suffix(" (content)") {
            // Contents are never shown, nor are digests of them: short secrets could be guessed.
            changes.push(self.content(reference));
            let (kind, name) = reference.split_once('.').unwrap_or(("", reference));
            return format!("the content of {} {name}", kind.trim_end_matches('s'));
        }
        if let Some(kind) = key.strip_suffix(" (names)") {
            let below = format!("services.{}.{kind}", self.service);
            changes.push(self.builder.change(below, None, None));
            return format!("the real names of {kind}");
        }
        let before = changes.len();
        let below = |key: &str| format!("services.{}.{key}", self.service);
        let (want, have) = (self.want.get(key), self.have.and_then(|have| have.get(key)));
        if let (Some(new), Some(old)) = (want, have) {
            let mut found = Vec::new();
            adopt::differ(key, new, old, self.image, &mut found);
            changes.extend(
                found
                    .into_iter()
                    .map(|one| self.builder.change(below(&one.key), one.old, one.new)),
            );
        }
        if changes.len() == before {
            let new = want
                .or_else(|| self.canonical.get(key))
                .filter(|value| !value.is_null());
            let old = have.filter(|_| want.is_none());
            let text = |value: &Value| match value {
                // Every value could be a secret.
                Value::Object(map) if key == "environment" => format!("{} variables", map.len()),
                other => adopt::text(other),
            };
            changes.push(self.builder.change(below(key), old.map(text), new.map(text)));
        }
        key.to_owned()
    }

    fn content(&self, reference: &str) -> Change {
        let keys = ["content", "file", "environment"];
        let mut inside = keys.iter().map(|key| format!("{reference}.{key}"));
        let found = inside.find(|key| self.builder.input.locations.contains_key(key));
        self.builder
            .change(found.unwrap_or_else(|| reference.to_owned()), None, None)
    }
}

/// The settings in which a network or volume differs, by what the engine tells of it.
pub(super) fn settings(builder: &Builder<'_>, path: &str, want: &Value, have: &Settings) -> Vec<Change> {
    let Some(want) = want.as_object() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // What the engine does not tell of, and what it leaves out when it is off.
    let told = |key: &String| have.contains_key(key) || ["name", "external"].contains(&key.as_str());
    if !have.is_empty() {
        let silent = want.iter().filter(|(key, new)| !told(key) && !is_nothing(new));
        found.extend(silent.map(|(key, new)| adopt::Difference {
            key: key.clone(),
            old: None,
            new: Some(adopt::text(new)),
        }));
    }
    // What stands in no file: the engine's own choice, most likely, and told only where nothing else explains it.
    let mut chosen = Vec::new();
    for (key, old) in have {
        if key == "labels" {
            entries(key, want.get(key), old, &mut found);
            continue;
        }
        match want.get(key).filter(|new| !is_nothing(new)) {
            Some(new) => adopt::differ(key, new, old, None, &mut found),
            None if is_nothing(old) => {}
            None => {
                let whose = if matches!(key.as_str(), "driver" | "ipam") {
                    &mut chosen
                } else {
                    &mut found
                };
                whose.push(adopt::Difference {
                    key: key.clone(),
                    old: Some(adopt::text(old)),
                    new: None,
                });
            }
        }
    }
    if found.is_empty() {
        found = chosen;
    }
    found
        .into_iter()
        .map(|one| builder.change(format!("{path}.{}", one.key), one.old, one.new))
        .collect()
}

/// The labels that differ, without those that are put there beside the file's.
fn entries(key: &str, new: Option<&Value>, old: &Value, found: &mut Vec<adopt::Difference>) {
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (new, old) = (new.map(map).unwrap_or_default(), map(old));
    let foreign = |name: &&String| !labels::OWN.iter().any(|prefix| name.starts_with(prefix));
    let names: BTreeSet<&String> = new.keys().chain(old.keys()).filter(foreign).collect();
    for name in names.into_iter().filter(|name| new.get(*name) != old.get(*name)) {
        let text = |side: &serde_json::Map<String, Value>| side.get(name).map(adopt::text);
        found.push(adopt::Difference {
            key: format!("{key}.{name}"),
            old: text(&old),
            new: text(&new),
        });
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
