//! Terminals on hosts. The host keeps process and output; here is who opened it, who is there, and the audit trail.
//!
//! ```text
//! terminal_create ─ audit ─► host starts the process, keeps it 15 s for the first one to come
//! terminal_attach ─► Attached ── dropped ─► somebody comes back within the grace, or: audit of the end
//!                             └─ ended ─► audit of the end, kept until it was heard or the grace is over
//! ```
//! What is here ends with the controller: the hosts then end the processes when their grace is over.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use tokio::sync::watch;
use windflow_api::{TerminalCreate, TerminalParams, TerminalView};
use windflow_kit::OnFailure;
use windflow_model::{
    AgentId, Capability, Code, Failure, TerminalAttach, TerminalCause, TerminalEnd, TerminalId,
    TerminalPlace, TerminalQuery,
};

use super::{App, AppError, AppResult, lock};
use crate::{
    context::OpContext,
    fleet::{TerminalShown, TerminalStream},
};

mod attached;
mod record;
mod request;
mod trail;

pub use attached::Attached;
#[cfg(test)]
use attached::count;
use record::Recording;
use request::fits;
use trail::{said, told};

/// Terminals of one controller at once.
const MOST: usize = 1_024;
/// The host keeps a new terminal for 15 s, and a lost one for its grace; it is over here a moment later.
const FIRST: Duration = Duration::from_secs(15);
const LATER: Duration = Duration::from_secs(5);
/// For the host to end a process: hung up on, then killed.
const CLOSED_WITHIN: Duration = Duration::from_secs(20);

/// Terminals that are open, by id.
pub(super) type Table = BTreeMap<TerminalId, Known>;

/// One of them.
#[derive(Debug)]
pub(super) struct Known {
    /// Who opened it, and from where.
    op: OpContext,
    view: TerminalView,
    grace: Duration,
    /// Number of the one who types; rises with each.
    typist: u64,
    /// Its end is in the audit trail, and kept for whoever comes back for it.
    over: bool,
    moved: Arc<Moved>,
    recording: Option<Recording>,
    /// Why it must not go on, if it must not.
    doom: watch::Receiver<Option<String>>,
}

/// Bytes that went through.
#[derive(Debug, Default)]
struct Moved {
    typed: AtomicU64,
    shown: AtomicU64,
}

impl App {
    /// Starts a process on a host.
    ///
    /// # Errors
    /// No such host or stack, a request that does not fit, or what the host says; a host's policy is told by the name of
    /// its rule.
    pub async fn terminal_create(&self, op: &OpContext, request: TerminalCreate) -> AppResult<TerminalView> {
        const OP: &str = "terminal_open";
        fits(&request)?;
        let agent = self.need_agent(OP, op.org, request.agent).await?.value;
        let place = self.terminal_place(op, &request).await?;
        if place == TerminalPlace::Host && !agent.inventory.can(Capability::HOST_TERMINAL) {
            let text = format!(
                "the agent on {} cannot open terminals on the host itself yet",
                agent.name
            );
            return Err(AppError::conflict(text, "Update the agent on this host."));
        }
        if lock(&self.0.terminals).len() >= MOST {
            let text = format!("{MOST} terminals are open");
            return Err(AppError::conflict(text, "Close one that nobody needs."));
        }
        let id = self.uuid().map(TerminalId::from_uuid)?;
        let what = told(&place, &agent.name, &request);
        let recorded = self.recorded(&place);
        // Before it happens: what cannot be recorded is not done.
        self.audit(op, OP, id, what.clone()).await?;
        let query = TerminalQuery {
            id,
            place,
            command: request.command,
            user: request.user,
            working_dir: request.working_dir,
            env: request.env,
            tty: request.tty,
            stdin: request.stdin,
            size: request.size,
            grace_s: request.grace_s,
        };
        let opened = match self.hosts().terminal_open(agent.id, query).await {
            Ok(opened) => opened,
            Err(failure) => {
                self.audit(op, "terminal_refuse", id, format!("{what}: {}", failure.message))
                    .await?;
                return Err(AppError::of_host(&failure));
            }
        };
        let view = TerminalView {
            id,
            agent: agent.id,
            container: opened.container,
            host_user: opened.host_user,
            command: opened.command,
            tty: opened.tty,
            user: op.user,
            user_name: op.user_name.clone(),
            opened_at: self.now(),
            attached: false,
            watchers: 0,
            recorded: recorded.is_some(),
            size: request.size,
        };
        let (recording, doom) = match recorded {
            Some(shelf) => {
                self.terminal_record(shelf, op, &view, (&agent.name, request.size))
                    .await?
            }
            None => (None, watch::channel(None).1),
        };
        let known = Known {
            op: op.clone(),
            view: view.clone(),
            grace: Duration::from_secs(u64::from(request.grace_s)),
            typist: 0,
            over: false,
            moved: Arc::default(),
            recording,
            doom,
        };
        lock(&self.0.terminals).insert(id, known);
        self.terminal_left(id, 0, FIRST);
        Ok(view)
    }

    async fn terminal_place(&self, op: &OpContext, request: &TerminalCreate) -> AppResult<TerminalPlace> {
        if request.host {
            let inside = request.stack.is_some() || request.service.is_some() || request.container.is_some();
            if inside || request.number.is_some() {
                return Err(AppError::bad(
                    "give host alone, without stack, service, number or container",
                ));
            }
            return Ok(TerminalPlace::Host);
        }
        match (&request.stack, &request.service, &request.container) {
            (Some(stack), Some(service), None) => Ok(TerminalPlace::Service {
                stack: self
                    .need_stack("terminal_open", op.org, *stack)
                    .await?
                    .value
                    .name
                    .to_string(),
                service: service.clone(),
                number: request.number,
            }),
            (None, None, Some(container)) if request.number.is_none() => Ok(TerminalPlace::Container {
                container: container.clone(),
            }),
            _ => Err(AppError::bad("give stack and service, or container, or host")),
        }
    }

    /// Terminals that are open, oldest first.
    #[must_use]
    pub fn terminal_list(&self, op: &OpContext) -> Vec<TerminalView> {
        let table = lock(&self.0.terminals);
        let own = table
            .values()
            .filter(|known| known.op.org == op.org && !known.over);
        own.map(|known| known.view.clone()).collect()
    }

    /// Attaches to a terminal: whoever opened it types, everybody else may watch.
    ///
    /// # Errors
    /// No such terminal (any more), somebody else's, or what the host says.
    pub async fn terminal_attach(
        &self,
        op: &OpContext,
        id: TerminalId,
        params: TerminalParams,
    ) -> AppResult<(TerminalStream, Attached)> {
        let (agent, attached) = self.terminal_join(op, id, |known| {
            if params.watch {
                known.view.watchers += 1;
                return Ok(None);
            }
            if known.op.user == op.user {
                return Ok(Some(known.take_over()));
            }
            let text = format!(
                "only {}, who opened this terminal, can type in it; you can watch it",
                known.op.user_name
            );
            Err(AppError::refused(Code::Forbidden, text))
        })?;
        if params.watch {
            self.audit(op, "terminal_watch", id, String::new()).await?;
        }
        let attach = TerminalAttach {
            id,
            from: params.from,
            watch: params.watch,
        };
        match self.hosts().terminal_attach(agent, attach).await {
            Ok(stream) => Ok((stream, attached)),
            Err(failure) => {
                if failure.code == Code::NotFound.as_str() {
                    attached.over(TerminalEnd::of(TerminalCause::Abandoned)).await;
                }
                Err(AppError::of_host(&failure))
            }
        }
    }

    /// Somebody comes, as `who` says; from here on it says by itself that they left.
    fn terminal_join(
        &self,
        op: &OpContext,
        id: TerminalId,
        who: impl FnOnce(&mut Known) -> AppResult<Option<u64>>,
    ) -> AppResult<(AgentId, Attached)> {
        self.terminal_known(op, id, |known| {
            let attached = Attached {
                app: self.clone(),
                id,
                typist: who(known)?,
                moved: Arc::clone(&known.moved),
                sizes: known.recording.as_ref().map(Recording::sizes),
                doom: known.doom.clone(),
                closing: AtomicBool::new(false),
                said: false,
            };
            Ok((known.view.agent, attached))
        })
    }

    /// A terminal of the caller's organisation.
    fn terminal_known<T>(
        &self,
        op: &OpContext,
        id: TerminalId,
        with: impl FnOnce(&mut Known) -> AppResult<T>,
    ) -> AppResult<T> {
        let mut table = lock(&self.0.terminals);
        let known = table.get_mut(&id).filter(|known| known.op.org == op.org);
        with(known.ok_or_else(|| AppError::not_found(format!("terminal {id} any more; open a new one")))?)
    }

    /// Ends a terminal and its process.
    ///
    /// # Errors
    /// No such terminal, or what the host says.
    pub async fn terminal_delete(&self, op: &OpContext, id: TerminalId) -> AppResult<()> {
        // What is not there, or cannot be recorded, throws nobody out.
        self.terminal_known(op, id, |_| Ok(()))?;
        self.audit(op, "terminal_delete", id, String::new()).await?;
        // What the one who types hears is that it was opened at another place.
        let (agent, attached) = self.terminal_join(op, id, |known| Ok(Some(known.take_over())))?;
        let attach = TerminalAttach {
            id,
            from: u64::MAX,
            watch: false,
        };
        let stream = match self.hosts().terminal_attach(agent, attach).await {
            Ok(stream) => stream,
            Err(failure) if failure.code == Code::NotFound.as_str() => {
                attached.over(TerminalEnd::of(TerminalCause::Abandoned)).await;
                return Ok(());
            }
            Err(failure) => return Err(AppError::of_host(&failure)),
        };
        let (mut output, mut typing) = stream.split();
        let closed = async {
            typing.close().await?;
            loop {
                match output.next().await {
                    TerminalShown::Ended(end) => return Ok(end),
                    TerminalShown::Lost(failure) => return Err(failure),
                    _ => {}
                }
            }
        };
        let late = || {
            let text = format!(
                "the host did not end the process within {} s",
                CLOSED_WITHIN.as_secs()
            );
            Err(Failure::new(Code::AgentTimeout, text))
        };
        let closed = tokio::time::timeout(CLOSED_WITHIN, closed).await;
        let end = closed
            .unwrap_or_else(|_| late())
            .map_err(|failure| AppError::of_host(&failure))?;
        attached.over(end).await;
        Ok(())
    }

    /// The one who typed has gone, and nobody took their place: gives how long the host waits for them.
    fn terminal_vacant(&self, id: TerminalId, typist: u64) -> Option<Duration> {
        let mut table = lock(&self.0.terminals);
        let known = table.get_mut(&id).filter(|known| known.typist == typist)?;
        known.view.attached = false;
        Some(known.grace)
    }

    /// Nobody types: unless somebody comes, it is over when the host's patience is.
    fn terminal_left(&self, id: TerminalId, typist: u64, wait: Duration) {
        let app = self.clone();
        self.0.tasks.spawn("terminal_close", OnFailure::Log, async move {
            let _stopping = app.0.tasks.stop().run(tokio::time::sleep(wait + LATER)).await;
            app.terminal_abandoned(id, typist).await
        });
    }

    /// If nobody came back, it is over.
    async fn terminal_abandoned(&self, id: TerminalId, typist: u64) -> AppResult<()> {
        let left = lock(&self.0.terminals)
            .get(&id)
            .is_some_and(|known| known.typist == typist && !known.view.attached);
        if !left {
            return Ok(());
        }
        let abandoned = TerminalEnd::of(TerminalCause::Abandoned);
        let noted = self.terminal_ended(id, typist, abandoned).await;
        self.terminal_gone(id, typist);
        noted
    }

    /// Notes the end in the audit trail, once; from the one who types now.
    async fn terminal_ended(&self, id: TerminalId, typist: u64, end: TerminalEnd) -> AppResult<()> {
        let (op, detail, recording) = {
            let mut table = lock(&self.0.terminals);
            let known = table
                .get_mut(&id)
                .filter(|known| known.typist == typist && !known.over);
            let Some(known) = known else { return Ok(()) };
            known.over = true;
            let detail = said(&end, known.view.opened_at, self.now(), &known.moved);
            (known.op.clone(), detail, known.recording.take())
        };
        // Its digest is part of the record.
        let recorded = match recording {
            Some(recording) => recording.finish().await,
            None => String::new(),
        };
        let detail = detail + &recorded;
        self.audit(&op, "terminal_close", id, detail).await
    }

    /// Nobody will come back for it.
    fn terminal_gone(&self, id: TerminalId, typist: u64) {
        let mut table = lock(&self.0.terminals);
        if table.get(&id).is_some_and(|known| known.typist == typist) {
            table.remove(&id);
        }
    }
}

impl Known {
    /// The newest one types.
    const fn take_over(&mut self) -> u64 {
        self.typist += 1;
        self.view.attached = true;
        self.typist
    }
}
