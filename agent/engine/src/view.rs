//! What readers see without asking the owning loop: mirrors of the journal, and the live feeds.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{broadcast, watch};
use windflow_model::{StackName, container::ContainerList};

use crate::order::{Held, Report, StackProgress};

/// Live progress events kept for a reader that lags.
const PROGRESS: usize = 1024;

/// Shared by the engine (writes) and its handles (read).
#[derive(Debug)]
pub(crate) struct View {
    state: Mutex<State>,
    /// Highest sequence number of a report.
    pub(crate) reports: watch::Sender<u64>,
    pub(crate) progress: broadcast::Sender<StackProgress>,
    pub(crate) containers: watch::Sender<Arc<ContainerList>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) held: BTreeMap<StackName, Held>,
    pub(crate) reports: BTreeMap<u64, Report>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            reports: watch::channel(0).0,
            progress: broadcast::channel(PROGRESS).0,
            containers: watch::channel(Arc::default()).0,
        }
    }
}

impl View {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
