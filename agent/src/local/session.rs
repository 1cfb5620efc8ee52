//! The engine for the length of one command.

use std::{sync::Arc, time::Duration};

use windflow_engine::{
    Acceptance, ApplyOptions, DockerOptions, DockerTarget, EngineHandle, EngineOptions, FakeOptions,
    FakeTarget, Order, Target, client_config_dir,
};
use windflow_kit::{Chain, Clock, OnFailure, Random, Stop, TaskSet, stop::Signals};
use windflow_model::{DeploymentState, Failure, OpId, StackName, Want};

use super::{
    Context, Result,
    args::ListFormat,
    board, plan,
    project::{Caller, Project},
    state,
    up::INTERRUPTED,
};
use crate::failure::CommandError;

/// Longest wait for the engine to finish the step in hand when the command ends.
const DRAIN: Duration = Duration::from_secs(20);

/// Where containers run, as `DOCKER_HOST` says.
pub(super) fn target(caller: &Caller) -> Result<Arc<dyn Target>> {
    if caller.variable("WINDFLOW_TARGET") == Some("fake") {
        let file = state::dir(caller)?.join("fake.json");
        let fake = FakeTarget::open(FakeOptions {
            file: Some(file),
            ..FakeOptions::default()
        });
        return Ok(Arc::new(fake.map_err(failed)?));
    }
    let variable = |name: &str| caller.variable(name).map(str::to_owned);
    let options = DockerOptions {
        host: variable("DOCKER_HOST"),
        client_config: client_config_dir(variable),
        pull_stall: pull_stall(caller)?,
        ..DockerOptions::default()
    };
    let docker = DockerTarget::connect(options.with_builder(variable));
    Ok(Arc::new(docker.map_err(failed)?))
}

/// How long a pull may bring no news.
fn pull_stall(caller: &Caller) -> Result<Option<Duration>> {
    const NAME: &str = "WINDFLOW_PULL_STALL_S";
    let Some(text) = caller.variable(NAME) else {
        return Ok(None);
    };
    let seconds = text.parse().map_err(|_| {
        CommandError::usage(format!(
            "{NAME} is `{text}`: give a whole number of seconds, or unset it"
        ))
    })?;
    Ok(Some(Duration::from_secs(seconds)))
}

/// What a target or the engine says, as the failure of a command.
pub(super) fn failed(error: impl Into<Failure>) -> CommandError {
    CommandError::from(error.into())
}

/// A running engine.
pub(super) struct Session {
    pub(super) engine: EngineHandle,
    tasks: TaskSet,
    clock: Clock,
    random: Random,
    live: bool,
    quiet: bool,
}

impl Session {
    /// Starts the engine. `durable` commands write the journal of local mode; the others need none.
    pub(super) async fn open(context: &Context, durable: bool) -> Result<Self> {
        let target = target(&context.caller)?;
        // Nobody waits for a journal to learn that there is no engine.
        target.info().await.map_err(failed)?;
        let (clock, random) = (context.clock.clone(), context.random.clone());
        let opened = state::open(&context.caller, &clock, durable).await?;
        let mut options = EngineOptions::new(opened.store, opened.work_dir, clock.clone(), random.clone());
        options.only_asked = true;
        if let Some(limit) = context.parallel {
            options.parallel = limit;
        }
        let (engine, handle) = options
            .build(target)
            .await
            .map_err(|error| CommandError::failed(Chain(&error).to_string()))?;
        let tasks = TaskSet::new(Stop::new(), random.clone());
        tasks.spawn("engine", OnFailure::Exit, engine.run(tasks.stop().clone()));
        Ok(Self {
            engine: handle,
            tasks,
            clock,
            random,
            live: context.caller.terminal,
            quiet: context.quiet,
        })
    }

    /// Ends the engine; its failure comes before the command's result.
    pub(super) async fn close<T>(self, result: Result<T>) -> Result<T> {
        let drained = self.tasks.drain(DRAIN).await;
        match drained.failure {
            Some(failure) => Err(CommandError::failed(Chain(&failure).to_string())),
            None => result,
        }
    }

    /// Runs until done, or until Ctrl-C, which is no error for something that only shows.
    pub(super) async fn until_signal<F: Future<Output = Result<()>>>(&self, work: F) -> Result<()> {
        let mut signals = signals()?;
        tokio::select! {
            result = work => result,
            _ = signals.next() => Ok(()),
        }
    }

    /// The next order for a project.
    pub(super) fn order(&self, project: &Project, want: Want, options: ApplyOptions) -> Result<Order> {
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

    /// Hands the order in and shows what happens until it has ended; of a dry run, only what would happen.
    pub(super) async fn apply(&self, project: &Project, order: Order, limit: Option<Duration>) -> Result<()> {
        if project.dry_run {
            let plan = self.engine.plan(order).await?;
            return plan::print(&plan, ListFormat::Table, false);
        }
        let (stack, op) = (order.stack.clone(), order.op);
        let mut board = board::Board::new(self.live, self.quiet);
        let progress = self.engine.progress();
        match self.engine.apply(order).await {
            Ok(Acceptance::Accepted | Acceptance::AlreadyHeld { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
        let mut signals = signals()?;
        let ended = board::watch(&self.engine, &stack, op, progress, &mut board);
        let state = tokio::select! {
            state = ended => state,
            () = expire(limit) => return Err(CommandError::failed(format!("{stack} is not up after the time given"))),
            _ = signals.next() => return Err(CommandError { exit: INTERRUPTED, ..CommandError::failed("interrupted; what was begun stays as it is") }
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

/// SIGTERM and SIGINT, from now on ours.
pub(super) fn signals() -> Result<Signals> {
    Signals::listen().map_err(|error| CommandError::failed(error.to_string()))
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
        (DeploymentState::RolledBack { failure, to }, _) => {
            let text = format!("{failure}\nrolled back: {stack} is as {} has it", revision(*to));
            Err(CommandError {
                message: text,
                ..CommandError::from(failure.clone())
            }
            .hint(format!("`local history` shows the revisions of {stack}.")))
        }
        (DeploymentState::RollbackFailed { failure, to, undo }, _) => {
            let why = undo.as_ref().map_or_else(String::new, |undo| format!(": {undo}"));
            let text = format!(
                "{failure}\nrollback failed: the way back to {} stopped{why}",
                revision(*to)
            );
            Err(CommandError {
                message: text,
                ..CommandError::from(failure.clone())
            }
            .hint("What the way back reached stays; `local ps -a` and `local logs` show it."))
        }
        (_, Some(failure)) => Err(failure.clone().into()),
        _ => Err(CommandError::failed(format!(
            "{stack} is {}",
            state.name().replace('_', " ")
        ))),
    }
}

fn revision(to: Option<windflow_model::Rev>) -> String {
    to.map_or_else(
        || "the last good revision".to_owned(),
        |to| format!("revision {to}"),
    )
}
