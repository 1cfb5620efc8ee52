//! Flags of what runs a command.

use clap::Args;

use super::{LongNameArgs, ProjectArgs, Pull};

/// `run`.
#[derive(Debug, Args)]
#[command(trailing_var_arg = true)]
pub struct RunArgs {
    /// Which project.
    #[command(flatten)]
    pub project: LongNameArgs,
    /// Return once it runs, and print its name.
    #[arg(short, long)]
    pub detach: bool,
    /// Remove the container when it ends.
    #[arg(long)]
    pub rm: bool,
    /// Variable; without a value, that of this environment.
    #[arg(short, long = "env", value_name = "KEY=VALUE")]
    pub env: Vec<String>,
    /// File of variables for the container.
    #[arg(long = "env-from-file", value_name = "FILE")]
    pub env_from_file: Vec<String>,
    /// Label.
    #[arg(short, long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Mount.
    #[arg(short, long = "volume", value_name = "SOURCE:TARGET")]
    pub volumes: Vec<String>,
    /// Port to publish.
    #[arg(short, long = "publish", value_name = "PORT")]
    pub publish: Vec<String>,
    /// Publish the service's ports.
    #[arg(short = 'P', long)]
    pub service_ports: bool,
    /// Answer to the service's names in its networks.
    #[arg(long)]
    pub use_aliases: bool,
    /// Working directory.
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User.
    #[arg(short, long)]
    pub user: Option<String>,
    /// Entry point.
    #[arg(long)]
    pub entrypoint: Option<String>,
    /// Capability to add.
    #[arg(long, value_name = "CAP")]
    pub cap_add: Vec<String>,
    /// Capability to drop.
    #[arg(long, value_name = "CAP")]
    pub cap_drop: Vec<String>,
    /// Name of the container.
    #[arg(long)]
    pub name: Option<String>,
    /// Leave what the service depends on alone.
    #[arg(long)]
    pub no_deps: bool,
    /// No terminal, even if there is one.
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    pub no_tty: bool,
    /// Keep standard input open (`--interactive=false`: do not).
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub interactive: bool,
    /// With a terminal (the default, where there is one).
    #[arg(short, long)]
    pub tty: bool,
    /// Build the image even if it exists.
    #[arg(long)]
    pub build: bool,
    /// When to pull.
    #[arg(long, value_enum)]
    pub pull: Option<Pull>,
    /// Less output.
    #[arg(long)]
    pub quiet_pull: bool,
    /// Less output.
    #[arg(long)]
    pub quiet_build: bool,
    /// No output but the command's.
    #[arg(short, long)]
    pub quiet: bool,
    /// Remove containers of services that are no longer in the files.
    #[arg(long)]
    pub remove_orphans: bool,
    /// Service.
    pub service: String,
    /// Instead of the service's command.
    #[arg(allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `exec`.
#[derive(Debug, Args)]
#[command(trailing_var_arg = true)]
pub struct ExecArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Return at once.
    #[arg(short, long)]
    pub detach: bool,
    /// Variable; without a value, that of this environment.
    #[arg(short, long = "env", value_name = "KEY=VALUE")]
    pub env: Vec<String>,
    /// Number of the container.
    #[arg(long, default_value_t = 0)]
    pub index: u32,
    /// With all privileges.
    #[arg(long)]
    pub privileged: bool,
    /// No terminal, even if there is one.
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    pub no_tty: bool,
    /// User.
    #[arg(short, long)]
    pub user: Option<String>,
    /// Working directory.
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Keep standard input open (`--interactive=false`: do not).
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub interactive: bool,
    /// With a terminal (the default, where there is one).
    #[arg(short, long)]
    pub tty: bool,
    /// Service.
    pub service: String,
    /// Program and arguments.
    #[arg(allow_hyphen_values = true, required = true)]
    pub command: Vec<String>,
}
