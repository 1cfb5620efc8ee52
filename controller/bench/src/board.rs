//! What happened on which host and when: written by the hosts, read by the profiles.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use windflow_transport::quinn::{Connection, ConnectionError};

/// How often a waiting profile looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Bytes and datagrams of UDP, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
}

impl Wire {
    fn of(connection: &Connection) -> Self {
        let stats = connection.stats();
        Self {
            datagrams: stats.udp_tx.datagrams + stats.udp_rx.datagrams,
            bytes: stats.udp_tx.bytes + stats.udp_rx.bytes,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            datagrams: self.datagrams + other.datagrams,
            bytes: self.bytes + other.bytes,
        }
    }

    /// Bytes on the wire, with the headers of UDP and of IP.
    pub(crate) fn with_headers(self, remote: SocketAddr) -> u64 {
        self.bytes + self.datagrams * if remote.is_ipv4() { 28 } else { 48 }
    }
}

/// One host since the last [`Board::begin`].
#[derive(Debug, Default)]
struct Slot {
    up: bool,
    back_at: Option<Duration>,
    lost_at: Option<Duration>,
    accepted_at: Option<Duration>,
    finished_at: Option<Duration>,
    connection: Option<Connection>,
}

/// What is counted since the last [`Board::begin`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) up: usize,
    pub(crate) lost: usize,
    /// Lost by silence, not by a word of the controller.
    pub(crate) by_silence: usize,
    pub(crate) dials: usize,
    pub(crate) failed_dials: usize,
    pub(crate) accepted: usize,
    pub(crate) finished: usize,
    pub(crate) samples: usize,
    /// Of their frames, without the lengths before them.
    pub(crate) sample_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Slot>,
    counts: Counts,
    /// Of connections that are over.
    past: Wire,
    /// The last reason for which a dial failed, for people.
    trouble: String,
}

/// All hosts.
#[derive(Debug)]
pub(crate) struct Board {
    origin: Instant,
    state: Mutex<State>,
}

impl Board {
    pub(crate) fn new(hosts: usize, origin: Instant) -> Self {
        let state = State {
            slots: (0..hosts).map(|_| Slot::default()).collect(),
            ..State::default()
        };
        Self {
            origin,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) const fn origin(&self) -> Instant {
        self.origin
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, host: usize, change: impl FnOnce(&mut Slot, &mut Counts, Duration)) {
        let now = self.now();
        let mut state = self.state();
        let State { slots, counts, .. } = &mut *state;
        if let Some(slot) = slots.get_mut(host) {
            change(slot, counts, now);
        }
    }

    pub(crate) fn dials(&self) {
        self.state().counts.dials += 1;
    }

    pub(crate) fn dial_failed(&self, why: String) {
        let mut state = self.state();
        state.counts.failed_dials += 1;
        state.trouble = why;
    }

    /// A host has proved its connection by a round trip.
    pub(crate) fn up(&self, host: usize, connection: &Connection) {
        self.note(host, |slot, counts, now| {
            if !slot.up {
                slot.up = true;
                slot.back_at.get_or_insert(now);
                slot.connection = Some(connection.clone());
                counts.up += 1;
            }
        });
    }

    /// A connection is over.
    pub(crate) fn lost(&self, host: usize, connection: &Connection) {
        let silent = matches!(connection.close_reason(), Some(ConnectionError::TimedOut));
        self.note(host, |slot, counts, now| {
            slot.connection = None;
            if slot.up {
                slot.up = false;
                counts.up -= 1;
                counts.lost += 1;
                counts.by_silence += usize::from(silent);
                slot.lost_at.get_or_insert(now);
                slot.back_at = None;
            }
        });
        let mut state = self.state();
        state.past = state.past.plus(Wire::of(connection));
    }

    pub(crate) fn accepted(&self, host: usize) {
        self.note(host, |slot, counts, now| {
            if slot.accepted_at.replace(now).is_none() {
                counts.accepted += 1;
            }
        });
    }

    /// The controller has acknowledged the end.
    pub(crate) fn finished(&self, host: usize) {
        self.note(host, |slot, counts, now| {
            if slot.accepted_at.is_some() && slot.finished_at.replace(now).is_none() {
                counts.finished += 1;
            }
        });
    }

    /// Samples are on their way.
    pub(crate) fn sampled(&self, samples: usize, bytes: usize) {
        let mut state = self.state();
        state.counts.samples += samples;
        state.counts.sample_bytes += bytes;
    }

    /// Forgets all times and counts, but not who is connected.
    pub(crate) fn begin(&self) {
        let mut state = self.state();
        for slot in &mut state.slots {
            (slot.back_at, slot.lost_at) = (None, None);
            (slot.accepted_at, slot.finished_at) = (None, None);
        }
        state.counts = Counts {
            up: state.counts.up,
            ..Counts::default()
        };
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    pub(crate) fn trouble(&self) -> String {
        self.state().trouble.clone()
    }

    fn times(&self, of: impl Fn(&Slot) -> Option<Duration>) -> Vec<Duration> {
        self.state().slots.iter().filter_map(of).collect()
    }

    pub(crate) fn backs(&self) -> Vec<Duration> {
        self.times(|slot| slot.back_at)
    }

    pub(crate) fn losses(&self) -> Vec<Duration> {
        self.times(|slot| slot.lost_at)
    }

    pub(crate) fn acceptances(&self) -> Vec<Duration> {
        self.times(|slot| slot.accepted_at)
    }

    pub(crate) fn ends(&self) -> Vec<Duration> {
        self.times(|slot| slot.finished_at)
    }

    /// Everything that went over the wire so far.
    pub(crate) fn wire(&self) -> Wire {
        let state = self.state();
        let live = state.slots.iter().filter_map(|slot| slot.connection.as_ref());
        live.fold(state.past, |sum, connection| sum.plus(Wire::of(connection)))
    }

    /// Waits for a condition; whether it came within this time.
    pub(crate) async fn until(&self, within: Duration, condition: impl Fn(Counts) -> bool) -> bool {
        let end = Instant::now() + within;
        while !condition(self.counts()) {
            if Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        true
    }
}
