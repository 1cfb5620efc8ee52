//! `ps`, `ls`, `port`, `top`, `version`: what only shows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use windflow_engine::{plan::labels, targets::ObserveQuery};
use windflow_model::{ContainerState, ContainerSummary};

use super::{
    Context, Result,
    act::is_of,
    args::{ListFormat, LsArgs, NamedArgs, PortArgs, PsArgs, VersionArgs},
    run::{containers, one_of},
    session::{failed, target},
    show::{self, columns},
};
use crate::failure::CommandError;

/// The word of the engine's lists for a container's state.
pub(super) fn word(state: ContainerState) -> String {
    format!("{state:?}").to_lowercase()
}

/// `ps`.
pub(super) async fn ps(context: &Context, args: PsArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), &args.services)?;
    let target = target(&context.caller)?;
    let one_offs: BTreeSet<String> = if args.all {
        BTreeSet::new()
    } else {
        let found = containers(&target, &project).await?;
        found
            .into_iter()
            .filter(|container| container.is_oneoff())
            .map(|container| container.id)
            .collect()
    };
    let mut states = args.status.clone();
    if let Some(filter) = &args.filter {
        match filter.split_once('=') {
            Some(("status", state)) => states.push(state.to_owned()),
            _ => {
                return Err(CommandError::usage(format!(
                    "the filter `{filter}` must be status=STATE"
                )));
            }
        }
    }
    let known = project.loaded.as_ref().filter(|_| !args.orphans);
    let mut list = target.containers().await.map_err(failed)?;
    list.retain(|container| {
        let up = !matches!(
            container.state,
            ContainerState::Exited | ContainerState::Created | ContainerState::Dead
        );
        let service = container.service.as_deref().unwrap_or_default();
        is_of(&project, &args.services, container)
            && !one_offs.contains(&container.id)
            && (args.all || up || !states.is_empty())
            && (states.is_empty() || states.contains(&word(container.state)))
            && known.is_none_or(|known| known.any_service(service).is_some())
    });
    show::ps(&args, list)
}

/// `ls`.
pub(super) async fn ls(context: &Context, args: LsArgs) -> Result<()> {
    let target = target(&context.caller)?;
    let mut projects: BTreeMap<String, Vec<ContainerSummary>> = BTreeMap::new();
    for container in target.containers().await.map_err(failed)? {
        if let Some(project) = &container.project {
            projects.entry(project.clone()).or_default().push(container);
        }
    }
    let mut rows: Vec<[String; 3]> = Vec::new();
    for (name, list) in projects {
        let runs = list
            .iter()
            .any(|container| container.state == ContainerState::Running);
        if !(runs || args.all) || !fits(&args.filter, &name)? {
            continue;
        }
        let mut states: BTreeMap<String, u32> = BTreeMap::new();
        for container in &list {
            *states.entry(word(container.state)).or_default() += 1;
        }
        let status: Vec<String> = states
            .iter()
            .map(|(state, count)| format!("{state}({count})"))
            .collect();
        let query = ObserveQuery {
            project: name.clone(),
            ..ObserveQuery::default()
        };
        let observed = target.observe(&query).await.map_err(failed)?;
        let files: BTreeSet<String> = observed
            .containers
            .iter()
            .filter_map(|container| container.label(labels::CONFIG_FILES).map(str::to_owned))
            .collect();
        let files: Vec<String> = files.into_iter().collect();
        rows.push([name, status.join(", "), files.join(",")]);
    }
    if args.quiet {
        let lines: String = rows.iter().map(|[name, ..]| format!("{name}\n")).collect();
        return show::data(&lines);
    }
    if args.format == ListFormat::Json {
        let items = rows
            .iter()
            .map(|[name, status, files]| json!({ "Name": name, "Status": status, "ConfigFiles": files }));
        let items: Vec<_> = items.collect();
        let text = serde_json::to_string(&items).map_err(|error| CommandError::failed(error.to_string()))?;
        return show::data(&format!("{text}\n"));
    }
    show::data(&columns(["NAME", "STATUS", "CONFIG FILES"], rows))
}

fn fits(filters: &[String], name: &str) -> Result<bool> {
    for filter in filters {
        match filter.split_once('=') {
            Some(("name", text)) if name.contains(text) => {}
            Some(("name", _)) => return Ok(false),
            _ => {
                return Err(CommandError::usage(format!(
                    "the filter `{filter}` must be name=TEXT"
                )));
            }
        }
    }
    Ok(true)
}

/// `port`.
pub(super) async fn port(context: &Context, args: PortArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), std::slice::from_ref(&args.service))?;
    let target = target(&context.caller)?;
    let container = one_of(&target, &project, &args.service, args.index).await?;
    let list = target.containers().await.map_err(failed)?;
    let ports = list
        .iter()
        .filter(|other| other.id == container.id)
        .flat_map(|other| &other.ports);
    let mut fit = ports
        .filter(|port| port.container_port == args.private_port && port.protocol == args.protocol)
        .filter(|port| port.host_port != 0);
    match fit.next() {
        Some(port) => show::data(&format!("{}:{}\n", port.host_ip, port.host_port)),
        None => Err(CommandError::failed(format!(
            "no port {}/{} for container {}",
            args.private_port, args.protocol, container.name
        ))),
    }
}

/// `top`.
pub(super) async fn top(context: &Context, args: NamedArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), &args.services)?;
    let target = target(&context.caller)?;
    let mut list = target.containers().await.map_err(failed)?;
    list.retain(|container| {
        is_of(&project, &args.services, container) && container.state == ContainerState::Running
    });
    let mut text = String::new();
    let mut titles: Option<Vec<String>> = None;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for container in list {
        let processes = target.top(&container.id).await.map_err(failed)?;
        titles.get_or_insert(processes.titles);
        for row in processes.rows {
            let service = container.service.clone().unwrap_or_default();
            rows.push([vec![service, container.name.clone()], row].concat());
        }
    }
    if let Some(titles) = titles {
        let head = vec!["SERVICE".to_owned(), "CONTAINER".to_owned()];
        text = show::table([vec![[head, titles].concat()], rows].concat());
    }
    show::data(&text)
}

/// `version`.
pub(super) fn version(args: &VersionArgs) -> Result<()> {
    let version = windflow_kit::build::VERSION;
    let text = match (args.short, args.format.as_deref()) {
        (true, _) => version.to_owned(),
        (false, Some("json")) => json!({ "version": version }).to_string(),
        (false, None | Some("pretty")) => format!("WindFlow local mode version {version}"),
        (false, Some(other)) => {
            return Err(CommandError::usage(format!(
                "--format {other}: use pretty or json"
            )));
        }
    };
    show::data(&format!("{text}\n"))
}
