//! Local mode: the same engine in this process, for one command, with docker compose's flags.
//!
//! ```text
//! command line ─► project (files, environment → Order) ─► EngineHandle::apply ─► journal, work
//!                                                             │
//!                 terminal ◄─ board ◄── progress, held ◄──────┘   tasks: "engine" (ends with the command)
//! ```
//! No controller and no network protocol is involved; nothing here needs the feature `link`.

pub mod args;
mod board;
mod project;
mod show;
mod state;

use std::time::Duration;

use windflow_engine::{
    Acceptance, ApplyOptions, DockerOptions, DockerTarget, EngineHandle, EngineOptions, FakeOptions,
    FakeTarget, Order, PullMode, RemoveImages, Target,
};
use windflow_kit::{Clock, OnFailure, Random, Stop, TaskSet, stop::Signals};
use windflow_model::{DeploymentState, LogQuery, OpId, StackName, Want};

pub use project::Caller;

use self::{
    args::{
        ConfigFormat, DownArgs, LocalArgs, LocalCommand, PlanArgs, ProjectArgs, Pull, Rmi, ServicesArgs,
        UpArgs,
    },
    project::Project,
};
use crate::failure::CommandError;

/// Longest wait for the engine to finish the step in hand when the command ends.
const DRAIN: Duration = Duration::from_secs(20);

type Result<T> = std::result::Result<T, CommandError>;

/// Runs a command of local mode.
///
/// # Errors
/// What the user shall read, with the exit code.
pub async fn run(args: LocalArgs, clock: Clock, random: Random, caller: Caller) -> Result<()> {
    let before = args.project;
    match args.command {
        LocalCommand::Config(args) => {
            let request = project::request(&before.with(args.project.clone()), &caller)?;
            show::config(&args, request, args.format == ConfigFormat::Json)
        }
        LocalCommand::Up(args) => {
            let project = load(&before, args.project.clone(), &caller, &args.services)?;
            let session = Session::open(&caller, clock, random, true).await?;
            let result = session.up(&project, &args).await;
            session.close(result).await
        }
        LocalCommand::Down(args) => {
            let project = load_lenient(&before, args.project.clone(), &caller)?;
            let session = Session::open(&caller, clock, random, true).await?;
            let result = session.down(&project, &args).await;
            session.close(result).await
        }
        LocalCommand::Plan(args) => {
            let project = load(&before, args.up.project.clone(), &caller, &args.up.services)?;
            let session = Session::open(&caller, clock, random, false).await?;
            let result = session.plan(&project, &args).await;
            session.close(result).await
        }
        LocalCommand::Ps(args) => {
            let project = load_lenient(&before, args.project.clone(), &caller)?;
            let target = target(&caller)?;
            let containers = target
                .containers()
                .await
                .map_err(|error| CommandError::from(windflow_model::Failure::from(error)))?;
            show::ps(&args, project.name.as_str(), containers)
        }
        LocalCommand::Logs(args) => {
            let project = load_lenient(&before, args.project.clone().into(), &caller)?;
            let session = Session::open(&caller, clock, random, false).await?;
            let query = LogQuery {
                stack: project.name.to_string(),
                services: args.services.clone(),
                tail: args.tail.0,
                follow: args.follow,
                since: None,
            };
            let result = session
                .until_signal(show::logs(&session.engine, query, &args))
                .await;
            session.close(result).await
        }
        LocalCommand::Start(args) => lifecycle(&before, args, caller, clock, random, Act::Start).await,
        LocalCommand::Stop(args) => lifecycle(&before, args, caller, clock, random, Act::Stop).await,
        LocalCommand::Restart(args) => lifecycle(&before, args, caller, clock, random, Act::Restart).await,
    }
}

#[derive(Clone, Copy)]
enum Act {
    Start,
    Stop,
    Restart,
}

async fn lifecycle(
    before: &ProjectArgs,
    args: ServicesArgs,
    caller: Caller,
    clock: Clock,
    random: Random,
    act: Act,
) -> Result<()> {
    let project = load_lenient(before, args.project.clone(), &caller)?;
    let session = Session::open(&caller, clock, random, true).await?;
    let timeout = args.timeout.map(|seconds| Duration::from_secs(seconds.into()));
    let engine = &session.engine;
    let done = match act {
        Act::Start => engine.start(&project.name, args.services).await,
        Act::Stop => engine.stop(&project.name, args.services, timeout).await,
        Act::Restart => engine.restart(&project.name, args.services, timeout).await,
    };
    let result = done.map_err(CommandError::from);
    session.close(result).await
}

/// Loads the project for a command that changes it by its files.
fn load(before: &ProjectArgs, after: ProjectArgs, caller: &Caller, services: &[String]) -> Result<Project> {
    let mut request = project::request(&before.clone().with(after), caller)?;
    request.load.services = services.to_vec();
    project::load(request, caller)
}

/// Loads the project for a command that needs its name and works from what is on the host.
fn load_lenient(before: &ProjectArgs, after: ProjectArgs, caller: &Caller) -> Result<Project> {
    let args = before.clone().with(after);
    match (
        load(&ProjectArgs::default(), args.clone(), caller, &[]),
        &args.project_name,
    ) {
        (Ok(project), _) => Ok(project),
        // Compose does the same: with a name, containers are found by their labels.
        (Err(_), Some(name)) if args.files.is_empty() => Project::named(name),
        (Err(error), _) => Err(error),
    }
}

fn target(caller: &Caller) -> Result<std::sync::Arc<dyn Target>> {
    if caller.variable("WINDFLOW_TARGET") == Some("fake") {
        let file = state::dir(caller)?.join("fake.json");
        let fake = FakeTarget::open(FakeOptions {
            file: Some(file),
            ..FakeOptions::default()
        });
        return Ok(std::sync::Arc::new(fake.map_err(|error| {
            CommandError::from(windflow_model::Failure::from(error))
        })?));
    }
    let docker = DockerTarget::connect(DockerOptions {
        host: caller.variable("DOCKER_HOST").map(str::to_owned),
    });
    Ok(std::sync::Arc::new(docker.map_err(|error| {
        CommandError::from(windflow_model::Failure::from(error))
    })?))
}

/// The engine for the length of one command.
struct Session {
    engine: EngineHandle,
    tasks: TaskSet,
    clock: Clock,
    random: Random,
    live: bool,
}

impl Session {
    /// Starts the engine. `durable` commands write the journal of local mode; the others need none.
    async fn open(caller: &Caller, clock: Clock, random: Random, durable: bool) -> Result<Self> {
        let target = target(caller)?;
        // Nobody waits for a journal to learn that there is no engine.
        target
            .info()
            .await
            .map_err(|error| CommandError::from(windflow_model::Failure::from(error)))?;
        let opened = state::open(caller, &clock, durable).await?;
        let options = EngineOptions::new(opened.store, opened.work_dir, clock.clone(), random.clone());
        let (engine, handle) = options
            .build(target)
            .await
            .map_err(|error| CommandError::failed(windflow_kit::Chain(&error).to_string()))?;
        let tasks = TaskSet::new(Stop::new(), random.clone());
        tasks.spawn("engine", OnFailure::Exit, engine.run(tasks.stop().clone()));
        Ok(Self {
            engine: handle,
            tasks,
            clock,
            random,
            live: caller.terminal,
        })
    }

    /// Ends the engine; its failure comes before the command's result.
    async fn close(self, result: Result<()>) -> Result<()> {
        let drained = self.tasks.drain(DRAIN).await;
        match drained.failure {
            Some(failure) => Err(CommandError::failed(windflow_kit::Chain(&failure).to_string())),
            None => result,
        }
    }

    /// Runs until done, or until Ctrl-C, which is no error for something that only shows.
    async fn until_signal<F: Future<Output = Result<()>>>(&self, work: F) -> Result<()> {
        let mut signals = Signals::listen().map_err(|error| CommandError::failed(error.to_string()))?;
        tokio::select! {
            result = work => result,
            _ = signals.next() => Ok(()),
        }
    }

    async fn up(&self, project: &Project, args: &UpArgs) -> Result<()> {
        let order = self.order(project, Want::Present, up_options(args))?;
        let limit = args
            .wait_timeout
            .map(|seconds| Duration::from_secs(seconds.into()));
        self.apply(order, limit).await
    }

    async fn down(&self, project: &Project, args: &DownArgs) -> Result<()> {
        let want = if args.volumes {
            Want::AbsentWithVolumes
        } else {
            Want::Absent
        };
        let options = ApplyOptions {
            remove_orphans: Some(args.remove_orphans),
            stop_timeout: args.timeout,
            remove_images: args.rmi.map(|which| match which {
                Rmi::Local => RemoveImages::Local,
                Rmi::All => RemoveImages::All,
            }),
            ..ApplyOptions::default()
        };
        self.apply(self.order(project, want, options)?, None).await
    }

    async fn plan(&self, project: &Project, args: &PlanArgs) -> Result<()> {
        let order = self.order(project, Want::Present, up_options(&args.up))?;
        let plan = self.engine.plan(order).await?;
        show::plan(&plan, args.format)?;
        if args.detailed_exitcode && !plan.is_empty() {
            return Err(CommandError::failed("there are changes"));
        }
        Ok(())
    }

    fn order(&self, project: &Project, want: Want, options: ApplyOptions) -> Result<Order> {
        let held = self
            .engine
            .held()
            .into_iter()
            .find(|held| held.stack == project.name);
        let op = self
            .random
            .uuid_v7(&self.clock)
            .map_err(|error| CommandError::failed(error.to_string()))?;
        Ok(Order {
            stack: project.name.clone(),
            owner: None,
            deployment: None,
            rev: held.map_or(windflow_model::Rev(1), |held| held.rev.next()),
            op: OpId::from_uuid(op),
            want,
            digest: project.spec.digest(),
            spec: project.spec.clone(),
            source: project.source.clone(),
            options,
        })
    }

    /// Hands the order in and shows what happens until it has ended.
    async fn apply(&self, order: Order, limit: Option<Duration>) -> Result<()> {
        let (stack, op) = (order.stack.clone(), order.op);
        let mut board = board::Board::new(self.live);
        let progress = self.engine.progress();
        match self.engine.apply(order).await {
            Ok(Acceptance::Accepted | Acceptance::AlreadyHeld { .. }) => {}
            Err(error) => return Err(CommandError::from(windflow_model::Failure::from(error))),
        }
        let mut signals = Signals::listen().map_err(|error| CommandError::failed(error.to_string()))?;
        let ended = board::watch(&self.engine, &stack, op, progress, &mut board);
        let state = tokio::select! {
            state = ended => state,
            () = expire(limit) => return Err(CommandError::failed(format!("{stack} is not up after the time given"))),
            _ = signals.next() => return Err(CommandError::failed("interrupted; what was begun stays as it is")
                .hint("The same command goes on from here.")),
        };
        self.acknowledge().await;
        judge(&stack, &state)
    }

    /// Nobody reads the reports of local mode: they would only grow.
    async fn acknowledge(&self) {
        let newest = *self.engine.reports_changed().borrow();
        if newest > 0
            && let Err(error) = self.engine.reports_ack(newest).await
        {
            tracing::debug!(%error, "reports not acknowledged");
        }
    }
}

async fn expire(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

fn judge(stack: &StackName, state: &DeploymentState) -> Result<()> {
    match (state, state.failure()) {
        (DeploymentState::Succeeded, _) => Ok(()),
        (_, Some(failure)) => Err(failure.clone().into()),
        _ => Err(CommandError::failed(format!(
            "{stack} is {}",
            state.name().replace('_', " ")
        ))),
    }
}

fn up_options(args: &UpArgs) -> ApplyOptions {
    ApplyOptions {
        services: args.services.clone(),
        no_deps: args.no_deps,
        force_recreate: args.force_recreate,
        no_recreate: args.no_recreate,
        no_start: args.no_start,
        pull: args.pull.and_then(|pull| match pull {
            Pull::Always => Some(PullMode::Always),
            Pull::Missing => Some(PullMode::Missing),
            Pull::Never => Some(PullMode::Never),
            Pull::Policy => None,
        }),
        build: args.build,
        no_build: args.no_build,
        scale: args.scale(),
        remove_orphans: Some(args.remove_orphans),
        renew_anon_volumes: args.renew_anon_volumes,
        stop_timeout: args.timeout,
        no_wait: !args.wait,
        ..ApplyOptions::default()
    }
}
