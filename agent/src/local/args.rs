//! The flags of local mode: docker compose's, with the same meaning, before or after the subcommand.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};

/// `local`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct LocalArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// What to do with it.
    #[command(subcommand)]
    pub command: LocalCommand,
}

/// Which project.
#[derive(Debug, Clone, Default, Args)]
pub struct ProjectArgs {
    /// Compose file; repeat it to merge several; `-` is stdin.
    #[arg(short, long = "file", value_name = "FILE")]
    pub files: Vec<String>,
    /// Project name.
    #[arg(short, long, value_name = "NAME")]
    pub project_name: Option<String>,
    /// File with variables for interpolation; a later one wins.
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<String>,
    /// Profile to switch on.
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,
    /// Directory that relative paths count from; that of the first file if absent.
    #[arg(long, value_name = "DIR")]
    pub project_directory: Option<String>,
}

impl ProjectArgs {
    /// These, with those given after the subcommand on top.
    #[must_use]
    pub fn with(mut self, after: Self) -> Self {
        self.files.extend(after.files);
        self.env_files.extend(after.env_files);
        self.profiles.extend(after.profiles);
        self.project_name = after.project_name.or(self.project_name);
        self.project_directory = after.project_directory.or(self.project_directory);
        self
    }
}

/// As [`ProjectArgs`], where `-f` means something else.
#[derive(Debug, Clone, Default, Args)]
pub struct LongProjectArgs {
    /// Compose file; repeat it to merge several; `-` is stdin.
    #[arg(long = "file", value_name = "FILE")]
    pub files: Vec<String>,
    /// Project name.
    #[arg(short, long, value_name = "NAME")]
    pub project_name: Option<String>,
    /// File with variables for interpolation; a later one wins.
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<String>,
    /// Profile to switch on.
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,
    /// Directory that relative paths count from; that of the first file if absent.
    #[arg(long, value_name = "DIR")]
    pub project_directory: Option<String>,
}

impl From<LongProjectArgs> for ProjectArgs {
    fn from(args: LongProjectArgs) -> Self {
        Self {
            files: args.files,
            project_name: args.project_name,
            env_files: args.env_files,
            profiles: args.profiles,
            project_directory: args.project_directory,
        }
    }
}

/// The commands of local mode.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Bring the project up.
    Up(UpArgs),
    /// Take the project down.
    Down(DownArgs),
    /// List the project's containers.
    Ps(PsArgs),
    /// Show the project's log lines.
    Logs(LogsArgs),
    /// Show what `up` would do, and do nothing.
    Plan(PlanArgs),
    /// Print the project as `docker compose config` does.
    Config(ConfigArgs),
    /// Start containers that exist.
    Start(ServicesArgs),
    /// Stop containers and keep them.
    Stop(ServicesArgs),
    /// Stop and start containers.
    Restart(ServicesArgs),
}

/// `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pull {
    /// Also if the image is there.
    Always,
    /// If the image is not there.
    Missing,
    /// Not even then.
    Never,
    /// What each service says.
    Policy,
}

/// `--rmi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rmi {
    /// Images that were built for the project.
    Local,
    /// All that its services use.
    All,
}

/// `--format` of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ListFormat {
    /// For people.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
}

/// `--format` of `config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ConfigFormat {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

/// `up`.
#[derive(Debug, Default, Args)]
pub struct UpArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Return once everything runs (WindFlow never stays in the foreground: this is the default).
    #[arg(short, long)]
    pub detach: bool,
    /// Return once everything runs and is healthy.
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
    /// Services; all if absent.
    pub services: Vec<String>,
}

impl UpArgs {
    /// `--scale` as a map; a later one wins.
    #[must_use]
    pub fn scale(&self) -> BTreeMap<String, u32> {
        self.scale.iter().cloned().collect()
    }
}

/// `down`.
#[derive(Debug, Args)]
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
}

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
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Which project.
    #[command(flatten)]
    pub project: LongProjectArgs,
    /// Go on with new lines.
    #[arg(short, long)]
    pub follow: bool,
    /// Last lines per container; `all` for everything.
    #[arg(short = 'n', long, default_value = "all", value_parser = parse_tail)]
    pub tail: Tail,
    /// Show the time of each line.
    #[arg(short, long)]
    pub timestamps: bool,
    /// No colours.
    #[arg(long)]
    pub no_color: bool,
    /// No container names before the lines.
    #[arg(long)]
    pub no_log_prefix: bool,
    /// Services; all if absent.
    pub services: Vec<String>,
}

/// Lines to begin with; `None` means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail(pub Option<u32>);

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// As `up`.
    #[command(flatten)]
    pub up: UpArgs,
    /// Exit 1 if anything would change.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Form of the plan.
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Form.
    #[arg(long, value_enum, default_value_t)]
    pub format: ConfigFormat,
    /// Check only, print nothing.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the services' names.
    #[arg(long)]
    pub services: bool,
    /// Leave variables as they are.
    #[arg(long)]
    pub no_interpolate: bool,
    /// Do not check that what is named exists.
    #[arg(long)]
    pub no_consistency: bool,
    /// Leave relative paths as they are.
    #[arg(long)]
    pub no_path_resolution: bool,
    /// Do not read `env_file`.
    #[arg(long)]
    pub no_env_resolution: bool,
    /// Add no defaults.
    #[arg(long)]
    pub no_normalize: bool,
}

/// `start`, `stop`, `restart`.
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

fn parse_scale(text: &str) -> Result<(String, u32), String> {
    let bad = || format!("`{text}` must be SERVICE=NUMBER");
    let (service, number) = text.split_once('=').ok_or_else(bad)?;
    if service.is_empty() {
        return Err(bad());
    }
    Ok((service.to_owned(), number.parse().map_err(|_| bad())?))
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
