//! The door to the fleet for the rest of the controller. Cheap to clone; all channels stay behind it.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
    vec,
};

use bytes::Bytes;
use futures_util::{Stream, stream::BoxStream};
use tokio::sync::{mpsc, oneshot};
use windflow_kit::{BoxError, TaskHandle};
use windflow_model::{
    Absence, AgentId, Code, Failure, FileListing, FilePath, FilePlace, FileQuery, FilesWritten, LogEvent,
    LogQuery, Plan, Presence, TerminalAttach, TerminalOpened, TerminalQuery, VolumeList,
};
use windflow_transport::quinn::Connection;

use super::{
    figures::Figures,
    files::{self, FileBytes},
    home::{Assignment, Withdrawal},
    session::Pace,
    streams,
    terminal::{self, TerminalStream},
};

/// What the handle asks for.
#[derive(Debug)]
pub(super) enum Command {
    Presences {
        reply: oneshot::Sender<BTreeMap<AgentId, Presence>>,
    },
    Nudge {
        agent: AgentId,
    },
    Withdraw {
        agent: AgentId,
        withdrawal: Withdrawal,
    },
    Pace {
        agents: Vec<AgentId>,
        pace: Pace,
    },
    /// For a stream that its asker drives.
    Connection {
        agent: AgentId,
        reply: oneshot::Sender<Option<Connection>>,
    },
    Disconnect {
        agent: AgentId,
        reason: String,
        reply: oneshot::Sender<()>,
    },
}

/// Handle to the running fleet.
#[derive(Debug, Clone)]
pub struct FleetHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) figures: Arc<Figures>,
}

impl FleetHandle {
    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(make(reply)).await.ok()?;
        answer.await.ok()
    }

    /// What the link has done since the start, in the text format of Prometheus.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.figures.text()
    }

    /// Whether a host is connected, with proof. A host that never connected since the controller started is `Offline`
    /// without a time.
    pub async fn presence(&self, agent: AgentId) -> Presence {
        self.presences().await.remove(&agent).unwrap_or_else(unseen)
    }

    /// Every host seen since the controller started.
    pub async fn presences(&self) -> BTreeMap<AgentId, Presence> {
        self.ask(|reply| Command::Presences { reply })
            .await
            .unwrap_or_default()
    }

    /// The hosts that are connected now.
    pub async fn connected(&self) -> Vec<AgentId> {
        let all = self.presences().await;
        all.into_iter()
            .filter(|(_, presence)| matches!(presence, Presence::Connected { .. }))
            .map(|(agent, _)| agent)
            .collect()
    }

    /// Lets the host's session look for new assignments and withdrawals. Nothing happens if it is not connected: a
    /// session looks by itself when it begins. Never waits for the host.
    pub async fn nudge(&self, agent: AgentId) {
        let _closed = self.commands.send(Command::Nudge { agent }).await;
    }

    /// Sends a withdrawal to the host if it is connected; its answer comes as a report. Else it is found in
    /// [`super::home::Home::work`] at the next connect.
    pub async fn withdraw(&self, agent: AgentId, withdrawal: Withdrawal) {
        let _closed = self.commands.send(Command::Withdraw { agent, withdrawal }).await;
    }

    /// Has hosts sample so often, and send each sample at once, for a while. Hosts that are not connected are left out.
    /// Never waits for a host.
    pub async fn watch_metrics(&self, agents: Vec<AgentId>, every: Duration, lasts: Duration) {
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let pace = Pace {
            every_ms: ms(every),
            for_ms: ms(lasts),
        };
        let _closed = self.commands.send(Command::Pace { agents, pace }).await;
    }

    /// Asks the host what an assignment would do. Changes nothing there.
    ///
    /// # Errors
    /// The host's failure, `AgentOffline`, or `AgentTimeout` after 60 s.
    pub async fn plan(&self, agent: AgentId, assignment: Assignment) -> Result<Plan, Failure> {
        streams::plan(self.connection(agent).await?, assignment).await
    }

    /// Follows logs of one stack on one host.
    ///
    /// # Errors
    /// The host's failure, or `AgentOffline`.
    pub async fn logs(&self, agent: AgentId, query: LogQuery) -> Result<LogStream, Failure> {
        streams::logs(self.connection(agent).await?, query).await
    }

    /// Starts a process on the host and keeps it there for whoever attaches.
    ///
    /// # Errors
    /// The host's failure, `AgentOffline`, or `AgentTimeout` after 20 s.
    pub async fn terminal_open(
        &self,
        agent: AgentId,
        query: TerminalQuery,
    ) -> Result<TerminalOpened, Failure> {
        terminal::open(self.connection(agent).await?, query).await
    }

    /// Attaches to such a process.
    ///
    /// # Errors
    /// As [`FleetHandle::terminal_open`]; `NotFound` if it is over.
    pub async fn terminal_attach(
        &self,
        agent: AgentId,
        attach: TerminalAttach,
    ) -> Result<TerminalStream, Failure> {
        terminal::attach(self.connection(agent).await?, attach).await
    }

    async fn connection(&self, agent: AgentId) -> Result<Connection, Failure> {
        let connection = self.ask(|reply| Command::Connection { agent, reply }).await;
        connection.flatten().ok_or_else(|| offline(agent))
    }

    /// The named volumes of the host.
    ///
    /// # Errors
    /// The host's failure, `AgentOffline`, or `AgentTimeout` after 60 s.
    pub async fn volumes(&self, agent: AgentId) -> Result<VolumeList, Failure> {
        files::volumes(self.connection(agent).await?).await
    }

    /// What is at a path, and in it.
    ///
    /// # Errors
    /// As [`FleetHandle::volumes`].
    pub async fn file_list(
        &self,
        agent: AgentId,
        place: FilePlace,
        path: FilePath,
    ) -> Result<FileListing, Failure> {
        files::list(self.connection(agent).await?, place, path).await
    }

    /// Hands out a file, or a tar.
    ///
    /// # Errors
    /// As [`FleetHandle::volumes`]; what fails later is in the bytes.
    pub async fn file_read(
        &self,
        agent: AgentId,
        place: FilePlace,
        path: FilePath,
        archive: bool,
    ) -> Result<(FileListing, FileBytes), Failure> {
        files::read(self.connection(agent).await?, place, path, archive).await
    }

    /// Writes what comes: the query is a [`FileQuery::Write`].
    ///
    /// # Errors
    /// As [`FleetHandle::volumes`]; the body's.
    pub async fn file_write(
        &self,
        agent: AgentId,
        query: FileQuery,
        body: BoxStream<'static, Result<Bytes, BoxError>>,
    ) -> Result<FilesWritten, Failure> {
        files::write(self.connection(agent).await?, query, body).await
    }

    /// Ends the host's connection and every stream of it, at once. The application must have made
    /// [`super::home::Home::agent_admit`] refuse it before, or the host simply comes back.
    pub async fn disconnect(&self, agent: AgentId, reason: impl Into<String> + Send) {
        let reason = reason.into();
        let _gone = self
            .ask(|reply| Command::Disconnect { agent, reason, reply })
            .await;
    }
}

pub(super) fn unseen() -> Presence {
    Presence::Offline {
        since: None,
        cause: Absence::NotSinceStart,
        reason: "not connected since the controller started".to_owned(),
    }
}

pub(super) fn offline(agent: AgentId) -> Failure {
    Failure::new(Code::AgentOffline, format!("host {agent} is not connected"))
}

/// Log events of one host, pulled by its reader: what is not read holds the host's stream back. Dropping it ends the
/// stream on the host. The last event is `End`, also when the host went away.
#[derive(Debug)]
pub struct LogStream {
    pub(super) frames: mpsc::Receiver<Vec<LogEvent>>,
    /// What is left of the frame in hand.
    pub(super) ready: vec::IntoIter<LogEvent>,
    pub(super) _pump: TaskHandle<()>,
}

impl Stream for LogStream {
    type Item = LogEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<LogEvent>> {
        loop {
            if let Some(event) = self.ready.next() {
                return Poll::Ready(Some(event));
            }
            match ready!(self.frames.poll_recv(context)) {
                Some(frame) => self.ready = frame.into_iter(),
                None => return Poll::Ready(None),
            }
        }
    }
}
