//! One terminal as its task and its readers share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use windflow_model::{TerminalCause, TerminalEnd, TerminalOpened, TerminalSize};

use super::tape::{PIPE, Read, SCREENS, Tape};

/// Pieces of input between the link and the process; behind them QUIC's flow control holds the sender back.
const KEYS: usize = 8;
/// After so many bytes of input its sender is told how much was taken.
const TOLD_EVERY: u64 = 16 << 10;
/// Bytes given out at once.
const PIECE: usize = windflow_protocol::terminal::MAX_PIECE;

/// For the process to read.
#[derive(Debug)]
pub(super) enum Key {
    Bytes(Vec<u8>),
    End,
}

/// One terminal.
pub(super) struct Live {
    state: Mutex<State>,
    /// Rises with every change that a reader may wait for.
    news: watch::Sender<u64>,
    /// The one who types has taken something, came or went: the process may write on.
    pub(super) room: Notify,
    /// The one who types came or went, or wants it closed.
    pub(super) touched: Notify,
    pub(super) size: watch::Sender<Option<TerminalSize>>,
    keys: mpsc::Sender<Key>,
}

struct State {
    opened: TerminalOpened,
    tape: Tape,
    /// Up to where the one who types has the output, by their own word.
    taken: u64,
    /// Number of the one who types, if there is one.
    typist: Option<u64>,
    /// Numbers given so far.
    typists: u64,
    /// When the last one went; until the first one came, when it was opened.
    left_at: Instant,
    typed_at: Instant,
    close: Option<TerminalEnd>,
    end: Option<TerminalEnd>,
}

/// What the clock of a terminal looks at.
pub(super) struct Presence {
    pub(super) typist: bool,
    /// Whether anybody ever came.
    pub(super) came: bool,
    pub(super) left_at: Instant,
    pub(super) typed_at: Instant,
    pub(super) close: Option<TerminalEnd>,
}

impl Live {
    pub(super) fn new(
        opened: TerminalOpened,
        size: Option<TerminalSize>,
    ) -> (Arc<Self>, mpsc::Receiver<Key>) {
        let (keys, inbox) = mpsc::channel(KEYS);
        let now = Instant::now();
        let kept = if opened.tty { SCREENS } else { PIPE };
        let live = Self {
            state: Mutex::new(State {
                opened,
                tape: Tape::new(kept),
                taken: 0,
                typist: None,
                typists: 0,
                left_at: now,
                typed_at: now,
                close: None,
                end: None,
            }),
            news: watch::channel(0).0,
            room: Notify::new(),
            touched: Notify::new(),
            size: watch::channel(size).0,
            keys,
        };
        (Arc::new(live), inbox)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn stirred(&self) {
        self.room.notify_one();
        self.touched.notify_one();
    }

    /// Keeps output.
    pub(super) fn wrote(&self, stderr: bool, bytes: &[u8]) {
        self.state().tape.push(stderr, bytes);
        self.tell();
    }

    /// Whether the process may write on: never further ahead of the one who types than is kept for them, should their
    /// connection be lost, with a quarter to spare.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state();
        let held = state.typist.is_some() || !state.opened.tty;
        let ahead = usize::try_from(state.tape.end().saturating_sub(state.taken)).unwrap_or(usize::MAX);
        !held || ahead < state.tape.kept() / 4 * 3
    }

    pub(super) fn presence(&self) -> Presence {
        let state = self.state();
        Presence {
            typist: state.typist.is_some(),
            came: state.typists > 0,
            left_at: state.left_at,
            typed_at: state.typed_at,
            close: state.close.clone(),
        }
    }

    /// Says that it is over.
    pub(super) fn over(&self, end: TerminalEnd) {
        self.state().end = Some(end);
        self.tell();
    }

    /// Asks its task to end it.
    pub(super) fn close(&self, end: TerminalEnd) {
        self.state().close.get_or_insert(end);
        self.touched.notify_one();
    }

    /// Waits until it is over.
    pub(super) async fn ended(&self) {
        let mut news = self.news.subscribe();
        while self.state().end.is_none() {
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn attach(live: &Arc<Self>, from: u64, watch: bool) -> (TerminalOpened, Reader) {
        let mut state = live.state();
        let from = from.min(state.tape.end());
        let number = (!watch).then(|| {
            // The newest one types: an older one whose connection hangs must not keep its owner out.
            state.typists += 1;
            state.typist = Some(state.typists);
            state.taken = from;
            state.typists
        });
        let opened = TerminalOpened {
            position: state.tape.end(),
            ..state.opened.clone()
        };
        drop(state);
        live.tell();
        live.stirred();
        let reader = Reader {
            number,
            position: Mutex::new(from),
            told: Mutex::new(opened.input),
            news: live.news.subscribe(),
            live: Arc::clone(live),
        };
        (opened, reader)
    }
}

/// One who reads a terminal, and may type.
pub struct Reader {
    live: Arc<Live>,
    /// Of the one who types; watchers have none.
    number: Option<u64>,
    position: Mutex<u64>,
    /// How much input its sender knows to be taken.
    told: Mutex<u64>,
    news: watch::Receiver<u64>,
}

/// What a reader gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Output.
    Output {
        /// Position of the first byte.
        from: u64,
        /// Whether it is standard error.
        stderr: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Output that is no longer kept.
    Gap {
        /// Position of the first lost byte.
        from: u64,
        /// How many.
        lost: u64,
    },
    /// So many bytes of input have been taken.
    Taken(u64),
    /// There will be nothing more.
    Ended(TerminalEnd),
}

impl Reader {
    /// What comes next. May be dropped and called again.
    pub async fn next(&self) -> Piece {
        let mut news = self.news.clone();
        loop {
            news.mark_unchanged();
            if let Some(piece) = self.ready() {
                return piece;
            }
            if news.changed().await.is_err() {
                return Piece::Ended(TerminalEnd::of(TerminalCause::AgentStopped));
            }
        }
    }

    fn ready(&self) -> Option<Piece> {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.live.state();
        if self.number.is_some() && state.typist != self.number {
            return Some(Piece::Ended(TerminalEnd::of(TerminalCause::TakenOver)));
        }
        if self.number.is_some() {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if state.opened.input >= told.saturating_add(TOLD_EVERY) {
                *told = state.opened.input;
                return Some(Piece::Taken(*told));
            }
        }
        match state.tape.read(*position, PIECE) {
            Read::Bytes { from, stderr, bytes } => {
                *position += u64::try_from(bytes.len()).unwrap_or(0);
                Some(Piece::Output { from, stderr, bytes })
            }
            Read::Gap { from, lost } => {
                *position += lost;
                Some(Piece::Gap { from, lost })
            }
            Read::Nothing => state.end.clone().map(Piece::Ended),
        }
    }

    /// The reader has the output up to here.
    pub fn seen(&self, position: u64) {
        let mut state = self.live.state();
        if self.number.is_some() && state.typist == self.number {
            state.taken = position.clamp(state.taken, state.tape.end().max(state.taken));
            drop(state);
            self.live.room.notify_one();
        }
    }

    /// Hands input to the process. What watchers type goes nowhere.
    pub async fn input(&self, bytes: Vec<u8>) {
        let count = u64::try_from(bytes.len()).unwrap_or(0);
        // Room first: whoever takes over while this one waits is told what was taken, and sends the rest again.
        let Ok(room) = self.live.keys.reserve().await else {
            return;
        };
        let mut state = self.live.state();
        if self.number.is_none() || state.typist != self.number {
            return;
        }
        room.send(Key::Bytes(bytes));
        state.opened.input += count;
        state.typed_at = Instant::now();
        drop(state);
        if count >= TOLD_EVERY / 16 {
            self.live.tell();
        }
    }

    /// There is no more input.
    pub async fn end_of_input(&self) {
        // A process that has ended reads nothing.
        let Ok(room) = self.live.keys.reserve().await else {
            return;
        };
        if self.may_type() {
            room.send(Key::End);
        }
    }

    /// The terminal of the one who types has this size.
    pub fn resize(&self, size: TerminalSize) {
        if self.may_type() {
            self.live.size.send_replace(Some(size));
        }
    }

    /// Ends the process; if it has ended, nobody needs its end any more.
    pub fn close(&self) {
        if self.may_type() {
            self.live.close(TerminalEnd::of(TerminalCause::Closed));
        }
    }

    /// Whether this is the one who types, and not one who watches or was replaced.
    #[must_use]
    pub fn may_type(&self) -> bool {
        self.number.is_some() && self.live.state().typist == self.number
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.live.state();
        if self.number.is_some() && state.typist == self.number {
            state.typist = None;
            state.left_at = Instant::now();
            drop(state);
            self.live.stirred();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input that waits for a process, and whose sender is replaced meanwhile, is not typed twice.
    #[tokio::test]
    async fn who_is_replaced_while_waiting_has_typed_nothing() {
        let opened = TerminalOpened {
            container: "web".to_owned(),
            host_user: None,
            command: Vec::new(),
            tty: true,
            position: 0,
            input: 0,
        };
        let (live, mut keys) = Live::new(opened, None);
        let (_, first) = Live::attach(&live, 0, false);
        for _ in 0..KEYS {
            first.input(b"a".to_vec()).await;
        }
        let mut waits = Box::pin(first.input(b"b".to_vec()));
        assert!(futures_util::poll!(&mut waits).is_pending());
        let (opened, second) = Live::attach(&live, 0, false);
        assert_eq!(opened.input, KEYS as u64);
        let mut typed = Vec::new();
        let mut read = |key: Option<Key>| match key {
            Some(Key::Bytes(bytes)) => typed.extend(bytes),
            other => panic!("{other:?}"),
        };
        read(keys.recv().await);
        waits.await;
        first.end_of_input().await;
        for _ in 1..KEYS {
            read(keys.recv().await);
        }
        second.input(b"b".to_vec()).await;
        read(keys.recv().await);
        assert!(keys.try_recv().is_err());
        assert_eq!(typed, [&b"a".repeat(KEYS)[..], b"b"].concat());
    }
}
