//! How an engine is made.

use std::{path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::sync::mpsc;
use windflow_kit::{Clock, Random, Stop};
use windflow_store::{Store, StoreError};

use crate::{
    command::Command,
    handle::EngineHandle,
    journal::{Journal, JournalError},
    reconcile::Reconciler,
    targets::Target,
    view::View,
};

/// Commands that wait for the owning loop; a caller beyond that waits.
const COMMANDS: usize = 64;

/// Everything an engine needs. Make it with [`EngineOptions::new`], then change what shall differ.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where the journal lives.
    pub store: Arc<dyn Store>,
    /// Where the files of stacks are written: `work_dir/<stack>/`.
    pub work_dir: PathBuf,
    /// Wall-clock time.
    pub clock: Clock,
    /// Randomness for ids and jitter.
    pub random: Random,
    /// Container operations at the same time, over all stacks. Measured: 10 is enough, the engine is the limit.
    pub parallel: usize,
    /// How long a container must stay up before it counts as running.
    pub settle: Duration,
    /// Do only what is asked for: go on with nothing after a start, bring nothing back. For a single command.
    pub only_asked: bool,
    /// How often every stack is compared with the host, besides after events.
    pub drift_every: Duration,
}

impl EngineOptions {
    /// The defaults: 10 operations in parallel, 1 s to settle, drift every 60 s.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, work_dir: PathBuf, clock: Clock, random: Random) -> Self {
        Self {
            store,
            work_dir,
            clock,
            random,
            parallel: 10,
            settle: Duration::from_secs(1),
            only_asked: false,
            drift_every: Duration::from_secs(60),
        }
    }

    /// Reads the journal and makes the engine. It works once [`Engine::run`] runs.
    ///
    /// # Errors
    /// [`EngineError`] if the journal cannot be read.
    pub async fn build(self, target: Arc<dyn Target>) -> Result<(Engine, EngineHandle), EngineError> {
        fs_err::create_dir_all(&self.work_dir).map_err(EngineError::WorkDir)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs_err::set_permissions(&self.work_dir, mode).map_err(EngineError::WorkDir)?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let view = Arc::new(View::default());
        let journal = Journal::open(
            Arc::clone(&self.store),
            Arc::clone(&view),
            self.clock.clone(),
            &self.random,
        )
        .await?;
        let journal = Arc::new(journal);
        let handle = EngineHandle::new(
            commands,
            Arc::clone(&view),
            Arc::clone(&target),
            (self.clock.clone(), self.random.clone()),
            journal.boot(),
        );
        Ok((
            Engine {
                options: self,
                inbox,
                view,
                target,
                journal,
            },
            handle,
        ))
    }
}

/// Why an engine could not be made or go on.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The journal cannot be read or written.
    #[error("the journal of the engine cannot be used")]
    Journal(#[source] StoreError),
    /// The directory for the files of stacks cannot be made.
    #[error("the work directory of the engine cannot be used")]
    WorkDir(#[source] std::io::Error),
    /// A record of the journal is not what this version writes.
    #[error("the journal of the engine was written by another version, or is damaged")]
    Record(#[source] windflow_kit::BoxError),
    /// The operating system gives no random bytes.
    #[error("the engine gets no random bytes")]
    Random(#[source] windflow_kit::random::RandomError),
}

impl From<JournalError> for EngineError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Store(source) => Self::Journal(source),
            JournalError::Random(source) => Self::Random(source),
            other => Self::Record(Box::new(other)),
        }
    }
}

/// The engine before it runs.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    inbox: mpsc::Receiver<Command>,
    view: Arc<View>,
    target: Arc<dyn Target>,
    journal: Arc<Journal>,
}

impl Engine {
    /// Works until `stop`; then ends the step in hand and returns. What is not done goes on after the next start.
    ///
    /// # Errors
    /// [`EngineError`] if the journal cannot be read.
    pub async fn run(self, stop: Stop) -> Result<(), EngineError> {
        Reconciler::run(
            self.options,
            self.journal,
            self.view,
            self.target,
            self.inbox,
            stop,
        )
        .await
    }
}
