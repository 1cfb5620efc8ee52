//! Samples on their way to the controller: a minute of them at once, or each at once while somebody watches.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use windflow_model::metrics::Sample;
use windflow_protocol::{
    AgentFrame,
    metrics::{Encoder, MAX_SAMPLES},
    session::AgentAction,
};

use crate::sampler::SamplerHandle;

/// Samples of an unwatched host wait for each other so long: a packet for each would be most of what an idle host sends.
const GATHER: Duration = Duration::from_secs(60);
/// Batches in one turn; others want to be sent, too.
const AT_ONCE: usize = 4;

/// The samples of one session.
pub(super) struct Meter {
    sampler: Option<SamplerHandle>,
    newest: Option<watch::Receiver<Option<std::sync::Arc<Sample>>>>,
    encoder: Encoder,
    sent: Option<Instant>,
}

impl Meter {
    pub(super) fn new(sampler: Option<&SamplerHandle>) -> Self {
        Self {
            sampler: sampler.cloned(),
            newest: None,
            encoder: Encoder::default(),
            sent: None,
        }
    }

    /// The controller takes samples.
    pub(super) fn begin(&mut self) {
        self.newest = self.sampler.as_ref().map(SamplerHandle::newest);
    }

    /// Waits for the next sample; for ever where none are taken.
    pub(super) async fn changed(&mut self) {
        if let Some(newest) = &mut self.newest
            && newest.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// The controller asks for another pace.
    pub(super) fn pace(&self, every: Duration, lasts: Duration) {
        if let Some(sampler) = &self.sampler {
            sampler.watch(every, lasts);
        }
    }

    /// What shall be sent now.
    pub(super) fn due(&mut self) -> Vec<AgentAction> {
        let Some(sampler) = &self.sampler else {
            return Vec::new();
        };
        let rested = self.sent.is_none_or(|sent| sent.elapsed() >= GATHER);
        if !rested && !sampler.is_watched() {
            return Vec::new();
        }
        self.sent = Some(Instant::now());
        let mut actions = Vec::new();
        for _ in 0..AT_ONCE {
            let (samples, _) = sampler.waiting(MAX_SAMPLES);
            let Some(first) = samples.first() else { break };
            match self.encoder.encode(&samples) {
                Some((batch, count)) => {
                    let last = count.checked_sub(1).and_then(|last| samples.get(last));
                    sampler.taken(last.map_or(first.seq, |last| last.seq));
                    actions.push(AgentAction::Send(AgentFrame::Samples(batch)));
                }
                None => {
                    tracing::warn!(columns = first.values.len(), "sample is too wide to be sent");
                    sampler.taken(first.seq);
                }
            }
        }
        actions
    }
}
