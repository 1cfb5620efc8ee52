//! `build`, `pull`, `images`.

use std::collections::BTreeSet;

use serde_json::json;
use windflow_compose::model::{Build, PullPolicy, Service};
use windflow_engine::{
    plan::image_of,
    targets::{ImageKey, ObserveQuery, Operation, Ticker},
};

use super::{
    Context, Result,
    args::{BuildArgs, ImagesArgs, ListFormat, Pull, PullArgs},
    project::Project,
    run::containers,
    session::{failed, target},
    show::{self, columns, note},
};
use crate::failure::CommandError;

/// The services that are meant, dependencies before those that need them; and what images are built from.
fn to_build(project: &Project, named: &[String], with_dependencies: bool) -> Vec<String> {
    let all = chosen(project, &[], true);
    let mut wanted: BTreeSet<String> = chosen(project, named, with_dependencies).into_iter().collect();
    let mut open: Vec<String> = wanted.iter().cloned().collect();
    let services = project.loaded.as_ref().map(|loaded| &loaded.services);
    while let Some(name) = open.pop() {
        let service = services.and_then(|services| services.get(&name));
        let bases = service.and_then(|service| service.build.as_ref());
        for base in bases.into_iter().flat_map(Build::services) {
            if wanted.insert(base.to_owned()) {
                open.push(base.to_owned());
            }
        }
    }
    all.into_iter().filter(|name| wanted.contains(name)).collect()
}

/// The services that are meant, dependencies before those that need them.
fn chosen(project: &Project, named: &[String], with_dependencies: bool) -> Vec<String> {
    fn visit(project: &Project, name: &str, seen: &mut BTreeSet<String>, out: &mut Vec<String>) {
        let loaded = project.loaded.as_ref();
        let Some(service) = loaded.and_then(|loaded| loaded.services.get(name)) else {
            return;
        };
        if !seen.insert(name.to_owned()) {
            return;
        }
        let bases = service.build.iter().flat_map(Build::services);
        for dependency in service.depends_on.keys().map(String::as_str).chain(bases) {
            visit(project, dependency, seen, out);
        }
        out.push(name.to_owned());
    }
    let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
    let all = project.loaded.iter().flat_map(|loaded| loaded.services.keys());
    for name in all {
        visit(project, name, &mut seen, &mut out);
    }
    out.retain(|name| named.is_empty() || with_dependencies || named.contains(name));
    out
}

/// `build`.
pub(super) async fn build(context: &Context, args: BuildArgs) -> Result<()> {
    let project = context.load(args.project.clone(), &args.services)?;
    let target = target(&context.caller)?;
    let mut loaded = project
        .loaded
        .as_ref()
        .map(|loaded| (**loaded).clone())
        .unwrap_or_default();
    for service in loaded.services.values_mut() {
        let Some(build) = &mut service.build else { continue };
        build.no_cache |= args.no_cache;
        build.pull |= args.pull;
        for item in &args.args {
            let (key, value) = match item.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (item.clone(), project.env.get(item).cloned()),
            };
            build.args.insert(key, value);
        }
    }
    let loaded = std::sync::Arc::new(loaded);
    for name in to_build(&project, &args.services, args.with_dependencies) {
        if loaded
            .services
            .get(&name)
            .is_none_or(|service| service.build.is_none())
        {
            continue;
        }
        let image = image_of(&loaded, &name);
        if project.dry_run {
            note(&format!("dry run: {image} would be built for service {name}"));
            continue;
        }
        let operation = Operation::Build {
            project: std::sync::Arc::clone(&loaded),
            service: name.clone(),
            image: image.clone(),
        };
        target.execute(&operation, Ticker::none()).await.map_err(failed)?;
        if !args.quiet && !context.quiet {
            note(&format!("{name} Built"));
        }
    }
    Ok(())
}

/// `pull`.
pub(super) async fn pull(context: &Context, args: PullArgs) -> Result<()> {
    let project = context.load(args.project.clone(), &args.services)?;
    let target = target(&context.caller)?;
    let loaded = project.loaded.clone().unwrap_or_default();
    let names = chosen(&project, &args.services, args.include_deps);
    let query = ObserveQuery {
        project: project.name.to_string(),
        images: names
            .iter()
            .map(|name| ImageKey(image_of(&loaded, name)))
            .collect(),
        ..ObserveQuery::default()
    };
    let there = target.observe(&query).await.map_err(failed)?.images;
    let mut seen = BTreeSet::new();
    let say = |text: String| {
        if !args.quiet && !context.quiet {
            note(&text);
        }
    };
    for name in names {
        let Some(service) = loaded.services.get(&name) else {
            continue;
        };
        let Some(image) = service.image.clone().filter(|image| seen.insert(image.clone())) else {
            continue;
        };
        if let Some(why) = left_out(service, args.policy, there.contains_key(&image)) {
            say(format!("{image} Skipped {why}"));
            continue;
        }
        if args.ignore_buildable && service.build.is_some() {
            say(format!("{image} Skipped Image can be built"));
            continue;
        }
        if project.dry_run {
            say(format!("dry run: {image} would be pulled"));
            continue;
        }
        let operation = Operation::Pull {
            image: image.clone(),
            platform: service.platform.clone(),
        };
        match target.execute(&operation, Ticker::none()).await {
            Ok(_) => say(format!("{image} Pulled")),
            Err(error) if args.ignore_pull_failures || service.build.is_some() => {
                note(&format!("warning: {}", error.failure()));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn left_out(service: &Service, policy: Option<Pull>, there: bool) -> Option<&'static str> {
    match (policy, service.pull()) {
        (Some(Pull::Missing), _) if there => Some("Image is already present locally"),
        (Some(Pull::Always), _) => None,
        (_, PullPolicy::Never | PullPolicy::Build) => Some("No image to be pulled"),
        (None, PullPolicy::Missing) if there && service.pull_policy.is_some() => {
            Some("Image is already present locally")
        }
        _ => None,
    }
}

/// `images`.
pub(super) async fn list(context: &Context, args: ImagesArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), &args.services)?;
    let mut found = containers(&target(&context.caller)?, &project).await?;
    found.retain(|container| {
        let service = container.service().unwrap_or_default();
        args.services.is_empty() || args.services.iter().any(|name| name == service)
    });
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if args.quiet {
        let ids: BTreeSet<&str> = found.iter().map(|container| bare(&container.image_id)).collect();
        let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
        return show::data(&lines);
    }
    let parts = |image: &str| {
        let (name, tag) = match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (image, "latest"),
        };
        (name.to_owned(), tag.to_owned())
    };
    if args.format == ListFormat::Json {
        let items = found.iter().map(|container| {
            let (name, tag) = parts(&container.image);
            json!({ "ID": container.image_id, "ContainerName": container.name, "Repository": name, "Tag": tag })
        });
        let items: Vec<_> = items.collect();
        let text = serde_json::to_string(&items).map_err(|error| CommandError::failed(error.to_string()))?;
        return show::data(&format!("{text}\n"));
    }
    let rows = found.iter().map(|container| {
        let (name, tag) = parts(&container.image);
        let id = bare(&container.image_id).get(..12).unwrap_or_default().to_owned();
        [container.name.clone(), name, tag, id]
    });
    show::data(&columns(
        ["CONTAINER", "REPOSITORY", "TAG", "IMAGE ID"],
        rows.collect(),
    ))
}

fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}
