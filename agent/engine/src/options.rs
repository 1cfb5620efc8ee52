//! How an engine is made.

use std::{path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::sync::mpsc;
use windflow_kit::{Clock, Random, Stop};
use windflow_store::{Store, StoreError};

use crate::{command::Command, handle::EngineHandle, targets::Target, view::View};

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
            drift_every: Duration::from_secs(60),
        }
    }

    /// Reads the journal and makes the engine. It works once [`Engine::run`] runs.
    ///
    /// # Errors
    /// [`EngineError`] if the journal cannot be read.
    pub async fn build(self, target: Arc<dyn Target>) -> Result<(Engine, EngineHandle), EngineError> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let view = Arc::new(View::default());
        let handle = EngineHandle::new(
            commands,
            Arc::clone(&view),
            Arc::clone(&target),
            self.clock.clone(),
        );
        Ok((
            Engine {
                options: self,
                inbox,
                view,
                target,
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
    /// The operating system gives no random bytes.
    #[error("the engine gets no random bytes")]
    Random(#[source] windflow_kit::random::RandomError),
}

/// The engine before it runs.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    inbox: mpsc::Receiver<Command>,
    view: Arc<View>,
    target: Arc<dyn Target>,
}

impl Engine {
    /// Works until `stop`; then ends the step in hand and returns. What is not done goes on after the next start.
    ///
    /// # Errors
    /// [`EngineError`] if the journal can no longer be written.
    pub async fn run(mut self, stop: Stop) -> Result<(), EngineError> {
        tracing::info!(target = ?self.target.kind(), work_dir = %self.options.work_dir.display(), "engine runs");
        while let Some(Some(command)) = stop.run(self.inbox.recv()).await {
            drop(command);
        }
        Ok(())
    }
}
