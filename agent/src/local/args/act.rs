//! Flags of what acts on containers that exist.

use clap::Args;

use super::{LongFileArgs, ProjectArgs};

/// `stop`.
#[derive(Debug, Args)]
pub struct ServicesArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Seconds a container gets to stop.
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Return once everything runs and is healthy.
    #[arg(long)]
    pub wait: bool,
    /// Longest wait in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub wait_timeout: Option<u32>,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Project, timeout and services.
    #[command(flatten)]
    pub common: ServicesArgs,
    /// Leave services that depend on the named ones alone.
    #[arg(long)]
    pub no_deps: bool,
}

/// `pause`, `unpause`, `top`.
#[derive(Debug, Args)]
pub struct NamedArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `kill`.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// The signal.
    #[arg(short, long, default_value = "SIGKILL")]
    pub signal: String,
    /// Also containers of services that are no longer in the files.
    #[arg(long)]
    pub remove_orphans: bool,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Which project.
    #[command(flatten)]
    pub project: LongFileArgs,
    /// Do not ask.
    #[arg(short, long)]
    pub force: bool,
    /// Stop them first.
    #[arg(short, long)]
    pub stop: bool,
    /// Remove their anonymous volumes too.
    #[arg(short, long)]
    pub volumes: bool,
    /// Taken for docker compose's sake.
    #[arg(short, long, hide = true)]
    pub all: bool,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Take the project down afterwards.
    #[arg(long)]
    pub down_project: bool,
    /// Services.
    #[arg(required = true)]
    pub services: Vec<String>,
}

/// `cp`.
#[derive(Debug, Args)]
pub struct CpArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Number of the container.
    #[arg(long, default_value_t = 0)]
    pub index: u32,
    /// Keep user and group.
    #[arg(short, long)]
    pub archive: bool,
    /// Into every container of the service; taken for docker compose's sake.
    #[arg(long, hide = true)]
    pub all: bool,
    /// From: a path of this host, or SERVICE:PATH.
    pub from: String,
    /// To: SERVICE:PATH, or a path of this host.
    pub to: String,
}
