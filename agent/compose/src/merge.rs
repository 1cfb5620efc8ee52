//! Merging of two canonical trees: the rules of override files and `extends`.

use crate::problem::Report;
use crate::yaml::{Directive, Map, Node, Value, fits};

/// Lists that are taken whole, never appended.
const REPLACED: &[&str] = &[
    "services.*.command",
    "services.*.entrypoint",
    "services.*.healthcheck.test",
];

/// Mappings in which nothing is a value like any other.
const NULL_COUNTS: &[&str] = &[
    "services.*.command",
    "services.*.entrypoint",
    "services.*.healthcheck.test",
    "services.*.environment.*",
    "services.*.build.args.*",
];

/// Lists of unique items without a rule of their own: repeating an item of the base is an error.
const STRICT: &[&str] = &[
    "group_add",
    "security_opt",
    "volumes_from",
    "external_links",
    "device_cgroup_rules",
];

/// Lays `over` over `base`.
pub(crate) fn merge(base: &mut Node, over: Node, keys: &mut Vec<String>, report: &mut Report) {
    let path: Vec<&str> = keys.iter().map(String::as_str).collect();
    let any = |patterns: &[&str]| patterns.iter().any(|pattern| fits(&path, pattern));
    if over.is_null() && !base.is_null() && !any(NULL_COUNTS) {
        return;
    }
    if any(REPLACED) || fits(&path, "services.*.ulimits.*") || base.is_null() {
        *base = over;
        return;
    }
    if fits(&path, "services.*.logging") && drivers_differ(base, &over) {
        *base = over;
        return;
    }
    let mut over = over;
    if report.draft && is_pairs(&path) {
        pairs(base);
        pairs(&mut over);
    }
    let (at, key) = (over.at, over.key);
    match (&mut base.value, over.value) {
        (Value::Map(map), Value::Map(other)) => {
            for (name, node) in other {
                match map.get_mut(&name) {
                    Some(own) => {
                        keys.push(name);
                        merge(own, node, keys, report);
                        keys.pop();
                    }
                    None => {
                        map.insert(name, node);
                    }
                }
            }
            return;
        }
        (Value::List(items), Value::List(other)) if fits(&path, "networks.*.ipam.config") => {
            *items = pools(items, &other);
            return;
        }
        (Value::List(items), Value::List(other)) => {
            let known = items.len();
            items.extend(other);
            unify(items, &path);
            if let ["services", _, name] = path.as_slice()
                && STRICT.contains(name)
            {
                let repeated = items
                    .iter()
                    .skip(known)
                    .find(|item| items.iter().take(known).any(|own| own.value == item.value));
                if let Some(item) = repeated {
                    report.error(
                        item.at,
                        &keys.join("."),
                        "the item is already given by the file below",
                    );
                }
            }
            return;
        }
        (Value::Map(_) | Value::List(_), other) => {
            let found = Node::new(other, at);
            report.error(
                at,
                &keys.join("."),
                format!("{} cannot override {}", found.kind(), base.kind()),
            );
            return;
        }
        (own, other) => *own = other,
    }
    base.at = at;
    base.key = key;
}

/// Address pools, as the reference merges them: pools of one subnet are merged, and of the base only those stay that the
/// override names. With several pools on both sides the outcome is odd, but it is the one that users have.
fn pools(base: &[Node], over: &[Node]) -> Vec<Node> {
    let mut base = base.to_vec();
    // A pool of the override by itself, or a pool of the base, which may change while it stands here.
    let mut out: Vec<Result<usize, usize>> = Vec::new();
    let subnet = |base: &[Node], place: &Result<usize, usize>| {
        let pool = match place {
            Ok(own) => base.get(*own),
            Err(other) => over.get(*other),
        };
        pool.and_then(|pool| pool.get("subnet"))
            .and_then(Node::scalar_text)
    };
    for own in 0..base.len() {
        for other in 0..over.len() {
            let wanted = subnet(&base, &Err(other));
            let known = out.iter().any(|place| subnet(&base, place) == wanted);
            if subnet(&base, &Ok(own)) != wanted && !known {
                out.push(Err(other));
                continue;
            }
            let taken = over
                .get(other)
                .and_then(Node::as_map)
                .cloned()
                .unwrap_or_default();
            if let Some(map) = base.get_mut(own).and_then(Node::as_map_mut) {
                map.extend(taken);
            }
            match out.iter().position(|place| subnet(&base, place) == wanted) {
                Some(place) => out
                    .iter_mut()
                    .skip(place)
                    .take(1)
                    .for_each(|place| *place = Ok(own)),
                None => out.push(Ok(own)),
            }
        }
    }
    out.iter()
        .filter_map(|place| match place {
            Ok(own) => base.get(*own).cloned(),
            Err(other) => over.get(*other).cloned(),
        })
        .collect()
}

/// Mappings that may be written as lists of `KEY=value`. Only a draft still has such lists.
fn is_pairs(path: &[&str]) -> bool {
    const PATTERNS: &[&str] = &[
        "*.*.labels",
        "services.*.annotations",
        "services.*.environment",
        "services.*.sysctls",
        "services.*.build.args",
        "services.*.build.labels",
        "services.*.deploy.labels",
        "services.*.extra_hosts",
        "services.*.build.extra_hosts",
    ];
    PATTERNS.iter().any(|pattern| fits(path, pattern))
}

/// A mapping becomes a sorted list of `KEY=value`.
fn pairs(node: &mut Node) {
    let Value::Map(map) = &node.value else { return };
    let mut items: Vec<Node> = map
        .iter()
        .map(|(key, value)| {
            let text = value
                .scalar_text()
                .map_or_else(|| key.clone(), |text| format!("{key}={text}"));
            Node::text(text, value.key)
        })
        .collect();
    items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    node.value = Value::List(items);
}

fn drivers_differ(base: &Node, over: &Node) -> bool {
    match (base.str_at("driver"), over.str_at("driver")) {
        (Some(own), Some(other)) => own != other,
        _ => false,
    }
}

/// Removes what is given twice from the lists of a canonical service.
pub(crate) fn unify_service(name: &str, service: &mut Node) {
    const LISTS: &[&str] = &[
        "volumes",
        "devices",
        "ports",
        "secrets",
        "configs",
        "env_file",
        "dns",
        "dns_opt",
        "dns_search",
        "cap_add",
        "cap_drop",
        "expose",
        "links",
        "profiles",
        "tmpfs",
        "extra_hosts",
        "environment",
        "labels",
        "annotations",
        "sysctls",
    ];
    for key in LISTS {
        if let Some(items) = service.get_mut(key).and_then(Node::as_list_mut) {
            unify(items, &["services", name, key]);
        }
    }
    if let Some(tags) = service
        .get_mut("build")
        .and_then(|build| build.get_mut("tags"))
        .and_then(Node::as_list_mut)
    {
        unify(tags, &["services", name, "build", "tags"]);
    }
    for attachment in service
        .get_mut("networks")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        for key in ["aliases", "link_local_ips"] {
            if let Some(items) = attachment.get_mut(key).and_then(Node::as_list_mut) {
                unify(items, &["services", name, "networks", "", key]);
            }
        }
    }
}

/// The later of two items with one identity stands in the place of the earlier.
fn unify(items: &mut Vec<Node>, path: &[&str]) {
    let Some(identity) = identity(path) else { return };
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut out: Vec<Node> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let key = identity(&item);
        match places.get(&key).and_then(|place| out.get_mut(*place)) {
            Some(own) => *own = item,
            None => {
                places.insert(key, out.len());
                out.push(item);
            }
        }
    }
    *items = out;
}

fn identity(path: &[&str]) -> Option<fn(&Node) -> String> {
    let by_target: fn(&Node) -> String = |item| item.str_at("target").unwrap_or("").to_owned();
    match path {
        ["services", _, "volumes" | "devices"] => Some(by_target),
        ["services", _, "ports"] => Some(|item| {
            let part = |key: &str| item.get(key).and_then(Node::scalar_text).unwrap_or_default();
            format!(
                "{}|{}|{}|{}",
                part("host_ip"),
                part("published"),
                part("target"),
                part("protocol")
            )
        }),
        ["services", _, "secrets" | "configs"] => Some(|item| {
            item.str_at("target").map_or_else(
                || format!("/{}", item.str_at("source").unwrap_or("")),
                str::to_owned,
            )
        }),
        [_, _, "labels"]
        | ["services", _, "environment" | "annotations" | "sysctls"]
        | ["services", _, "build", "args" | "labels"]
        | ["services", _, "deploy", "labels"] => Some(|item| {
            let text = item.as_str().unwrap_or("");
            text.split_once('=').map_or(text, |(key, _)| key).to_owned()
        }),
        ["services", _, "env_file"] => Some(|item| item.str_at("path").unwrap_or("").to_owned()),
        [
            "services",
            _,
            "dns" | "dns_opt" | "dns_search" | "cap_add" | "cap_drop" | "expose" | "links" | "profiles"
            | "tmpfs" | "extra_hosts",
        ]
        | ["services", _, "networks", _, "aliases" | "link_local_ips"]
        | ["services", _, "build", "tags"] => Some(|item| item.scalar_text().unwrap_or_default()),
        _ => None,
    }
}

/// Takes `!reset` and `!override` out of a tree. The result are the paths that must go from the base.
pub(crate) fn take_directives(node: &mut Node) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    collect(node, &mut Vec::new(), &mut out);
    out
}

fn collect(node: &mut Node, keys: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|key, child| {
                keys.push(key.clone());
                let directive = child.directive.take();
                if directive.is_some() {
                    out.push(keys.clone());
                }
                if directive != Some(Directive::Reset) {
                    collect(child, keys, out);
                }
                keys.pop();
                directive != Some(Directive::Reset)
            });
        }
        Value::List(items) => items
            .iter_mut()
            .for_each(|item| collect(item, &mut vec!["[]".to_owned()], &mut Vec::new())),
        _ => {}
    }
}

/// Removes paths from a base.
pub(crate) fn remove(base: &mut Node, paths: &[Vec<String>]) {
    for path in paths {
        let Some((last, parents)) = path.split_last() else {
            continue;
        };
        let parent = parents.iter().try_fold(&mut *base, |node, key| node.get_mut(key));
        if let Some(map) = parent.and_then(Node::as_map_mut) {
            map.shift_remove(last);
        }
    }
}

/// Drops what is null in a file and has a value in one of the bases: nothing keeps the base.
pub(crate) fn prune_nulls(over: &mut Node, bases: &[&Node]) {
    prune(over, bases, &mut Vec::new());
}

/// The same for one service.
pub(crate) fn prune_service_nulls(over: &mut Node, bases: &[&Node]) {
    prune(over, bases, &mut vec!["services".to_owned(), "*".to_owned()]);
}

fn prune(over: &mut Node, bases: &[&Node], keys: &mut Vec<String>) {
    /// Where nothing means something, or is wrong.
    const KEPT: &[&str] = &[
        "services",
        "services.*.command",
        "services.*.entrypoint",
        "services.*.healthcheck.test",
    ];
    /// Mappings of names to values that may be nothing.
    const SCALARS: &[&str] = &[
        "environment",
        "labels",
        "annotations",
        "args",
        "additional_contexts",
        "sysctls",
        "options",
    ];
    let Value::Map(map) = &mut over.value else { return };
    map.retain(|key, node| {
        let own: Vec<&Node> = bases.iter().filter_map(|base| base.get(key)).collect();
        keys.push(key.clone());
        let path: Vec<&str> = keys.iter().map(String::as_str).collect();
        let kept = if node.is_null() {
            own.iter().all(|base| base.is_null()) || KEPT.iter().any(|pattern| fits(&path, pattern))
        } else {
            if !SCALARS.contains(&key.as_str()) && !key.starts_with("x-") {
                prune(node, &own, keys);
            }
            true
        };
        keys.pop();
        kept
    });
}

/// Merges two whole files.
pub(crate) fn merge_files(base: &mut Node, over: Node, report: &mut Report) {
    if base.is_null() {
        base.value = Value::Map(Map::new());
    }
    merge(base, over, &mut Vec::new(), report);
}
