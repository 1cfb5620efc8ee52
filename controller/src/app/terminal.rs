//! Terminals on hosts. The host keeps process and output; here is who opened it, who is there, and the audit trail.
//!
//! ```text
//! terminal_create ─ audit ─► host starts the process, keeps it 15 s for the first one to come
//! terminal_attach ─► Attached ── dropped ─► somebody comes back within the grace, or: audit of the end
//! ```
//! What is here ends with the controller: the hosts then end the processes when their grace is over.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use windflow_api::{TerminalCreate, TerminalParams, TerminalView};
use windflow_kit::{Chain, OnFailure};
use windflow_model::{
    AgentId, Code, Failure, TerminalAttach, TerminalCause, TerminalEnd, TerminalId, TerminalPlace,
    TerminalQuery, Timestamp,
};

use super::{App, AppError, AppResult, lock};
use crate::{context::OpContext, fleet::TerminalStream};

/// Terminals of one controller at once.
const MOST: usize = 1_024;
/// The host keeps a new terminal for 15 s, and a lost one for its grace; it is over here a moment later.
const FIRST: Duration = Duration::from_secs(15);
const LATER: Duration = Duration::from_secs(5);
/// Longest grace in seconds.
const LONGEST_GRACE: u32 = 600;
/// Arguments and variables, and their bytes.
const WORDS: usize = 1_024;
const WORD_BYTES: usize = 128 << 10;
/// A command in an audit record is cut here, in characters.
const SHOWN_COMMAND: usize = 400;

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
    moved: Arc<Moved>,
}

/// Bytes that went through.
#[derive(Debug, Default)]
struct Moved {
    typed: AtomicU64,
    shown: AtomicU64,
}

/// Somebody is attached. Dropping it says that they left.
#[derive(Debug)]
pub struct Attached {
    app: App,
    id: TerminalId,
    /// `None` for one who watches.
    typist: Option<u64>,
    moved: Arc<Moved>,
    closing: AtomicBool,
    /// There is nothing more to say.
    said: bool,
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

    /// They asked for its end.
    pub fn closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether they asked for its end.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// It is over; when this returns, the audit trail has it.
    pub async fn over(mut self, end: TerminalEnd) {
        let Some(typist) = self.typist.filter(|_| end.cause != TerminalCause::TakenOver) else {
            return;
        };
        if self.app.terminal_vacant(self.id, typist).is_some()
            && let Err(error) = self.app.terminal_over(self.id, typist, Some(end)).await
        {
            tracing::error!(error = %Chain(&error), "the end of a terminal is not in the audit trail");
        }
        self.said = true;
    }
}

fn count(counter: &AtomicU64, bytes: usize) {
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
        if lock(&self.0.terminals).len() >= MOST {
            let text = format!("{MOST} terminals are open");
            return Err(AppError::conflict(text, "Close one that nobody needs."));
        }
        let id = self.uuid().map(TerminalId::from_uuid)?;
        let what = told(&place, &agent.name, &request);
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
            command: opened.command,
            tty: opened.tty,
            user: op.user,
            user_name: op.user_name.clone(),
            opened_at: self.now(),
            attached: false,
            watchers: 0,
        };
        let known = Known {
            op: op.clone(),
            view: view.clone(),
            grace: Duration::from_secs(u64::from(request.grace_s)),
            typist: 0,
            moved: Arc::default(),
        };
        lock(&self.0.terminals).insert(id, known);
        self.terminal_left(id, 0, FIRST);
        Ok(view)
    }

    async fn terminal_place(&self, op: &OpContext, request: &TerminalCreate) -> AppResult<TerminalPlace> {
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
            _ => Err(AppError::bad("give stack and service, or container")),
        }
    }

    /// Terminals that are open, oldest first.
    #[must_use]
    pub fn terminal_list(&self, op: &OpContext) -> Vec<TerminalView> {
        let table = lock(&self.0.terminals);
        let own = table.values().filter(|known| known.op.org == op.org);
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
        let (agent, typist, moved) = self.terminal_join(op, id, params.watch)?;
        // From here on it says by itself that somebody left.
        let attached = Attached {
            app: self.clone(),
            id,
            typist,
            moved,
            closing: AtomicBool::new(false),
            said: false,
        };
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

    fn terminal_join(
        &self,
        op: &OpContext,
        id: TerminalId,
        watch: bool,
    ) -> AppResult<(AgentId, Option<u64>, Arc<Moved>)> {
        let mut table = lock(&self.0.terminals);
        let known = table
            .get_mut(&id)
            .filter(|known| known.op.org == op.org)
            .ok_or_else(|| AppError::not_found(format!("terminal {id} any more; open a new one")))?;
        let typist = if watch {
            known.view.watchers += 1;
            None
        } else if known.op.user == op.user {
            known.typist += 1;
            known.view.attached = true;
            Some(known.typist)
        } else {
            let text = format!(
                "only {}, who opened this terminal, can type in it; you can watch it",
                known.op.user_name
            );
            return Err(AppError::refused(Code::Forbidden, text));
        };
        Ok((known.view.agent, typist, Arc::clone(&known.moved)))
    }

    /// Ends a terminal and its process.
    ///
    /// # Errors
    /// No such terminal, or what the host says.
    pub async fn terminal_delete(&self, op: &OpContext, id: TerminalId) -> AppResult<()> {
        let agent = {
            let table = lock(&self.0.terminals);
            let known = table.get(&id).filter(|known| known.op.org == op.org);
            known
                .ok_or_else(|| AppError::not_found(format!("terminal {id} any more")))?
                .view
                .agent
        };
        self.audit(op, "terminal_delete", id, String::new()).await?;
        let attach = TerminalAttach {
            id,
            from: u64::MAX,
            watch: false,
        };
        let refuse = |failure: Failure| AppError::of_host(&failure);
        let stream = self
            .hosts()
            .terminal_attach(agent, attach)
            .await
            .map_err(refuse)?;
        let (_, mut typing) = stream.split();
        typing.close().await.map_err(refuse)
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
            app.terminal_over(id, typist, None).await
        });
    }

    async fn terminal_over(&self, id: TerminalId, typist: u64, end: Option<TerminalEnd>) -> AppResult<()> {
        let known = {
            let mut table = lock(&self.0.terminals);
            let gone = table
                .get(&id)
                .is_some_and(|known| known.typist == typist && !known.view.attached);
            if gone { table.remove(&id) } else { None }
        };
        let Some(known) = known else { return Ok(()) };
        let end = end.unwrap_or_else(|| TerminalEnd::of(TerminalCause::Abandoned));
        let detail = said(&end, known.view.opened_at, self.now(), &known.moved);
        self.audit(&known.op, "terminal_close", id, detail).await
    }
}

/// Bounds of a request, before anything happens.
fn fits(request: &TerminalCreate) -> AppResult<()> {
    let words = || request.command.iter().chain(&request.env);
    let bytes: usize = words().map(String::len).sum();
    if words().count() > WORDS || bytes > WORD_BYTES {
        return Err(AppError::bad(format!(
            "command and env: at most {WORDS} words of {WORD_BYTES} bytes in all"
        )));
    }
    let texts = [
        &request.user,
        &request.working_dir,
        &request.service,
        &request.container,
    ];
    if words()
        .chain(texts.into_iter().flatten())
        .any(|text| text.contains('\0'))
    {
        return Err(AppError::bad(
            "a text holds a NUL character, which no program can be given",
        ));
    }
    if request.command.first().is_some_and(String::is_empty) {
        return Err(AppError::bad("command: the name of the program is empty"));
    }
    if let Some(variable) = request.env.iter().find(|text| text.find('=').unwrap_or(0) == 0) {
        return Err(AppError::bad(format!("env: {variable:?} is not KEY=value")));
    }
    if request.grace_s > LONGEST_GRACE {
        return Err(AppError::bad(format!("grace_s: at most {LONGEST_GRACE}")));
    }
    Ok(())
}

/// Where and what, for the audit trail.
fn told(place: &TerminalPlace, host: &str, request: &TerminalCreate) -> String {
    let place = match place {
        TerminalPlace::Service {
            stack,
            service,
            number,
        } => {
            let number = number.map_or_else(String::new, |number| format!("-{number}"));
            format!("{stack}/{service}{number}")
        }
        TerminalPlace::Container { container } => format!("container {container}"),
    };
    let command = if request.command.is_empty() {
        "a shell".to_owned()
    } else {
        let shown: String = format!("{:?}", request.command)
            .chars()
            .take(SHOWN_COMMAND)
            .collect();
        shown
    };
    let mut text = format!("{place} on {host}: {command}");
    if let Some(user) = &request.user {
        text.push_str(&format!(", as {user:?}"));
    }
    let keys: Vec<_> = request
        .env
        .iter()
        .filter_map(|text| text.split('=').next())
        .collect();
    if !keys.is_empty() {
        text.push_str(&format!(", with {}", keys.join(", ")));
    }
    text
}

/// How it ended, for the audit trail.
fn said(end: &TerminalEnd, opened: Timestamp, now: Timestamp, moved: &Moved) -> String {
    let how = match end.cause {
        TerminalCause::Exited => match end.exit_code {
            Some(code) => format!("ended with exit code {code}"),
            None => "ended".to_owned(),
        },
        TerminalCause::Closed => "closed".to_owned(),
        TerminalCause::Idle => "closed: nobody typed for too long".to_owned(),
        TerminalCause::TooLong => "closed: it was open for too long".to_owned(),
        TerminalCause::Abandoned => "closed: its reader was lost and did not come back".to_owned(),
        TerminalCause::AgentStopped => "closed: the agent was stopped".to_owned(),
        TerminalCause::TakenOver | TerminalCause::Broken | TerminalCause::Other => "broken off".to_owned(),
    };
    let seconds = now.as_millis().saturating_sub(opened.as_millis()) / 1_000;
    let (typed, shown) = (
        moved.typed.load(Ordering::Relaxed),
        moved.shown.load(Ordering::Relaxed),
    );
    let more = if end.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", end.detail)
    };
    format!("{how} after {seconds} s, {typed} bytes typed, {shown} bytes shown{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_as_the_trail_has_them() {
        let check = |cause, exit_code, detail: &str, expected: &str| {
            let end = TerminalEnd {
                cause,
                exit_code,
                detail: detail.to_owned(),
            };
            let moved = Moved::default();
            count(&moved.typed, 3);
            count(&moved.shown, 40);
            let (opened, now) = (Timestamp::from_millis(1_000), Timestamp::from_millis(13_900));
            assert_eq!(said(&end, opened, now, &moved), expected);
        };
        check(
            TerminalCause::Exited,
            Some(7),
            "",
            "ended with exit code 7 after 12 s, 3 bytes typed, 40 bytes shown",
        );
        check(
            TerminalCause::Broken,
            None,
            "no engine",
            "broken off after 12 s, 3 bytes typed, 40 bytes shown (no engine)",
        );
        check(
            TerminalCause::Abandoned,
            None,
            "",
            "closed: its reader was lost and did not come back after 12 s, 3 bytes typed, 40 bytes shown",
        );
    }
}
