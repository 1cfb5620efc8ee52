//! The flags of local mode: docker compose's, with the same meaning, before or after the subcommand.

mod act;
mod config;
mod list;
mod one;
mod policy;
mod run;
mod up;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

pub use self::{
    act::{CpArgs, KillArgs, NamedArgs, RestartArgs, RmArgs, ServicesArgs, StartArgs, WaitArgs},
    config::{ConfigArgs, ConfigFormat},
    list::{HistoryArgs, ImagesArgs, LogsArgs, LsArgs, PortArgs, PsArgs, RollbackArgs, Tail, VersionArgs},
    one::{AttachArgs, CommitArgs, EventsArgs, ExportArgs, StatsArgs},
    policy::{PolicyArgs, Watch},
    run::{ExecArgs, RunArgs},
    up::{BuildArgs, CreateArgs, DownArgs, PlanArgs, PullArgs, ScaleArgs, UpArgs},
};

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

/// The same flags three times: some subcommands have another use for a short one.
macro_rules! project_args {
    ($(#[$meta:meta])* $name:ident, [$($file:tt)*], [$($project:tt)*]) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, Args)]
        pub struct $name {
            /// Compose file; repeat it to merge several; `-` is stdin.
            #[arg($($file)* long = "file", value_name = "FILE")]
            pub files: Vec<String>,
            /// Project name.
            #[arg($($project)* long, value_name = "NAME")]
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
            /// Names with underscores, as the first docker-compose made them.
            #[arg(long)]
            pub compatibility: bool,
            /// Also networks and volumes that no service uses.
            #[arg(long)]
            pub all_resources: bool,
            /// Most containers worked on at the same time; -1 for no limit.
            #[arg(long, value_name = "N", allow_negative_numbers = true)]
            pub parallel: Option<i32>,
            /// Say what would be done, and do nothing.
            #[arg(long)]
            pub dry_run: bool,
            /// Taken for docker compose's sake; the output looks the same.
            #[arg(long, value_name = "WHEN", hide = true)]
            pub ansi: Option<String>,
            /// Taken for docker compose's sake; `quiet` shows no progress.
            #[arg(long, value_name = "KIND", hide = true)]
            pub progress: Option<String>,
            /// Taken for docker compose's sake.
            #[arg(long, hide = true, action = ArgAction::SetTrue)]
            pub verbose: bool,
        }
    };
}

project_args!(
    /// Which project.
    ProjectArgs, [short,], [short,]
);
project_args!(
    /// As [`ProjectArgs`], where `-f` means something else.
    LongFileArgs, [], [short,]
);
project_args!(
    /// As [`ProjectArgs`], where `-p` means something else.
    LongNameArgs, [short,], []
);

macro_rules! into_project_args {
    ($($name:ident),*) => {$(
        impl From<$name> for ProjectArgs {
            fn from(args: $name) -> Self {
                let $name {
                    files,
                    project_name,
                    env_files,
                    profiles,
                    project_directory,
                    compatibility,
                    all_resources,
                    parallel,
                    dry_run,
                    ansi,
                    progress,
                    verbose,
                } = args;
                Self {
                    files,
                    project_name,
                    env_files,
                    profiles,
                    project_directory,
                    compatibility,
                    all_resources,
                    parallel,
                    dry_run,
                    ansi,
                    progress,
                    verbose,
                }
            }
        }
    )*};
}
into_project_args!(LongFileArgs, LongNameArgs);

impl ProjectArgs {
    /// These, with those given after the subcommand on top.
    #[must_use]
    pub fn with(mut self, after: impl Into<Self>) -> Self {
        let after: Self = after.into();
        self.files.extend(after.files);
        self.env_files.extend(after.env_files);
        self.profiles.extend(after.profiles);
        self.project_name = after.project_name.or(self.project_name);
        self.project_directory = after.project_directory.or(self.project_directory);
        self.compatibility |= after.compatibility;
        self.all_resources |= after.all_resources;
        self.parallel = after.parallel.or(self.parallel);
        self.dry_run |= after.dry_run;
        self.ansi = after.ansi.or(self.ansi);
        self.progress = after.progress.or(self.progress);
        self
    }
}

/// The commands of local mode.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Bring the project up; without `-d`, follow its output and stop it with Ctrl-C.
    Up(Box<UpArgs>),
    /// Take the project down.
    Down(DownArgs),
    /// Show what `up` would do, and do nothing.
    Plan(Box<PlanArgs>),
    /// Make the containers and start nothing.
    Create(CreateArgs),
    /// Set the number of containers of services.
    Scale(ScaleArgs),
    /// Run a command in a new container of a service.
    Run(Box<RunArgs>),
    /// Run a command in a container that runs.
    Exec(ExecArgs),
    /// Start containers that exist.
    Start(StartArgs),
    /// Stop containers and keep them.
    Stop(ServicesArgs),
    /// Stop and start containers.
    Restart(RestartArgs),
    /// Send a signal to containers.
    Kill(KillArgs),
    /// Freeze containers.
    Pause(NamedArgs),
    /// Wake frozen containers.
    Unpause(NamedArgs),
    /// Remove containers that are stopped.
    Rm(RmArgs),
    /// Wait for the end of containers.
    Wait(WaitArgs),
    /// Build images.
    Build(BuildArgs),
    /// Fetch images.
    Pull(PullArgs),
    /// List the project's containers.
    Ps(PsArgs),
    /// List projects.
    Ls(LsArgs),
    /// List the images of the project's containers.
    Images(ImagesArgs),
    /// Show the host's port for a container's port.
    Port(PortArgs),
    /// Show the processes of containers.
    Top(NamedArgs),
    /// Show the project's log lines.
    Logs(LogsArgs),
    /// Show what happens to the project's containers, as it happens.
    Events(EventsArgs),
    /// Show what containers use of the host.
    Stats(StatsArgs),
    /// Connect to the process of a container.
    Attach(AttachArgs),
    /// Write all files of a container as a tar.
    Export(ExportArgs),
    /// Make an image of a container's files.
    Commit(CommitArgs),
    /// List the revisions this host has had of the project.
    History(HistoryArgs),
    /// Bring an older revision back.
    Rollback(RollbackArgs),
    /// Copy files between a container and this host.
    Cp(CpArgs),
    /// Print the project as `docker compose config` does.
    #[command(alias = "convert")]
    Config(ConfigArgs),
    /// Print the version.
    Version(VersionArgs),
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
