//! Mounts: `[SOURCE:]TARGET[:OPTIONS]`.

use crate::problem::Report;
use crate::yaml::{Mark, Node, Value};

pub(super) fn canonical(node: &mut Node, path: &str, report: &mut Report) {
    for (index, item) in node.as_list_mut().into_iter().flatten().enumerate() {
        one(item, &format!("{path}[{index}]"), report);
    }
}

/// One mount.
pub(super) fn one(item: &mut Node, path: &str, report: &mut Report) {
    if let Value::Str(text) = &item.value {
        match short(text, item.at, path, report) {
            Ok(mount) => *item = mount,
            Err(message) => report.error(item.at, path, message),
        }
        return;
    }
    let mark = item.at;
    if let Some(tmpfs) = item.get_mut("tmpfs") {
        super::size(tmpfs, "size", &format!("{path}.tmpfs"), report);
    }
    if let Some(labels) = item.get_mut("volume").and_then(|n| n.get_mut("labels")) {
        super::dict(labels, false);
    }
    if item.str_at("type") == Some("bind") && item.get("source").is_none() {
        report.error(
            mark,
            path,
            "the key \"source\" is missing: which directory or file of the host?",
        );
    }
    match item.str_at("target").map(clean) {
        Some(target) => item.set("target", Node::text(target, mark)),
        None => report.error(mark, path, "the key \"target\" is missing"),
    }
}

fn is_drive(text: &str) -> bool {
    text.chars().count() == 1 && text.starts_with(char::is_alphabetic)
}

/// Splits at colons, but not behind a Windows drive letter and not inside of `${…}`.
fn sections(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut variables = 0_u32;
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '{' if before == '$' || variables > 0 => variables += 1,
            '}' => variables = variables.saturating_sub(1),
            _ => {}
        }
        before = c;
        match parts.last_mut() {
            Some(last) if c != ':' || variables > 0 || is_drive(last) => last.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts
}

fn short(text: &str, mark: Mark, path: &str, report: &mut Report) -> Result<Node, String> {
    if text.is_empty() {
        return Err("a mount must not be empty".to_owned());
    }
    if text.chars().count() <= 2 {
        let mut node = mount("volume", None, text, mark);
        // The reference leaves the options away here.
        if let Some(map) = node.as_map_mut() {
            map.shift_remove("volume");
        }
        return Ok(node);
    }
    let parts = sections(text);
    if parts.iter().any(String::is_empty) {
        return Err(format!("{text:?} has an empty section between colons"));
    }
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, target, None),
        [source, target] => (Some(source.as_str()), target, None),
        [source, target, options] => (Some(source.as_str()), target, Some(options)),
        _ => return Err(format!("{text:?} has too many colons")),
    };
    if source.is_none() && target.contains(':') {
        report.warn(
            mark,
            path,
            format!("{target:?} is read as a Windows path; one-letter volume names need the long syntax"),
        );
    }
    let bind = source.is_some_and(is_path);
    let mut node = mount(if bind { "bind" } else { "volume" }, source, target, mark);
    let mut of_bind = Node::map([], mark);
    let mut of_volume = Node::map([], mark);
    let mut read_only = false;
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => of_volume.set("nocopy", Node::new(Value::Bool(true), mark)),
            "z" | "Z" => of_bind.set("selinux", Node::text(option, mark)),
            "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate" => {
                of_bind.set("propagation", Node::text(option, mark));
            }
            _ => report.warn(
                mark,
                path,
                format!("the mount option {option:?} has no effect here"),
            ),
        }
    }
    if bind {
        of_bind.set("create_host_path", Node::new(Value::Bool(true), mark));
    }
    if read_only {
        node.set("read_only", Node::new(Value::Bool(true), mark));
    }
    for (key, own, needed) in [("bind", of_bind, bind), ("volume", of_volume, !bind)] {
        if needed || own.as_map().is_some_and(|map| !map.is_empty()) {
            node.set(key, own);
        }
    }
    Ok(node)
}

fn mount(kind: &str, source: Option<&str>, target: &str, mark: Mark) -> Node {
    let mut node = Node::map(
        [
            ("type", Node::text(kind, mark)),
            ("target", Node::text(clean(target), mark)),
        ],
        mark,
    );
    if let Some(source) = source {
        node.set("source", Node::text(source, mark));
    }
    if kind == "volume" {
        node.set("volume", Node::map([], mark));
    }
    node
}

fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
        || source.starts_with("\\\\")
        || source.split_once(':').is_some_and(|(drive, _)| is_drive(drive))
}

/// A path without `.`, `..`, doubled and trailing slashes.
pub(crate) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}
