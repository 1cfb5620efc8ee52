//! Where local mode keeps its journal.

use std::{path::PathBuf, sync::Arc, time::Duration};

use windflow_kit::{Chain, Clock, DirLock, LockError};
use windflow_store::{MemStore, RedbOptions, RedbStore, Store};

use super::{Result, project::Caller};
use crate::failure::CommandError;

/// How long a command waits for another one of local mode to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at the lock.
const LOOK: Duration = Duration::from_millis(100);

/// An open journal.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) work_dir: PathBuf,
}

/// `WINDFLOW_STATE_DIR`, or the caller's own place.
pub(super) fn dir(caller: &Caller) -> Result<PathBuf> {
    if let Some(dir) = caller.variable("WINDFLOW_STATE_DIR") {
        return Ok(caller.working_dir.join(dir));
    }
    if caller.root {
        return Ok("/var/lib/windflow-agent-local".into());
    }
    let state = caller.variable("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| {
        caller
            .variable("HOME")
            .map(|home| PathBuf::from(home).join(".local/state"))
    });
    state.map(|state| state.join("windflow")).ok_or_else(|| {
        CommandError::usage("there is no place for the state: HOME is not set")
            .hint("Set WINDFLOW_STATE_DIR.")
    })
}

/// Opens the journal. A directory that the daemon holds has a place for local mode inside.
pub(super) async fn open(caller: &Caller, clock: &Clock, durable: bool) -> Result<Opened> {
    let dir = dir(caller)?;
    if !durable {
        return Ok(Opened {
            store: Arc::new(MemStore::default()),
            work_dir: dir.join("work"),
        });
    }
    let lock = match DirLock::acquire(&dir) {
        Ok(lock) => lock,
        Err(LockError::InUse { .. }) => patient(dir.join("local")).await?,
        Err(error) => return Err(locked(&error)),
    };
    let work_dir = lock.dir().join("work");
    let options = RedbOptions {
        clock: clock.clone(),
        ..RedbOptions::default()
    };
    let store = RedbStore::open_locked(Arc::new(lock), options)
        .map_err(|error| CommandError::failed(Chain(&error).to_string()))?;
    Ok(Opened {
        store: Arc::new(store),
        work_dir,
    })
}

async fn patient(dir: PathBuf) -> Result<DirLock> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match DirLock::acquire(&dir) {
            Ok(lock) => return Ok(lock),
            Err(LockError::InUse { .. }) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(LOOK).await
            }
            Err(error) => return Err(locked(&error)),
        }
    }
}

fn locked(error: &LockError) -> CommandError {
    // The kit speaks of --data-dir; here the directory is chosen by a variable.
    CommandError::failed(
        Chain(error)
            .to_string()
            .replace("--data-dir", "WINDFLOW_STATE_DIR"),
    )
}
