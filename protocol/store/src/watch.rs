//! "Look again": wake-ups without data.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::{
    key::{Key, Prefix},
    record::Version,
};

/// Wakes when something below a prefix may have changed. Holds one number, so a slow watcher costs nothing and sees
/// any number of changes as one wake-up.
#[derive(Debug)]
pub struct Watch(watch::Receiver<Version>);

impl Watch {
    /// Waits for a commit below the prefix since the last call (or since the watch was made) and gives the newest such
    /// version. `None`: the store is closed. May be dropped and called again without losing a wake-up.
    pub async fn changed(&mut self) -> Option<Version> {
        self.0.changed().await.ok()?;
        Some(*self.0.borrow_and_update())
    }
}

/// The watches of one store.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Vec<(Prefix, watch::Sender<Version>)>>);

impl Watchers {
    pub(crate) fn add(&self, prefix: &Prefix) -> Watch {
        let (sender, receiver) = watch::channel(0);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, sender)| !sender.is_closed());
        all.push((prefix.clone(), sender));
        Watch(receiver)
    }

    /// Tells the watches of `keys` that commit `version` is done.
    pub(crate) fn notify<'a>(&self, keys: impl Iterator<Item = &'a Key> + Clone, version: Version) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(prefix, sender)| {
            if keys.clone().any(|key| prefix.holds(key)) {
                sender.send_replace(version);
            }
            !sender.is_closed()
        });
    }

    /// Wakes every watch, for when it is not known what has changed.
    pub(crate) fn notify_all(&self, version: Version) {
        for (_, sender) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            sender.send_replace(version);
        }
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
