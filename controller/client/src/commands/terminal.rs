//! Commands and terminals on hosts, in front of this process's own terminal or between its pipes.

use std::{
    io::{self, Write as _},
    time::Duration,
};

mod open;
mod printer;

use tokio::{
    io::AsyncReadExt as _,
    signal::unix::{Signal, SignalKind, signal},
};
use windflow_api::{TerminalCreate, TerminalView};
use windflow_kit::terminal::{self, Raw};
use windflow_model::{AgentId, StackId, TerminalCause, TerminalEnd, TerminalSize};

use super::{Session, agent_names};
use crate::{
    cli::{ExecArgs, TerminalArgs},
    error::{Error, Exit, Result},
    http::Client,
    output::note,
    terminal::{Seen, Terminal},
};
pub(super) use open::terminals;
use printer::Printer;

/// How long the host keeps the process if the connection is lost.
const GRACE: Duration = Duration::from_secs(60);
/// Exit code of a command that a signal ended, before the signal's number.
const SIGNALLED: u8 = 128;
/// Control-C, as a terminal in raw mode reads it.
const INTERRUPT: u8 = 3;

/// `windflow exec`.
pub(super) async fn exec(session: &Session<'_>, args: ExecArgs) -> Result<()> {
    let client = session.client()?;
    let stack = match &args.service {
        Some(service) => Some(client.stack_find(&service.stack).await?.stack),
        None => None,
    };
    let agent = match (&args.on, &args.service, &stack) {
        (Some(host), ..) => client.agent_find(host).await?.record.id,
        (None, Some(service), Some(stack)) => {
            only_host(&client, stack.id, stack.name.as_str(), &service.service).await?
        }
        _ => return Err(Error::usage("say on which host").hint("Name it with --on.")),
    };
    let tty = !args.no_tty && !args.no_stdin && terminal::is_there();
    let request = TerminalCreate {
        stack: stack.map(|stack| stack.id),
        service: args.service.map(|service| service.service),
        host: args.on_host,
        number: args.how.index,
        command: args.command,
        user: args.how.user,
        working_dir: args.how.workdir,
        env: args.how.env,
        stdin: !args.no_stdin,
        ..blank(agent, tty)
    };
    run(client, request).await
}

/// `windflow terminal`.
pub(super) async fn open(session: &Session<'_>, args: TerminalArgs) -> Result<()> {
    if !terminal::is_there() {
        let hint = "Use `windflow exec` between pipes.";
        return Err(Error::usage("there is no terminal to open it in").hint(hint));
    }
    let client = session.client()?;
    let agent = client.agent_find(&args.host).await?.record.id;
    let (stack, service) = match args.service {
        Some(service) => {
            let stack = client.stack_find(&service.stack).await?.stack.id;
            (Some(stack), Some(service.service))
        }
        None => (None, None),
    };
    let request = TerminalCreate {
        stack,
        service,
        container: args.container,
        host: args.on_host,
        number: args.how.index,
        command: args.command,
        user: args.how.user,
        working_dir: args.how.workdir,
        env: args.how.env,
        stdin: true,
        ..blank(agent, true)
    };
    run(client, request).await
}

fn blank(agent: AgentId, tty: bool) -> TerminalCreate {
    TerminalCreate {
        agent,
        stack: None,
        service: None,
        number: None,
        container: None,
        host: false,
        command: Vec::new(),
        user: None,
        working_dir: None,
        env: Vec::new(),
        tty,
        stdin: false,
        size: if tty { size() } else { None },
        grace_s: u32::try_from(GRACE.as_secs()).unwrap_or(0),
    }
}

/// The host that has the service, if there is only one.
async fn only_host(client: &Client, stack: StackId, name: &str, service: &str) -> Result<AgentId> {
    let hosts = client.stack_containers(stack).await?;
    let having: Vec<_> = hosts
        .into_iter()
        .filter(|host| {
            let mut containers = host.containers.iter();
            containers.any(|container| container.service.as_deref() == Some(service))
        })
        .map(|host| host.agent)
        .collect();
    match having.as_slice() {
        [one] => Ok(*one),
        [] => {
            let text = format!("no host has a container of service {service} of stack {name}");
            Err(Error::new(Exit::NotFound, text).hint("`windflow stack show` tells where it runs."))
        }
        several => {
            let names = agent_names(client).await?;
            let names: Vec<_> = several
                .iter()
                .map(|id| names.get(id).cloned().unwrap_or_else(|| id.to_string()))
                .collect();
            let text = format!("service {service} of stack {name} runs on {} hosts", names.len());
            Err(Error::usage(text).hint(format!("Choose one with --on: {}.", names.join(", "))))
        }
    }
}

fn size() -> Option<TerminalSize> {
    terminal::size().map(|(columns, rows)| TerminalSize { columns, rows })
}

async fn run(client: Client, request: TerminalCreate) -> Result<()> {
    let (tty, stdin) = (request.tty, request.stdin);
    let mut signals = Signals::listen()?;
    let view = client.terminal_create(&request).await?;
    if view.recorded {
        note("windflow: what this shows is recorded");
    }
    let raw = tty.then(Raw::enter).transpose();
    let raw = raw.map_err(|error| Error::failed(format!("the terminal cannot be set up: {error}")))?;
    let terminal = Terminal::new(client, view.id, GRACE).kept_by_reader();
    let done = carry(terminal, &view, stdin, &mut signals).await;
    drop(raw);
    finish(done?, tty)
}

async fn carry(
    mut terminal: Terminal,
    view: &TerminalView,
    stdin: bool,
    signals: &mut Signals,
) -> Result<TerminalEnd> {
    let mut from = tokio::io::stdin();
    let mut piece = vec![0; 16 << 10];
    let mut reading = stdin;
    let mut printer = Printer::start()?;
    let mut end = None;
    loop {
        if let (Some(end), true) = (&end, printer.is_idle()) {
            return Ok(TerminalEnd::clone(end));
        }
        let (takes, lost) = (terminal.takes_input(), terminal.is_lost());
        tokio::select! {
            printed = printer.printed() => match printed {
                Ok(position) => terminal.used(position),
                Err(error) => {
                    // Nobody reads what it writes, as behind `| head`: it shall not go on.
                    terminal.close().await?;
                    return Err(error);
                }
            },
            seen = terminal.next(), if end.is_none() && printer.has_room() => match seen? {
                Seen::Output { stderr, bytes } => printer.print(stderr, bytes, terminal.position()),
                Seen::Ready => {}
                Seen::Missing(lost) => say(view, &format!("{lost} bytes of output are missing here")),
                Seen::Lost => say(view, "the connection is lost; the process goes on for a minute. Control-C gives up"),
                Seen::Back => say(view, "connected again"),
                Seen::Ended(how) => end = Some(how),
            },
            read = from.read(&mut piece), if reading && (takes || lost && view.tty) => {
                let count = read.unwrap_or(0);
                let bytes = piece.get(..count).unwrap_or_default();
                if lost {
                    // Typed blindly, it would go who knows where.
                    if bytes.contains(&INTERRUPT) {
                        return Err(Error::new(Exit::Unreachable, "given up; the host ends the process by itself"));
                    }
                } else if count == 0 {
                    reading = false;
                    terminal.end_of_input();
                } else {
                    terminal.input(bytes);
                }
            }
            heard = signals.next() => match heard {
                Heard::Resized => if let (Some(size), true) = (size(), view.tty) {
                    terminal.resize(size);
                },
                Heard::End(number) => {
                    terminal.close().await?;
                    return Err(Error::new(Exit::Command(SIGNALLED + number), "interrupted"));
                }
            },
        }
    }
}

/// A line of ours between the lines of the process.
fn say(view: &TerminalView, text: &str) {
    if view.tty {
        // In raw mode a line end alone does not go back to the first column.
        let _ = write!(io::stderr().lock(), "\r\n[windflow: {text}]\r\n");
    } else {
        note(&format!("windflow: {text}"));
    }
}

fn finish(end: TerminalEnd, tty: bool) -> Result<()> {
    let why = match end.cause {
        TerminalCause::Exited => {
            let code = end.exit_code.unwrap_or(-1);
            return match u8::try_from(code) {
                Ok(0) => Ok(()),
                Ok(code) => Err(Error::new(Exit::Command(code), "")),
                Err(_) => Err(Error::failed(format!(
                    "the command ended without an exit code ({})",
                    end.detail
                ))),
            };
        }
        TerminalCause::Closed => "it was closed",
        TerminalCause::Idle => "nobody typed for longer than the host allows (terminal_idle_s in its policy)",
        TerminalCause::TooLong => {
            "it was open for longer than the host allows (terminal_longest_s in its policy)"
        }
        TerminalCause::Abandoned => "the connection was lost for too long",
        TerminalCause::TakenOver => "it was opened at another place",
        TerminalCause::AgentStopped => "the agent on the host was stopped",
        TerminalCause::Broken => "it was broken off on the host",
        TerminalCause::Other => "the host ended it",
    };
    let what = if tty { "the terminal" } else { "the command" };
    let detail = if end.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", end.detail)
    };
    Err(Error::failed(format!("{what} is over: {why}{detail}")))
}

/// Signals of this process that concern the one on the host.
struct Signals {
    size: Signal,
    end: [(u8, Signal); 3],
}

impl Signals {
    fn listen() -> Result<Self> {
        let on = |kind: SignalKind| {
            signal(kind).map_err(|error| Error::failed(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            size: on(SignalKind::window_change())?,
            end: [
                (2, on(SignalKind::interrupt())?),
                (15, on(SignalKind::terminate())?),
                (1, on(SignalKind::hangup())?),
            ],
        })
    }

    async fn next(&mut self) -> Heard {
        let [(int, a), (term, b), (hup, c)] = &mut self.end;
        tokio::select! {
            Some(()) = self.size.recv() => Heard::Resized,
            _ = a.recv() => Heard::End(*int),
            _ = b.recv() => Heard::End(*term),
            _ = c.recv() => Heard::End(*hup),
        }
    }
}

enum Heard {
    Resized,
    /// The process on the host shall end, too.
    End(u8),
}
