//! What the fleet needs from the application: who may come in, what shall run, and a place for what hosts report.
//!
//! The fleet keeps no durable state. Every method is called from a session's own task; a slow answer delays that host
//! alone.

use std::{collections::BTreeMap, fmt, future::Future, net::SocketAddr, pin::Pin, time::Duration};

use windflow_kit::Secret;
use windflow_model::{
    AgentId, Code, DeploymentId, HostEvent, Inventory, Progress, Timestamp, container::ContainerList,
    metrics::Sample,
};
pub use windflow_protocol::{Assignment, Held, HeldList, Report, Withdrawal};

/// A boxed answer, so that [`Home`] can be an object.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// SHA-256 of a public key (SubjectPublicKeyInfo, DER): the identity of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A host asks to join.
#[derive(Debug, Clone)]
pub struct EnrolRequest {
    /// `wfj_<id>_<secret>`.
    pub token: Secret<String>,
    /// The host's key; possession is already proved.
    pub public_key: KeyHash,
    /// The host's name for itself.
    pub hostname: String,
    /// Name chosen by the operator; else take `hostname`.
    pub name: Option<String>,
    /// Labels chosen by the operator.
    pub labels: BTreeMap<String, String>,
    /// Where it comes from, `address:port`.
    pub remote: String,
}

/// A host may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnrolGrant {
    /// Its id, never reused.
    pub agent: AgentId,
    /// Generation of the certificate to be signed, from 1.
    pub generation: u64,
}

/// A clear no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    /// Code with its remedy.
    pub code: Code,
    /// What was refused and why.
    pub message: String,
    /// Shortest time before another try; zero if time alone changes nothing.
    pub retry_after: Duration,
}

impl Refusal {
    /// A refusal with its code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: Duration::ZERO,
        }
    }

    /// The same, with a time for the next try.
    #[must_use]
    pub fn later(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }
}

/// The application could not keep what a host reported; the host will send it again.
#[derive(Debug, thiserror::Error)]
#[error("{what} could not be stored")]
pub struct HomeError {
    /// What, e.g. `report 7 of agt_…`.
    pub what: String,
    /// Why.
    #[source]
    pub source: windflow_kit::BoxError,
}

/// A session as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Where the host connects from.
    pub remote: SocketAddr,
    /// Version of the agent's build.
    pub build: String,
    /// Protocol version in use.
    pub protocol: u16,
    /// Hash of the public key of the certificate it showed.
    pub key: KeyHash,
    /// Generation of that certificate.
    pub generation: u64,
    /// Its end.
    pub certificate_until: Timestamp,
    /// Host clock minus controller clock in milliseconds.
    pub clock_skew_ms: i64,
    /// When.
    pub at: Timestamp,
}

/// What a host shall be sent.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Withdrawals that the host has not answered yet (cancel requested, already offered). They go first.
    pub withdrawals: Vec<Withdrawal>,
    /// The newest revision per stack that waits for this host, now marked as offered.
    pub assignments: Vec<Assignment>,
}

/// The application behind the fleet.
pub trait Home: Send + Sync + 'static {
    /// Binds the token to the key and makes the agent, in one transaction. The same key may repeat it within the
    /// token's time and gets the same agent; any other key is refused.
    fn agent_enrol(&self, request: EnrolRequest) -> Answer<'_, Result<EnrolGrant, Refusal>>;

    /// A new certificate for the same key: gives the next generation (the generation after `generation`, durably, or
    /// again the same one if that reply was lost). Refused for a removed agent, another key, or a generation below
    /// the highest one used. `until` is the end of the certificate that is signed then.
    fn agent_renew(
        &self,
        agent: AgentId,
        key: KeyHash,
        generation: u64,
        until: Timestamp,
    ) -> Answer<'_, Result<u64, Refusal>>;

    /// The host with this key leaves: it is removed as if a person had done it.
    fn agent_leave(&self, agent: AgentId, key: KeyHash, generation: u64) -> Answer<'_, Result<(), Refusal>>;

    /// May this key with this generation act for this agent, now? Asked before every request.
    fn agent_admit(&self, agent: AgentId, key: KeyHash, generation: u64) -> Answer<'_, Result<(), Refusal>>;

    /// A session begins, if the key may act for this agent. Gives its number, durable and strictly rising per agent.
    fn agent_connected(&self, agent: AgentId, facts: SessionFacts) -> Answer<'_, Result<u64, Refusal>>;

    /// Where the hosts came from when they were last connected: those that a start of the controller calls back.
    fn agent_remotes(&self) -> Answer<'_, Vec<SocketAddr>>;

    /// The newest session has ended; the host was last heard at `heard_at`.
    fn agent_disconnected(&self, agent: AgentId, heard_at: Timestamp, reason: String) -> Answer<'_, ()>;

    /// The host described itself.
    fn agent_inventory(&self, agent: AgentId, inventory: Inventory) -> Answer<'_, ()>;

    /// The host's containers changed.
    fn agent_containers(&self, agent: AgentId, list: ContainerList) -> Answer<'_, ()>;

    /// What the host's journal holds, after each (re)connect: put offered deployments that it does not hold back to
    /// the queue, take over states it reached meanwhile.
    fn agent_held(&self, agent: AgentId, held: Vec<Held>) -> Answer<'_, ()>;

    /// What shall be sent now.
    fn work(&self, agent: AgentId) -> Answer<'_, Work>;

    /// Keeps reports, in this order. Durable when it returns `Ok`; the fleet then acknowledges them. Repeats must change
    /// nothing, and so must a report that no longer fits (older than what is known): return `Ok` for both.
    fn deployment_reports(&self, agent: AgentId, reports: Vec<Report>) -> Answer<'_, Result<(), HomeError>>;

    /// What happened on the host, in order. Gives the number up to which it is on disk, which the host is told; 0 if that cannot be
    /// said now.
    fn agent_events(&self, agent: AgentId, life: u64, events: Vec<HostEvent>) -> Answer<'_, u64>;

    /// The host's container engine answers, or it does no longer: [`Presence`](windflow_model::Presence) says more. Never waits.
    fn agent_engine_changed(&self, _agent: AgentId) {}

    /// What the host measured, in order. Never waits: it is called between the frames of the host.
    fn agent_samples(&self, _agent: AgentId, _samples: Vec<Sample>) {}

    /// Live progress; may be dropped.
    fn deployment_progress(
        &self,
        agent: AgentId,
        deployment: DeploymentId,
        progress: Progress,
    ) -> Answer<'_, ()>;
}
