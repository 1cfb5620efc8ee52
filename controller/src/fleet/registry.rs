//! The one owner of all sessions.

use std::{
    collections::{BTreeMap, HashMap, hash_map},
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use windflow_kit::{Clock, Stop, TaskHandle, task::spawn_scoped};
use windflow_model::{AgentId, Presence, Timestamp};
use windflow_transport::{
    Network, Recaller,
    endpoint::{self, CLOSE_REFUSED},
    quinn::{Connection, Endpoint},
    tls::{self, LiveCertificate, TlsError},
};

use super::{
    admission::{AdmissionOptions, Gate},
    enroll::Joins,
    figures::Figures,
    handle::{Command, FleetHandle},
    home::{Home, Withdrawal},
    listener::Greeted,
    session::{self, Gone, Pace},
};
use crate::ca::{Ca, CaError};

mod door;

/// Why the fleet cannot start.
#[derive(Debug, Error)]
pub enum FleetError {
    /// The UDP port is taken or not allowed.
    #[error("cannot listen on UDP {address}; free the port or choose another with --quic")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The keys that make agents notice a restart are of no use.
    #[error("the link has no keys")]
    Keys(#[source] CaError),
    /// TLS refuses the certificate.
    #[error("TLS for the link cannot be set up")]
    Tls(#[source] TlsError),
}

/// How the fleet is made.
#[derive(Clone)]
pub struct FleetOptions {
    /// UDP address for agents.
    pub listen: SocketAddr,
    /// Where packets go.
    pub network: Network,
    /// Raised and on disk at each start of the controller.
    pub controller_epoch: u64,
    /// The controller's own certificate.
    pub certificate: Arc<LiveCertificate>,
    /// Version of this build, for people.
    pub build: String,
    /// Wall clock.
    pub clock: Clock,
    /// How many may knock at once.
    pub admission: AdmissionOptions,
}

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) home: Arc<dyn Home>,
    pub(super) ca: Arc<Ca>,
    pub(super) clock: Clock,
    pub(super) build: String,
    pub(super) controller_epoch: u64,
    pub(super) joins: Arc<Joins>,
    pub(super) figures: Arc<Figures>,
}

impl Shared {
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }
}

impl FleetOptions {
    /// Binds the port. Nothing is accepted until [`Fleet::run`].
    ///
    /// # Errors
    /// [`FleetError`].
    pub fn build(self, ca: Arc<Ca>, home: Arc<dyn Home>) -> Result<(Fleet, FleetHandle), FleetError> {
        let keys = ca.stable_keys().map_err(FleetError::Keys)?;
        let config = tls::server(self.certificate, ca.root()).map_err(FleetError::Tls)?;
        let config = tls::quic_server(config).map_err(FleetError::Tls)?;
        let address = self.listen;
        let listen = |source| FleetError::Listen { address, source };
        let bound = endpoint::controller(&self.network, address, config, &keys);
        let (endpoint, recaller) = bound.map_err(listen)?;
        let address = endpoint.local_addr().map_err(listen)?;
        let (commands, inbox) = mpsc::channel(256);
        let figures = Arc::<Figures>::default();
        let fleet = Fleet {
            gate: Gate::new(self.admission),
            admission: self.admission,
            endpoint,
            recaller,
            address,
            inbox,
            shared: Shared {
                home,
                ca,
                clock: self.clock,
                build: self.build,
                controller_epoch: self.controller_epoch,
                joins: Arc::new(Joins::new(self.admission)),
                figures: Arc::clone(&figures),
            },
            sessions: HashMap::new(),
            offline: BTreeMap::new(),
        };
        Ok((fleet, FleetHandle { commands, figures }))
    }
}

struct Entry {
    epoch: u64,
    connection: Connection,
    proof: watch::Receiver<Proof>,
    nudge: Arc<Notify>,
    withdrawals: mpsc::Sender<Withdrawal>,
    pace: watch::Sender<Pace>,
    stop: Stop,
}

/// What a session knows of its host.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) presence: Presence,
    /// When it last said anything: a silent host is missed only much later.
    pub(super) heard_at: Timestamp,
}

/// A session that ended.
struct Ended {
    agent: AgentId,
    epoch: u64,
    gone: Gone,
}

type Ending = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// The fleet, not yet running.
pub struct Fleet {
    endpoint: Endpoint,
    recaller: Recaller,
    gate: Gate,
    admission: AdmissionOptions,
    address: SocketAddr,
    inbox: mpsc::Receiver<Command>,
    shared: Shared,
    sessions: HashMap<AgentId, Entry>,
    offline: BTreeMap<AgentId, Presence>,
}

impl Fleet {
    /// The UDP address it is bound to.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Runs until `stop`, then tells every agent and waits at most 8 s for that.
    pub async fn run(mut self, stop: Stop) {
        let origin = tokio::time::Instant::now();
        let mut handshakes = FuturesUnordered::<TaskHandle<Option<Greeted>>>::new();
        let mut endings = FuturesUnordered::<Ending>::new();
        let mut chores = FuturesUnordered::<TaskHandle<()>>::new();
        chores.push(self.recall());
        loop {
            let opens_in = self.gate.opens_in(origin.elapsed());
            tokio::select! {
                () = stop.stopped() => break,
                incoming = self.endpoint.accept(), if opens_in.is_zero() => {
                    let Some(incoming) = incoming else { break };
                    handshakes.extend(self.knock(incoming, origin.elapsed()));
                }
                () = tokio::time::sleep(opens_in), if !opens_in.is_zero() => {}
                Some(greeted) = handshakes.next() => {
                    self.shared.figures.handshakes.set(self.gate.held());
                    match greeted {
                        Ok(Some(greeted)) => endings.extend(self.begin(greeted)),
                        Ok(None) => {}
                        Err(error) => tracing::error!(error = %windflow_kit::error::Chain(&error), "handshake task failed"),
                    }
                }
                Some(ended) = endings.next() => chores.extend(self.end(ended)),
                Some(_done) = chores.next() => {}
                command = self.inbox.recv() => match command {
                    Some(command) => chores.extend(self.command(command)),
                    // Every handle is gone: nobody can ask any more, agents may still report.
                    None => stop.stopped().await,
                },
            }
        }
        self.farewell().await;
    }

    fn begin(&mut self, greeted: Greeted) -> Option<Ending> {
        let (agent, epoch) = (greeted.agent, greeted.session_epoch);
        if let Some(older) = self.sessions.get(&agent) {
            if older.epoch > epoch {
                greeted
                    .connection
                    .close(CLOSE_REFUSED, b"a newer session has begun");
                return None;
            }
            older
                .connection
                .close(CLOSE_REFUSED, b"replaced by a newer session");
            older.stop.trigger();
        }
        let now = self.shared.now();
        let (proofs, proof) = watch::channel(Proof {
            presence: Presence::Connected {
                since: now,
                proven_at: now,
                rtt_us: u64::try_from(greeted.connection.rtt().as_micros()).unwrap_or(u64::MAX),
                remote: greeted.connection.remote_address().to_string(),
                engine: None,
            },
            heard_at: now,
        });
        let (withdrawals, inbox) = mpsc::channel(32);
        let (pace, paces) = watch::channel(Pace::default());
        let (nudge, stop) = (Arc::new(Notify::new()), Stop::new());
        let connection = greeted.connection.clone();
        let task = spawn_scoped(
            "session",
            session::run(
                self.shared.clone(),
                greeted,
                proofs,
                Arc::clone(&nudge),
                (inbox, paces),
                stop.clone(),
            ),
        );
        let entry = Entry {
            epoch,
            connection,
            proof,
            nudge,
            withdrawals,
            pace,
            stop,
        };
        self.sessions.insert(agent, entry);
        self.offline.remove(&agent);
        tracing::debug!(%agent, epoch, "session registered");
        Some(
            async move {
                let gone = task.await.unwrap_or_else(|error| {
                    tracing::error!(%agent, error = %windflow_kit::error::Chain(&error), "session failed");
                    Gone::because("an internal error in the controller; see its log")
                });
                Ended { agent, epoch, gone }
            }
            .boxed(),
        )
    }

    /// Takes a session off the list; gives the chore of telling the application.
    fn end(&mut self, ended: Ended) -> Option<TaskHandle<()>> {
        let Ended { agent, epoch, gone } = ended;
        let Gone { cause, reason } = gone;
        let entry = match self.sessions.entry(agent) {
            hash_map::Entry::Occupied(entry) if entry.get().epoch == epoch => entry.remove(),
            _ => return None,
        };
        entry.stop.trigger();
        entry.connection.close(CLOSE_REFUSED, reason.as_bytes());
        let heard_at = entry.proof.borrow().heard_at;
        tracing::debug!(%agent, epoch, reason, "session over");
        let gone = Presence::Offline {
            since: Some(heard_at),
            cause,
            reason: reason.clone(),
        };
        self.offline.insert(agent, gone);
        let home = Arc::clone(&self.shared.home);
        Some(spawn_scoped("disconnected", async move {
            home.agent_disconnected(agent, heard_at, reason).await;
        }))
    }

    fn command(&mut self, command: Command) -> Option<TaskHandle<()>> {
        match command {
            Command::Presences { reply } => {
                let mut all = self.offline.clone();
                all.extend(
                    self.sessions
                        .iter()
                        .map(|(agent, entry)| (*agent, entry.proof.borrow().presence.clone())),
                );
                // The asker may have gone: then nobody misses the answer.
                let _gone = reply.send(all);
                None
            }
            Command::Nudge { agent } => {
                if let Some(entry) = self.sessions.get(&agent) {
                    entry.nudge.notify_one();
                }
                None
            }
            Command::Withdraw { agent, withdrawal } => {
                if let Some(entry) = self.sessions.get(&agent)
                    && entry.withdrawals.try_send(withdrawal).is_err()
                {
                    // Full: the session reads all open withdrawals from the application instead.
                    entry.nudge.notify_one();
                }
                None
            }
            Command::Pace { agents, pace } => {
                for agent in agents {
                    if let Some(entry) = self.sessions.get(&agent) {
                        entry.pace.send_replace(pace);
                    }
                }
                None
            }
            Command::Connection { agent, reply } => {
                let _gone = reply.send(self.connection(agent));
                None
            }
            Command::Disconnect { agent, reason, reply } => {
                let ended = self.sessions.get(&agent).map(|entry| Ended {
                    agent,
                    epoch: entry.epoch,
                    gone: Gone::because(reason),
                });
                let chore = ended.and_then(|ended| self.end(ended));
                let _gone = reply.send(());
                chore
            }
        }
    }

    fn connection(&self, agent: AgentId) -> Option<Connection> {
        self.sessions.get(&agent).map(|entry| entry.connection.clone())
    }
}
