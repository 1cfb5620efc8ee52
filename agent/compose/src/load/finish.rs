//! From the merged tree to the project.

use super::normalise::{defaults, drop_unset_args, normalise, resolve_values};
use super::tree::{Loader, Scope};
use super::variables::variables;
use super::{LoadRequest, Location, check, paths};
use crate::files::Files;
use crate::model::{Project, SecretText, Service};
use crate::name;
use crate::problem::{Problem, Report};
use crate::shape;
use crate::support;
use crate::yaml::{Map, Mark, Node, Value, join};
use std::collections::{BTreeMap, BTreeSet};

/// The merged tree of all files, and what belongs to it.
struct Merged {
    tree: Node,
    name: String,
    env: BTreeMap<String, String>,
    /// Whether all files could be read.
    whole: bool,
}

fn merged(request: &LoadRequest, files: &dyn Files, draft: bool, report: &mut Report) -> Option<Merged> {
    report.draft = draft;
    let mut loader = Loader {
        files,
        report,
        interpolate: request.interpolate,
        draft,
        blind: false,
        read: 0,
    };
    let mut texts = Vec::new();
    for source in &request.files {
        let text = match &source.text {
            Some(text) => Some(text.clone()),
            None => loader.text(&source.path, Mark::default(), ""),
        };
        texts.extend(text.map(|text| (source.path.clone(), text)));
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
    let whole = !loader.blind;
    if let Some((path, _)) = texts.first()
        && tree.as_map().is_some_and(Map::is_empty)
        && !loader.report.failed()
    {
        let file = loader.report.file(path);
        let start = Mark {
            file,
            line: 1,
            column: 1,
        };
        loader.report.error(start, "", "the file is empty");
    }
    defaults(&mut tree);
    shape::complete(&tree, &shape::FILE, "", report);
    if request.resolve_paths {
        paths::file(&mut tree, &request.project_directory, &env);
    }
    tree.set("name", Node::text(name.clone(), Mark::default()));
    super::tidy::tidy(&mut tree);
    if request.normalize {
        normalise(&mut tree, &name, &request.project_directory);
    }
    Some(Merged {
        tree,
        name,
        env,
        whole,
    })
}

pub(super) fn load(
    request: &LoadRequest,
    files: &dyn Files,
    report: &mut Report,
) -> Option<(Project, BTreeMap<String, Location>)> {
    let Merged {
        mut tree, env, whole, ..
    } = merged(request, files, false, report)?;
    resolve_values(&mut tree, &env);
    if request.normalize {
        drop_unset_args(&mut tree);
    }
    support::warn(&tree, report);
    let enabled = select(&tree, request, whole, report);
    if request.consistency {
        check::consistency(&tree, &enabled, whole, report);
    }
    variables(&mut tree, &enabled, request.resolve_env, &env, files, report);
    if report.failed() {
        return None;
    }
    let locations = locations(&tree, report);
    let mut project = typed(tree, &enabled, report)?;
    project.working_dir.clone_from(&request.project_directory);
    let named = request
        .files
        .iter()
        .map(|source| match source.path.rsplit('/').next() {
            // Standard input lies nowhere.
            Some("-") => "-".to_owned(),
            _ => source.path.clone(),
        });
    project.compose_files = named.collect();
    project.environment_files.clone_from(&request.environment_files);
    project.profiles.clone_from(&request.profiles);
    project.compatibility = env.get("COMPOSE_COMPATIBILITY").is_some_and(|value| {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "1" | "true" | "t" | "yes" | "y"
        )
    });
    contents(&mut project, &env, report);
    if !request.all_resources {
        drop_unused(&mut project);
    }
    Some((project, locations))
}

/// The merged tree with its variables as they were written. All services are in it, whatever their profiles.
pub(super) fn draft(request: &LoadRequest, files: &dyn Files, report: &mut Report) -> Option<(String, Node)> {
    let Merged {
        mut tree, name, env, ..
    } = merged(request, files, true, report)?;
    resolve_values(&mut tree, &env);
    if request.consistency {
        check::resources(&tree, report);
    }
    (!report.failed()).then_some((name, tree))
}

/// Names of the services that profiles and selection leave.
fn select(tree: &Node, request: &LoadRequest, whole: bool, report: &mut Report) -> BTreeSet<String> {
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
            if !whole {
                continue;
            }
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
