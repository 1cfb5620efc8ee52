//! `run` and `exec`: commands in containers.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use windflow_compose::{
    LoadRequest, MemoryFiles, Source,
    model::{Project as Compose, Service},
};
use windflow_engine::{
    ApplyOptions,
    oneoff::{self, OneOffRequest},
    targets::{
        AttachRequest, Ending, ExecRequest, ObserveQuery, ObservedContainer, OneOff, SessionId, Target,
        Ticker,
    },
};
use windflow_model::{ContainerState, Want};

use super::{
    Context, Result,
    args::{ExecArgs, RunArgs},
    project::{HostFiles, Project},
    session::{Session, failed, target},
    show,
    terminal::{self, Pump},
    up::{pull_mode, truthy},
};
use crate::failure::CommandError;

/// `run`.
pub(super) async fn run(context: &Context, args: RunArgs) -> Result<()> {
    let services = std::slice::from_ref(&args.service);
    let project = context.load(args.project.clone(), services)?;
    let tty = !args.no_tty && (args.tty || windflow_kit::terminal::is_there());
    let changed = changed(context, &project, &args, tty)?;
    let session = Session::open(context, true).await?;
    let options = ApplyOptions {
        services: services.to_vec(),
        only_needs: true,
        no_deps: args.no_deps,
        pull: pull_mode(args.pull),
        build: args.build,
        remove_orphans: Some(args.remove_orphans || truthy(project.variable("COMPOSE_REMOVE_ORPHANS"))),
        ignore_orphans: truthy(project.variable("COMPOSE_IGNORE_ORPHANS")),
        no_wait: true,
        ..ApplyOptions::default()
    };
    let prepared = async {
        let order = session.order(&project, Want::Present, options)?;
        session.apply(&project, order, None).await
    };
    let result = prepared.await;
    session.close(result).await?;
    if project.dry_run {
        show::note(&format!(
            "dry run: a container of service {} would be made and run",
            args.service
        ));
        return Ok(());
    }
    let target = target(&context.caller)?;
    let stdin = args.interactive && !args.detach;
    let request = OneOffRequest {
        stack: project.name.clone(),
        project: changed,
        service: args.service.clone(),
        name: args.name.clone(),
        one_off: OneOff {
            auto_remove: args.rm,
            stdin,
            aliases: args.use_aliases,
        },
    };
    let made = oneoff::create(&target, &context.random, request).await?;
    if args.detach {
        target
            .execute(&made.start, Ticker::none())
            .await
            .map_err(failed)?;
        return show::data(&format!("{}\n", made.id));
    }
    let attach = AttachRequest {
        container: made.id.clone(),
        tty,
        stdin,
        ..AttachRequest::default()
    };
    let attached = target.attach(attach).await.map_err(failed)?;
    let ending = if args.rm {
        Ending::Removed
    } else {
        Ending::NextExit
    };
    let end = target.wait(&made.id, ending).await.map_err(failed)?;
    let raw = if tty { Some(terminal::raw()?) } else { None };
    target
        .execute(&made.start, Ticker::none())
        .await
        .map_err(failed)?;
    terminal::pump(
        &target,
        attached,
        Pump {
            tty,
            stdin,
            proxied: true,
        },
    )
    .await?;
    let code = end.await.map_err(failed)?;
    drop(raw);
    CommandError::exit_code(code)
}

/// The project with the service as it shall be for once.
fn changed(context: &Context, project: &Project, args: &RunArgs, tty: bool) -> Result<Compose> {
    let loaded = project.loaded.as_ref();
    let mut out = loaded.map(|loaded| (**loaded).clone()).unwrap_or_default();
    let extra = extra(context, args)?;
    let service = out
        .services
        .get_mut(&args.service)
        .ok_or_else(|| CommandError::usage(format!("no such service: {}", args.service)))?;
    if args.no_deps {
        service.depends_on.clear();
    }
    service.tty = tty;
    service.stdin_open = args.interactive;
    if !args.service_ports {
        service.ports.clear();
    }
    if !args.publish.is_empty() {
        service.ports = extra.ports;
    }
    service.volumes.extend(extra.volumes);
    service.labels.extend(extra.labels);
    service.environment.extend(extra.environment);
    for item in &args.env {
        let (key, value) = match item.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (item.as_str(), project.env.get(item).cloned()),
        };
        if let Some(value) = value {
            service.environment.insert(key.to_owned(), Some(value));
        }
    }
    if extra.entrypoint.is_some() {
        service.entrypoint = extra.entrypoint;
        service.command = Some(Vec::new());
    }
    if !args.command.is_empty() {
        service.command = Some(args.command.clone());
    }
    if args.user.is_some() {
        service.user.clone_from(&args.user);
    }
    if args.workdir.is_some() {
        service.working_dir.clone_from(&args.workdir);
    }
    service.cap_add.extend(args.cap_add.iter().cloned());
    service.cap_drop.retain(|cap| !args.cap_add.contains(cap));
    service.cap_drop.extend(args.cap_drop.iter().cloned());
    service.cap_add.retain(|cap| !args.cap_drop.contains(cap));
    Ok(out)
}

/// What stands on the command line in the language's short forms, read by the language itself.
fn extra(context: &Context, args: &RunArgs) -> Result<Service> {
    let mut service = json!({
        "image": "x",
        "ports": args.publish,
        "volumes": args.volumes,
        "labels": args.labels,
        "env_file": args.env_from_file,
    });
    if let (Some(entrypoint), Some(keys)) = (&args.entrypoint, service.as_object_mut()) {
        keys.insert("entrypoint".to_owned(), Value::from(entrypoint.as_str()));
    }
    let path = "the command line".to_owned();
    let request = LoadRequest {
        files: vec![Source {
            path,
            text: Some(json!({ "services": { "x": service } }).to_string()),
        }],
        project_directory: context.caller.working_dir.to_string_lossy().into_owned(),
        name: Some("x".to_owned()),
        env: context.caller.env.clone(),
        interpolate: false,
        consistency: false,
        ..LoadRequest::default()
    };
    let files: &dyn windflow_compose::Files = if args.env_from_file.is_empty() {
        &MemoryFiles(BTreeMap::new())
    } else {
        &HostFiles
    };
    let loaded =
        windflow_compose::load(&request, files).map_err(|problems| CommandError::problems(&problems))?;
    Ok(loaded.project.services.get("x").cloned().unwrap_or_default())
}

/// `exec`.
pub(super) async fn exec(context: &Context, args: ExecArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), std::slice::from_ref(&args.service))?;
    let target = target(&context.caller)?;
    let container = one_of(&target, &project, &args.service, args.index).await?;
    if project.dry_run {
        let text = format!(
            "dry run: {} would run in container {}",
            args.command.join(" "),
            container.name
        );
        show::note(&text);
        return Ok(());
    }
    let tty = !args.detach && !args.no_tty && (args.tty || windflow_kit::terminal::is_there());
    let stdin = args.interactive && !args.detach;
    let variable = |item: &String| match item.split_once('=') {
        Some(_) => item.clone(),
        None => {
            let value = project.env.get(item).or_else(|| context.caller.env.get(item));
            value.map_or_else(|| item.clone(), |value| format!("{item}={value}"))
        }
    };
    let request = ExecRequest {
        container: container.id,
        command: args.command.clone(),
        env: args.env.iter().map(variable).collect(),
        working_dir: args.workdir.clone(),
        user: args.user.clone(),
        privileged: args.privileged,
        tty,
        stdin,
        detach: args.detach,
    };
    let session = target.exec(request).await.map_err(failed)?;
    if args.detach {
        return Ok(());
    }
    let id = session.id.clone();
    let raw = if tty { Some(terminal::raw()?) } else { None };
    terminal::pump(
        &target,
        session,
        Pump {
            tty,
            stdin,
            proxied: true,
        },
    )
    .await?;
    drop(raw);
    let SessionId::Exec(id) = id else { return Ok(()) };
    CommandError::exit_code(target.exec_code(&id).await.map_err(failed)?)
}

/// A running container of a service: the one of this number, or the first; one-off ones come last.
pub(super) async fn one_of(
    target: &Arc<dyn Target>,
    project: &Project,
    service: &str,
    index: u32,
) -> Result<ObservedContainer> {
    let mut found = containers(target, project).await?;
    found.retain(|container| {
        container.service() == Some(service)
            && matches!(
                container.state,
                ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
            )
            && (index == 0 || container.number() == index)
    });
    found.sort_by_key(|container| (container.is_oneoff(), container.number()));
    found.into_iter().next().ok_or_else(|| {
        CommandError::failed(if index > 0 {
            format!("service {service:?} is not running container #{index}")
        } else {
            format!("service {service:?} is not running")
        })
    })
}

/// All containers of a project.
pub(super) async fn containers(
    target: &Arc<dyn Target>,
    project: &Project,
) -> Result<Vec<ObservedContainer>> {
    let query = ObserveQuery {
        project: project.name.to_string(),
        ..ObserveQuery::default()
    };
    Ok(target.observe(&query).await.map_err(failed)?.containers)
}
