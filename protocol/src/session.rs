//! Both ends of a control stream as state machines: no sockets, no tasks, no clock. `now` is the time since any fixed
//! point; each call answers what is to be done.
//!
//! ```text
//! agent       dialling ─ start ─▶ AwaitHello ─ Hello ─▶ Opened ─ resume ─▶ Steady ─▶ Closed
//! controller  accepted ─────────▶ AwaitHello ─ Hello ─▶ Greeted ─ welcome ─▶ AwaitResume ─ Resume ─▶ Steady ─▶ Closed
//! ```
//! In every state: a frame out of place, a dead peer or a newer protocol closes the session with a reason for people.
//! Liveness: the agent pings every [`PING_EVERY`]; the controller answers and pings back, so each side has its own
//! round trip. A peer that says nothing for [`DEAD_AFTER`] is gone: both sides know it within 25 s of its last packet.

use std::time::Duration;

mod agent;
mod controller;
#[cfg(test)]
mod tests;

pub use agent::{AgentAction, AgentSession, AgentSessionOptions, Opened};
pub use controller::{ControllerAction, ControllerSession, Welcome};

/// Two pings fit into [`DEAD_AFTER`], so one lost round trip alone does not end a session.
pub const PING_EVERY: Duration = Duration::from_secs(10);
/// Silence after which a peer is gone; with the ping interval of the peer this stays below the 25 s promised to users.
pub const DEAD_AFTER: Duration = Duration::from_secs(22);
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

    /// The round trip if `nonce` answers the outstanding ping.
    fn answered(&mut self, nonce: u64, now: Duration) -> Option<Duration> {
        if nonce == self.nonce {
            self.sent.take().map(|sent| now.saturating_sub(sent))
        } else {
            None
        }
    }
}
