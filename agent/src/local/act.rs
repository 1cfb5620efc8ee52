//! What acts on containers that exist.

use std::{io::BufRead as _, sync::Arc, time::Duration};

use futures_util::future::join_all;
use windflow_engine::{
    lifecycle::{self, Act, Lifecycle},
    targets::Ending,
};
use windflow_model::{ContainerState, ContainerSummary, Health};

use super::{
    Context, Result,
    args::{
        DownArgs, KillArgs, NamedArgs, ProjectArgs, RestartArgs, RmArgs, ServicesArgs, StartArgs, WaitArgs,
    },
    project::Project,
    session::{failed, target},
    show::{self, note},
    up,
};
use crate::failure::CommandError;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// How long a container must stay up to count as started.
const SETTLE: Duration = Duration::from_secs(1);

fn order(project: &Project, act: Act, services: Vec<String>) -> Lifecycle {
    Lifecycle {
        services,
        project: project.loaded.clone(),
        dry_run: project.dry_run,
        ..Lifecycle::new(project.name.clone(), act)
    }
}

async fn carry_out(context: &Context, order: &Lifecycle, word: &str) -> Result<Vec<String>> {
    let target = target(&context.caller)?;
    let names = lifecycle::run(&target, order).await?;
    if !context.quiet {
        let dry = if order.dry_run { "dry run: " } else { "" };
        for name in &names {
            note(&format!("{dry}container {name}: {word}"));
        }
    }
    Ok(names)
}

/// `start`.
pub(super) async fn start(context: &Context, args: StartArgs) -> Result<()> {
    let project = context.load_lenient(args.project, &args.services)?;
    let order = order(&project, Act::Start, args.services.clone());
    carry_out(context, &order, "started").await?;
    if !args.wait || project.dry_run {
        return Ok(());
    }
    let limit = args
        .wait_timeout
        .map_or(Duration::MAX, |seconds| Duration::from_secs(seconds.into()));
    match tokio::time::timeout(limit, until_good(context, &project, &args.services)).await {
        Ok(done) => done,
        Err(_) => Err(CommandError::failed(format!(
            "{} is not up after the time given",
            project.name
        ))),
    }
}

async fn until_good(context: &Context, project: &Project, services: &[String]) -> Result<()> {
    let target = target(&context.caller)?;
    let mut good_since: Option<tokio::time::Instant> = None;
    loop {
        let list = target.containers().await.map_err(failed)?;
        let mine: Vec<&ContainerSummary> = list
            .iter()
            .filter(|container| is_of(project, services, container))
            .collect();
        if let Some(bad) = mine.iter().find(|container| {
            container.state == ContainerState::Exited || container.health == Health::Unhealthy
        }) {
            return Err(CommandError::failed(format!(
                "container {} is not up: {}",
                bad.name, bad.status
            )));
        }
        let good = |container: &&ContainerSummary| {
            container.state == ContainerState::Running && container.health != Health::Starting
        };
        if mine.iter().all(good) {
            let since = *good_since.get_or_insert_with(tokio::time::Instant::now);
            if since.elapsed() >= SETTLE {
                return Ok(());
            }
        } else {
            good_since = None;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a container is of a project and one of these services (all if empty).
pub(super) fn is_of(project: &Project, services: &[String], container: &ContainerSummary) -> bool {
    let service = container.service.as_deref().unwrap_or_default();
    container.project.as_deref() == Some(project.name.as_str())
        && (services.is_empty() || services.iter().any(|wanted| wanted == service))
}

/// `stop`.
pub(super) async fn stop(context: &Context, args: ServicesArgs) -> Result<()> {
    let project = context.load_lenient(args.project, &args.services)?;
    let order = Lifecycle {
        timeout: args.timeout.map(|seconds| Duration::from_secs(seconds.into())),
        ..order(&project, Act::Stop, args.services)
    };
    carry_out(context, &order, "stopped").await.map(drop)
}

/// `restart`.
pub(super) async fn restart(context: &Context, args: RestartArgs) -> Result<()> {
    let common = args.common;
    let mut project = context.load_lenient(common.project.clone(), &[])?;
    if !common.services.is_empty() {
        // Their own profiles are on.
        let named = context.load_lenient(common.project, &common.services)?;
        if let (Some(all), Some(named)) = (&mut project.loaded, named.loaded) {
            let mut merged = (**all).clone();
            for (name, service) in &named.services {
                merged
                    .services
                    .entry(name.clone())
                    .or_insert_with(|| service.clone());
            }
            *all = Arc::new(merged);
        }
    }
    let order = Lifecycle {
        timeout: common.timeout.map(|seconds| Duration::from_secs(seconds.into())),
        no_deps: args.no_deps,
        ..order(&project, Act::Restart, common.services)
    };
    carry_out(context, &order, "restarted").await.map(drop)
}

/// `kill`.
pub(super) async fn kill(context: &Context, args: KillArgs) -> Result<()> {
    let project = context.load_lenient(args.project, &args.services)?;
    let act = Act::Kill {
        signal: args.signal,
        orphans: args.remove_orphans,
    };
    if carry_out(context, &order(&project, act, args.services), "killed")
        .await?
        .is_empty()
    {
        note("no container to kill");
    }
    Ok(())
}

/// `pause`, `unpause`.
pub(super) async fn pause(context: &Context, args: NamedArgs, freeze: bool) -> Result<()> {
    let project = context.load_lenient(args.project, &args.services)?;
    let (act, word) = if freeze {
        (Act::Pause, "paused")
    } else {
        (Act::Unpause, "running again")
    };
    carry_out(context, &order(&project, act, args.services), word)
        .await
        .map(drop)
}

/// `rm`.
pub(super) async fn rm(context: &Context, args: RmArgs) -> Result<()> {
    let project = context.load_lenient(args.project, &args.services)?;
    if args.stop {
        let order = order(&project, Act::Stop, args.services.clone());
        carry_out(context, &order, "stopped").await?;
    }
    if !args.force && !project.dry_run && !confirmed()? {
        return Ok(());
    }
    let act = Act::Remove {
        volumes: args.volumes,
    };
    if carry_out(context, &order(&project, act, args.services), "removed")
        .await?
        .is_empty()
    {
        note("no stopped containers");
    }
    Ok(())
}

fn confirmed() -> Result<bool> {
    note("remove the stopped containers? [y/N]");
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| CommandError::failed(format!("cannot read the answer: {error}")))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// `wait`.
pub(super) async fn wait(context: &Context, args: WaitArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), &[])?;
    let target = target(&context.caller)?;
    let list = target.containers().await.map_err(failed)?;
    let running: Vec<&ContainerSummary> = list
        .iter()
        .filter(|container| is_of(&project, &args.services, container))
        .filter(|container| container.state == ContainerState::Running)
        .collect();
    if running.is_empty() {
        let text = format!(
            "no containers for project {:?} are running",
            project.name.as_str()
        );
        return Err(CommandError::failed(text));
    }
    let ends = running.iter().map(|container| async {
        let end = target.wait(&container.id, Ending::NotRunning).await?;
        let code = end.await?;
        Ok::<_, windflow_engine::targets::TargetError>((container.id.clone(), code))
    });
    let mut last = 0;
    for end in join_all(ends).await {
        let (id, code) = end.map_err(failed)?;
        show::data(&format!("container {id:?} exited with status code {code}\n"))?;
        last = code;
    }
    if args.down_project {
        down(context, args.project).await?;
    }
    CommandError::exit_code(last)
}

async fn down(context: &Context, project: ProjectArgs) -> Result<()> {
    let args = DownArgs {
        project,
        ..DownArgs::default()
    };
    up::down(context, &args).await
}
