//! From the merged tree to the project.

use super::tree::{Loader, Scope};
use super::{LoadRequest, Location, check, paths};
use crate::dotenv;
use crate::files::Files;
use crate::model::{Project, SecretText, Service};
use crate::name;
use crate::problem::{Problem, Report};
use crate::yaml::{Map, Mark, Node, Value, join};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn load(
    request: &LoadRequest,
    files: &dyn Files,
    report: &mut Report,
) -> Option<(Project, BTreeMap<String, Location>)> {
    let mut loader = Loader {
        files,
        report,
        interpolate: request.interpolate,
        read: 0,
        imported: BTreeMap::new(),
    };
    let mut texts = Vec::new();
    for source in &request.files {
        let text = match &source.text {
            Some(text) => Some(text.clone()),
            None => loader.text(&source.path, Mark::default(), ""),
        };
        texts.push((source.path.clone(), text?));
    }
    let name = name::choose(request, &texts, loader.report)?;
    let mut env = request.env.clone();
    env.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    let mut tree = Node::new(Value::Map(Map::new()), Mark::default());
    for (path, text) in &texts {
        let scope = Scope {
            directory: &request.project_directory,
            env: &env,
            including: vec![path.clone()],
        };
        loader.file(path, text, &scope, &mut tree);
    }
    if report.failed() {
        return None;
    }
    if request.resolve_paths {
        paths::file(&mut tree, &request.project_directory, &env);
    }
    resolve_values(&mut tree, &env);
    tree.set("name", Node::text(name.clone(), Mark::default()));
    if request.normalize {
        normalise(&mut tree, &name, &request.project_directory);
    }
    let enabled = select(&tree, request, report);
    if request.consistency {
        check::consistency(&tree, &enabled, report);
    }
    if request.resolve_env {
        variables(&mut tree, &enabled, &env, files, report);
    }
    if report.failed() {
        return None;
    }
    let locations = locations(&tree, report);
    let mut project = typed(tree, &enabled, report)?;
    project.working_dir.clone_from(&request.project_directory);
    project.compose_files = request.files.iter().map(|source| source.path.clone()).collect();
    project.environment_files.clone_from(&request.environment_files);
    project.profiles.clone_from(&request.profiles);
    contents(&mut project, &env, report);
    if request.normalize {
        drop_unused(&mut project);
    }
    Some((project, locations))
}

/// `KEY` without a value takes the one of the environment, in environments and build arguments.
pub(super) fn resolve_values(tree: &mut Node, env: &BTreeMap<String, String>) {
    for service in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        fill(service.get_mut("environment"), env);
        fill(
            service.get_mut("build").and_then(|build| build.get_mut("args")),
            env,
        );
    }
}

fn fill(node: Option<&mut Node>, env: &BTreeMap<String, String>) {
    for (key, value) in node.and_then(Node::as_map_mut).into_iter().flatten() {
        if value.is_null()
            && let Some(text) = env.get(key)
        {
            value.value = Value::Str(text.clone());
        }
    }
}

fn entry<'t>(tree: &'t mut Node, key: &str) -> Option<&'t mut Map> {
    if tree.get(key).is_none_or(Node::is_null) {
        tree.set(key, Node::new(Value::Map(Map::new()), Mark::default()));
    }
    tree.get_mut(key).and_then(Node::as_map_mut)
}

fn normalise(tree: &mut Node, project: &str, directory: &str) {
    let mut default_used = false;
    for service in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        normalise_service(service, directory);
        default_used |= service
            .get("networks")
            .is_some_and(|networks| networks.get("default").is_some());
    }
    if default_used
        && let Some(networks) = entry(tree, "networks")
        && !networks.contains_key("default")
    {
        networks.insert(
            "default".to_owned(),
            Node::new(Value::Map(Map::new()), Mark::default()),
        );
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        for (key, node) in tree
            .get_mut(section)
            .and_then(Node::as_map_mut)
            .into_iter()
            .flatten()
        {
            if node.is_null() {
                node.value = Value::Map(Map::new());
            }
            if node.get("name").is_none() {
                let external = node.get("external").is_some_and(Node::is_true);
                let name = if external {
                    key.clone()
                } else {
                    format!("{project}_{key}")
                };
                node.set("name", Node::text(name, node.at));
            }
        }
    }
}

fn normalise_service(service: &mut Node, directory: &str) {
    let mark = service.at;
    let lonely = service
        .get("networks")
        .and_then(Node::as_map)
        .is_none_or(Map::is_empty);
    if lonely && service.get("network_mode").is_none() && service.get("provider").is_none() {
        service.set(
            "networks",
            Node::map([("default", Node::new(Value::Null, mark))], mark),
        );
    }
    if service.str_at("pull_policy") == Some("if_not_present") {
        service.set("pull_policy", Node::text("missing", mark));
    }
    if let Some(build) = service.get_mut("build") {
        if build.get("context").is_none() {
            build.set("context", Node::text(directory, mark));
        }
        if build.get("dockerfile").is_none() && build.get("dockerfile_inline").is_none() {
            build.set("dockerfile", Node::text("Dockerfile", mark));
        }
    }
    let mut implied: Vec<(String, bool)> = Vec::new();
    for link in service
        .get("links")
        .and_then(Node::as_list)
        .into_iter()
        .flatten()
        .filter_map(Node::as_str)
    {
        implied.push((link.split(':').next().unwrap_or(link).to_owned(), true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(name) = service.str_at(key).and_then(|text| text.strip_prefix("service:")) {
            implied.push((name.to_owned(), true));
        }
    }
    for from in service
        .get("volumes_from")
        .and_then(Node::as_list)
        .into_iter()
        .flatten()
        .filter_map(Node::as_str)
    {
        if !from.starts_with("container:") {
            implied.push((from.split(':').next().unwrap_or(from).to_owned(), false));
        }
    }
    if implied.is_empty() {
        return;
    }
    let Some(dependencies) = entry(service, "depends_on") else {
        return;
    };
    for (name, restart) in implied {
        dependencies.entry(name).or_insert_with(|| {
            let flag = |value| Node::new(Value::Bool(value), mark);
            let condition = Node::text("service_started", mark);
            Node::map(
                [
                    ("condition", condition),
                    ("restart", flag(restart)),
                    ("required", flag(true)),
                ],
                mark,
            )
        });
    }
}

/// Names of the services that profiles and selection leave.
fn select(tree: &Node, request: &LoadRequest, report: &mut Report) -> BTreeSet<String> {
    let Some(services) = tree.get("services").and_then(Node::as_map) else {
        return BTreeSet::new();
    };
    let mut profiles: BTreeSet<&str> = request.profiles.iter().map(String::as_str).collect();
    let own = |node: &Node| -> Vec<String> {
        node.get("profiles")
            .and_then(Node::as_list)
            .into_iter()
            .flatten()
            .filter_map(Node::scalar_text)
            .collect()
    };
    let named: Vec<String> = request
        .services
        .iter()
        .filter_map(|name| services.get(name))
        .flat_map(own)
        .collect();
    profiles.extend(named.iter().map(String::as_str));
    let on = |node: &Node| {
        let own = own(node);
        own.is_empty()
            || profiles.contains("*")
            || own.iter().any(|profile| profiles.contains(profile.as_str()))
    };
    let enabled: BTreeSet<String> = services
        .iter()
        .filter(|(_, node)| on(node))
        .map(|(name, _)| name.clone())
        .collect();
    if request.services.is_empty() {
        return enabled;
    }
    let mut chosen = BTreeSet::new();
    let mut waiting: Vec<String> = request.services.clone();
    while let Some(name) = waiting.pop() {
        let Some(node) = services.get(&name) else {
            report.push(Problem::general(format!("no such service: {name}")));
            continue;
        };
        if enabled.contains(&name) && chosen.insert(name) {
            waiting.extend(
                node.get("depends_on")
                    .and_then(Node::as_map)
                    .into_iter()
                    .flat_map(|map| map.keys().cloned()),
            );
        }
    }
    chosen
}

/// Reads the files of variables and labels of the enabled services.
fn variables(
    tree: &mut Node,
    enabled: &BTreeSet<String>,
    env: &BTreeMap<String, String>,
    files: &dyn Files,
    report: &mut Report,
) {
    for (name, service) in tree
        .get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
    {
        let Some(map) = service.as_map_mut() else { continue };
        let (env_files, label_files) = (map.shift_remove("env_file"), map.shift_remove("label_file"));
        if !enabled.contains(name) {
            continue;
        }
        let own: BTreeMap<String, String> = texts(service.get("environment"));
        let lookup = |key: &str| env.get(key).or_else(|| own.get(key)).cloned();
        let key = format!("services.{name}");
        let mut found = Map::new();
        for item in env_files.as_ref().and_then(Node::as_list).into_iter().flatten() {
            let path = item.str_at("path").unwrap_or("");
            let required = item.get("required").is_none_or(Node::is_true);
            let raw = match item.str_at("format") {
                None | Some("") => false,
                Some("raw") => true,
                Some(other) => {
                    report.error(
                        item.at,
                        &key,
                        format!("the env_file format {other:?} is not known; use raw, or none"),
                    );
                    continue;
                }
            };
            read(
                path,
                raw,
                required,
                &lookup,
                item.at,
                &join(&key, "env_file"),
                files,
                report,
                &mut found,
            );
        }
        if !found.is_empty() {
            let declared = service
                .get("environment")
                .and_then(Node::as_map)
                .cloned()
                .unwrap_or_default();
            found.extend(declared);
            service.set("environment", Node::new(Value::Map(found), Mark::default()));
        }
        let mut found = Map::new();
        for item in label_files.as_ref().and_then(Node::as_list).into_iter().flatten() {
            let path = item.as_str().unwrap_or("");
            read(
                path,
                false,
                true,
                &lookup,
                item.at,
                &join(&key, "label_file"),
                files,
                report,
                &mut found,
            );
        }
        if !found.is_empty() {
            let declared = service
                .get("labels")
                .and_then(Node::as_map)
                .cloned()
                .unwrap_or_default();
            found.extend(declared);
            service.set("labels", Node::new(Value::Map(found), Mark::default()));
        }
    }
}

fn texts(node: Option<&Node>) -> BTreeMap<String, String> {
    let map = node.and_then(Node::as_map);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[expect(
    clippy::too_many_arguments,
    reason = "the two kinds of files differ in these values only"
)]
fn read(
    path: &str,
    raw: bool,
    required: bool,
    lookup: &dyn Fn(&str) -> Option<String>,
    at: Mark,
    key: &str,
    files: &dyn Files,
    report: &mut Report,
    found: &mut Map,
) {
    let text = match files.read(path) {
        Ok(Some(text)) => text,
        Ok(None) if !required => return,
        Ok(None) => return report.error(at, key, format!("the file {path} does not exist")),
        Err(cause) => return report.error(at, key, format!("the file {path} cannot be read: {cause}")),
    };
    let mut unset = Vec::new();
    let parsed = if raw {
        dotenv::parse_raw(&text, lookup)
    } else {
        dotenv::parse(&text, lookup, &mut |name| unset.push(name.to_owned()))
    };
    for name in unset {
        report.warn(
            at,
            key,
            format!("the variable {name} in {path} is not set; an empty text stands for it"),
        );
    }
    match parsed {
        Ok(values) => found.extend(
            values
                .into_iter()
                .map(|(name, value)| (name, Node::text(value, at))),
        ),
        Err(error) => report.error(at, key, format!("{path}:{}: {error}", error.line)),
    }
}

fn locations(tree: &Node, report: &Report) -> BTreeMap<String, Location> {
    fn walk(node: &Node, path: &str, report: &Report, out: &mut BTreeMap<String, Location>) {
        if node.key.line > 0 && !path.is_empty() {
            let file = report.name(node.key).to_owned();
            out.insert(
                path.to_owned(),
                Location {
                    file,
                    line: node.key.line,
                    column: node.key.column,
                },
            );
        }
        match &node.value {
            Value::Map(map) => map
                .iter()
                .for_each(|(key, node)| walk(node, &join(path, key), report, out)),
            Value::List(items) => items
                .iter()
                .enumerate()
                .for_each(|(i, n)| walk(n, &format!("{path}[{i}]"), report, out)),
            _ => {}
        }
    }
    let mut out = BTreeMap::new();
    walk(tree, "", report, &mut out);
    out
}

fn typed(mut tree: Node, enabled: &BTreeSet<String>, report: &mut Report) -> Option<Project> {
    let services = tree.as_map_mut().and_then(|map| map.shift_remove("services"));
    let mut project: Project = match serde_json::from_value(tree.to_json()) {
        Ok(project) => project,
        Err(error) => {
            report.push(Problem::general(format!(
                "the project has an unexpected value: {error}"
            )));
            return None;
        }
    };
    for (name, node) in services.as_ref().and_then(Node::as_map).into_iter().flatten() {
        match serde_json::from_value::<Service>(node.to_json()) {
            Ok(service) if enabled.contains(name) => drop(project.services.insert(name.clone(), service)),
            Ok(service) => drop(project.disabled_services.insert(name.clone(), service)),
            Err(error) => report.error(
                node.key,
                &format!("services.{name}"),
                format!("unexpected value: {error}"),
            ),
        }
    }
    for service in project
        .services
        .values_mut()
        .chain(project.disabled_services.values_mut())
    {
        service.extra_hosts.sort();
    }
    (!report.failed()).then_some(project)
}

/// Contents of secrets and configs that come from the environment.
fn contents(project: &mut Project, env: &BTreeMap<String, String>, report: &mut Report) {
    for secret in project.secrets.values_mut() {
        if let Some(text) = secret.environment.as_ref().and_then(|name| env.get(name)) {
            secret.content = SecretText::new(text.clone());
        }
    }
    for (key, config) in &mut project.configs {
        if let Some(name) = &config.environment {
            match env.get(name) {
                Some(text) => config.content = Some(text.clone()),
                None => report.warn(
                    Mark::default(),
                    &format!("configs.{key}"),
                    format!("the variable {name} is not set"),
                ),
            }
        }
    }
}

fn drop_unused(project: &mut Project) {
    let mut networks = BTreeSet::new();
    let mut volumes = BTreeSet::new();
    let mut secrets = BTreeSet::new();
    let mut configs = BTreeSet::new();
    let mut models = BTreeSet::new();
    for service in project.services.values() {
        networks.extend(service.networks.keys().cloned());
        volumes.extend(service.volumes.iter().filter_map(|mount| mount.source.clone()));
        secrets.extend(service.secrets.iter().map(|secret| secret.source.clone()));
        secrets.extend(
            service
                .build
                .iter()
                .flat_map(|build| &build.secrets)
                .map(|secret| secret.source.clone()),
        );
        configs.extend(service.configs.iter().map(|config| config.source.clone()));
        models.extend(service.models.keys().cloned());
    }
    project.networks.retain(|key, _| networks.contains(key));
    project.volumes.retain(|key, _| volumes.contains(key));
    project.secrets.retain(|key, _| secrets.contains(key));
    project.configs.retain(|key, _| configs.contains(key));
    project.models.retain(|key, _| models.contains(key));
}
