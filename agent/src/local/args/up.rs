//! Flags of what brings projects up and down.

use std::collections::BTreeMap;

use clap::Args;

use super::{ListFormat, PolicyArgs, ProjectArgs, Pull, Rmi, Watch};

/// `up`.
#[derive(Debug, Default, Args)]
pub struct UpArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Return once everything runs.
    #[arg(short, long)]
    pub detach: bool,
    /// Return once everything runs, stays up and is healthy.
    #[arg(long)]
    pub wait: bool,
    /// Longest wait in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub wait_timeout: Option<u32>,
    /// Build images even if they exist.
    #[arg(long, conflicts_with = "no_build")]
    pub build: bool,
    /// Build nothing.
    #[arg(long)]
    pub no_build: bool,
    /// When to pull.
    #[arg(long, value_enum)]
    pub pull: Option<Pull>,
    /// Replace containers even if nothing changed.
    #[arg(long, conflicts_with = "no_recreate")]
    pub force_recreate: bool,
    /// Never replace a container that exists.
    #[arg(long)]
    pub no_recreate: bool,
    /// Leave dependencies of the named services alone.
    #[arg(long)]
    pub no_deps: bool,
    /// Create, but start nothing.
    #[arg(long)]
    pub no_start: bool,
    /// Number of containers of a service.
    #[arg(long, value_name = "SERVICE=N", value_parser = parse_scale)]
    pub scale: Vec<(String, u32)>,
    /// Remove containers of services that are no longer in the files.
    #[arg(long)]
    pub remove_orphans: bool,
    /// Give anonymous volumes up instead of moving them to the new containers.
    #[arg(short = 'V', long)]
    pub renew_anon_volumes: bool,
    /// Seconds a container gets to stop.
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Less output.
    #[arg(long)]
    pub quiet_pull: bool,
    /// Carry out the plan in this file (`plan --format json` writes one) and nothing else: a host that is not as it was
    /// then is not changed, and what moved is said.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<std::path::PathBuf>,
    /// Stop everything as soon as one container ends.
    #[arg(long, conflicts_with = "detach")]
    pub abort_on_container_exit: bool,
    /// Stop everything as soon as one container fails.
    #[arg(long, conflicts_with_all = ["detach", "abort_on_container_exit"])]
    pub abort_on_container_failure: bool,
    /// End with the exit code of this service's container, and stop everything as soon as one ends.
    #[arg(long, value_name = "SERVICE")]
    pub exit_code_from: Option<String>,
    /// Follow only these services.
    #[arg(long, value_name = "SERVICE")]
    pub attach: Vec<String>,
    /// Follow dependencies, too.
    #[arg(long)]
    pub attach_dependencies: bool,
    /// Do not follow these services.
    #[arg(long, value_name = "SERVICE")]
    pub no_attach: Vec<String>,
    /// Replace dependencies even if nothing changed.
    #[arg(long, conflicts_with = "no_recreate")]
    pub always_recreate_deps: bool,
    /// Show the time of each line.
    #[arg(long)]
    pub timestamps: bool,
    /// No colours.
    #[arg(long)]
    pub no_color: bool,
    /// No container names before the lines.
    #[arg(long)]
    pub no_log_prefix: bool,
    /// Taken for docker compose's sake: there is no menu.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub menu: Option<bool>,
    /// Taken for docker compose's sake: nothing is asked.
    #[arg(short, long, hide = true)]
    pub yes: bool,
    /// Less output.
    #[arg(long)]
    pub quiet_build: bool,
    /// What counts as good, and going back.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Services; all if absent.
    pub services: Vec<String>,
}

impl UpArgs {
    /// With the service that stood after docker compose's `--watch`, which takes no value.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        if let Some(Watch::Files(word)) = &mut self.policy.watch {
            self.services.splice(0..0, word.take());
        }
        self
    }

    /// `--scale` as a map; a later one wins.
    #[must_use]
    pub fn scale(&self) -> BTreeMap<String, u32> {
        self.scale.iter().cloned().collect()
    }
}

/// `down`.
#[derive(Debug, Default, Args)]
pub struct DownArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Remove the project's volumes too: their data is lost.
    #[arg(short, long)]
    pub volumes: bool,
    /// Remove images too.
    #[arg(long, value_enum)]
    pub rmi: Option<Rmi>,
    /// Remove containers of services that are no longer in the files.
    #[arg(long)]
    pub remove_orphans: bool,
    /// Seconds a container gets to stop.
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Only these services, and what depends on them; all if absent.
    pub services: Vec<String>,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// As `up`.
    #[command(flatten)]
    pub up: UpArgs,
    /// Exit 0 if nothing would change, 1 if anything would, 2 if there is no plan.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Form of the plan.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Build images even if they exist.
    #[arg(long, conflicts_with = "no_build")]
    pub build: bool,
    /// Build nothing.
    #[arg(long)]
    pub no_build: bool,
    /// When to pull.
    #[arg(long, value_enum)]
    pub pull: Option<Pull>,
    /// Replace containers even if nothing changed.
    #[arg(long, conflicts_with = "no_recreate")]
    pub force_recreate: bool,
    /// Never replace a container that exists.
    #[arg(long)]
    pub no_recreate: bool,
    /// Number of containers of a service.
    #[arg(long, value_name = "SERVICE=N", value_parser = parse_scale)]
    pub scale: Vec<(String, u32)>,
    /// Remove containers of services that are no longer in the files.
    #[arg(long)]
    pub remove_orphans: bool,
    /// Less output.
    #[arg(long)]
    pub quiet_pull: bool,
    /// Taken for docker compose's sake: nothing is asked.
    #[arg(short, long, hide = true)]
    pub yes: bool,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Leave dependencies alone.
    #[arg(long)]
    pub no_deps: bool,
    /// Numbers of containers.
    #[arg(value_name = "SERVICE=N", value_parser = parse_scale, required = true)]
    pub scale: Vec<(String, u32)>,
}

/// `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Build argument; without a value, that of the environment.
    #[arg(long = "build-arg", value_name = "KEY=VALUE")]
    pub args: Vec<String>,
    /// Use no layer of an earlier build.
    #[arg(long)]
    pub no_cache: bool,
    /// Fetch newer base images.
    #[arg(long)]
    pub pull: bool,
    /// Print nothing.
    #[arg(short, long)]
    pub quiet: bool,
    /// Also what the services depend on.
    #[arg(long)]
    pub with_dependencies: bool,
    /// Taken for docker compose's sake: the engine builds.
    #[arg(short, long, hide = true)]
    pub memory: Option<String>,
    /// Taken for docker compose's sake: the engine builds.
    #[arg(long, hide = true)]
    pub builder: Option<String>,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Leave out what can be built.
    #[arg(long)]
    pub ignore_buildable: bool,
    /// Fetch what can be fetched, and do not fail for the rest.
    #[arg(long)]
    pub ignore_pull_failures: bool,
    /// Also what the services depend on.
    #[arg(long)]
    pub include_deps: bool,
    /// Print nothing.
    #[arg(short, long)]
    pub quiet: bool,
    /// `missing` leaves out what is there.
    #[arg(long, value_enum)]
    pub policy: Option<Pull>,
    /// Services; all if absent.
    pub services: Vec<String>,
}

fn parse_scale(text: &str) -> Result<(String, u32), String> {
    let bad = || format!("`{text}` must be SERVICE=NUMBER");
    let (service, number) = text.split_once('=').ok_or_else(bad)?;
    if service.is_empty() {
        return Err(bad());
    }
    Ok((service.to_owned(), number.parse().map_err(|_| bad())?))
}
