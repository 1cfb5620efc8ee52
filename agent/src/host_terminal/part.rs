//! The privileged part: one connection, one process.

use std::{
    cell::Cell,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net, process::ExitStatusExt as _},
    },
    pin::{Pin, pin},
    process::ExitStatus,
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::{
    io::Errno,
    process::geteuid,
    thread::{CapabilitySet, capabilities},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};
use tokio_util::codec::{FramedRead, FramedWrite};
use windflow_kit::error::Chain;
use windflow_model::{Code, Failure};

use super::{
    ENABLE, HostTerminalArgs,
    account::{self, Account},
    child::{Child, Master},
    enter::{Identity, Plan},
    session,
    wire::{FromPart, PIECE, PartEnd, Request, ToPart, WINDOW},
};
use crate::{failure::CommandError, policy::PolicyFile};

/// For the request to come.
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// A process has ended: if nothing more comes for so long, what is still open belongs to somebody in the background.
const QUIET: Duration = Duration::from_millis(200);
/// Frames on their way to the agent; behind them the process waits.
const FRAMES: usize = 4;
/// Control-D: the end of input, as a terminal has it.
const END: u8 = 4;
/// Exit code of a process that a signal ended, before the signal's number.
const SIGNALLED: i32 = 128;

/// Where programs of users and of root are, as login.defs(5) has it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Serves the connection that standard input is.
///
/// # Errors
/// There is none, or another user's.
pub async fn serve(args: HostTerminalArgs) -> Result<(), CommandError> {
    let socket = connection().map_err(|problem| {
        let text = format!("this command is started by systemd or the agent: {problem}");
        CommandError::usage(text)
    })?;
    let (read, write) = socket.into_split();
    let mut frames = FramedRead::new(read, PartEnd);
    let mut replies = FramedWrite::new(write, PartEnd);
    let started = match tokio::time::timeout(ASKED_WITHIN, frames.next()).await {
        Ok(Some(Ok(ToPart::Start(request)))) => start(&args, request).await,
        // Somebody only looked whether it is there.
        Ok(None) => return Ok(()),
        Ok(Some(Ok(_))) => Err(bad("the first frame is no request".to_owned())),
        Ok(Some(Err(error))) => Err(bad(format!("the request cannot be read: {error}"))),
        Err(_) => Err(bad("no request came".to_owned())),
    };
    let (command, child) = match started {
        Ok(started) => started,
        Err(failure) => {
            tracing::warn!(%failure, "a terminal on the host is refused");
            // Whoever asked may be gone.
            let _told = replies.send(FromPart::Failed(failure)).await;
            return Ok(());
        }
    };
    if replies.send(FromPart::Started(command)).await.is_ok() {
        relay(child, frames, replies).await;
    } else {
        session::end(child.leader).await;
    }
    tracing::info!("a terminal on the host is over");
    Ok(())
}

fn bad(text: String) -> Failure {
    Failure::new(Code::BadRequest, text)
}

/// Standard input, if it is a socket whose other end is root's or this user's own.
fn connection() -> Result<UnixStream, String> {
    let input = rustix::stdio::stdin();
    let peer = rustix::net::sockopt::socket_peercred(input)
        .map_err(|error| format!("standard input is no socket of this host ({error})"))?;
    if !peer.uid.is_root() && peer.uid != geteuid() {
        return Err(format!("the other end belongs to user {}", peer.uid.as_raw()));
    }
    let own = |fd: std::os::fd::BorrowedFd<'_>| -> io::Result<UnixStream> {
        let fd: OwnedFd = fd.as_fd().try_clone_to_owned()?;
        let stream = net::UnixStream::from(fd);
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    };
    own(input).map_err(|error| error.to_string())
}

/// Judges the request by the host's policy, and starts the process.
async fn start(args: &HostTerminalArgs, request: Request) -> Result<(Vec<String>, Child), Failure> {
    // Asked here, too: an agent that somebody has taken over gets no more than the file allows.
    let rules = PolicyFile::new(args.policy.clone()).read()?;
    let user = rules.may_host_terminal(Some(&request.user))?;
    let account = account::find(&args.accounts, &user).await?;
    let (size, plan) = (request.size, plan(&account, request)?);
    let command = [std::slice::from_ref(&plan.program), &plan.args].concat();
    tracing::info!(
        user = account.name,
        uid = account.uid,
        ?command,
        "a terminal on the host begins"
    );
    let child = Child::start(&plan, size).await.map_err(|error| {
        let text = format!("the process could not be started on the host: {}", Chain(&error));
        Failure::new(Code::HostFailure, text)
    })?;
    Ok((command, child))
}

fn plan(account: &Account, request: Request) -> Result<Plan, Failure> {
    let own = geteuid();
    let identity = (own.is_root() || own.as_raw() != account.uid).then(|| Identity {
        uid: account.uid,
        gid: account.gid,
        groups: account.groups.clone(),
    });
    let rights = CapabilitySet::SETUID | CapabilitySet::SETGID;
    if identity.is_some() && !capabilities(None).is_ok_and(|have| have.effective.contains(rights)) {
        return Err(Failure {
            hint: format!("The owner of the host can run: {ENABLE}"),
            ..Failure::new(
                Code::HostFailure,
                "the agent has not the right to change user, and no privileged part is there for it",
            )
        });
    }
    let path = if account.uid == 0 { ROOT_PATH } else { PATH };
    let inherited = |key: &str| std::env::var(key).ok().filter(|value| !value.is_empty());
    let mut env = vec![
        ("HOME".to_owned(), account.home.clone()),
        ("USER".to_owned(), account.name.clone()),
        ("LOGNAME".to_owned(), account.name.clone()),
        ("SHELL".to_owned(), account.shell.clone()),
        ("PATH".to_owned(), path.to_owned()),
        (
            "LANG".to_owned(),
            inherited("LANG").unwrap_or_else(|| "C.UTF-8".to_owned()),
        ),
    ];
    if request.tty {
        env.push(("TERM".to_owned(), "xterm-256color".to_owned()));
    }
    for variable in &request.env {
        let (key, value) = variable.split_once('=').unwrap_or((variable, ""));
        env.retain(|(known, _)| known != key);
        env.push((key.to_owned(), value.to_owned()));
    }
    let mut words = request.command.into_iter();
    let (program, arg0) = match words.next() {
        Some(program) => (program.clone(), program),
        None => {
            // A dash before its name makes a shell a login shell.
            let name = account.shell.rsplit('/').next().unwrap_or_default();
            (account.shell.clone(), format!("-{name}"))
        }
    };
    Ok(Plan {
        program,
        arg0,
        args: words.collect(),
        env,
        working_dir: request.working_dir,
        home: account.home.clone(),
        tty: request.tty,
        identity,
    })
}

/// Carries both ways until the process or the connection ends; the process never outlives the connection.
async fn relay(
    child: Child,
    frames: FramedRead<OwnedReadHalf, PartEnd>,
    mut replies: FramedWrite<OwnedWriteHalf, PartEnd>,
) {
    let Child {
        mut process,
        leader,
        input,
        output,
        errors,
        terminal,
    } = child;
    let (say, mut said) = mpsc::channel(FRAMES);
    let saying = async {
        while let Some(frame) = said.recv().await {
            let last = matches!(frame, FromPart::Exited(_));
            if replies.send(frame).await.is_err() {
                return false;
            }
            if last {
                return true;
            }
        }
        false
    };
    let showing = async {
        let status = shown(&mut process, output, errors, &say).await;
        // Nobody to tell it: the connection is gone, and that is seen elsewhere.
        let _told = say.send(FromPart::Exited(code_of(status))).await;
        std::future::pending::<()>().await;
    };
    let exited = tokio::select! {
        exited = saying => exited,
        () = hear(frames, input, terminal, say.clone()) => false,
        () = showing => false,
    };
    if !exited {
        session::end(leader).await;
        // Not in its session yet, or just killed.
        let _ended = process.kill().await;
    }
}

fn code_of(status: io::Result<ExitStatus>) -> i32 {
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            tracing::warn!(%error, "how a process ended is not known");
            return -1;
        }
    };
    let signal = || status.signal().map(|signal| SIGNALLED + signal);
    status.code().or_else(signal).unwrap_or(-1)
}

/// Hands on what the process writes until it has ended and all of it has come.
async fn shown(
    process: &mut tokio::process::Child,
    output: Pin<Box<dyn AsyncRead>>,
    errors: Option<Pin<Box<dyn AsyncRead>>>,
    say: &mpsc::Sender<FromPart>,
) -> io::Result<ExitStatus> {
    let flow = Flow::default();
    let mut both = pin!(async {
        let second = async {
            if let Some(errors) = errors {
                copy(errors, say, FromPart::Stderr, &flow).await;
            }
        };
        tokio::join!(copy(output, say, FromPart::Output, &flow), second);
    });
    let status = tokio::select! {
        () = &mut both => return process.wait().await,
        status = process.wait() => status,
    };
    loop {
        let before = flow.moved.get();
        tokio::select! {
            () = &mut both => return status,
            () = tokio::time::sleep(QUIET) => {}
        }
        if flow.moved.get() == before && flow.waiting.get() == 0 {
            return status;
        }
    }
}

/// Whether output still comes.
#[derive(Default)]
struct Flow {
    moved: Cell<u64>,
    /// Pieces that wait for the agent.
    waiting: Cell<u8>,
}

async fn copy(
    mut from: Pin<Box<dyn AsyncRead>>,
    say: &mpsc::Sender<FromPart>,
    frame: fn(Bytes) -> FromPart,
    flow: &Flow,
) {
    let mut piece = BytesMut::new();
    loop {
        piece.reserve(PIECE);
        match from.read_buf(&mut piece).await {
            Ok(1..) => {}
            Ok(0) => return,
            // Nobody has the other side of the terminal open any more.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => return,
            Err(error) => {
                tracing::warn!(%error, "the output of a process cannot be read");
                return;
            }
        }
        flow.moved.set(flow.moved.get().wrapping_add(1));
        flow.waiting.set(flow.waiting.get() + 1);
        let told = say.send(frame(piece.split().freeze())).await;
        flow.waiting.set(flow.waiting.get() - 1);
        if told.is_err() {
            return;
        }
    }
}

/// Does what the agent says, until the connection ends. A process that does not read holds nothing up: what waits for it
/// is bounded by what the agent may send ahead.
async fn hear(
    mut frames: FramedRead<OwnedReadHalf, PartEnd>,
    input: Pin<Box<dyn AsyncWrite>>,
    terminal: Option<Master>,
    say: mpsc::Sender<FromPart>,
) {
    let mut input = Some(input);
    let mut waiting = BytesMut::new();
    let mut untold = 0_usize;
    let mut ended = false;
    loop {
        tokio::select! {
            frame = frames.next() => match frame {
                Some(Ok(ToPart::Input(bytes))) if waiting.len() + bytes.len() <= WINDOW => {
                    if !ended {
                        waiting.extend_from_slice(&bytes);
                    }
                }
                Some(Ok(ToPart::EndOfInput)) => {
                    if terminal.is_some() && !ended {
                        waiting.extend_from_slice(&[END]);
                    }
                    ended = true;
                }
                Some(Ok(ToPart::Resize(size))) => {
                    // One that has just ended needs no size.
                    let _size = terminal.as_ref().map(|terminal| terminal.resize(size));
                }
                Some(Ok(ToPart::Start(_) | ToPart::Input(_)) | Err(_)) | None => return,
            },
            wrote = write(&mut input, &waiting), if !waiting.is_empty() => match wrote {
                Ok(count) => {
                    waiting.advance(count);
                    untold += count;
                }
                // It has closed its input, and says itself when it ends: what comes is taken and dropped.
                Err(_) => input = None,
            },
            room = say.reserve(), if untold > 0 => {
                let Ok(room) = room else { return };
                room.send(FromPart::Taken(u32::try_from(untold).unwrap_or(u32::MAX)));
                untold = 0;
            }
        }
        if ended && waiting.is_empty() && terminal.is_none() {
            input = None;
        }
    }
}

async fn write(input: &mut Option<Pin<Box<dyn AsyncWrite>>>, bytes: &[u8]) -> io::Result<usize> {
    match input {
        Some(input) => match input.write(bytes).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        },
        None => Ok(bytes.len()),
    }
}
