//! The agent's end of the link: dials out, stays connected, comes back.
//!
//! ```text
//! Link::run ─ dial (full jitter, retry-after obeyed) ─▶ session: one loop per connection
//!    session: frames ⇄ EngineHandle; outbox (watch), progress (broadcast), inventory and containers (watch), samples, events
//!    streams: one task per stream the controller opens, at most 256, ended with the connection
//!    terminals: outlive a connection, end with the link; transfers of files end with the connection
//! LinkHandle ◄─ status (watch)
//! ```
//! The only place where model and frames meet on a host.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use windflow_engine::EngineHandle;
use windflow_kit::{BackoffOptions, Clock, Random, Stop, error::Chain};
use windflow_model::{Inventory, Timestamp};
use windflow_transport::Network;

use crate::{
    enroll::{EnrollError, Identity, reattest},
    policy::PolicyFile,
    sampler::SamplerHandle,
    terminals::Terminals,
    transfers::Transfers,
};

mod dial;
mod events;
mod files;
mod metrics;
mod orders;
mod report;
mod session;
mod streams;
mod terminal;

pub use events::Told;

/// How the link is made.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// Wall clock.
    pub clock: Clock,
    /// For jitter and the boot id.
    pub random: Random,
    /// Version of this build, for people.
    pub build: String,
    /// Delays between attempts.
    pub backoff: BackoffOptions,
    /// Where packets go.
    pub network: Network,
    /// What the owner of the host lets the controller do.
    pub policy: PolicyFile,
    /// Where files that are written to this host lie until all of them is here.
    pub intake: PathBuf,
}

/// Where the link stands, for `windflow-agent status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// Since when it is connected; `None` while it is not.
    pub connected_since: Option<Timestamp>,
    /// End of the last round trip.
    pub proven_at: Option<Timestamp>,
    /// Its length in microseconds.
    pub rtt_us: u64,
    /// Controller's clock minus this host's, in milliseconds, at the last greeting.
    pub clock_skew_ms: i64,
    /// End of the certificate's validity.
    pub certificate_until: Option<Timestamp>,
    /// Why it is not connected, with the remedy.
    pub last_error: Option<String>,
}

/// Reads the link's status.
#[derive(Debug, Clone)]
pub struct LinkHandle {
    status: watch::Receiver<LinkStatus>,
}

impl LinkHandle {
    /// The status, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<LinkStatus> {
        self.status.clone()
    }
}

/// The link, not yet running.
#[derive(Debug)]
pub struct Link {
    options: LinkOptions,
    engine: EngineHandle,
    terminals: Terminals,
    transfers: Transfers,
    identity: Identity,
    inventory: watch::Receiver<Arc<Inventory>>,
    boot_id: [u8; 16],
    status: watch::Sender<LinkStatus>,
    sampler: Option<SamplerHandle>,
    told: Option<Told>,
}

impl LinkOptions {
    /// Makes the link of a host that has joined.
    #[must_use]
    pub fn build(
        self,
        engine: EngineHandle,
        identity: Identity,
        inventory: watch::Receiver<Arc<Inventory>>,
    ) -> (Link, LinkHandle) {
        let (sender, status) = watch::channel(LinkStatus {
            certificate_until: Some(identity.facts.not_after),
            ..LinkStatus::default()
        });
        // Without randomness runs cannot be told apart, which only costs a repeated report.
        let boot_id = self.random.bytes().unwrap_or_default();
        let link = Link {
            terminals: Terminals::new(engine.clone(), self.policy.clone()),
            transfers: Transfers::new(
                engine.files(
                    &identity.facts.agent.to_string(),
                    &format!("{:032x}", u128::from_be_bytes(boot_id)),
                ),
                self.policy.clone(),
                self.intake.clone(),
            ),
            boot_id,
            options: self,
            engine,
            identity,
            inventory,
            status: sender,
            sampler: None,
            told: None,
        };
        (link, LinkHandle { status })
    }
}

/// How a connection ended.
struct Left {
    /// For people.
    reason: String,
    /// Shortest time before the next attempt.
    retry_after: Duration,
    /// Whether it was up: the delays then start over.
    was_up: bool,
}

impl Left {
    /// It was not up, and nothing was asked for.
    fn down(reason: String) -> Self {
        Self {
            reason,
            retry_after: Duration::ZERO,
            was_up: false,
        }
    }
}

impl Link {
    /// Sends what this sampler measures, too.
    #[must_use]
    pub fn with_samples(self, sampler: SamplerHandle) -> Self {
        Self {
            sampler: Some(sampler),
            ..self
        }
    }

    /// Tells what happens on the host, too.
    #[must_use]
    pub fn with_events(self, told: Told) -> Self {
        Self {
            told: Some(told),
            ..self
        }
    }

    /// Runs until `stop`. Never gives up: whatever is wrong may be put right on the other side.
    pub async fn run(mut self, stop: Stop) {
        self.reconnecting(&stop).await;
        self.terminals.stop().await;
    }

    async fn reconnecting(&mut self, stop: &Stop) {
        let mut backoff = self.options.backoff.build(self.options.random.clone());
        loop {
            if let Err(error) = self.current().await {
                self.down(&Chain(&error).to_string());
                let delay = backoff.next_delay_after(error.stay_away());
                if stop.run(tokio::time::sleep(delay)).await.is_none() {
                    return;
                }
                continue;
            }
            let Some(left) = session::connect_and_run(self, stop).await else {
                self.down("the agent was stopped");
                return;
            };
            if left.was_up {
                backoff.reset();
            }
            let delay = backoff.next_delay_after(left.retry_after);
            tracing::warn!(
                reason = left.reason,
                retry_ms = delay.as_millis(),
                "not connected to the controller"
            );
            self.down(&left.reason);
            if stop.run(tokio::time::sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    /// Makes sure the certificate is valid now; asks for a new one with the old key if it ran out.
    async fn current(&mut self) -> Result<(), EnrollError> {
        if self.options.clock.now_ms() < self.identity.facts.not_after.as_millis() {
            return Ok(());
        }
        reattest(&mut self.identity, &self.options.clock, &self.options.network).await?;
        let until = Some(self.identity.facts.not_after);
        self.status.send_modify(|status| status.certificate_until = until);
        Ok(())
    }

    fn down(&self, reason: &str) {
        self.status.send_modify(|status| {
            status.connected_since = None;
            status.last_error = Some(reason.to_owned());
        });
    }
}
