//! The agent's end: reaches the privileged part, or starts it.

use std::{
    io,
    os::{fd::OwnedFd, unix::net},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use rustix::process::geteuid;
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, Semaphore, watch},
};
use tokio_util::codec::{FramedRead, FramedWrite};
use windflow_engine::targets::Output;
use windflow_model::{Code, Failure, TerminalQuery, TerminalSize};

use super::{
    ENABLE, SOCKET,
    wire::{AgentEnd, FromPart, PIECE, Request, ToPart, WINDOW},
};

/// For the part to begin, and to ask a directory of users.
const STARTED_WITHIN: Duration = Duration::from_secs(20);
/// For the part to end everything: two seconds of patience, and a moment.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// Opens terminals on this host.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    policy: PathBuf,
}

/// A process on the host.
pub(crate) struct Opened {
    pub(crate) command: Vec<String>,
    pub(crate) output: BoxStream<'static, Result<Output, String>>,
    pub(crate) input: Input,
    pub(crate) control: Control,
}

type Writer = Arc<Mutex<FramedWrite<OwnedWriteHalf, AgentEnd>>>;
type Reader = Arc<Mutex<FramedRead<OwnedReadHalf, AgentEnd>>>;

/// What it reads.
pub(crate) struct Input {
    to: Writer,
    room: Arc<Semaphore>,
}

/// Its size, its exit code and its end.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    to: Writer,
    from: Reader,
    code: watch::Receiver<Option<i32>>,
}

impl Opener {
    /// With this policy, if the agent has to start the part itself.
    pub(crate) const fn new(policy: PathBuf) -> Self {
        Self { policy }
    }

    /// Starts a process as a user of this host.
    pub(crate) async fn open(&self, user: String, query: &TerminalQuery) -> Result<Opened, Failure> {
        let request = Request {
            user,
            command: query.command.clone(),
            working_dir: query.working_dir.clone(),
            env: query.env.clone(),
            tty: query.tty,
            size: query.size,
        };
        let asking = async {
            let (read, write) = self
                .connect()
                .await
                .map_err(|error| unreached(&error))?
                .into_split();
            let mut from = FramedRead::new(read, AgentEnd);
            let mut to = FramedWrite::new(write, AgentEnd);
            let asked = to.send(ToPart::Start(request)).await;
            // What the part said before it went counts more than that it went.
            match from.next().await {
                Some(Ok(FromPart::Started(command))) => Ok((command, from, to)),
                Some(Ok(FromPart::Failed(failure))) => Err(failure),
                Some(Ok(_)) => Err(unreached(&io::Error::other("it says something else"))),
                Some(Err(error)) => Err(unreached(&error)),
                None => {
                    Err(unreached(&asked.err().unwrap_or_else(|| {
                        io::Error::other("it ended before it said anything")
                    })))
                }
            }
        };
        let late = || Err(unreached(&io::Error::other("it does not answer")));
        let (command, from, mut to) = tokio::time::timeout(STARTED_WITHIN, asking)
            .await
            .unwrap_or_else(|_| late())?;
        if !query.stdin {
            // It may be gone already: the output says so.
            let _ended = to.send(ToPart::EndOfInput).await;
        }
        let (from, to) = (Arc::new(Mutex::new(from)), Arc::new(Mutex::new(to)));
        let room = Arc::new(Semaphore::new(WINDOW));
        let (exited, code) = watch::channel(None);
        Ok(Opened {
            command,
            output: output(Arc::clone(&from), Arc::clone(&room), exited),
            input: Input {
                to: Arc::clone(&to),
                room,
            },
            control: Control { to, from, code },
        })
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        match UnixStream::connect(SOCKET).await {
            Ok(stream) => {
                let peer = stream.peer_cred()?.uid();
                if peer != 0 && peer != geteuid().as_raw() {
                    return Err(io::Error::other(format!("{SOCKET} belongs to user {peer}")));
                }
                Ok(stream)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                self.start()
            }
            Err(error) => Err(error),
        }
    }

    /// Starts the part; it ends with its connection, and is waited for by the runtime.
    #[expect(
        clippy::disallowed_methods,
        reason = "this program itself, where systemd does not start it: with an argument vector, ended by its connection"
    )]
    fn start(&self) -> io::Result<UnixStream> {
        let (own, other) = net::UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let part = tokio::process::Command::new("/proc/self/exe")
            .arg0("windflow-agent")
            .args(["host-terminal", "--policy"])
            .arg(&self.policy)
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(Stdio::null())
            .spawn()?;
        // What is dropped is waited for all the same.
        drop(part);
        UnixStream::from_std(own)
    }
}

fn unreached(error: &io::Error) -> Failure {
    Failure {
        hint: format!("The owner of the host can run: {ENABLE}"),
        ..Failure::new(
            Code::HostFailure,
            format!("the part of the agent that opens terminals on the host cannot be used: {error}"),
        )
    }
}

/// What the process writes, until it ends.
fn output(
    from: Reader,
    room: Arc<Semaphore>,
    exited: watch::Sender<Option<i32>>,
) -> BoxStream<'static, Result<Output, String>> {
    let next = move |(from, room, exited): (Reader, Arc<Semaphore>, watch::Sender<Option<i32>>)| async move {
        loop {
            let frame = from.lock().await.next().await;
            let item = match frame {
                Some(Ok(FromPart::Output(bytes))) => Ok(Output::Stdout(bytes)),
                Some(Ok(FromPart::Stderr(bytes))) => Ok(Output::Stderr(bytes)),
                Some(Ok(FromPart::Taken(count))) => {
                    let count = usize::try_from(count).unwrap_or(0);
                    // Never more than there was: a part that says so is wrong.
                    room.add_permits(count.min(WINDOW.saturating_sub(room.available_permits())));
                    continue;
                }
                Some(Ok(FromPart::Exited(code))) => {
                    exited.send_replace(Some(code));
                    return None;
                }
                Some(Ok(FromPart::Failed(failure))) => Err(failure.message),
                Some(Ok(FromPart::Started(_))) => continue,
                Some(Err(error)) => Err(error.to_string()),
                None => return None,
            };
            return Some((item, (from, room, exited)));
        }
    };
    stream::unfold((from, room, exited), next).boxed()
}

impl Input {
    /// Hands bytes to the process, when it takes them.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE) {
            let count = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let room = self.room.acquire_many(count).await.map_err(io::Error::other)?;
            // Given back when the part says that the process has them.
            room.forget();
            let frame = ToPart::Input(Bytes::copy_from_slice(piece));
            self.to.lock().await.send(frame).await?;
        }
        Ok(())
    }

    /// There is no more.
    pub(crate) async fn end(&self) {
        // A part that has gone is seen in the output.
        let _ended = self.to.lock().await.send(ToPart::EndOfInput).await;
    }
}

impl Control {
    /// Tells the size of the terminal.
    pub(crate) async fn resize(&self, size: TerminalSize) {
        // As above.
        let _told = self.to.lock().await.send(ToPart::Resize(size)).await;
    }

    /// The exit code of a process whose output has ended.
    pub(crate) fn code(&self) -> Result<Option<i64>, Failure> {
        let code = *self.code.borrow();
        code.map(|code| Some(i64::from(code))).ok_or_else(|| {
            Failure::new(
                Code::HostFailure,
                "the part of the agent that holds it on the host ended",
            )
        })
    }

    /// Ends it, with its whole session.
    pub(crate) async fn end(&self) -> Result<(), Failure> {
        // Closing is all that there is to say; if that fails, it is closed.
        let _closed = self.to.lock().await.get_mut().shutdown().await;
        let gone = async { while let Some(Ok(_)) = self.from.lock().await.next().await {} };
        tokio::time::timeout(ENDED_WITHIN, gone).await.map_err(|_| {
            let text = format!(
                "the process on the host did not end within {} s",
                ENDED_WITHIN.as_secs()
            );
            Failure::new(Code::HostFailure, text)
        })
    }
}
