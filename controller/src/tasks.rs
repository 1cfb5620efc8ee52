//! What the service manager is told.

use std::time::Duration;

use sd_notify::NotifyState;
use windflow_kit::{OnFailure, TaskSet};

/// Ready; and alive at half of the watchdog's time, if there is one.
pub(crate) fn notify_ready(tasks: &TaskSet) {
    tell(&[NotifyState::Ready]);
    let Some(every) = sd_notify::watchdog_enabled() else {
        return;
    };
    let stop = tasks.stop().clone();
    tasks.spawn("watchdog", OnFailure::Log, async move {
        let every = (every / 2).max(Duration::from_millis(100));
        while stop.run(tokio::time::sleep(every)).await.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    });
}

/// Stopping.
pub(crate) fn notify_stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
