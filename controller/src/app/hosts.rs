//! What the application needs from the fleet. [`FleetHandle`] is the real one; tests have their own.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use windflow_kit::BoxError;
use windflow_model::{
    AgentId, Code, Failure, FileListing, FilePath, FilePlace, FileQuery, FilesWritten, LogEvent, LogQuery,
    Plan, Presence, TerminalAttach, TerminalOpened, TerminalQuery, VolumeList,
};

use crate::fleet::{Assignment, FileBytes, FleetHandle, TerminalStream, Withdrawal};

/// Log events of one host; the last one is `End`.
pub type LogEvents = BoxStream<'static, LogEvent>;

/// The door to the hosts.
pub trait Hosts: fmt::Debug + Send + Sync + 'static {
    /// Every host seen since the controller started.
    fn presences(&self) -> BoxFuture<'_, BTreeMap<AgentId, Presence>>;
    /// Lets a connected host's session look for work. Never waits for the host.
    fn nudge(&self, agent: AgentId) -> BoxFuture<'_, ()>;
    /// Sends a withdrawal if the host is connected.
    fn withdraw(&self, agent: AgentId, withdrawal: Withdrawal) -> BoxFuture<'_, ()>;
    /// What an assignment would do there.
    fn plan(&self, agent: AgentId, assignment: Assignment) -> BoxFuture<'_, Result<Plan, Failure>>;
    /// Logs of one stack there.
    fn logs(&self, agent: AgentId, query: LogQuery) -> BoxFuture<'_, Result<LogEvents, Failure>>;
    /// Starts a process there and keeps it for whoever attaches.
    fn terminal_open(
        &self,
        agent: AgentId,
        _: TerminalQuery,
    ) -> BoxFuture<'_, Result<TerminalOpened, Failure>> {
        Box::pin(async move { Err(offline(agent)) })
    }
    /// Attaches to such a process.
    fn terminal_attach(
        &self,
        agent: AgentId,
        _: TerminalAttach,
    ) -> BoxFuture<'_, Result<TerminalStream, Failure>> {
        Box::pin(async move { Err(offline(agent)) })
    }
    /// The named volumes there.
    fn volumes(&self, agent: AgentId) -> BoxFuture<'_, Result<VolumeList, Failure>> {
        Box::pin(async move { Err(offline(agent)) })
    }
    /// What is at a path there.
    fn file_list(
        &self,
        agent: AgentId,
        _: FilePlace,
        _: FilePath,
    ) -> BoxFuture<'_, Result<FileListing, Failure>> {
        Box::pin(async move { Err(offline(agent)) })
    }
    /// Hands out a file, or a tar.
    fn file_read(
        &self,
        agent: AgentId,
        _: FilePlace,
        _: FilePath,
        _archive: bool,
    ) -> BoxFuture<'_, Result<(FileListing, FileBytes), Failure>> {
        Box::pin(async move { Err(offline(agent)) })
    }
    /// Writes what comes: the query is a [`FileQuery::Write`].
    fn file_write(
        &self,
        agent: AgentId,
        _: FileQuery,
        _: BoxStream<'static, Result<Bytes, BoxError>>,
    ) -> BoxFuture<'_, Result<FilesWritten, Failure>> {
        Box::pin(async move { Err(offline(agent)) })
    }
    /// Ends the connection and every stream of it.
    fn disconnect(&self, agent: AgentId, reason: String) -> BoxFuture<'_, ()>;
    /// Has hosts sample so often, and say so at once, for a while. Never waits for a host.
    fn watch_metrics(&self, _agents: Vec<AgentId>, _every: Duration, _lasts: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    /// Figures of the link, in the text format of Prometheus.
    fn metrics(&self) -> String {
        String::new()
    }
}

impl Hosts for FleetHandle {
    fn presences(&self) -> BoxFuture<'_, BTreeMap<AgentId, Presence>> {
        Box::pin(self.presences())
    }

    fn nudge(&self, agent: AgentId) -> BoxFuture<'_, ()> {
        Box::pin(self.nudge(agent))
    }

    fn withdraw(&self, agent: AgentId, withdrawal: Withdrawal) -> BoxFuture<'_, ()> {
        Box::pin(self.withdraw(agent, withdrawal))
    }

    fn plan(&self, agent: AgentId, assignment: Assignment) -> BoxFuture<'_, Result<Plan, Failure>> {
        Box::pin(self.plan(agent, assignment))
    }

    fn logs(&self, agent: AgentId, query: LogQuery) -> BoxFuture<'_, Result<LogEvents, Failure>> {
        Box::pin(async move { Ok(self.logs(agent, query).await?.boxed()) })
    }

    fn terminal_open(
        &self,
        agent: AgentId,
        query: TerminalQuery,
    ) -> BoxFuture<'_, Result<TerminalOpened, Failure>> {
        Box::pin(self.terminal_open(agent, query))
    }

    fn terminal_attach(
        &self,
        agent: AgentId,
        attach: TerminalAttach,
    ) -> BoxFuture<'_, Result<TerminalStream, Failure>> {
        Box::pin(self.terminal_attach(agent, attach))
    }

    fn volumes(&self, agent: AgentId) -> BoxFuture<'_, Result<VolumeList, Failure>> {
        Box::pin(self.volumes(agent))
    }

    fn file_list(
        &self,
        agent: AgentId,
        place: FilePlace,
        path: FilePath,
    ) -> BoxFuture<'_, Result<FileListing, Failure>> {
        Box::pin(self.file_list(agent, place, path))
    }

    fn file_read(
        &self,
        agent: AgentId,
        place: FilePlace,
        path: FilePath,
        archive: bool,
    ) -> BoxFuture<'_, Result<(FileListing, FileBytes), Failure>> {
        Box::pin(self.file_read(agent, place, path, archive))
    }

    fn file_write(
        &self,
        agent: AgentId,
        query: FileQuery,
        body: BoxStream<'static, Result<Bytes, BoxError>>,
    ) -> BoxFuture<'_, Result<FilesWritten, Failure>> {
        Box::pin(self.file_write(agent, query, body))
    }

    fn disconnect(&self, agent: AgentId, reason: String) -> BoxFuture<'_, ()> {
        Box::pin(self.disconnect(agent, reason))
    }

    fn watch_metrics(&self, agents: Vec<AgentId>, every: Duration, lasts: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.watch_metrics(agents, every, lasts))
    }

    fn metrics(&self) -> String {
        self.metrics()
    }
}

/// Before the fleet runs: no host is there.
#[derive(Debug)]
pub(crate) struct NoHosts;

impl Hosts for NoHosts {
    fn presences(&self) -> BoxFuture<'_, BTreeMap<AgentId, Presence>> {
        Box::pin(async { BTreeMap::new() })
    }

    fn nudge(&self, _: AgentId) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn withdraw(&self, _: AgentId, _: Withdrawal) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn plan(&self, agent: AgentId, _: Assignment) -> BoxFuture<'_, Result<Plan, Failure>> {
        Box::pin(async move { Err(offline(agent)) })
    }

    fn logs(&self, agent: AgentId, _: LogQuery) -> BoxFuture<'_, Result<LogEvents, Failure>> {
        Box::pin(async move { Err(offline(agent)) })
    }

    fn disconnect(&self, _: AgentId, _: String) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn offline(agent: AgentId) -> Failure {
    Failure::new(Code::AgentOffline, format!("host {agent} is not connected"))
}
