//! Consistency: what is named exists, and what is said together fits together.

use crate::collect::IntoMap as _;
use crate::problem::Report;
use crate::shape::nearest;
use crate::yaml::{Map, Mark, Node, Value};
use std::collections::{BTreeMap, BTreeSet};

/// `whole`: all files could be read. Else nothing is called missing.
pub(super) fn consistency(tree: &Node, enabled: &BTreeSet<String>, whole: bool, report: &mut Report) {
    resources(tree, report);
    if !whole {
        return;
    }
    let Some(services) = section(tree, "services") else {
        return;
    };
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, node) in services.iter().filter(|(name, _)| enabled.contains(*name)) {
        let path = format!("services.{name}");
        service(tree, node, &path, report);
        dependencies(services, enabled, node, name, report);
        if let Some(container) = node.str_at("container_name")
            && let Some(other) = names.insert(container, name)
        {
            report.error(
                node.key,
                &path,
                format!("the container name {container:?} is also that of the service {other:?}"),
            );
        }
    }
    cycles(services, enabled, report);
}

fn section<'t>(tree: &'t Node, key: &str) -> Option<&'t Map> {
    tree.get(key).and_then(Node::as_map)
}

/// A reference to an entry of a top-level section.
fn known(tree: &Node, kind: &str, name: &str, at: Mark, path: &str, report: &mut Report) {
    let map = section(tree, kind);
    if map.is_some_and(|map| map.contains_key(name)) || report.touches(&format!("{kind}.{name}")) {
        return;
    }
    let mut problem = report.place(at, path, format!("{name:?} is not defined under `{kind}`"));
    let near = map.and_then(|map| nearest(name, map.keys().map(String::as_str)));
    problem.hint = near.map(|near| format!("did you mean {near:?}?"));
    report.push(problem);
}

fn items<'n>(node: &'n Node, key: &str) -> impl Iterator<Item = &'n Node> {
    node.get(key).and_then(Node::as_list).into_iter().flatten()
}

fn number(node: Option<&Node>) -> Option<i64> {
    match node?.value {
        Value::Int(number) => Some(number),
        _ => None,
    }
}

fn service(tree: &Node, node: &Node, path: &str, report: &mut Report) {
    let at = node.key;
    let nothing = ["image", "build", "provider"]
        .iter()
        .all(|key| node.get(key).is_none());
    if nothing && !report.touches(path) {
        report.error(at, path, "needs an `image` or a `build` section");
    }
    let networks = node.get("networks").and_then(Node::as_map);
    if let (Some(mode), Some(networks)) = (node.get("network_mode"), networks)
        && !networks.is_empty()
    {
        report.error(mode.key, path, "`network_mode` and `networks` exclude each other");
    }
    for (name, attachment) in networks.into_iter().flatten() {
        known(
            tree,
            "networks",
            name,
            attachment.key,
            &format!("{path}.networks"),
            report,
        );
        if name.starts_with("x-") {
            report.error(
                attachment.key,
                path,
                format!("{name:?} cannot be used as a network: `x-` marks extensions"),
            );
        }
    }
    for (name, model) in node.get("models").and_then(Node::as_map).into_iter().flatten() {
        known(tree, "models", name, model.key, &format!("{path}.models"), report);
    }
    for (key, kind) in [("secrets", "secrets"), ("configs", "configs")] {
        for item in items(node, key) {
            known(
                tree,
                kind,
                item.str_at("source").unwrap_or(""),
                item.at,
                &format!("{path}.{key}"),
                report,
            );
        }
    }
    for item in items(node, "volumes") {
        if let (Some("volume"), Some(source)) = (item.str_at("type"), item.str_at("source")) {
            known(
                tree,
                "volumes",
                source,
                item.at,
                &format!("{path}.volumes"),
                report,
            );
        }
    }
    mounts(node, path, report);
    if let Some(build) = node.get("build") {
        for item in items(build, "secrets") {
            known(
                tree,
                "secrets",
                item.str_at("source").unwrap_or(""),
                item.at,
                &format!("{path}.build.secrets"),
                report,
            );
        }
        if build.get("dockerfile").is_some() && build.get("dockerfile_inline").is_some() {
            report.error(
                build.key,
                path,
                "`dockerfile` and `dockerfile_inline` exclude each other",
            );
        }
        let platforms: Vec<&str> = items(build, "platforms").filter_map(Node::as_str).collect();
        if let Some(platform) = node.str_at("platform")
            && !platforms.is_empty()
            && !platforms.contains(&platform)
        {
            report.error(
                build.key,
                path,
                format!("`build.platforms` must contain the platform {platform:?}"),
            );
        }
        for (_, context) in build
            .get("additional_contexts")
            .and_then(Node::as_map)
            .into_iter()
            .flatten()
        {
            if let Some(target) = context.as_str().and_then(|text| text.strip_prefix("service:"))
                && section(tree, "services")
                    .and_then(|s| s.get(target))
                    .is_none_or(|s| s.get("build").is_none())
            {
                report.error(
                    context.at,
                    path,
                    format!("the context service:{target} is not a service with a `build` section"),
                );
            }
        }
    }
    if let Some(first) = node
        .get("healthcheck")
        .and_then(|h| h.get("test"))
        .and_then(Node::as_list)
        .and_then(<[Node]>::first)
        && !matches!(first.as_str(), Some("CMD" | "CMD-SHELL" | "NONE"))
    {
        report.error(
            first.at,
            &format!("{path}.healthcheck.test"),
            "must begin with CMD, CMD-SHELL or NONE",
        );
    }
    let deploy = node.get("deploy");
    let replicas = number(deploy.and_then(|d| d.get("replicas")));
    let scale = number(node.get("scale"));
    for (value, key) in [(replicas, "deploy.replicas"), (scale, "scale")] {
        if value.is_some_and(|value| !(0..=i64::from(u32::MAX)).contains(&value)) {
            report.error(at, &format!("{path}.{key}"), "must be at least 0");
        }
    }
    if let (Some(replicas), Some(scale)) = (replicas, scale)
        && replicas != scale
    {
        report.error(at, path, "`scale` and `deploy.replicas` differ; keep one");
    }
    if node.get("container_name").is_some() && scale.or(replicas).unwrap_or(1) > 1 {
        report.error(
            at,
            path,
            "with `container_name` there can be only one container; remove it, or scale to 1",
        );
    }
    limits(node, path, report);
    for item in node
        .get("develop")
        .map(|d| items(d, "watch"))
        .into_iter()
        .flatten()
    {
        let action = item.str_at("action").unwrap_or("");
        if item.get("target").is_none() && action.starts_with("sync") {
            report.error(
                item.at,
                &format!("{path}.develop.watch"),
                format!("{action} needs a `target`"),
            );
        }
    }
}

/// Limits that can be written in two places must agree.
fn limits(node: &Node, path: &str, report: &mut Report) {
    let resources = node.get("deploy").and_then(|deploy| deploy.get("resources"));
    let pairs = [
        ("cpus", "limits", "cpus"),
        ("mem_limit", "limits", "memory"),
        ("mem_reservation", "reservations", "memory"),
        ("pids_limit", "limits", "pids"),
    ];
    for (key, group, inner) in pairs {
        let own = node.get(key);
        let other = resources
            .and_then(|resources| resources.get(group))
            .and_then(|group| group.get(inner));
        if let (Some(own), Some(other)) = (own, other)
            && own.scalar_text() != other.scalar_text()
        {
            report.error(
                own.key,
                path,
                format!("`{key}` and `deploy.resources.{group}.{inner}` differ; keep one"),
            );
        }
    }
}

fn mounts(node: &Node, path: &str, report: &mut Report) {
    let mut targets: BTreeSet<String> = BTreeSet::new();
    let tmpfs =
        items(node, "tmpfs").map(|item| (item, item.as_str().and_then(|text| text.split(':').next())));
    for (item, target) in items(node, "volumes")
        .map(|item| (item, item.str_at("target")))
        .chain(tmpfs)
    {
        if let Some(target) = target
            && !targets.insert(target.to_owned())
        {
            report.error(item.at, path, format!("something is already mounted on {target}"));
        }
    }
}

fn dependencies(services: &Map, enabled: &BTreeSet<String>, node: &Node, name: &str, report: &mut Report) {
    for (target, dependency) in node
        .get("depends_on")
        .and_then(Node::as_map)
        .into_iter()
        .flatten()
    {
        let required = dependency.get("required").is_none_or(Node::is_true);
        if enabled.contains(target) || !required && services.contains_key(target) {
            continue;
        }
        let at = if dependency.key.line > 0 {
            dependency.key
        } else {
            node.key
        };
        let path = format!("services.{name}.depends_on");
        if services.contains_key(target) {
            report.hinted(
                at,
                &path,
                format!("the service {target:?} is not switched on"),
                "activate one of its profiles, or set `required: false`",
            );
        } else {
            let mut problem = report.place(at, &path, format!("there is no service {target:?}"));
            let near = nearest(target, services.keys().map(String::as_str));
            problem.hint = near.map(|near| format!("did you mean {near:?}?"));
            report.push(problem);
        }
    }
}

pub(super) fn resources(tree: &Node, report: &mut Report) {
    for (kind, sources) in [
        ("secrets", &["file", "environment"][..]),
        ("configs", &["file", "environment", "content"][..]),
    ] {
        for (name, node) in section(tree, kind).into_iter().flatten() {
            let path = format!("{kind}.{name}");
            let given: Vec<&str> = sources
                .iter()
                .copied()
                .filter(|key| node.get(key).is_some())
                .collect();
            let external = node.get("external").is_some_and(Node::is_true);
            match given.len() {
                0 if !external && !report.touches(&path) => {
                    report.error(node.key, &path, format!("needs one of {}", sources.join(", ")));
                }
                2.. => report.error(
                    node.key,
                    &path,
                    format!("{} exclude each other", given.join(" and ")),
                ),
                _ => {}
            }
        }
    }
    for (name, node) in section(tree, "volumes").into_iter().flatten() {
        for key in ["driver", "driver_opts", "labels"] {
            if node.get("external").is_some_and(Node::is_true) && node.get(key).is_some() {
                report.error(
                    node.key,
                    &format!("volumes.{name}"),
                    format!("`external` and `{key}` exclude each other"),
                );
            }
        }
    }
}

/// Longest circle that is told whole.
const MOST_SHOWN: usize = 20;

/// Circles of dependencies, found without recursion: whoever cannot be put in order is in one, or behind one.
fn cycles(services: &Map, enabled: &BTreeSet<String>, report: &mut Report) {
    let edges = |name: &str| -> Vec<String> {
        let node = services
            .get(name)
            .and_then(|node| node.get("depends_on"))
            .and_then(Node::as_map);
        node.into_iter()
            .flat_map(|map| map.keys().cloned())
            .filter(|target| enabled.contains(target))
            .collect()
    };
    let mut left: BTreeMap<String, Vec<String>> =
        enabled.iter().map(|name| (name.clone(), edges(name))).into_map();
    let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
    let mut behind: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, targets) in &left {
        waiting.insert(name.clone(), targets.len());
        for target in targets {
            behind.entry(target.clone()).or_default().push(name.clone());
        }
    }
    let mut free: Vec<String> = left
        .iter()
        .filter(|(_, targets)| targets.is_empty())
        .map(|(name, _)| name.clone())
        .collect();
    while let Some(name) = free.pop() {
        left.remove(&name);
        for dependant in behind.remove(&name).unwrap_or_default() {
            if let Some(count) = waiting.get_mut(&dependant) {
                *count -= 1;
                if *count == 0 {
                    free.push(dependant);
                }
            }
        }
    }
    let Some(start) = left.keys().next().cloned() else {
        return;
    };
    let mut chain = vec![start];
    while let Some(next) = chain
        .last()
        .and_then(|name| left.get(name))
        .and_then(|t| t.iter().find(|t| left.contains_key(*t)))
    {
        if let Some(first) = chain.iter().position(|name| name == next) {
            let mut circle: Vec<String> = chain.drain(first..).collect();
            let length = circle.len();
            circle.push(next.clone());
            if length > MOST_SHOWN {
                circle.splice(
                    MOST_SHOWN / 2..length - MOST_SHOWN / 2,
                    [format!("… {length} services …")],
                );
            }
            let at = services.get(next).map_or_else(Mark::default, |node| node.key);
            report.error(
                at,
                &format!("services.{next}"),
                format!(
                    "the services depend on each other in a circle: {}",
                    circle.join(" → ")
                ),
            );
            return;
        }
        chain.push(next.clone());
    }
}
