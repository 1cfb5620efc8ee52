//! A terminal that outlives its connection: output by position, input until it is taken. Nothing is lost, repeated or
//! mixed up across a lost link, as long as the host keeps the process.

use std::{collections::VecDeque, future::poll_fn, time::Duration};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use windflow_api::{TerminalAction, TerminalEvent, terminal::read_output};
use windflow_model::{Code, TerminalEnd, TerminalId, TerminalSize};

use crate::{
    error::{Error, Exit, Result},
    http::Client,
    live::Socket,
};

/// Input that may wait for the host's word before no more is read.
const UNTAKEN: usize = 256 << 10;
/// Bytes in one message.
const PIECE: usize = 16 << 10;
/// After so much output the host is told that it has arrived.
const SEEN_EVERY: u64 = 32 << 10;
/// Between two attempts to come back.
const AGAIN: Duration = Duration::from_millis(500);
/// How long the end of a process that was closed is waited for.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// For the word that the end was heard to go out.
const SAY_WITHIN: Duration = Duration::from_secs(2);
/// A controller that says nothing for so long is not there: it pings every 20 s.
const SILENT: Duration = Duration::from_secs(60);

/// A terminal that is attached to.
pub struct Terminal {
    client: Client,
    id: TerminalId,
    /// How long the host keeps the process.
    grace: Duration,
    watch: bool,
    /// Position behind the last byte of output.
    position: u64,
    /// Up to where it has been used; the host lets the process go on by that.
    used: u64,
    /// Only [`Terminal::used`] moves it.
    slow: bool,
    /// Up to where the host knows that it has arrived.
    said: u64,
    /// Input from `taken` on, which the host may not have.
    untaken: VecDeque<u8>,
    taken: u64,
    ended: bool,
    closing: bool,
    size: Option<TerminalSize>,
    /// What waits for the wire.
    outbox: VecDeque<Message>,
    /// The host has said where it stands.
    ready: bool,
    /// When the controller was last heard.
    heard: Instant,
    over: Option<TerminalEnd>,
    wire: Option<(SplitSink<Socket, Message>, SplitStream<Socket>)>,
    /// Since when the connection is gone.
    lost: Option<Instant>,
}

/// What a terminal shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Output.
    Output {
        /// Whether it is standard error.
        stderr: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Nothing is shown, but [`Terminal::takes_input`] may say something else now.
    Ready,
    /// So many bytes of output are missing here.
    Missing(u64),
    /// The connection is lost; what comes next is back.
    Lost,
    /// It is back.
    Back,
    /// It is over.
    Ended(TerminalEnd),
}

impl Terminal {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(client: Client, id: TerminalId, grace: Duration) -> Self {
        Self {
            client,
            id,
            grace,
            watch: false,
            position: 0,
            used: 0,
            slow: false,
            said: 0,
            untaken: VecDeque::new(),
            taken: 0,
            ended: false,
            closing: false,
            size: None,
            outbox: VecDeque::new(),
            ready: false,
            heard: Instant::now(),
            over: None,
            wire: None,
            lost: None,
        }
    }

    /// Position behind the last byte of output that was shown.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Begins with the output at this position.
    pub const fn start_at(&mut self, position: u64) {
        self.position = position;
        self.used = position;
    }

    /// Output counts as used not when it was given out, but when [`Terminal::used`] says so: for a reader that keeps it a
    /// while. The host bounds how much that can be.
    #[must_use]
    pub const fn kept_by_reader(mut self) -> Self {
        self.slow = true;
        self
    }

    /// The output up to this position has been used.
    pub fn used(&mut self, position: u64) {
        self.used = self.used.max(position);
        if self.ready && self.used >= self.said + SEEN_EVERY {
            self.said = self.used;
            self.act(TerminalAction::Seen { position: self.used });
        }
    }

    /// Looks only: what is typed goes nowhere.
    #[must_use]
    pub const fn watching(mut self) -> Self {
        self.watch = true;
        self
    }

    /// What it shows next. May be dropped and called again.
    ///
    /// # Errors
    /// The terminal is gone, or the controller could not be reached within the grace.
    pub async fn next(&mut self) -> Result<Seen> {
        loop {
            if self.over.is_some() {
                // Should it not go out, the host waits its time of grace.
                let _said = tokio::time::timeout(SAY_WITHIN, self.say_last()).await;
                if let Some(end) = self.over.take() {
                    return Ok(Seen::Ended(end));
                }
            }
            let silent = self.heard + SILENT;
            let Some((sink, source)) = &mut self.wire else {
                if self.come_back().await? {
                    return Ok(Seen::Back);
                }
                continue;
            };
            let message = tokio::select! {
                biased;
                () = write(sink, &mut self.outbox) => None,
                message = source.next() => message,
                () = tokio::time::sleep_until(silent) => None,
            };
            self.heard = Instant::now();
            let seen = match message {
                Some(Ok(Message::Binary(bytes))) => self.output(&bytes),
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(event) => self.event(event)?,
                    // What a newer controller says beyond this is left out.
                    Err(_) => None,
                },
                Some(Ok(Message::Close(_)) | Err(_)) | None => Some(self.cut()),
                Some(Ok(_)) => None,
            };
            if let Some(seen) = seen {
                return Ok(seen);
            }
        }
    }

    /// Sends what waits, and the end of the WebSocket.
    async fn say_last(&mut self) {
        if let Some((sink, _)) = &mut self.wire {
            while let Some(message) = self.outbox.pop_front() {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            let _closed = sink.close().await;
        }
    }

    fn cut(&mut self) -> Seen {
        self.wire = None;
        self.ready = false;
        self.lost = Some(Instant::now());
        Seen::Lost
    }

    /// Connects, for the first time or again. Gives whether it is back after a loss.
    async fn come_back(&mut self) -> Result<bool> {
        let (lost, id, from) = (self.lost, self.id, self.position);
        let path = format!("/api/v1/terminals/{id}?from={from}&watch={}", self.watch);
        match self.client.socket(&path, "terminal").await {
            Ok(socket) => {
                self.wire = Some(socket.split());
                self.outbox.clear();
                self.heard = Instant::now();
                // The host takes the position that was asked for as seen.
                self.said = self.position;
                self.lost = None;
                Ok(lost.is_some())
            }
            Err(error) => {
                // The first attempt is told as it is.
                let Some(since) = lost else { return Err(error) };
                if !passes(&error) || since.elapsed() > self.grace {
                    return Err(error);
                }
                tokio::time::sleep(AGAIN).await;
                Ok(false)
            }
        }
    }

    fn output(&mut self, message: &[u8]) -> Option<Seen> {
        let (stderr, from, bytes) = read_output(message)?;
        // What was seen already, if anything, is left out.
        let known = usize::try_from(self.position.saturating_sub(from)).unwrap_or(usize::MAX);
        let bytes = bytes.get(known..).filter(|bytes| !bytes.is_empty())?.to_vec();
        self.position = self.position.max(from) + u64::try_from(bytes.len()).unwrap_or(0);
        if !self.slow {
            self.used(self.position);
        }
        Some(Seen::Output { stderr, bytes })
    }

    fn event(&mut self, event: TerminalEvent) -> Result<Option<Seen>> {
        match event {
            TerminalEvent::Opened(opened) => {
                self.take(opened.input);
                self.send_again();
                Ok(Some(Seen::Ready))
            }
            TerminalEvent::Taken { input } => {
                self.take(input);
                Ok(Some(Seen::Ready))
            }
            TerminalEvent::Gap { from, lost } => {
                self.position = self.position.max(from + lost);
                Ok(Some(Seen::Missing(lost)))
            }
            TerminalEvent::Ended(end) => {
                self.act(TerminalAction::Close);
                self.over = Some(end);
                Ok(None)
            }
            TerminalEvent::Alive => Ok(None),
            TerminalEvent::Lost { code, message, hint } => {
                let exit = if code == Code::NotFound.as_str() {
                    Exit::NotFound
                } else {
                    Exit::Failed
                };
                let error = Error {
                    code: Some(code),
                    ..Error::new(exit, message).hint(hint)
                };
                if passes(&error) {
                    return Ok(Some(self.cut()));
                }
                Err(error)
            }
        }
    }

    fn take(&mut self, input: u64) {
        let count = usize::try_from(input.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        self.untaken.drain(..count.min(self.untaken.len()));
        self.taken = self.taken.max(input);
    }

    /// At first and after a loss: the size, and what the host has not taken.
    fn send_again(&mut self) {
        self.ready = true;
        if let Some(size) = self.size {
            self.act(TerminalAction::Resize(size));
        }
        let waiting: Vec<u8> = self.untaken.iter().copied().collect();
        for piece in waiting.chunks(PIECE) {
            self.outbox.push_back(Message::Binary(piece.to_vec().into()));
        }
        if self.ended {
            self.act(TerminalAction::EndOfInput);
        }
        if self.closing {
            self.act(TerminalAction::Close);
        }
    }

    fn act(&mut self, action: TerminalAction) {
        let text = serde_json::to_string(&action).unwrap_or_default();
        self.outbox.push_back(Message::text(text));
    }

    /// Whether more input is wanted.
    #[must_use]
    pub fn takes_input(&self) -> bool {
        self.ready && !self.ended && self.untaken.len() < UNTAKEN
    }

    /// Whether the connection is there.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Sends input; kept until the host has it. [`Terminal::next`] does the work.
    pub fn input(&mut self, bytes: &[u8]) {
        self.untaken.extend(bytes);
        if self.ready {
            self.outbox.push_back(Message::Binary(bytes.to_vec().into()));
        }
    }

    /// There is no more input.
    pub fn end_of_input(&mut self) {
        self.ended = true;
        if self.ready {
            self.act(TerminalAction::EndOfInput);
        }
    }

    /// Tells the size.
    pub fn resize(&mut self, size: TerminalSize) {
        self.size = Some(size);
        if self.ready {
            self.act(TerminalAction::Resize(size));
        }
    }

    /// Ends the process, if the host can be told.
    ///
    /// # Errors
    /// As [`Terminal::next`].
    pub async fn close(&mut self) -> Result<()> {
        self.closing = true;
        if self.ready {
            self.act(TerminalAction::Close);
        }
        let ended = async {
            while !matches!(self.next().await?, Seen::Ended(_) | Seen::Lost) {}
            Ok(())
        };
        tokio::time::timeout(CLOSE_WITHIN, ended).await.unwrap_or(Ok(()))
    }
}

/// Writes what waits; ends only if that fails. May be dropped at any time: nothing is lost or sent twice.
async fn write(sink: &mut SplitSink<Socket, Message>, outbox: &mut VecDeque<Message>) {
    loop {
        if poll_fn(|context| sink.poll_ready_unpin(context)).await.is_err() {
            return;
        }
        let Some(message) = outbox.pop_front() else { break };
        if sink.start_send_unpin(message).is_err() {
            return;
        }
    }
    if poll_fn(|context| sink.poll_flush_unpin(context)).await.is_err() {
        return;
    }
    std::future::pending().await
}

/// Whether it may be over in a moment: the controller or the host is away.
fn passes(error: &Error) -> bool {
    let codes = [Code::AgentOffline, Code::AgentTimeout, Code::HostFailure];
    error.exit == Exit::Unreachable
        || error
            .code
            .as_deref()
            .is_some_and(|code| codes.iter().any(|known| known.as_str() == code))
}
