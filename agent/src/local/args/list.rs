//! Flags of what only shows.

use clap::Args;
use windflow_model::{FieldTest, LogLevel};

use super::{ListFormat, LongFileArgs, ProjectArgs};

/// `ps`.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Also stopped ones.
    #[arg(short, long)]
    pub all: bool,
    /// Only ids.
    #[arg(short, long)]
    pub quiet: bool,
    /// Form of the list.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Only in these states: running, exited, paused, …
    #[arg(long, value_name = "STATE")]
    pub status: Vec<String>,
    /// Only those that fit: `status=STATE`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Option<String>,
    /// Print the services' names.
    #[arg(long = "services")]
    pub list_services: bool,
    /// Full ids.
    #[arg(long)]
    pub no_trunc: bool,
    /// Also containers of services that the files do not have (`--orphans=false`: not).
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub orphans: bool,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Which project.
    #[command(flatten)]
    pub project: LongFileArgs,
    /// Go on with new lines.
    #[arg(short, long)]
    pub follow: bool,
    /// Last lines per container; `all` for everything.
    #[arg(short = 'n', long, default_value = "all", value_parser = parse_tail)]
    pub tail: Tail,
    /// Show the time of each line.
    #[arg(short, long)]
    pub timestamps: bool,
    /// Only this container of the service.
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
    /// Lines since a time (2026-11-21T12:00:00Z) or so long ago (42m).
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Lines until a time, or so long ago.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// No colours.
    #[arg(long)]
    pub no_color: bool,
    /// No container names before the lines.
    #[arg(long)]
    pub no_log_prefix: bool,
    /// What is looked for.
    #[command(flatten)]
    pub search: SearchArgs,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// Lines to look for. All of it must hold.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchArgs {
    /// Look for lines that hold this text. Without --follow: the newest, in the order of time.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Look for lines in which this regular expression is found.
    #[arg(long, value_name = "PATTERN")]
    pub regex: Option<String>,
    /// Tell capital letters from small ones.
    #[arg(long)]
    pub case_sensitive: bool,
    /// Look for lines of at least this level: trace, debug, info, warn, error, fatal.
    #[arg(long)]
    pub level: Option<LogLevel>,
    /// Look for JSON lines with such a field: status>=500, user=anna, path~login.
    #[arg(long, value_name = "TEST")]
    pub field: Vec<FieldTest>,
    /// Most lines.
    #[arg(long, value_name = "LINES")]
    pub limit: Option<u32>,
    /// In every container of this host, whatever its project.
    #[arg(long)]
    pub everywhere: bool,
}

/// Lines to begin with; `None` means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail(pub Option<u32>);

/// `ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Also projects of which nothing runs.
    #[arg(short, long)]
    pub all: bool,
    /// Only names.
    #[arg(short, long)]
    pub quiet: bool,
    /// Only those that fit: `name=TEXT`.
    #[arg(long, value_name = "NAME=TEXT")]
    pub filter: Vec<String>,
    /// Form of the list.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Only ids.
    #[arg(short, long)]
    pub quiet: bool,
    /// Form of the list.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `port`.
#[derive(Debug, Args)]
pub struct PortArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Number of the container.
    #[arg(long, default_value_t = 0)]
    pub index: u32,
    /// `tcp` or `udp`.
    #[arg(long, default_value = "tcp")]
    pub protocol: String,
    /// Service.
    pub service: String,
    /// Port in the container.
    pub private_port: u16,
}

/// `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Form of the list.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// The revision to bring back; the last good one that made another project if absent.
    pub revision: Option<u64>,
}

/// `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Only the number.
    #[arg(long)]
    pub short: bool,
    /// Form.
    #[arg(short, long, value_name = "pretty|json")]
    pub format: Option<String>,
}

fn parse_tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    let lines = text
        .parse()
        .map_err(|_| "give a number of lines, or `all`".to_owned())?;
    Ok(Tail(Some(lines)))
}
