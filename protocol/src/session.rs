//! Both ends of a control stream as state machines: no sockets, no tasks, no clock. `now` is the time since any fixed
//! point; each call answers what is to be done.
//!
//! ```text
//! agent       dialling ─ start ─▶ AwaitHello ─ Hello ─▶ Opened ─ resume ─▶ Steady ─▶ Closed
//! controller  accepted ─────────▶ AwaitHello ─ Hello ─▶ Greeted ─ welcome ─▶ AwaitResume ─ Resume ─▶ Steady ─▶ Closed
//! ```
//! In every state: a frame out of place, a dead peer or a newer protocol closes the session with a reason for people.
//! Liveness: where nothing else is said, the agent's transport sends a packet every [`HEARTBEAT_EVERY`] and the controller's
//! answers with an acknowledgement: two small packets, because a fleet is silent most of the time. Each side looks every
//! [`LOOK_EVERY`] whether packets came. A peer that says nothing is gone: both sides know it within 25 s of its last packet.
//! That the peer's program lives, too, and how long a round trip takes, pings prove every [`PROVE_EVERY`].

use std::time::Duration;

mod agent;
mod controller;
#[cfg(test)]
mod tests;

pub use agent::{AgentAction, AgentSession, AgentSessionOptions, Opened};
pub use controller::{ControllerAction, ControllerSession, Welcome};

/// Below what NATs forget after (30 s and more), and twice within the 25 s promised to users: one that is lost is sent again
/// in time.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(12);
/// How often either side looks whether its peer has sent anything.
pub const LOOK_EVERY: Duration = Duration::from_secs(6);
/// Silence after which a peer is gone; with the time until somebody looks this stays below the 25 s promised to users.
pub const DEAD_AFTER: Duration = Duration::from_secs(18);
/// Between two round trips through both programs. A ping without an answer for [`DEAD_AFTER`] ends a session, too.
pub const PROVE_EVERY: Duration = Duration::from_secs(120);
/// How long the other side may take for its first frames.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Reports sent and not yet acknowledged: bounds what a reconnect sends again.
pub const REPORT_WINDOW: usize = 64;

/// An outstanding ping and the last answered one.
#[derive(Debug, Default)]
struct Probe {
    nonce: u64,
    sent: Option<Duration>,
}

impl Probe {
    fn send(&mut self, now: Duration) -> u64 {
        self.nonce += 1;
        self.sent = Some(now);
        self.nonce
    }

    /// Whether a ping has been out for too long.
    fn is_late(&self, now: Duration) -> bool {
        self.sent.is_some_and(|sent| now >= sent + DEAD_AFTER)
    }

    /// The round trip if `nonce` answers the outstanding ping.
    fn answered(&mut self, nonce: u64, now: Duration) -> Option<Duration> {
        if nonce == self.nonce {
            self.sent.take().map(|sent| now.saturating_sub(sent))
        } else {
            None
        }
    }
}

/// What is known of a peer's life.
#[derive(Debug)]
struct Pulse {
    /// When something of it was seen last.
    heard: Duration,
    /// How many packets of it had come then.
    packets: u64,
    next_look: Duration,
}

impl Pulse {
    fn new(now: Duration) -> Self {
        Self {
            heard: now,
            packets: 0,
            next_look: now + LOOK_EVERY,
        }
    }

    fn look(&mut self, packets: u64, now: Duration) {
        if packets != self.packets {
            self.packets = packets;
            self.heard = now;
        }
        self.next_look = now + LOOK_EVERY;
    }

    fn is_silent(&self, now: Duration) -> bool {
        now >= self.heard + DEAD_AFTER
    }

    fn deadline(&self) -> Duration {
        self.next_look.min(self.heard + DEAD_AFTER)
    }
}
