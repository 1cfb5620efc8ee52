//! The smaller short syntaxes.

use crate::problem::Report;
use crate::yaml::{Map, Node, Value};

pub(super) fn strings(node: &mut Node) {
    node.as_list_mut().into_iter().flatten().for_each(super::text);
}

/// A list of names becomes a mapping of names to nothing.
pub(super) fn named(node: &mut Node) {
    let Value::List(items) = &node.value else { return };
    let map = items
        .iter()
        .filter_map(|item| Some((item.as_str()?.to_owned(), Node::new(Value::Null, item.at))))
        .collect();
    node.value = Value::Map(map);
}

/// A list of names becomes a mapping. What a mapping leaves out may be in another file: see `load::normalise`.
pub(super) fn dependencies(node: &mut Node) {
    let short = matches!(node.value, Value::List(_));
    named(node);
    for dependency in node.as_map_mut().into_iter().flat_map(Map::values_mut) {
        let mark = dependency.at;
        if dependency.is_null() {
            dependency.value = Value::Map(Map::new());
        }
        if short {
            dependency.set("condition", Node::text("service_started", mark));
            dependency.set("required", Node::new(Value::Bool(true), mark));
        }
    }
}

pub(super) fn env_files(node: &mut Node) {
    super::listed(node);
    for item in node.as_list_mut().into_iter().flatten() {
        let mark = item.at;
        if let Value::Str(path) = &item.value {
            let path = Node::text(path.clone(), mark);
            item.value = Node::map([("path", path)], mark).value;
        }
        if item.get("required").is_none() {
            item.set("required", Node::new(Value::Bool(true), mark));
        }
    }
}

/// `host:ip`, `host=ip`, several addresses with commas, or a mapping, become a list of `host=ip`.
pub(super) fn hosts(node: &mut Node, path: &str, report: &mut Report) {
    let mut out: Vec<Node> = Vec::new();
    let mut add = |host: &str, addresses: &str, at: &Node| {
        for address in addresses.split(',') {
            let address = address
                .strip_prefix('[')
                .and_then(|a| a.strip_suffix(']'))
                .unwrap_or(address);
            let entry = Node::text(format!("{host}={address}"), at.at);
            if !out.iter().any(|known| known.value == entry.value) {
                out.push(entry);
            }
        }
    };
    match &node.value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let text = item.as_str().unwrap_or("");
                match text.split_once('=').or_else(|| text.split_once(':')) {
                    Some((host, address)) if !host.is_empty() => add(host, address, item),
                    _ => report.error(
                        item.at,
                        &format!("{path}[{index}]"),
                        format!("{text:?} names no address; write host=address"),
                    ),
                }
            }
        }
        Value::Map(map) => {
            for (host, item) in map {
                match &item.value {
                    Value::List(addresses) => addresses
                        .iter()
                        .for_each(|a| add(host, a.as_str().unwrap_or(""), a)),
                    _ => add(host, item.as_str().unwrap_or(""), item),
                }
            }
        }
        _ => return,
    }
    node.value = Value::List(out);
}

pub(super) fn file_references(node: &mut Node, path: &str, secret: bool, report: &mut Report) {
    for (index, item) in node.as_list_mut().into_iter().flatten().enumerate() {
        let mark = item.at;
        if let Value::Str(name) = &item.value {
            let source = Node::text(name.clone(), mark);
            item.value = Node::map([("source", source)], mark).value;
        }
        if secret && item.get("target").is_none() {
            let target = format!("/run/secrets/{}", item.str_at("source").unwrap_or(""));
            item.set("target", Node::text(target, mark));
        }
        if let Some(mode) = item.get_mut("mode") {
            let bits = match &mode.value {
                Value::Int(bits) => u32::try_from(*bits).ok(),
                Value::Str(text) => u32::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
                _ => None,
            };
            match bits {
                Some(bits) => mode.value = Value::Str(format!("0{bits:o}")),
                None => report.error(
                    mode.at,
                    &format!("{path}[{index}].mode"),
                    "must be an octal file mode such as 0440",
                ),
            }
        }
    }
}

pub(super) fn device(node: &mut Node, path: &str, report: &mut Report) {
    let mark = node.at;
    let Value::Str(text) = &node.value else {
        if node.get("target").is_none() {
            report.error(mark, path, "the key \"target\" is missing");
        }
        return;
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            return report.error(
                mark,
                path,
                "too many colons; use the long syntax with source and target",
            );
        }
    };
    let entries = [
        ("source", source),
        ("target", target),
        ("permissions", permissions),
    ];
    node.value = Node::map(entries.map(|(key, text)| (key, Node::text(text, mark))), mark).value;
}

/// Device requests: `all` becomes -1, and a request that names neither a number nor ids wants all.
pub(super) fn device_requests(node: &mut Node, path: &str, capabilities: bool, report: &mut Report) {
    if matches!(node.value, Value::Str(_)) {
        node.value = Value::List(vec![Node::map([], node.at)]);
    }
    for (index, item) in node.as_list_mut().into_iter().flatten().enumerate() {
        let path = format!("{path}[{index}]");
        let mark = item.at;
        if capabilities && item.get("capabilities").is_none() {
            report.error(mark, &path, "the key \"capabilities\" is missing");
        }
        if let Some(options) = item.get_mut("options") {
            super::dict(options, false);
        }
        let ids = item.get("device_ids").is_some();
        match item.get_mut("count") {
            Some(_) if ids => report.error(mark, &path, "\"count\" and \"device_ids\" exclude each other"),
            Some(count) => {
                if let Value::Str(text) = &count.value {
                    match if text.eq_ignore_ascii_case("all") {
                        Ok(-1)
                    } else {
                        text.parse()
                    } {
                        Ok(number) => count.value = Value::Int(number),
                        Err(_) => report.error(
                            count.at,
                            &path,
                            format!("count is {text:?}; write a number or all"),
                        ),
                    }
                }
            }
            None if !ids => item.set("count", Node::new(Value::Int(-1), mark)),
            None => {}
        }
    }
}

/// `default`, `id=path` or a mapping become a list.
pub(super) fn ssh(node: &mut Node) {
    if let Value::Map(map) = &node.value {
        let items = map
            .iter()
            .map(|(id, path)| match path.scalar_text() {
                Some(text) if !text.is_empty() => Node::text(format!("{id}={text}"), path.at),
                _ => Node::text(id.clone(), path.at),
            })
            .collect();
        node.value = Value::List(items);
    }
}

pub(super) fn provider_options(node: &mut Node) {
    for option in node.as_map_mut().into_iter().flat_map(Map::values_mut) {
        if option.as_list().is_none() {
            let item = option.clone();
            option.value = Value::List(vec![item]);
        }
        strings(option);
    }
}
