//! Starts the process: terminal or pipes, and the plan of what to become.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    pin::Pin,
    process::Stdio,
    time::Duration,
};

use rustix::{
    fs::{OFlags, fchown, fcntl_getfl, fcntl_setfl},
    process::Pid,
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
    thread::Uid,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::unix::pipe,
    process::{ChildStdin, Command},
};
use windflow_model::TerminalSize;

use super::enter::Plan;

/// For the plan to be taken: a pipe's worth of bytes between two processes of one host.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// What a terminal has that nobody has told a size.
const USUAL: TerminalSize = TerminalSize {
    columns: 80,
    rows: 24,
};

/// A process, not yet or no longer the one that was asked for.
pub(super) struct Child {
    pub(super) process: tokio::process::Child,
    /// It leads the session.
    pub(super) leader: Pid,
    pub(super) input: Pin<Box<dyn AsyncWrite>>,
    pub(super) output: Pin<Box<dyn AsyncRead>>,
    /// Only without a terminal.
    pub(super) errors: Option<Pin<Box<dyn AsyncRead>>>,
    pub(super) terminal: Option<Master>,
}

/// The agent's side of a terminal.
#[derive(Debug)]
pub(super) struct Master(OwnedFd);

impl Child {
    /// Starts it with this plan.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the host's users' programs begin: with an argument vector, waited for, ended with their session"
    )]
    pub(super) async fn start(plan: &Plan, size: Option<TerminalSize>) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("windflow-agent")
            .args(["host-terminal", "--exec"])
            .env_clear()
            .stdin(Stdio::piped());
        let terminal = if plan.tty {
            let owner = plan.identity.as_ref().map(|identity| identity.uid);
            let (master, slave) = terminal(size.unwrap_or(USUAL), owner)?;
            command
                .stdout(Stdio::from(slave.try_clone()?))
                .stderr(Stdio::from(slave));
            Some(master)
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            None
        };
        let mut process = command.spawn()?;
        // With it the last hold of this process on the terminal's other side goes: its end is seen.
        drop(command);
        let lost = || io::Error::other("the process has no pipe or number");
        let leader = process
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .ok_or_else(lost)?;
        let mut input = process.stdin.take().ok_or_else(lost)?;
        tell(&mut input, plan).await?;
        let child = match terminal {
            Some(master) => {
                drop(input);
                Self {
                    leader,
                    // A terminal is read and written as a pipe is; each end has a hold of its own.
                    input: Box::pin(pipe::Sender::from_owned_fd_unchecked(master.0.try_clone()?)?),
                    output: Box::pin(pipe::Receiver::from_owned_fd_unchecked(master.0.try_clone()?)?),
                    errors: None,
                    terminal: Some(master),
                    process,
                }
            }
            None => Self {
                leader,
                input: Box::pin(input),
                output: Box::pin(process.stdout.take().ok_or_else(lost)?),
                errors: Some(Box::pin(process.stderr.take().ok_or_else(lost)?)),
                terminal: None,
                process,
            },
        };
        Ok(child)
    }
}

async fn tell(input: &mut ChildStdin, plan: &Plan) -> io::Result<()> {
    let text = serde_json::to_vec(plan)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    let telling = async {
        input.write_all(&length.to_be_bytes()).await?;
        input.write_all(&text).await?;
        input.flush().await
    };
    tokio::time::timeout(TAKEN_WITHIN, telling).await?
}

/// A new terminal of this size, its other side the user's.
fn terminal(size: TerminalSize, owner: Option<u32>) -> io::Result<(Master, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    if let Some(owner) = owner {
        // The user's programs open it by its name, too; its group and mode are what the system mounts them with.
        fchown(&slave, Some(Uid::from_raw(owner)), None)?;
    }
    let mut modes = tcgetattr(&slave)?;
    // Rubbing out a character takes all its bytes.
    modes.input_modes |= InputModes::IUTF8;
    tcsetattr(&slave, OptionalActions::Now, &modes)?;
    fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
    let master = Master(master);
    master.resize(size)?;
    Ok((master, slave))
}

impl Master {
    /// Tells the kernel, and it the program in front.
    pub(super) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(self.0.as_fd(), size)?)
    }
}
