//! The terminal of this process, connected to a process in a container.
//!
//! ```text
//! stdin ──► Session::input      Session::output ──► stdout, stderr      SIGWINCH ──► resize      (one future, no task)
//! ```

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    signal::unix::{Signal, SignalKind, signal},
};
use windflow_engine::targets::{Operation, Output, Session, SessionId, Target, Ticker};
use windflow_kit::terminal::{self, Raw};

use super::{Result, session::failed, up::INTERRUPTED};
use crate::failure::CommandError;

/// Keys go through as they are until it is dropped.
pub(super) fn raw() -> Result<Raw> {
    Raw::enter().map_err(|error| CommandError::failed(format!("the terminal cannot be set up: {error}")))
}

/// What is carried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pump {
    /// Whether the process has a terminal.
    pub(super) tty: bool,
    /// Whether it gets this process's input.
    pub(super) stdin: bool,
    /// Whether the container gets the signals of this process; they end it otherwise.
    pub(super) proxied: bool,
}

/// Carries input and output until the output ends.
pub(super) async fn pump(target: &Arc<dyn Target>, session: Session, pump: Pump) -> Result<()> {
    let Pump { tty, stdin, proxied } = pump;
    let Session {
        id,
        mut output,
        mut input,
    } = session;
    let mut from = tokio::io::stdin();
    let mut piece = vec![0; 16 << 10];
    let mut reading = stdin;
    let mut resized = on(SignalKind::window_change())?;
    let mut signals = Forwarded::listen()?;
    if tty {
        fit(target, &id).await;
    }
    loop {
        tokio::select! {
            next = output.next() => match next {
                None => return Ok(()),
                Some(next) => print(next.map_err(failed)?)?,
            },
            read = from.read(&mut piece), if reading => {
                let count = read.unwrap_or(0);
                let bytes = piece.get(..count).unwrap_or_default();
                let written = input.write_all(bytes).await;
                if count == 0 || written.is_err() {
                    reading = false;
                    // Its process has ended: the output says so.
                    let _ = input.shutdown().await;
                }
            }
            _ = resized.recv(), if tty => fit(target, &id).await,
            name = signals.next(), if !tty => if let (SessionId::Container(id), true) = (&id, proxied) {
                let kill = Operation::Kill { id: id.clone(), signal: name.to_owned() };
                // It may have ended this moment.
                let _ = target.execute(&kill, Ticker::none()).await;
            } else {
                return Err(CommandError { exit: INTERRUPTED, ..CommandError::failed("interrupted") });
            },
        }
    }
}

/// Prints a piece of output where it belongs. A pipe that nobody reads any more ends the command.
pub(super) fn print(output: Output) -> Result<()> {
    let done = match output {
        Output::Stdout(bytes) => {
            let mut out = io::stdout().lock();
            out.write_all(&bytes).and_then(|()| out.flush())
        }
        Output::Stderr(bytes) => io::stderr().lock().write_all(&bytes),
    };
    done.map_err(|error| CommandError::failed(format!("cannot write the output: {error}")))
}

async fn fit(target: &Arc<dyn Target>, id: &SessionId) {
    if let Some((columns, rows)) = terminal::size() {
        // One that has not started yet is told again when it changes; one that has ended needs none.
        let _ = target.resize(id, columns, rows).await;
    }
}

fn on(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| CommandError::failed(format!("cannot listen for signals: {error}")))
}

/// Signals that the process in the container gets instead of this one.
struct Forwarded([(&'static str, Signal); 4]);

impl Forwarded {
    fn listen() -> Result<Self> {
        Ok(Self([
            ("SIGINT", on(SignalKind::interrupt())?),
            ("SIGTERM", on(SignalKind::terminate())?),
            ("SIGHUP", on(SignalKind::hangup())?),
            ("SIGQUIT", on(SignalKind::quit())?),
        ]))
    }

    async fn next(&mut self) -> &'static str {
        let [(int, a), (term, b), (hup, c), (quit, d)] = &mut self.0;
        tokio::select! {
            _ = a.recv() => int,
            _ = b.recv() => term,
            _ = c.recv() => hup,
            _ = d.recv() => quit,
        }
    }
}
