//! Flags of `events` and `stats`, and of what is done with one container as a whole.

use clap::{ArgAction, Args};

use super::{LongNameArgs, ProjectArgs};

/// `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// One JSON object per line.
    #[arg(long)]
    pub json: bool,
    /// Also those since a time (2026-11-21T12:00:00Z) or so long ago (42m).
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// End at a time, or with those so long ago.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Also those that do not run.
    #[arg(short, long)]
    pub all: bool,
    /// `table` or `json`.
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    /// Once, not again and again.
    #[arg(long)]
    pub no_stream: bool,
    /// Full ids.
    #[arg(long)]
    pub no_trunc: bool,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Keys that end the connection and leave the process alone; `ctrl-p,ctrl-q` if absent.
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Number of the container.
    #[arg(long, default_value_t = 0)]
    pub index: u32,
    /// Only look on.
    #[arg(long)]
    pub no_stdin: bool,
    /// Signals go to the process (`--sig-proxy=false`: they end this command).
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = ArgAction::Set)]
    pub sig_proxy: bool,
    /// Service.
    pub service: String,
}

/// `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Number of the container.
    #[arg(long, default_value_t = 0)]
    pub index: u32,
    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
    /// Service.
    pub service: String,
}

/// `commit`.
#[derive(Debug, Args)]
pub struct CommitArgs {
    /// Which project.
    #[command(flatten)]
    pub project: LongNameArgs,
    /// Author, e.g. `Ada <ada@example.org>`.
    #[arg(short, long, default_value = "")]
    pub author: String,
    /// Line of a Dockerfile to apply.
    #[arg(short, long = "change", value_name = "LINE")]
    pub changes: Vec<String>,
    /// Number of the container.
    #[arg(long, default_value_t = 0)]
    pub index: u32,
    /// What for.
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// Freeze the container meanwhile (`--pause=false`: do not).
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = ArgAction::Set)]
    pub pause: bool,
    /// Service.
    pub service: String,
    /// NAME[:TAG] of the image.
    pub image: Option<String>,
}
