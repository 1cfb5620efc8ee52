//! Processes that people sit in front of, and that outlive a lost connection for a while.
//!
//! ```text
//! Terminals (table by id) ── one task per terminal ── process of the engine, or of the host (`host_terminal`)
//!    process output ──► Tape (last 256 KiB, or 1 MiB of a pipe; by position) ──► Reader: the one who types, and any number of watchers
//!    keys ──► mpsc 8 ──► process input        size ──► watch
//! ```
//! The one who types holds the process back when it writes faster than they read, as any terminal does; a watcher that
//! is slower than the rest is told what it missed. With nobody there the process goes on for its time of grace: in front
//! of a terminal it writes on and the oldest output goes, without one it waits, so that nothing of a pipe is ever lost.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;
use windflow_engine::EngineHandle;
use windflow_kit::task::{TaskHandle, spawn_scoped};
use windflow_model::{Code, Failure, TerminalCause, TerminalEnd, TerminalId, TerminalOpened, TerminalQuery};

use crate::{
    host_terminal::Opener,
    policy::{Policy, PolicyFile},
};

mod live;
mod process;
mod run;
mod tape;

use live::Live;
pub use live::{Piece, Reader};
use process::Where;
use run::Limits;

/// Terminals of one host at once. Each keeps at most 256 KiB of output, or 1 MiB between pipes.
const MOST: usize = 64;
/// Time for whoever opened a terminal to come for it.
const FIRST: Duration = Duration::from_secs(15);
/// Longest grace that can be asked for.
const LONGEST_GRACE: Duration = Duration::from_secs(600);
/// Time to end the processes when the agent stops.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// The terminals of this host. Clones share them.
#[derive(Clone)]
pub struct Terminals(Arc<Inner>);

struct Inner {
    engine: EngineHandle,
    host: Opener,
    policy: PolicyFile,
    table: Mutex<BTreeMap<TerminalId, Entry>>,
    stopping: AtomicBool,
}

struct Entry {
    /// `None` until the process is started.
    live: Option<Arc<Live>>,
    _task: TaskHandle<()>,
}

impl fmt::Debug for Terminals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminals").finish_non_exhaustive()
    }
}

impl Terminals {
    /// None yet.
    #[must_use]
    pub fn new(engine: EngineHandle, policy: PolicyFile) -> Self {
        Self(Arc::new(Inner {
            engine,
            host: Opener::new(policy.path().to_owned()),
            policy,
            table: Mutex::default(),
            stopping: AtomicBool::new(false),
        }))
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<TerminalId, Entry>> {
        // Every change of the table is one call: a panic in between leaves it whole.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process and keeps it for whoever attaches.
    ///
    /// # Errors
    /// What the host's policy, the engine or the host says.
    pub async fn open(&self, query: TerminalQuery) -> Result<TerminalOpened, Failure> {
        let inner = &self.0;
        let rules = inner.policy.read()?;
        let place = process::allowed(&inner.engine, &rules, &query).await?;
        let (reply, answer) = oneshot::channel();
        {
            let mut table = self.table();
            if table.len() >= MOST {
                let text = format!("{MOST} terminals are open on this host: close one first");
                return Err(Failure::new(Code::Conflict, text));
            }
            let id = query.id;
            // Of this table, not of the stream that asks: a process that has begun is never without an owner.
            let life = self.clone().life(query, place, rules, reply);
            let task = spawn_scoped("terminal", life);
            // An id that was there already goes with its process: ids are never used twice.
            table.insert(
                id,
                Entry {
                    live: None,
                    _task: task,
                },
            );
        }
        let lost = || {
            Err(Failure::new(
                Code::HostFailure,
                "the terminal's task ended before its process began",
            ))
        };
        answer.await.unwrap_or_else(|_| lost())
    }

    /// A terminal from its first to its last moment.
    async fn life(
        self,
        query: TerminalQuery,
        place: Where,
        rules: Policy,
        reply: oneshot::Sender<Result<TerminalOpened, Failure>>,
    ) {
        let (id, tty, size, grace_s) = (query.id, query.tty, query.size, query.grace_s);
        let running = match process::start(&self.0.engine, &self.0.host, place, query).await {
            Ok(running) => running,
            Err(failure) => {
                // Whoever asked may be gone.
                let _answered = reply.send(Err(failure));
                self.table().remove(&id);
                return;
            }
        };
        let opened = running.opened.clone();
        let limits = Limits {
            idle: tty.then_some(rules.terminal_idle),
            longest: rules.terminal_longest,
            first: FIRST,
            grace: Duration::from_secs(u64::from(grace_s)).min(LONGEST_GRACE),
        };
        let (live, keys) = Live::new(opened.clone(), size);
        if let Some(entry) = self.table().get_mut(&id) {
            entry.live = Some(Arc::clone(&live));
        }
        tracing::info!(terminal = %id.short(), container = opened.container, user = opened.host_user, "terminal opened");
        if self.0.stopping.load(Ordering::Acquire) || reply.send(Ok(opened)).is_err() {
            live.close(TerminalEnd::of(TerminalCause::Abandoned));
        }
        run::run(&live, running, keys, limits).await;
        self.table().remove(&id);
    }

    /// Attaches to a terminal that was opened: as the one who types, or to watch.
    ///
    /// # Errors
    /// [`Code::NotFound`] if it is over.
    pub fn attach(
        &self,
        id: TerminalId,
        from: u64,
        watch: bool,
    ) -> Result<(TerminalOpened, Reader), Failure> {
        let live = self.table().get(&id).and_then(|entry| entry.live.clone());
        let live = live.ok_or_else(|| Failure {
            hint: "Open a new one.".to_owned(),
            ..Failure::new(Code::NotFound, "this terminal is over")
        })?;
        Ok(Live::attach(&live, from, watch))
    }

    /// Ends all of them, with their processes.
    pub async fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        let all: Vec<_> = self
            .table()
            .values()
            .filter_map(|entry| entry.live.clone())
            .collect();
        for live in &all {
            live.close(TerminalEnd::of(TerminalCause::AgentStopped));
        }
        let ended = async {
            for live in &all {
                live.ended().await;
            }
        };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            tracing::warn!("not every terminal could be ended in time");
        }
    }
}
