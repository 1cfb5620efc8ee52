//! The tasks of a host that has joined a controller.
//!
//! ```text
//! "inventory" ──watch<Inventory>──────┐
//! "engine-proof" ──watch<EngineProof>─┼─► "link" ──watch──► "link-status" ──watch<LinkStatus>──► "status"
//! "events" ◄──EventsHandle────────────┘
//! ```

use std::{path::Path, sync::Arc, time::Duration};

use tokio::sync::watch;
use windflow_engine::EngineHandle;
use windflow_kit::{BackoffOptions, Chain, Clock, OnFailure, Random, Stop, TaskSet};
use windflow_model::AgentId;
use windflow_transport::Network;

use crate::{
    enroll::Identity,
    events::Events,
    failure::CommandError,
    host,
    link::{self, LinkOptions, Told},
    policy::PolicyFile,
    proof,
    sampler::SamplerHandle,
    status::LinkStatus,
};

/// How often the slow facts of a healthy host are looked at.
const INVENTORY: Duration = Duration::from_secs(900);
/// How often an engine that did not answer is looked for, and the policy looked at.
const INVENTORY_MISSING: Duration = Duration::from_secs(15);

/// The id of this host, if it has joined.
pub(super) fn agent(state_dir: &Path) -> Result<Option<AgentId>, CommandError> {
    let identity =
        Identity::load(state_dir).map_err(|error| CommandError::failed(Chain(&error).to_string()))?;
    Ok(identity.map(|identity| identity.membership.agent))
}

/// Starts the link if this host has an identity.
pub(super) async fn start(
    tasks: &TaskSet,
    state_dir: &Path,
    engine: &EngineHandle,
    (clock, random): (Clock, Random),
    policy: PolicyFile,
    (status, measured): (watch::Sender<LinkStatus>, SamplerHandle),
) -> Result<(), CommandError> {
    let identity =
        Identity::load(state_dir).map_err(|error| CommandError::failed(Chain(&error).to_string()))?;
    let Some(identity) = identity else {
        tracing::info!("not enrolled: this agent works alone");
        // Kept open, so that "status" goes on answering.
        let stop = tasks.stop().clone();
        tasks.spawn("link-status", OnFailure::Log, async move {
            stop.stopped().await;
            drop(status);
        });
        return Ok(());
    };
    let controller = identity.membership.addresses.first().cloned().unwrap_or_default();
    status.send_replace(LinkStatus::Connecting {
        controller: controller.clone(),
        last_error: None,
    });
    let of_inventory = policy.clone();
    let (facts, inventory) = watch::channel(Arc::new(host::inventory(engine, &policy).await));
    let of_proof = clock.clone();
    let options = LinkOptions {
        clock,
        random,
        build: windflow_kit::build::describe(),
        backoff: BackoffOptions::default(),
        network: Network::default(),
        policy,
        intake: state_dir.to_owned(),
    };
    let (link, handle) = options.build(engine.clone(), identity, inventory);
    let stop = tasks.stop();
    let (events, told) = Events::new(state_dir, engine.boot(), of_proof.clone());
    let (proofs, proof) = watch::channel(None);
    let link = link
        .with_samples(measured)
        .with_events(Told { events: told, proof });
    tasks.spawn("link", OnFailure::Exit, link.run(stop.clone()));
    tasks.spawn("events", OnFailure::Log, events.run(engine.clone(), stop.clone()));
    tasks.spawn(
        "engine-proof",
        OnFailure::Log,
        proof::run(engine.clone(), of_proof, proofs, stop.clone()),
    );
    tasks.spawn(
        "link-status",
        OnFailure::Log,
        relay(handle.status(), controller, status, stop.clone()),
    );
    tasks.spawn(
        "inventory",
        OnFailure::Log,
        refresh(engine.clone(), of_inventory, facts, stop.clone()),
    );
    Ok(())
}

/// Looks at the host again from time to time, and soon when its policy has changed; the link sends only what changed.
async fn refresh(
    engine: EngineHandle,
    policy: PolicyFile,
    facts: watch::Sender<Arc<windflow_model::Inventory>>,
    stop: Stop,
) {
    let mut waited = Duration::ZERO;
    loop {
        if stop.run(tokio::time::sleep(INVENTORY_MISSING)).await.is_none() {
            return;
        }
        waited += INVENTORY_MISSING;
        // The file is small; the engine is asked more rarely.
        let users = policy.read().map(|rules| rules.host_users).unwrap_or_default();
        let same = users == facts.borrow().host_terminal_users;
        if same && facts.borrow().engine.is_some() && waited < INVENTORY {
            continue;
        }
        waited = Duration::ZERO;
        let found = Arc::new(host::inventory(&engine, &policy).await);
        facts.send_if_modified(|held| {
            let changed = *held != found;
            *held = found;
            changed
        });
    }
}

/// Says the link's status in the words of `windflow-agent status`.
async fn relay(
    mut from: watch::Receiver<link::LinkStatus>,
    controller: String,
    to: watch::Sender<LinkStatus>,
    stop: Stop,
) {
    loop {
        let seen = from.borrow_and_update().clone();
        to.send_replace(match seen.connected_since {
            Some(since) => LinkStatus::Connected {
                controller: controller.clone(),
                since,
                proven_at: seen.proven_at.unwrap_or(since),
                rtt_us: seen.rtt_us,
            },
            None => LinkStatus::Connecting {
                controller: controller.clone(),
                last_error: seen.last_error,
            },
        });
        if !matches!(stop.run(from.changed()).await, Some(Ok(()))) {
            return;
        }
    }
}
