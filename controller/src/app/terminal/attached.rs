//! Somebody is attached to a terminal.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::{mpsc, watch};
use windflow_kit::Chain;
use windflow_model::{TerminalEnd, TerminalId, TerminalSize};

use super::{
    super::{App, lock},
    Moved,
};

/// Somebody is attached. Dropping it says that they left.
#[derive(Debug)]
pub struct Attached {
    pub(super) app: App,
    pub(super) id: TerminalId,
    /// `None` for one who watches.
    pub(super) typist: Option<u64>,
    pub(super) moved: Arc<Moved>,
    pub(super) sizes: Option<mpsc::Sender<TerminalSize>>,
    pub(super) doom: watch::Receiver<Option<String>>,
    pub(super) closing: AtomicBool,
    /// There is nothing more to say.
    pub(super) said: bool,
}

impl Attached {
    /// Whether what they type counts.
    #[must_use]
    pub const fn may_type(&self) -> bool {
        self.typist.is_some()
    }

    /// Counts bytes that were typed.
    pub fn typed(&self, bytes: usize) {
        count(&self.moved.typed, bytes);
    }

    /// Counts bytes that were shown to the one who types.
    pub fn shown(&self, bytes: usize) {
        if self.may_type() {
            count(&self.moved.shown, bytes);
        }
    }

    /// Their terminal has another size.
    pub fn resized(&self, size: TerminalSize) {
        if !self.may_type() {
            return;
        }
        // Those who watch have to know.
        if let Some(known) = lock(&self.app.0.terminals).get_mut(&self.id) {
            known.view.size = Some(size);
        }
        if let Some(sizes) = self.sizes.as_ref() {
            // Of more sizes at once than there is room for, nobody needs all.
            let _recorded = sizes.try_send(size);
        }
    }

    /// Waits until the terminal must not go on, and gives why.
    pub async fn doomed(&self) -> String {
        let mut doom = self.doom.clone();
        loop {
            let why = doom.borrow_and_update().clone();
            if let Some(why) = why {
                return why;
            }
            if doom.changed().await.is_err() {
                // Nobody is left who would say so.
                return std::future::pending().await;
            }
        }
    }

    /// They asked for its end.
    pub fn closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether they asked for its end.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// It has ended; when this returns, the audit trail has it. It is kept until somebody has heard of it.
    pub async fn ended(&self, end: TerminalEnd) {
        let Some(typist) = self.typist else { return };
        if let Err(error) = self.app.terminal_ended(self.id, typist, end).await {
            tracing::error!(error = %Chain(&error), "the end of a terminal is not in the audit trail");
        }
    }

    /// Its end was heard: nobody comes back.
    pub fn heard(mut self) {
        if let Some(typist) = self.typist {
            self.app.terminal_gone(self.id, typist);
        }
        self.said = true;
    }

    /// It has ended, and nobody comes back; when this returns, the audit trail has it.
    pub async fn over(self, end: TerminalEnd) {
        self.ended(end).await;
        self.heard();
    }
}

pub(super) fn count(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
}

impl Drop for Attached {
    fn drop(&mut self) {
        let Some(typist) = self.typist else {
            if let Some(known) = lock(&self.app.0.terminals).get_mut(&self.id) {
                known.view.watchers = known.view.watchers.saturating_sub(1);
            }
            return;
        };
        if self.said {
            return;
        }
        if let Some(grace) = self.app.terminal_vacant(self.id, typist) {
            self.app.terminal_left(self.id, typist, grace);
        }
    }
}
