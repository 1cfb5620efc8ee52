//! Local mode: the same engine in this process, for one command, with docker compose's flags.
//!
//! ```text
//! command line ─► project (files, environment → Order) ─► EngineHandle::apply ─► journal, work
//!                                                             │
//!                 terminal ◄─ board ◄── progress, held ◄──────┘   tasks: "engine" (ends with the command)
//!
//! command line ─► Target: life cycle, exec, attach, lists         no journal, no task
//! ```
//! No controller and no network protocol is involved; nothing here needs the feature `link`. What stays in the
//! foreground (`up`, `run`, `exec`, `logs`) gives the journal back first: other commands go on meanwhile.

mod act;
pub mod args;
mod board;
mod copy;
mod follow;
mod history;
mod images;
mod list;
mod logs;
mod one;
mod plan;
mod project;
mod run;
mod session;
mod show;
mod state;
mod tell;
mod terminal;
mod top;
mod up;

use windflow_kit::{Clock, Random};

pub use project::Caller;
pub use top::top;

use self::{
    args::{LocalArgs, LocalCommand, ProjectArgs},
    project::Project,
};
use crate::failure::CommandError;

type Result<T> = std::result::Result<T, CommandError>;

/// What every command has at hand.
struct Context {
    /// Flags before the subcommand.
    before: ProjectArgs,
    caller: Caller,
    clock: Clock,
    random: Random,
    /// Container operations at the same time.
    parallel: Option<usize>,
    /// No progress.
    quiet: bool,
}

impl Context {
    /// Loads the project for a command that needs its files.
    fn load(&self, after: impl Into<ProjectArgs>, services: &[String]) -> Result<Project> {
        let args = self.before.clone().with(after);
        let mut request = project::request(&args, &self.caller)?;
        request.load.services = services.to_vec();
        let project = project::load(request, &self.caller)?;
        Ok(Project {
            dry_run: args.dry_run,
            ..project
        })
    }

    /// Loads the project for a command that works from what is on the host. As docker compose does it: a name without
    /// files means labels alone, and so does a name from the environment where there are no files.
    fn load_lenient(&self, after: impl Into<ProjectArgs>, services: &[String]) -> Result<Project> {
        let args = self.before.clone().with(after);
        let project = self.lenient(&args, services)?;
        Ok(Project {
            dry_run: args.dry_run,
            ..project
        })
    }

    fn lenient(&self, args: &ProjectArgs, services: &[String]) -> Result<Project> {
        if let (Some(name), true) = (&args.project_name, args.files.is_empty()) {
            return Project::named(name);
        }
        let loaded = project::request(args, &self.caller).and_then(|mut request| {
            request.load.services = services.to_vec();
            request.load.resolve_env = false;
            project::load(request, &self.caller)
        });
        match (loaded, self.caller.variable("COMPOSE_PROJECT_NAME")) {
            (Err(_), Some(name)) => Project::named(name),
            (loaded, _) => loaded,
        }
    }
}

/// Runs a command of local mode.
///
/// # Errors
/// What the user shall read, with the exit code.
pub async fn run(args: LocalArgs, clock: Clock, random: Random, caller: Caller) -> Result<()> {
    let parallel = args
        .project
        .parallel
        .or_else(|| caller.variable("COMPOSE_PARALLEL_LIMIT")?.parse().ok());
    let quiet = args.project.progress.as_deref() == Some("quiet")
        || caller.variable("COMPOSE_PROGRESS") == Some("quiet");
    let context = Context {
        before: args.project,
        caller,
        clock,
        random,
        parallel: parallel.and_then(|limit| usize::try_from(limit).ok().filter(|limit| *limit > 0)),
        quiet,
    };
    let context = &context;
    match args.command {
        LocalCommand::Up(args) => up::up(context, &args.sorted()).await,
        LocalCommand::Down(args) => up::down(context, &args).await,
        LocalCommand::Plan(args) => plan::plan(context, &args).await,
        LocalCommand::Create(args) => up::create(context, args).await,
        LocalCommand::Scale(args) => up::scale(context, args).await,
        LocalCommand::Run(args) => run::run(context, *args).await,
        LocalCommand::Exec(args) => run::exec(context, args).await,
        LocalCommand::Start(args) => act::start(context, args).await,
        LocalCommand::Stop(args) => act::stop(context, args).await,
        LocalCommand::Restart(args) => act::restart(context, args).await,
        LocalCommand::Kill(args) => act::kill(context, args).await,
        LocalCommand::Pause(args) => act::pause(context, args, true).await,
        LocalCommand::Unpause(args) => act::pause(context, args, false).await,
        LocalCommand::Rm(args) => act::rm(context, args).await,
        LocalCommand::Wait(args) => act::wait(context, args).await,
        LocalCommand::Build(args) => images::build(context, args).await,
        LocalCommand::Pull(args) => images::pull(context, args).await,
        LocalCommand::Images(args) => images::list(context, args).await,
        LocalCommand::Ps(args) => list::ps(context, args).await,
        LocalCommand::Ls(args) => list::ls(context, args).await,
        LocalCommand::Port(args) => list::port(context, args).await,
        LocalCommand::Top(args) => list::top(context, args).await,
        LocalCommand::Version(args) => list::version(&args),
        LocalCommand::History(args) => history::history(context, args).await,
        LocalCommand::Rollback(args) => history::rollback(context, args).await,
        LocalCommand::Cp(args) => copy::copy(context, args).await,
        LocalCommand::Events(args) => tell::events(context, args).await,
        LocalCommand::Stats(args) => tell::stats(context, args).await,
        LocalCommand::Attach(args) => one::attach(context, args).await,
        LocalCommand::Export(args) => one::export(context, args).await,
        LocalCommand::Commit(args) => one::commit(context, args).await,
        LocalCommand::Config(args) => {
            let request = project::request(
                &context.before.clone().with(args.project.clone()),
                &context.caller,
            )?;
            show::config(&args, request)
        }
        LocalCommand::Logs(args) => logs::run(context, args).await,
    }
}
