//! Doors: containers that never run, through which the engine lets volumes be seen. Each goes when its last user has dropped it.
//!
//! ```text
//! Doors::open ──► Open ──(drop)──► closing ──► task "file-doors" ──► engine
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::mpsc;
use windflow_kit::task::{TaskHandle, spawn_scoped};

use crate::targets::{Door, Target, TargetError};

/// Doors that wait to be closed; there are never as many transfers.
const DOORS: usize = 256;

/// The doors of this life of the agent.
#[derive(Debug)]
pub(super) struct Doors {
    target: Arc<dyn Target>,
    /// Tells them from those of others: `OWNER/LIFE`.
    life: String,
    opened: AtomicU64,
    closing: mpsc::Sender<Door>,
    _task: TaskHandle<()>,
}

/// Closes its door when it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) door: Door,
    closing: mpsc::Sender<Door>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // What does not fit is left to the sweep of the next life.
        let _left = self.closing.try_send(self.door.clone());
    }
}

impl Doors {
    pub(super) fn new(target: Arc<dyn Target>, life: String) -> Self {
        let (closing, inbox) = mpsc::channel(DOORS);
        let task = spawn_scoped("file-doors", close(Arc::clone(&target), life.clone(), inbox));
        Self {
            target,
            life,
            opened: AtomicU64::new(0),
            closing,
            _task: task,
        }
    }

    pub(super) async fn open(&self, volume: &str) -> Result<Open, TargetError> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let name = format!("windflow-files-{}-{number}", self.life.replace('/', "-"));
        let door = self.target.door_open(volume, &name, &self.life).await?;
        let closing = self.closing.clone();
        Ok(Open { door, closing })
    }
}

/// Removes what another life left, then closes doors as they are no longer used. An engine that could not be asked at the begin
/// is asked again before each.
async fn close(target: Arc<dyn Target>, life: String, mut inbox: mpsc::Receiver<Door>) {
    let mut swept = sweep(&*target, &life).await;
    while let Some(door) = inbox.recv().await {
        swept = swept || sweep(&*target, &life).await;
        if let Err(error) = target.door_close(&door).await {
            tracing::warn!(failure = %error.failure(), "a container that showed a volume is left behind");
        }
    }
}

async fn sweep(target: &dyn Target, life: &str) -> bool {
    match target.doors_sweep(life).await {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(failure = %error.failure(), "cannot look for containers of an earlier life");
            false
        }
    }
}
