//! What a container is set to, by Compose key, and what differs.
//!
//! Two readers: a container that docker compose made has no hash of ours and is judged by this alone, so only what can
//! be told apart for sure counts; a value that the image or the engine may have put in is no difference. For a container
//! of ours the hash has judged already, and this says what the old values were.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use windflow_compose::collect::IntoMap as _;
use windflow_compose::model::{MountKind, Project, Service, to_json};

use super::{image_of, labels};
use crate::targets::ObservedImage;

/// Settings by Compose key.
pub type Settings = BTreeMap<String, Value>;

/// Keys whose canonical form is compared as it is, where the service has them.
const PLAIN: [&str; 24] = [
    "user",
    "working_dir",
    "hostname",
    "domainname",
    "init",
    "stop_signal",
    "stop_grace_period",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "cpus",
    "cpu_shares",
    "cpu_quota",
    "cpu_period",
    "cpuset",
    "pids_limit",
    "shm_size",
    "oom_score_adj",
    "runtime",
    "cgroup_parent",
    "pid",
    "ipc",
    "uts",
    "network_mode",
];

/// Keys of limits that `deploy.resources` may override.
const LIMITS: [&str; 4] = ["mem_limit", "mem_reservation", "cpus", "pids_limit"];

/// Variables that docker compose hands on from its own configuration; the engine itself gives PATH.
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// Key below the service, e.g. `environment.MODE`.
    pub(super) key: String,
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

/// The settings of a service in the form that targets give in
/// [`Target::settings`](crate::targets::Target::settings). A key that the service leaves to the image or the engine is
/// absent.
#[must_use]
pub fn settings_of(project: &Project, service: &str) -> Settings {
    let mut out = BTreeMap::new();
    let Some(spec) = project.services.get(service) else {
        return out;
    };
    let canonical = match to_json(spec) {
        Value::Object(canonical) => canonical,
        _ => Map::new(),
    };
    plain(spec, &canonical, &mut out);
    let mut set = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    set("image", json!(image_of(project, service)));
    for (key, words) in [("command", &spec.command), ("entrypoint", &spec.entrypoint)] {
        if let Some(words) = words.as_ref().filter(|words| !words.is_empty()) {
            set(key, json!(words));
        }
    }
    for (key, on) in [
        ("privileged", spec.privileged),
        ("read_only", spec.read_only),
        ("tty", spec.tty),
        ("stdin_open", spec.stdin_open),
    ] {
        set(key, json!(on));
    }
    if spec
        .deploy
        .as_ref()
        .is_none_or(|deploy| deploy.restart_policy.is_none())
    {
        set("restart", json!(spec.restart.as_deref().unwrap_or("no")));
    }
    for (key, list) in [
        ("cap_add", &spec.cap_add),
        ("cap_drop", &spec.cap_drop),
        ("dns", &spec.dns),
        ("dns_opt", &spec.dns_opt),
        ("dns_search", &spec.dns_search),
        ("extra_hosts", &spec.extra_hosts),
        ("group_add", &spec.group_add),
        ("tmpfs", &spec.tmpfs),
    ] {
        set(key, list_of(key, list.clone()));
    }
    set("sysctls", json!(spec.sysctls));
    set("ports", sorted(spec.ports.iter().filter_map(port).collect()));
    let volumes = spec.volumes.iter().filter_map(|mount| {
        let source = mount.source.as_ref()?;
        let real = match mount.kind {
            MountKind::Volume => &project.volumes.get(source)?.name,
            MountKind::Bind => source,
            _ => return None,
        };
        Some(format!("{real}:{}", mount.target))
    });
    set("volumes", sorted(volumes.collect()));
    let environment: BTreeMap<&String, &String> = spec
        .environment
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .into_map();
    set("environment", json!(environment));
    set("labels", json!(spec.labels));
    out
}

fn plain(spec: &Service, canonical: &Map<String, Value>, out: &mut Settings) {
    let resources = canonical.get("deploy").and_then(|deploy| deploy.get("resources"));
    let deployed = resources
        .and_then(Value::as_object)
        .is_some_and(|resources| !resources.is_empty());
    let whole = spec
        .stop_grace_period
        .is_none_or(|span| span.0 % 1_000_000_000 == 0);
    for key in PLAIN {
        let Some(value) = canonical.get(key).filter(|value| !value.is_null()) else {
            continue;
        };
        let text = value.as_str().unwrap_or_default();
        let told = match key {
            // Another container's id stands in the engine's answer.
            "network_mode" | "pid" | "ipc" | "uts" => !text.contains(':'),
            // The engine counts whole seconds.
            "stop_grace_period" => whole,
            limit if LIMITS.contains(&limit) => !deployed,
            _ => true,
        };
        if told {
            out.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(check) = spec.healthcheck.as_ref().filter(|check| !check.disable) {
        let value = canonical.get("healthcheck").cloned().unwrap_or_default();
        if check.test.is_some() {
            out.insert("healthcheck".to_owned(), value);
        }
    }
    if let Some(logging) = &spec.logging {
        let mut value = json!(logging.options);
        if let (Some(map), Some(driver)) = (value.as_object_mut(), &logging.driver) {
            map.insert("driver".to_owned(), json!(driver));
        }
        out.insert("logging".to_owned(), value);
    }
}

/// A list in the one form in which order and spelling do not matter.
pub(crate) fn list_of(key: &str, items: Vec<String>) -> Value {
    let items = items.into_iter().map(|item| match key {
        "cap_add" | "cap_drop" => item.to_uppercase().trim_start_matches("CAP_").to_owned(),
        "extra_hosts" => item.replacen('=', ":", 1),
        "tmpfs" => item.trim_end_matches(':').to_owned(),
        _ => item,
    });
    sorted(items.collect())
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

/// All that differs for sure, by key. `image` is the one the container was made from, if it is known.
pub(super) fn differences(
    want: &Settings,
    have: &Settings,
    image: Option<&ObservedImage>,
) -> Vec<Difference> {
    let mut out = Vec::new();
    for (key, new) in want {
        if let Some(old) = have.get(key) {
            differ(key, new, old, image, &mut out);
        }
    }
    out
}

/// What differs in one key.
pub(super) fn differ(
    key: &str,
    new: &Value,
    old: &Value,
    image: Option<&ObservedImage>,
    out: &mut Vec<Difference>,
) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (name, value) in new {
                let before = old.get(name);
                if before.is_none_or(|before| !same(value, before)) {
                    out.push(Difference {
                        key: format!("{key}.{name}"),
                        old: before.map(|before| shown(key, name, before)),
                        new: Some(shown(key, name, value)),
                    });
                }
            }
            for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                if was_asked_for(key, name, value, image) {
                    out.push(Difference {
                        key: format!("{key}.{name}"),
                        old: Some(shown(key, name, value)),
                        new: None,
                    });
                }
            }
        }
        (Value::Array(new), Value::Array(old)) if key != "command" && key != "entrypoint" => {
            // Anonymous volumes and files come on top.
            let gone = old.iter().filter(|item| key != "volumes" && !new.contains(item));
            let gone: Vec<String> = gone.map(text).collect();
            let come: Vec<String> = new.iter().filter(|item| !old.contains(item)).map(text).collect();
            if !gone.is_empty() || !come.is_empty() {
                let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(", "));
                out.push(Difference {
                    key: key.to_owned(),
                    old: list(gone),
                    new: list(come),
                });
            }
        }
        _ if same(new, old) => {}
        _ => out.push(Difference {
            key: key.to_owned(),
            old: Some(text(old)),
            new: Some(text(new)),
        }),
    }
}

fn same(new: &Value, old: &Value) -> bool {
    match (new.as_f64(), old.as_f64()) {
        (Some(new), Some(old)) => (new - old).abs() < f64::EPSILON,
        _ => new == old,
    }
}

/// Whether an entry that is there and no longer wanted came from the file, not from the image or the engine.
fn was_asked_for(key: &str, name: &str, value: &Value, image: Option<&ObservedImage>) -> bool {
    let of_image =
        |entries: &BTreeMap<String, String>| entries.get(name).map(String::as_str) == value.as_str();
    match key {
        "sysctls" => true,
        "environment" => {
            let given = name == "PATH" || PROXIES.contains(&name.to_lowercase().as_str());
            !given && image.is_some_and(|image| !of_image(&image.env))
        }
        "labels" => {
            let own = labels::OWN.iter().any(|prefix| name.starts_with(prefix));
            !own && image.is_some_and(|image| !of_image(&image.labels))
        }
        _ => false,
    }
}

/// A value as text. Variables whose name speaks of a secret are not shown: plans are read by more people than hosts.
pub(super) fn shown(key: &str, name: &str, value: &Value) -> String {
    const HIDDEN: [&str; 8] = [
        "PASS",
        "SECRET",
        "TOKEN",
        "KEY",
        "CREDENTIAL",
        "PRIVATE",
        "DSN",
        "AUTH",
    ];
    let upper = name.to_uppercase();
    if key == "environment" && HIDDEN.iter().any(|word| upper.contains(word)) {
        return "(hidden)".to_owned();
    }
    // An address may carry a password: scheme://user:password@host.
    let text = text(value);
    match (key, text.split_once("://")) {
        ("environment", Some((scheme, rest))) => match rest.split_once('@') {
            Some((login, host)) if login.contains(':') && !login.contains('/') => {
                format!("{scheme}://(hidden)@{host}")
            }
            _ => text,
        },
        _ => text,
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ObservedImage {
        ObservedImage {
            env: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
            ..ObservedImage::default()
        }
    }

    #[test]
    fn what_differs() {
        let check = |key: &str, new: Value, old: Value, expected: &[(&str, Option<&str>, Option<&str>)]| {
            let mut out = Vec::new();
            differ(key, &new, &old, Some(&image()), &mut out);
            let got: Vec<_> = out
                .iter()
                .map(|one| (one.key.as_str(), one.old.as_deref(), one.new.as_deref()))
                .collect();
            assert_eq!(got, expected, "{key}: {new} {old}");
        };
        check("user", json!("1"), json!("1"), &[]);
        check("user", json!("1"), json!(""), &[("user", Some(""), Some("1"))]);
        check("cpus", json!(2), json!(2.0), &[]);
        check(
            "command",
            json!(["a", "b"]),
            json!(["b", "a"]),
            &[("command", Some(r#"["b","a"]"#), Some(r#"["a","b"]"#))],
        );
        check(
            "ports",
            json!(["a", "b"]),
            json!(["b", "c"]),
            &[("ports", Some("c"), Some("a"))],
        );
        check(
            "volumes",
            json!(["d:/d"]),
            json!(["0123:/anonymous", "d:/d"]),
            &[],
        );
        check(
            "environment",
            json!({"A": "1"}),
            json!({"A": "1", "PATH": "/bin"}),
            &[],
        );
        check("environment", json!({}), json!({"http_proxy": "p"}), &[]);
        check(
            "environment",
            json!({"A": "2", "DB_PASSWORD": "new", "URL": "pg://u:secret@db/x"}),
            json!({"A": "1", "DB_PASSWORD": "old", "GONE": "x", "URL": "pg://u@db/x"}),
            &[
                ("environment.A", Some("1"), Some("2")),
                ("environment.DB_PASSWORD", Some("(hidden)"), Some("(hidden)")),
                ("environment.URL", Some("pg://u@db/x"), Some("pg://(hidden)@db/x")),
                ("environment.GONE", Some("x"), None),
            ],
        );
        check(
            "labels",
            json!({}),
            json!({"com.docker.compose.project": "p", "mine": "1"}),
            &[("labels.mine", Some("1"), None)],
        );
        check(
            "healthcheck",
            json!({"interval": "5s"}),
            json!({"interval": "5s", "retries": 3}),
            &[],
        );
    }

    #[test]
    fn lists_in_one_form() {
        assert_eq!(
            list_of("cap_add", vec!["net_admin".into(), "CAP_SYS_TIME".into()]),
            json!(["NET_ADMIN", "SYS_TIME"])
        );
        assert_eq!(list_of("extra_hosts", vec!["a=1".into()]), json!(["a:1"]));
        assert_eq!(
            list_of("tmpfs", vec!["/r:".into(), "/a:size=1m".into()]),
            json!(["/a:size=1m", "/r"])
        );
    }
}
