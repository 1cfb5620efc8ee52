//! `up`, `down`, `create`, `scale`: what goes through the journal.

use std::{collections::BTreeMap, time::Duration};

use windflow_engine::{ApplyOptions, PullMode, RemoveImages};
use windflow_model::Want;

use super::{
    Context, Result,
    args::{CreateArgs, DownArgs, ProjectArgs, Pull, Rmi, ScaleArgs, UpArgs},
    follow, plan,
    project::Project,
    session::Session,
};
use crate::failure::CommandError;

/// Exit code after Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// `up`.
pub(super) async fn up(context: &Context, args: &UpArgs) -> Result<()> {
    let project = up_project(context, args)?;
    let loaded = project.loaded.as_ref();
    let known = |name: &str| loaded.is_some_and(|loaded| loaded.services.contains_key(name));
    if let Some((name, _)) = args.scale.iter().find(|(name, _)| !known(name)) {
        return Err(CommandError::usage(format!("--scale {name}: no such service")));
    }
    let detached = args.detach || args.wait || args.no_start || project.dry_run;
    let following = if detached {
        None
    } else {
        Some(follow::Following::of(context, &project, args)?)
    };
    let pin = match &args.plan {
        Some(file) => Some(plan::read(file, &project.name)?),
        None => None,
    };
    let session = Session::open(context, true).await?;
    // Where going back is asked for, the time is for becoming good, not for the way back.
    let limit = wait_limit(args).filter(|_| !args.policy.judges());
    let mut options = up_options(&context.before.clone().with(args.project.clone()), &project, args);
    options.pin = pin;
    let work = async {
        let order = session.order(&project, Want::Present, options)?;
        session.apply(&project, order, limit).await
    };
    match following {
        None => {
            let result = work.await;
            session.close(result).await
        }
        Some(mut following) => {
            let result = following.during(work).await;
            if result.as_ref().is_err_and(|error| error.exit == INTERRUPTED) {
                following.stopped().await?;
            }
            session.close(result).await?;
            following.until_the_end().await
        }
    }
}

/// `down`.
pub(super) async fn down(context: &Context, args: &DownArgs) -> Result<()> {
    let project = context.load_lenient(args.project.clone(), &args.services)?;
    let session = Session::open(context, true).await?;
    let result = take_down(context, &session, &project, args).await;
    session.close(result).await
}

async fn take_down(context: &Context, session: &Session, project: &Project, args: &DownArgs) -> Result<()> {
    let want = if args.volumes {
        Want::AbsentWithVolumes
    } else {
        Want::Absent
    };
    let options = ApplyOptions {
        services: args.services.clone(),
        remove_orphans: Some(
            args.remove_orphans || truthy(context.caller.variable("COMPOSE_REMOVE_ORPHANS")),
        ),
        stop_timeout: args.timeout,
        remove_images: args.rmi.map(|which| match which {
            Rmi::Local => RemoveImages::Local,
            Rmi::All => RemoveImages::All,
        }),
        ..ApplyOptions::default()
    };
    let order = session.order(project, want, options)?;
    session.apply(project, order, None).await
}

/// `create`.
pub(super) async fn create(context: &Context, args: CreateArgs) -> Result<()> {
    let up_args = UpArgs {
        project: args.project,
        build: args.build,
        no_build: args.no_build,
        pull: args.pull,
        force_recreate: args.force_recreate,
        no_recreate: args.no_recreate,
        scale: args.scale,
        remove_orphans: args.remove_orphans,
        quiet_pull: args.quiet_pull,
        services: args.services,
        no_start: true,
        ..UpArgs::default()
    };
    up(context, &up_args).await
}

/// `scale`.
pub(super) async fn scale(context: &Context, args: ScaleArgs) -> Result<()> {
    let up_args = UpArgs {
        project: args.project,
        services: args.scale.iter().map(|(service, _)| service.clone()).collect(),
        scale: args.scale,
        no_deps: args.no_deps,
        detach: true,
        ..UpArgs::default()
    };
    up(context, &up_args).await
}

fn wait_limit(args: &UpArgs) -> Option<Duration> {
    args.wait_timeout
        .map(|seconds| Duration::from_secs(seconds.into()))
}

/// The project of an `up`, with the policy that its flags ask for.
pub(super) fn up_project(context: &Context, args: &UpArgs) -> Result<Project> {
    if args.policy.follows_files() {
        return Err(
            CommandError::usage("--watch needs a time, e.g. 30s: files are not watched")
                .hint("`up` again after a change."),
        );
    }
    let mut project = context.load(args.project.clone(), &args.services)?;
    project.spec.policy = args.policy.over(project.spec.policy, wait_limit(args));
    Ok(project)
}

pub(super) fn up_options(flags: &ProjectArgs, project: &Project, args: &UpArgs) -> ApplyOptions {
    let scale: BTreeMap<String, u32> = args.scale();
    ApplyOptions {
        services: args.services.clone(),
        no_deps: args.no_deps,
        all_resources: flags.all_resources,
        force_recreate: args.force_recreate,
        recreate_deps: args.always_recreate_deps || (args.force_recreate && args.services.is_empty()),
        no_recreate: args.no_recreate,
        no_start: args.no_start,
        pull: pull_mode(args.pull),
        build: args.build,
        no_build: args.no_build,
        scale,
        remove_orphans: Some(args.remove_orphans || truthy(project.variable("COMPOSE_REMOVE_ORPHANS"))),
        ignore_orphans: truthy(project.variable("COMPOSE_IGNORE_ORPHANS")),
        renew_anon_volumes: args.renew_anon_volumes,
        stop_timeout: args.timeout,
        no_wait: !args.wait && !args.policy.judges(),
        strict_wait: args.wait,
        ..ApplyOptions::default()
    }
}

/// `--pull`.
pub(super) fn pull_mode(pull: Option<Pull>) -> Option<PullMode> {
    pull.and_then(|pull| match pull {
        Pull::Always => Some(PullMode::Always),
        Pull::Missing => Some(PullMode::Missing),
        Pull::Never => Some(PullMode::Never),
        Pull::Policy => None,
    })
}

/// As docker compose reads its switches.
pub(super) fn truthy(value: Option<&str>) -> bool {
    value.is_some_and(|value| {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "1" | "true" | "t" | "y" | "yes" | "on"
        )
    })
}
