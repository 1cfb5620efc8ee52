//! Writes a process's output where ours goes, however slowly that is read: a thread of its own waits for a paused `less`,
//! while the connection is answered and the keys go on.
//!
//! ```text
//! print ──► waiting (bounded: `has_room`) ──► thread: write, flush ──► printed
//! ```

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    sync::mpsc as blocking,
};

use tokio::sync::mpsc;

use crate::error::{Error, Result};

/// Bytes that may wait: what the host lets be unseen, and as much again for a connection that was made anew meanwhile. Beyond
/// that nothing is read any more, and the host's grace begins.
const MOST: usize = 2 << 20;
/// Most bytes written at once.
const PIECE: usize = 64 << 10;

struct Job {
    stderr: bool,
    bytes: Vec<u8>,
    /// Position behind the last byte.
    position: u64,
}

/// Prints in order.
pub(super) struct Printer {
    waiting: VecDeque<Job>,
    jobs: blocking::SyncSender<Job>,
    done: mpsc::Receiver<io::Result<u64>>,
    busy: bool,
}

impl Printer {
    pub(super) fn start() -> Result<Self> {
        let (jobs, inbox) = blocking::sync_channel::<Job>(1);
        let (outbox, done) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("print".to_owned());
        // Not waited for: it may hang in a pipe that nobody reads when everything else is over.
        let started = thread.spawn(move || {
            while let Ok(job) = inbox.recv() {
                let printed = write(&job).map(|()| job.position);
                if outbox.blocking_send(printed).is_err() {
                    return;
                }
            }
        });
        started.map_err(|error| Error::failed(format!("cannot start a thread for the output: {error}")))?;
        Ok(Self {
            waiting: VecDeque::new(),
            jobs,
            done,
            busy: false,
        })
    }

    /// Output up to this position.
    pub(super) fn print(&mut self, stderr: bool, bytes: Vec<u8>, position: u64) {
        match self.waiting.back_mut() {
            Some(last) if last.stderr == stderr && last.bytes.len() + bytes.len() <= PIECE => {
                last.bytes.extend(bytes);
                last.position = position;
            }
            _ => self.waiting.push_back(Job {
                stderr,
                bytes,
                position,
            }),
        }
        self.hand_on();
    }

    fn hand_on(&mut self) {
        if !self.busy
            && let Some(job) = self.waiting.pop_front()
        {
            // One at a time: there is room, unless the thread is gone, and then `printed` says so.
            self.busy = self.jobs.try_send(job).is_ok();
        }
    }

    /// Up to where the output has been printed, each time it has. May be dropped and called again.
    pub(super) async fn printed(&mut self) -> Result<u64> {
        let done = self.done.recv().await;
        self.busy = false;
        let done = done.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()));
        self.hand_on();
        done.map_err(|error| Error::failed(format!("cannot write the output: {error}")))
    }

    /// Whether more may wait.
    pub(super) fn has_room(&self) -> bool {
        let waiting: usize = self.waiting.iter().map(|job| job.bytes.len()).sum();
        waiting < MOST
    }

    /// Whether everything has been printed.
    pub(super) fn is_idle(&self) -> bool {
        !self.busy && self.waiting.is_empty()
    }
}

fn write(job: &Job) -> io::Result<()> {
    if job.stderr {
        return io::stderr().lock().write_all(&job.bytes);
    }
    let mut out = io::stdout().lock();
    out.write_all(&job.bytes)?;
    out.flush()
}
