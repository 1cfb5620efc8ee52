//! The recorder of a terminal: reads it as one who watches, from its first to its last byte.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use windflow_api::TerminalView;
use windflow_kit::{Chain, OnFailure};
use windflow_model::{AgentId, Code, Failure, TerminalAttach, TerminalId, TerminalPlace, TerminalSize};

use super::{
    super::{App, AppError, AppResult, lock},
    CLOSED_WITHIN, TerminalShown,
};
use crate::{
    app::recording::DIGEST,
    context::OpContext,
    recordings::{Head, Outcome, Recorded, Recorder, Recordings},
};

/// Between two attempts to read on after the link was lost.
const AGAIN: Duration = Duration::from_millis(500);
/// The terminal has ended: its last output is on its way.
const LAST: Duration = Duration::from_secs(2);
/// For the recording to be on disk when its terminal has ended.
const KEPT_WITHIN: Duration = Duration::from_secs(10);
/// Sizes that wait to be recorded; of more at once nobody needs them all.
const SIZES: usize = 16;

/// A recording of a terminal that is open.
#[derive(Debug)]
pub(super) struct Recording {
    sizes: mpsc::Sender<TerminalSize>,
    over: watch::Sender<bool>,
    outcome: watch::Receiver<Option<Result<Outcome, String>>>,
}

impl Recording {
    /// Starts the task that records. `doom` is told why the terminal must not go on without.
    pub(super) fn start(
        app: &App,
        (agent, id): (AgentId, TerminalId),
        recorder: Recorder,
        doom: Option<watch::Sender<Option<String>>>,
    ) -> Self {
        let (sizes, told) = mpsc::channel(SIZES);
        let (over, ended) = watch::channel(false);
        let (done, outcome) = watch::channel(None);
        let run = Run {
            app: app.clone(),
            agent,
            id,
            recorder,
            doom,
        };
        app.0.tasks.spawn("recording", OnFailure::Log, async move {
            done.send_replace(Some(run.run(told, ended).await));
        });
        Self { sizes, over, outcome }
    }

    /// One that could not begin.
    pub(super) fn failed(why: String) -> Self {
        Self {
            sizes: mpsc::channel(1).0,
            over: watch::channel(false).0,
            outcome: watch::channel(Some(Err(why))).1,
        }
    }

    /// The terminal has another size.
    pub(super) fn sizes(&self) -> mpsc::Sender<TerminalSize> {
        self.sizes.clone()
    }

    /// The terminal has ended: gives what the audit trail says of its recording.
    pub(super) async fn finish(mut self) -> String {
        self.over.send_replace(true);
        let waiting = tokio::time::timeout(KEPT_WITHIN, self.outcome.wait_for(Option::is_some));
        let outcome = match waiting.await {
            Ok(Ok(outcome)) => outcome.clone(),
            _ => None,
        };
        match outcome {
            Some(Ok(Outcome {
                digest,
                complete: true,
            })) => format!(", recording {DIGEST}{digest}"),
            Some(Ok(Outcome { digest, .. })) => format!(", recording incomplete, {DIGEST}{digest}"),
            Some(Err(why)) => format!(", recording failed: {why}"),
            None => ", recording incomplete: not written in time".to_owned(),
        }
    }
}

impl App {
    /// Where this terminal is to be recorded, if it is.
    pub(super) fn recorded(&self, place: &TerminalPlace) -> Option<Recordings> {
        let shelf = self.recordings()?;
        let wanted = match shelf.options().which {
            Recorded::Off => false,
            Recorded::Host => *place == TerminalPlace::Host,
            Recorded::All => true,
        };
        wanted.then(|| shelf.clone())
    }

    /// Begins to record a terminal. If it has to be recorded and cannot, its process is ended.
    pub(super) async fn terminal_record(
        &self,
        shelf: Recordings,
        op: &OpContext,
        view: &TerminalView,
        (agent_name, size): (&str, Option<TerminalSize>),
    ) -> AppResult<(Option<Recording>, watch::Receiver<Option<String>>)> {
        let head = Head {
            id: view.id,
            org: op.org,
            agent: view.agent,
            agent_name: agent_name.to_owned(),
            container: view.container.clone(),
            host_user: view.host_user.clone(),
            command: view.command.clone(),
            tty: view.tty,
            size,
            user: view.user,
            user_name: view.user_name.clone(),
            started_at: view.opened_at,
        };
        let required = shelf.options().required;
        let (sender, doom) = watch::channel(None);
        let recording = match Recorder::begin(shelf, head).await {
            Ok(recorder) => {
                let doom = required.then_some(sender);
                Recording::start(self, (view.agent, view.id), recorder, doom)
            }
            Err(error) => {
                let why = Chain(&error).to_string();
                tracing::error!(%why, "a terminal cannot be recorded");
                if required {
                    self.terminal_end_on(view.id, view.agent).await;
                    self.audit(
                        op,
                        "terminal_close",
                        view.id,
                        format!("closed: it could not be recorded: {why}"),
                    )
                    .await?;
                    let text = format!("this terminal has to be recorded, and cannot be: {why}");
                    return Err(AppError::conflict(text, "Make room on the controller's disk."));
                }
                Recording::failed(why)
            }
        };
        Ok((Some(recording), doom))
    }

    /// A terminal that nobody types in must not go on; to whoever types it is said where they are.
    pub(super) async fn terminal_doomed(&self, id: TerminalId, agent: AgentId) {
        let vacant = lock(&self.0.terminals)
            .get(&id)
            .is_some_and(|known| !known.view.attached);
        if vacant {
            self.terminal_end_on(id, agent).await;
        }
    }

    /// Has the host end a process.
    async fn terminal_end_on(&self, id: TerminalId, agent: AgentId) {
        let attach = TerminalAttach {
            id,
            from: u64::MAX,
            watch: false,
        };
        let ended = async {
            let stream = self.hosts().terminal_attach(agent, attach).await?;
            let (mut output, mut typing) = stream.split();
            typing.close().await?;
            while !matches!(
                output.next().await,
                TerminalShown::Ended(_) | TerminalShown::Lost(_)
            ) {}
            Ok::<_, Failure>(())
        };
        if !matches!(tokio::time::timeout(CLOSED_WITHIN, ended).await, Ok(Ok(()))) {
            tracing::warn!(%id, "a process that must not go on could not be ended");
        }
    }
}

struct Run {
    app: App,
    agent: AgentId,
    id: TerminalId,
    recorder: Recorder,
    doom: Option<watch::Sender<Option<String>>>,
}

/// Why reading ended.
enum Read {
    /// With the terminal: all of it was read.
    All,
    /// Nobody can read on.
    Cut,
    /// The disk does not take it, and it has to.
    Refused(String),
}

impl Run {
    async fn run(
        mut self,
        mut sizes: mpsc::Receiver<TerminalSize>,
        mut over: watch::Receiver<bool>,
    ) -> Result<Outcome, String> {
        let stop = self.app.0.tasks.stop().clone();
        let late = async {
            // Who would say so may have gone without a word: then the end itself is waited for.
            if over.wait_for(|over| *over).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep_until(Instant::now() + LAST).await;
        };
        let read = tokio::select! {
            read = self.read(&mut sizes) => read,
            () = late => Read::Cut,
            () = stop.stopped() => Read::Cut,
        };
        match read {
            Read::All => {}
            Read::Cut => self.recorder.cut(),
            Read::Refused(why) => {
                self.recorder.cut();
                if let Some(doom) = &self.doom {
                    doom.send_replace(Some(format!("it could not be recorded: {why}")));
                }
                self.app.terminal_doomed(self.id, self.agent).await;
            }
        }
        let finished = self.recorder.finish(self.app.now()).await;
        finished.map_err(|error| Chain(&error).to_string())
    }

    async fn read(&mut self, sizes: &mut mpsc::Receiver<TerminalSize>) -> Read {
        let mut position = 0;
        loop {
            let attach = TerminalAttach {
                id: self.id,
                from: position,
                watch: true,
            };
            let stream = match self.app.hosts().terminal_attach(self.agent, attach).await {
                Ok(stream) => stream,
                Err(failure) if failure.code == Code::NotFound.as_str() => return Read::Cut,
                Err(_) => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            // What is typed is not ours; its half is kept, as it is what the host sees of us.
            let (mut output, _typing) = stream.split();
            loop {
                tokio::select! {
                    shown = output.next() => match shown {
                        TerminalShown::Output { from, stderr, bytes } => {
                            position = from + u64::try_from(bytes.len()).unwrap_or(0);
                            self.recorder.output(self.app.now(), stderr, &bytes);
                            if self.doom.is_some() && self.recorder.is_full() {
                                return Read::Refused("it holds as much as one recording may".to_owned());
                            }
                        }
                        TerminalShown::Gap { from, lost } => {
                            position = from + lost;
                            self.recorder.gap(self.app.now(), lost);
                        }
                        TerminalShown::Taken(_) => {}
                        TerminalShown::Ended(_) => return Read::All,
                        TerminalShown::Lost(_) => break,
                    },
                    Some(size) = sizes.recv() => self.recorder.resized(self.app.now(), size),
                    () = self.recorder.due() => {
                        if let Err(error) = self.recorder.write(self.app.now()).await {
                            let why = Chain(&error).to_string();
                            tracing::warn!(%why, "a terminal is not recorded at this moment");
                            if self.doom.is_some() {
                                return Read::Refused(why);
                            }
                        }
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
