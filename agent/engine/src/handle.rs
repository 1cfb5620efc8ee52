//! The door to the engine.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream::BoxStream};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use windflow_kit::{Clock, Random};
use windflow_model::{
    Code, EngineInfo, Failure, LogEvent, LogQuery, OpId, Plan, Rev, StackName, TerminalPlace,
    container::ContainerList,
};

use crate::{
    command::Command,
    events::{self, Happened},
    exec::{Place, Process},
    files::Files,
    lifecycle::{Act, Lifecycle},
    logs::Logs,
    order::{Acceptance, ApplyError, CancelOutcome, Held, Order, Report, Revision, StackProgress},
    targets::{ExecRequest, Target},
    view::View,
};

/// Log lines of one query, in order of arrival, with explicit gaps. Dropping it ends the reading.
pub type LogStream = Pin<Box<dyn Stream<Item = LogEvent> + Send + 'static>>;

/// Asks the engine to do things and tells what it knows. Clones are cheap and share the engine.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    view: Arc<View>,
    target: Arc<dyn Target>,
    logs: Logs,
    clock: Clock,
    random: Random,
    boot: u64,
}

impl EngineHandle {
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        view: Arc<View>,
        target: Arc<dyn Target>,
        (clock, random): (Clock, Random),
        boot: u64,
    ) -> Self {
        Self {
            commands,
            view,
            logs: Logs::new(Arc::clone(&target), clock.clone()),
            target,
            clock,
            random,
            boot,
        }
    }

    /// The files of this host's containers and volumes. What another life of the same owner has left open is closed.
    #[must_use]
    pub fn files(&self, owner: &str, life: &str) -> Files {
        Files::new(
            Arc::clone(&self.target),
            self.clock.clone(),
            format!("{owner}/{life}"),
        )
    }

    /// Takes an order. Returns once it is in the journal, on disk; the work goes on in the background.
    ///
    /// # Errors
    /// [`ApplyError`]: nothing was accepted. Where the order has a deployment, a report says why.
    pub async fn apply(&self, order: Order) -> Result<Acceptance, ApplyError> {
        let (reply, answer) = oneshot::channel();
        self.ask(
            Command::Apply {
                order: Box::new(order),
                reply,
            },
            answer,
        )
        .await
        .unwrap_or(Err(ApplyError::Stopped))
    }

    /// Takes an order back if nothing has been changed for it yet.
    ///
    /// # Errors
    /// [`ApplyError::Store`] if the journal cannot be written, [`ApplyError::Stopped`].
    pub async fn cancel(&self, stack: &StackName, rev: Rev, op: OpId) -> Result<CancelOutcome, ApplyError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Cancel {
            stack: stack.clone(),
            rev,
            op,
            reply,
        };
        self.ask(command, answer)
            .await
            .unwrap_or(Err(ApplyError::Stopped))
    }

    /// What an order would do. Changes nothing on the host.
    ///
    /// # Errors
    /// The failure that the deploy itself would meet before its first change.
    pub async fn plan(&self, order: Order) -> Result<Plan, Failure> {
        let (reply, answer) = oneshot::channel();
        self.ask(
            Command::Plan {
                order: Box::new(order),
                reply,
            },
            answer,
        )
        .await
        .unwrap_or_else(|| Err(stopped()))
    }

    /// The revisions of a stack that have ended on this host, newest first; at most 50.
    ///
    /// # Errors
    /// [`Code::HostFailure`] if the journal cannot be read.
    pub async fn history(&self, stack: &StackName) -> Result<Vec<Revision>, Failure> {
        let (reply, answer) = oneshot::channel();
        let stack = stack.clone();
        self.ask(Command::History { stack, reply }, answer)
            .await
            .unwrap_or_else(|| Err(stopped()))
    }

    /// The order that brings an older revision back as a new one: the revision `to`, or the newest good one that made
    /// another project than what is held now. Hand it to [`EngineHandle::plan`] or [`EngineHandle::apply`].
    ///
    /// # Errors
    /// [`Code::NotFound`] with the revisions that can be brought back.
    pub async fn again(&self, stack: &StackName, to: Option<Rev>) -> Result<Order, Failure> {
        let (reply, answer) = oneshot::channel();
        let stack = stack.clone();
        self.ask(Command::Again { stack, to, reply }, answer)
            .await
            .unwrap_or_else(|| Err(stopped()))
    }

    /// The stacks in the journal, by name.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.view.state().held.values().cloned().collect()
    }

    /// Reports after `after` that are not acknowledged, oldest first, at most `limit`.
    #[must_use]
    pub fn reports(&self, after: u64, limit: usize) -> Vec<Report> {
        let state = self.view.state();
        state
            .reports
            .range(after.saturating_add(1)..)
            .take(limit)
            .map(|(_, report)| report.clone())
            .collect()
    }

    /// The highest sequence number of a report; changes with every new one.
    #[must_use]
    pub fn reports_changed(&self) -> watch::Receiver<u64> {
        self.view.reports.subscribe()
    }

    /// Forgets all reports up to and including `upto`: the controller has them on disk.
    ///
    /// # Errors
    /// [`ApplyError::Store`], [`ApplyError::Stopped`]; the reports are then kept.
    pub async fn reports_ack(&self, upto: u64) -> Result<(), ApplyError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Ack { upto, reply }, answer)
            .await
            .unwrap_or(Err(ApplyError::Stopped))
    }

    /// Live progress of all stacks. A reader that lags gets `RecvError::Lagged` and goes on.
    #[must_use]
    pub fn progress(&self) -> broadcast::Receiver<StackProgress> {
        self.view.progress.subscribe()
    }

    /// All containers of the host, refreshed after changes.
    #[must_use]
    pub fn containers(&self) -> watch::Receiver<Arc<ContainerList>> {
        self.view.containers.subscribe()
    }

    /// The running container that is meant.
    ///
    /// # Errors
    /// [`Code::NotFound`] with what is there, [`Code::EngineUnreachable`].
    pub async fn place(&self, place: &TerminalPlace) -> Result<Place, Failure> {
        crate::exec::find(&*self.target, place).await
    }

    /// Runs a command in a container that runs. Nothing ends it but [`Process::end`].
    ///
    /// # Errors
    /// What the engine says.
    pub async fn exec(&self, place: &Place, request: ExecRequest) -> Result<Process, Failure> {
        crate::exec::start(&self.target, place, request).await
    }

    /// Output of containers, merged; or a search in it ([`LogQuery::search`] without `follow`): the newest lines that match, those
    /// of a container newest first, then [`LogEvent::Searched`].
    ///
    /// # Errors
    /// [`Code::NotFound`] if no such container is here (a search finds nothing then), [`Code::BadRequest`] if it cannot be
    /// searched for, [`Code::EngineUnreachable`].
    pub async fn logs(&self, query: LogQuery) -> Result<LogStream, Failure> {
        self.logs
            .clone()
            .open(self.view.containers.subscribe(), query)
            .await
    }

    /// Starts the existing containers of services (all if empty), dependencies first.
    ///
    /// # Errors
    /// What the target says, or [`Code::NotFound`].
    pub async fn start(&self, stack: &StackName, services: Vec<String>) -> Result<(), Failure> {
        self.lifecycle(stack, services, None, Act::Start).await
    }

    /// Stops the containers of services (all if empty), dependants first. They stay stopped.
    ///
    /// # Errors
    /// As [`EngineHandle::start`].
    pub async fn stop(
        &self,
        stack: &StackName,
        services: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<(), Failure> {
        self.lifecycle(stack, services, timeout, Act::Stop).await
    }

    /// Stops and starts the containers of services (all if empty).
    ///
    /// # Errors
    /// As [`EngineHandle::start`].
    pub async fn restart(
        &self,
        stack: &StackName,
        services: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<(), Failure> {
        self.lifecycle(stack, services, timeout, Act::Restart).await
    }

    /// What happens on the host, from that time on (nanoseconds since 1970, by the engine's clock; what it no longer knows is told
    /// as missed), or only new things. The stream goes on over breaks; it ends where the target has no events.
    #[must_use]
    pub fn events(&self, after: Option<i64>) -> BoxStream<'static, Happened> {
        let target = Arc::clone(&self.target);
        events::follow(target, self.clock.clone(), self.random.clone(), after)
    }

    /// A round trip through the engine's API.
    ///
    /// # Errors
    /// [`Code::EngineUnreachable`], or what the engine says.
    pub async fn prove(&self) -> Result<(), Failure> {
        self.target.ping().await.map_err(Failure::from)
    }

    /// Who answers on the engine's socket, asked now.
    ///
    /// # Errors
    /// [`Code::EngineUnreachable`].
    pub async fn target_info(&self) -> Result<EngineInfo, Failure> {
        self.target.info().await.map_err(Failure::from)
    }

    /// The clock the engine stamps with.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How often the engine was started on this journal: tells reports of two lives apart.
    #[must_use]
    pub const fn boot(&self) -> u64 {
        self.boot
    }

    async fn lifecycle(
        &self,
        stack: &StackName,
        services: Vec<String>,
        timeout: Option<Duration>,
        act: Act,
    ) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        let order = Lifecycle {
            services,
            timeout,
            ..Lifecycle::new(stack.clone(), act)
        };
        self.ask(Command::Lifecycle(Box::new(order), reply), answer)
            .await
            .unwrap_or_else(|| Err(stopped()))
    }

    async fn ask<T>(&self, command: Command, answer: oneshot::Receiver<T>) -> Option<T> {
        self.commands.send(command).await.ok()?;
        answer.await.ok()
    }
}

fn stopped() -> Failure {
    Failure::new(Code::HostFailure, "the engine of this agent has stopped")
}
