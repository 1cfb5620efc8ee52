//! Short syntaxes become long ones: every place of the tree has one form afterwards.

mod draft;
mod parts;
mod ports;
pub(crate) mod volumes;
mod words;

use crate::problem::Report;
use crate::units;
use crate::yaml::{Map, Mark, Node, Value, join};
pub(crate) use draft::draft;
use parts::{
    dependencies, device, device_requests, env_files, file_references, hosts, named, provider_options, ssh,
    strings,
};

/// Brings all of a file into the long form. The shape was checked before.
pub(crate) fn file(root: &mut Node, report: &mut Report) {
    for (section, each) in [
        ("services", service as fn(&mut Node, &str, &mut Report)),
        ("networks", network),
        ("volumes", resource),
        ("secrets", resource),
        ("configs", resource),
    ] {
        if let Some(Value::Map(entries)) = root.get_mut(section).map(|node| &mut node.value) {
            for (name, node) in entries.iter_mut() {
                each(node, &format!("{section}.{name}"), report);
            }
        }
    }
}

/// Applies a change to a key, if it is there.
fn at(
    node: &mut Node,
    key: &str,
    path: &str,
    report: &mut Report,
    change: impl FnOnce(&mut Node, &str, &mut Report),
) {
    if let Some(inner) = node.get_mut(key) {
        change(inner, &join(path, key), report);
    }
}

fn network(node: &mut Node, path: &str, report: &mut Report) {
    resource(node, path, report);
    if let Some(ipam) = node.get_mut("ipam") {
        if let Some(items) = ipam.get_mut("config").and_then(Node::as_list_mut) {
            for item in items {
                at(item, "aux_addresses", path, report, |n, _, _| dict(n, false));
            }
        }
        unused(
            ipam,
            "options",
            path,
            report,
            "options of the address manager are not passed on; use `driver_opts` of the network",
        );
    }
}

/// Takes out a key that has no effect, and says so.
fn unused(node: &mut Node, key: &str, path: &str, report: &mut Report, message: &str) {
    if let Some(taken) = node.as_map_mut().and_then(|map| map.shift_remove(key)) {
        report.warn(taken.key, &join(path, key), message);
    }
}

fn resource(node: &mut Node, path: &str, report: &mut Report) {
    for key in ["labels", "driver_opts"] {
        at(node, key, path, report, |n, _, _| dict(n, false));
    }
    external(node, path, report);
}

/// `external: {name: …}` becomes `external: true` and `name`.
fn external(node: &mut Node, path: &str, report: &mut Report) {
    let Some(external) = node.get("external") else {
        return;
    };
    if external.as_map().is_some() {
        let (mark, name) = (external.at, external.get("name").cloned());
        report.warn(
            mark,
            path,
            "`external.name` is outdated; write `name` beside `external: true`",
        );
        if let Some(name) = name {
            if node.get("name").is_some_and(|own| own.value != name.value) {
                report.error(mark, path, "`name` and `external.name` differ; keep only `name`");
            }
            node.set("name", name);
        }
        node.set("external", Node::new(Value::Bool(true), mark));
    }
}

fn service(node: &mut Node, path: &str, report: &mut Report) {
    at(node, "environment", path, report, environment);
    for key in ["labels", "annotations", "sysctls", "storage_opt"] {
        at(node, key, path, report, |n, _, _| dict(n, false));
    }
    for key in ["command", "entrypoint"] {
        at(node, key, path, report, words::command);
    }
    for key in ["dns", "dns_search", "tmpfs", "label_file"] {
        at(node, key, path, report, |n, _, _| listed(n));
    }
    for key in ["expose", "group_add"] {
        at(node, key, path, report, |n, _, _| strings(n));
    }
    at(node, "extra_hosts", path, report, hosts);
    at(node, "env_file", path, report, |n, _, _| env_files(n));
    at(node, "depends_on", path, report, |n, _, _| dependencies(n));
    for key in ["networks", "models"] {
        at(node, key, path, report, |n, _, _| named(n));
    }
    if let Some(Value::Map(networks)) = node.get_mut("networks").map(|n| &mut n.value) {
        for attachment in networks.values_mut() {
            at(attachment, "driver_opts", path, report, |n, _, _| dict(n, false));
        }
    }
    at(node, "ports", path, report, ports::canonical);
    at(node, "volumes", path, report, volumes::canonical);
    for key in ["secrets", "configs"] {
        at(node, key, path, report, |n, p, r| {
            file_references(n, p, key == "secrets", r)
        });
    }
    if let Some(items) = node.get_mut("devices").and_then(Node::as_list_mut) {
        items
            .iter_mut()
            .enumerate()
            .for_each(|(i, n)| device(n, &format!("{path}.devices[{i}]"), report));
    }
    at(node, "gpus", path, report, |n, p, r| {
        device_requests(n, p, false, r)
    });
    for key in [
        "mem_limit",
        "mem_reservation",
        "memswap_limit",
        "mem_swappiness",
        "shm_size",
    ] {
        size(node, key, path, report);
    }
    duration(node, "stop_grace_period", path, report);
    unused(
        node,
        "pull_refresh_after",
        path,
        report,
        "the key has no effect; say when to pull with `pull_policy`: daily, weekly or every_12h",
    );
    at(node, "healthcheck", path, report, healthcheck);
    at(node, "deploy", path, report, deploy);
    at(node, "build", path, report, build);
    if let Some(logging) = node.get_mut("logging") {
        at(logging, "options", path, report, |n, _, _| dict(n, false));
    }
    if let Some(Value::Map(blkio)) = node.get_mut("blkio_config").map(|n| &mut n.value) {
        for (_, limits) in blkio.iter_mut().filter(|(key, _)| key.starts_with("device_")) {
            for limit in limits.as_list_mut().into_iter().flatten() {
                size(limit, "rate", path, report);
            }
        }
    }
    for key in ["pre_start", "post_start", "pre_stop"] {
        for item in node
            .get_mut(key)
            .and_then(Node::as_list_mut)
            .into_iter()
            .flatten()
        {
            hook(item, path, report);
        }
    }
    if let Some(items) = node
        .get_mut("develop")
        .and_then(|n| n.get_mut("watch"))
        .and_then(Node::as_list_mut)
    {
        for item in items {
            at(item, "ignore", path, report, |n, _, _| listed(n));
            at(item, "include", path, report, |n, _, _| listed(n));
            at(item, "exec", path, report, hook);
        }
    }
    if let Some(provider) = node.get_mut("provider") {
        at(provider, "options", path, report, |n, _, _| provider_options(n));
    }
}

fn hook(node: &mut Node, path: &str, report: &mut Report) {
    at(node, "command", path, report, words::command);
    at(node, "environment", path, report, environment);
}

fn healthcheck(node: &mut Node, path: &str, report: &mut Report) {
    if let Some(test) = node.get_mut("test")
        && let Value::Str(text) = &test.value
    {
        let (mark, text) = (test.at, text.clone());
        test.value = Value::List(vec![Node::text("CMD-SHELL", mark), Node::text(text, mark)]);
    }
    if let Some(retries) = node.get_mut("retries")
        && let Value::Float(number) = retries.value
    {
        retries.value = Value::Int(number as i64);
    }
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        duration(node, key, path, report);
    }
}

fn deploy(node: &mut Node, path: &str, report: &mut Report) {
    at(node, "labels", path, report, |n, _, _| dict(n, false));
    for key in ["update_config", "rollback_config"] {
        at(node, key, path, report, |n, p, r| {
            duration(n, "delay", p, r);
            duration(n, "monitor", p, r);
        });
    }
    at(node, "restart_policy", path, report, |n, p, r| {
        duration(n, "delay", p, r);
        duration(n, "window", p, r);
    });
    let Some(resources) = node.get_mut("resources") else {
        return;
    };
    let path = join(path, "resources");
    for key in ["limits", "reservations"] {
        at(resources, key, &path, report, |n, p, r| {
            size(n, "memory", p, r);
            at(n, "devices", p, r, |n, p, r| device_requests(n, p, true, r));
        });
    }
}

fn build(node: &mut Node, path: &str, report: &mut Report) {
    if let Value::Str(text) = &node.value {
        let context = Node::text(text.clone(), node.at);
        node.value = Node::map([("context", context)], node.at).value;
    }
    at(node, "args", path, report, environment);
    at(node, "labels", path, report, |n, _, _| dict(n, false));
    at(node, "additional_contexts", path, report, |n, _, _| {
        dict(n, false)
    });
    at(node, "ssh", path, report, |n, _, _| ssh(n));
    at(node, "extra_hosts", path, report, hosts);
    at(node, "no_cache_filter", path, report, |n, _, _| listed(n));
    at(node, "secrets", path, report, |n, p, r| {
        file_references(n, p, false, r)
    });
    size(node, "shm_size", path, report);
    for key in ["provenance", "sbom"] {
        at(node, key, path, report, |n, _, _| text(n));
    }
}

/// A mapping of scalars, or a list of `KEY=value`, becomes a mapping of texts. A missing value is null where that
/// means something (`nulls`), else empty.
fn dict(node: &mut Node, nulls: bool) {
    let none = |mark| {
        if nulls {
            Node::new(Value::Null, mark)
        } else {
            Node::text("", mark)
        }
    };
    let mut out = Map::new();
    match &node.value {
        Value::List(items) => {
            for item in items {
                let text = item.scalar_text().unwrap_or_default();
                let (key, value) = text
                    .split_once('=')
                    .map_or((text.as_str(), None), |(k, v)| (k, Some(v)));
                let value = value.map_or_else(|| none(item.at), |value| Node::text(value, item.at));
                out.insert(key.to_owned(), value);
            }
        }
        Value::Map(map) => {
            for (key, item) in map {
                let mut value = item
                    .scalar_text()
                    .map_or_else(|| none(item.at), |text| Node::text(text, item.at));
                value.key = item.key;
                out.insert(key.clone(), value);
            }
        }
        _ => return,
    }
    node.value = Value::Map(out);
}

/// As [`dict`], for variables: in a list, a name with a blank behind it is a mistake.
fn environment(node: &mut Node, path: &str, report: &mut Report) {
    for (index, item) in node.as_list().into_iter().flatten().enumerate() {
        let name = item
            .as_str()
            .and_then(|text| text.split('=').next())
            .unwrap_or("");
        if name.ends_with(char::is_whitespace) {
            let path = format!("{path}[{index}]");
            report.error(
                item.at,
                &path,
                format!("the variable name {name:?} ends with a blank"),
            );
        }
    }
    dict(node, true);
}

/// One text becomes a list of one.
fn listed(node: &mut Node) {
    if matches!(node.value, Value::Str(_)) {
        let item = Node::new(node.value.clone(), node.at);
        node.value = Value::List(vec![item]);
    }
}

fn text(node: &mut Node) {
    if let Some(text) = node.scalar_text() {
        node.value = Value::Str(text);
    }
}

/// A size becomes a text of digits. A number with a fraction is dropped, as the reference does, but not in silence.
fn size(node: &mut Node, key: &str, path: &str, report: &mut Report) {
    let Some(inner) = node.get_mut(key) else { return };
    let mark: Mark = inner.at;
    match &inner.value {
        Value::Int(number) => inner.value = Value::Str(number.to_string()),
        Value::Str(text) => match units::parse_bytes(text) {
            Ok(bytes) => inner.value = Value::Str(bytes.to_string()),
            Err(message) => report.error(mark, &join(path, key), message),
        },
        Value::Float(_) => {
            report.warn(
                mark,
                &join(path, key),
                "a number with a point or exponent has no effect here; put it in quotes",
            );
            if let Some(map) = node.as_map_mut() {
                map.shift_remove(key);
            }
        }
        _ => {}
    }
}

fn duration(node: &mut Node, key: &str, path: &str, report: &mut Report) {
    let Some(inner) = node.get_mut(key) else { return };
    if let Value::Str(text) = &inner.value {
        match units::parse_duration(text) {
            Ok(nanos) => inner.value = Value::Str(units::format_duration(nanos)),
            Err(message) => report.error(inner.at, &join(path, key), message),
        }
    }
}
