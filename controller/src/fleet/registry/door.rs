//! How hosts come in and are sent home: first packets through the gate, and the farewell of a stop.

use std::{sync::Arc, time::Duration};

use windflow_kit::{TaskHandle, task::spawn_scoped};
use windflow_transport::{
    endpoint::{self, CLOSE_RESTART},
    quinn::Incoming,
};

use super::Fleet;
use crate::fleet::{
    admission::Verdict,
    listener::{self, Greeted},
};

/// How long a stop waits until all agents were told, and how much longer for each of them.
const TELL_WITHIN: Duration = Duration::from_secs(3);
const TELL_EACH: Duration = Duration::from_micros(500);
/// Longest such time: the process is waited for.
const TELL_AT_MOST: Duration = Duration::from_secs(8);
/// Hosts that are called back in one go after a start.
const RECALLED_AT_ONCE: usize = 10;
/// When the first host may come back after a stop: a restart takes about so long.
const BACK_FROM: Duration = Duration::from_secs(2);

impl Fleet {
    /// One first packet: begun, asked for a proof, or refused.
    pub(super) fn knock(&mut self, incoming: Incoming, now: Duration) -> Option<TaskHandle<Option<Greeted>>> {
        let figures = &self.shared.figures;
        // Whoever was asked once and answered is proven; nobody is asked twice.
        let proven = incoming.remote_address_validated() || !incoming.may_retry();
        let crowded = self.gate.crowded();
        match self.gate.judge(incoming.remote_address().ip(), proven, now) {
            Verdict::Begin(place, patience) => {
                figures.begun.add();
                figures.handshakes.set(self.gate.held());
                let task = listener::greet(self.shared.clone(), incoming, place, patience, crowded);
                return Some(spawn_scoped("handshake", task));
            }
            Verdict::Prove => {
                figures.proofs.add();
                // It fails only where a retry is not possible, which was just asked.
                let _asked = incoming.retry();
            }
            Verdict::Refuse => {
                figures.refused_source.add();
                incoming.refuse();
            }
        }
        None
    }

    /// Between two hosts that are asked to come, at half the pace at which they are let in.
    fn half_pace(&self) -> Duration {
        Duration::from_secs(2) / self.admission.handshakes_per_s.max(1)
    }

    /// Calls those back that were here before this start: a host whose controller was killed would find out only at
    /// its next ping. One after the other, at half the pace at which they will be let in.
    pub(super) fn recall(&self) -> TaskHandle<()> {
        let each = self.half_pace();
        let (home, recaller) = (Arc::clone(&self.shared.home), self.recaller.clone());
        spawn_scoped("recall", async move {
            let remotes = home.agent_remotes().await;
            for round in remotes.chunks(RECALLED_AT_ONCE) {
                for remote in round {
                    if let Err(error) = recaller.recall(*remote) {
                        tracing::debug!(%remote, %error, "a host is not called back");
                    }
                }
                let pause = each * u32::try_from(round.len()).unwrap_or(u32::MAX);
                tokio::time::sleep(pause).await;
            }
        })
    }

    /// Tells every host when to come back: one after the other, at half the pace at which they will be let in.
    pub(super) async fn farewell(&self) {
        let each = self.half_pace();
        let mut back_in = BACK_FROM;
        for entry in self.sessions.values() {
            let code = endpoint::close_for(CLOSE_RESTART, back_in);
            entry.connection.close(code, b"the controller stops");
            back_in += each;
        }
        let code = endpoint::close_for(CLOSE_RESTART, BACK_FROM);
        self.endpoint.close(code, b"the controller stops");
        let hosts = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
        let within = (TELL_WITHIN + TELL_EACH.saturating_mul(hosts)).min(TELL_AT_MOST);
        if tokio::time::timeout(within, self.endpoint.wait_idle())
            .await
            .is_err()
        {
            tracing::warn!("some agents could not be told that the controller stops");
        }
    }
}
