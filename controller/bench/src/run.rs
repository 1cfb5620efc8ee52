//! A run: hosts join, connect, do what the profiles say, and are removed again.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use thiserror::Error;
use tokio::{sync::watch, time::Instant};
use windflow_kit::{BoxError, Clock, OnFailure, Random, Stop, TaskSet};
use windflow_model::AgentId;
use windflow_transport::{Network, endpoint, identity};

use crate::{
    HOSTS_PER_SOCKET, LogLoad, Profile,
    board::Board,
    door::Door,
    figures::Row,
    host::{self, Ground},
    identity::{Bytes, Identities, Identity, Joined, Joining},
    metrics::{self, Pace},
    probe::Prober,
    process::{Pid, Usage},
};

/// Requests and joins in progress at once.
const AT_ONCE: usize = 16;
/// Kept hosts are written down after so many new ones.
const SAVE_EVERY: usize = 250;
/// Requests of the prober.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A certificate with less life than this is renewed before the run.
const LIFE_LEFT: Duration = Duration::from_secs(3_600);

/// Why a run ended early.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The pin is no pin.
    #[error("{0:?} is no pin of a controller")]
    Pin(String),
    /// A request to the API failed.
    #[error("{what} failed")]
    Api {
        /// What was asked.
        what: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A host could not join.
    #[error("not all hosts could join")]
    Join(#[source] BoxError),
    /// The file of kept hosts cannot be used.
    #[error("the file of hosts cannot be used")]
    Kept(#[source] BoxError),
    /// This machine does not give what the hosts need.
    #[error("the hosts cannot be started")]
    Local(#[source] BoxError),
    /// It was told to stop.
    #[error("stopped before the end")]
    Stopped,
}

/// What a run is made of.
pub struct Bench {
    /// The controller's API.
    pub door: Arc<dyn Door>,
    /// Another way in, for the requests that are timed.
    pub eye: Arc<dyn Door>,
    /// The controller's address for agents.
    pub remote: SocketAddr,
    /// Pin of its authority.
    pub pin: String,
    /// How many hosts.
    pub hosts: usize,
    /// What they do.
    pub profiles: Vec<Profile>,
    /// How long nothing happens.
    pub hold: Duration,
    /// How long a deployment takes on a host.
    pub apply: Duration,
    /// Containers on each host.
    pub containers: usize,
    /// Between two samples of a host in `metrics`.
    pub sample_every: Duration,
    /// Samples in a frame.
    pub samples_together: usize,
    /// What is written and read in `logs`.
    pub log: LogLoad,
    /// Hosts are taken from this file, written to it, and stay at the controller.
    pub keep: Option<PathBuf>,
    /// The controller's process, if it is on this machine.
    pub pid: Option<Pid>,
    /// The storm begins when somebody restarts the controller.
    pub restart: bool,
    /// Wall clock.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
    /// Tells a person how far it is.
    pub say: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Hosts that run.
pub(crate) struct Running {
    pub(crate) door: Arc<dyn Door>,
    pub(crate) board: Arc<Board>,
    pub(crate) prober: Prober,
    pub(crate) remote: SocketAddr,
    pub(crate) hosts: usize,
    pub(crate) agents: Vec<AgentId>,
    pub(crate) prefix: String,
    /// What the controller used before the first host connected.
    pub(crate) at_start: Option<Usage>,
    pid: Option<Pid>,
    cut: watch::Sender<u64>,
    pace: watch::Sender<Option<Pace>>,
    /// Columns of a sample.
    pub(crate) columns: usize,
    go: Stop,
    say: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Running {
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.pid.as_ref()?.usage()
    }

    /// Lets all hosts dial.
    pub(crate) fn release(&self) {
        self.go.trigger();
    }

    /// Lets all hosts sample, or not.
    pub(crate) fn pace(&self, pace: Option<Pace>) {
        self.pace.send_replace(pace);
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    pub(crate) fn say(&self, text: &str) {
        (self.say)(text);
    }
}

impl Bench {
    /// Runs until all profiles are done, or `stop`. Hosts that were made for this run are removed in any case.
    ///
    /// # Errors
    /// [`BenchError`].
    pub async fn run(self, stop: Stop) -> Result<Vec<Row>, BenchError> {
        let held = match &self.keep {
            Some(path) => Identities::load(path, &self.pin).map_err(BenchError::Kept)?,
            None => Identities::default(),
        };
        let mut held = Identities {
            pin: self.pin.clone(),
            ..held
        };
        let mut rows = Vec::new();
        let prefix = format!("bench-{}", hex(&self.random.bytes::<3>().unwrap_or_default()));
        let joined = stop.run(self.join(&mut held, &prefix, &mut rows)).await;
        let result = match joined {
            Some(Ok(())) => self.profiles(&held, prefix, &stop).await,
            Some(Err(error)) => Err(error),
            None => Err(BenchError::Stopped),
        };
        match &self.keep {
            Some(path) => held.save(path).map_err(BenchError::Kept)?,
            None => self.remove(&held.hosts).await?,
        }
        rows.extend(result?);
        Ok(rows)
    }

    /// Brings `held` up to the wanted number, with certificates that last.
    async fn join(&self, held: &mut Identities, prefix: &str, rows: &mut Vec<Row>) -> Result<(), BenchError> {
        let joining = Joining {
            door: Arc::clone(&self.door),
            remote: self.remote,
            pin: identity::parse_pin(&self.pin).ok_or_else(|| BenchError::Pin(self.pin.clone()))?,
            clock: self.clock.clone(),
            random: self.random.clone(),
            prefix: prefix.to_owned(),
        };
        let old = held.hosts.iter().take(self.hosts).enumerate();
        let old: Vec<_> = old
            .filter(|(_, host)| self.ends_soon(host))
            .map(|(at, _)| at)
            .collect();
        for at in old {
            if let Some(host) = held.hosts.get_mut(at) {
                *host = joining.renew(host).await.map_err(BenchError::Join)?.identity;
            }
        }
        let from = held.hosts.len();
        let missing = self.hosts.saturating_sub(from);
        if missing == 0 {
            return Ok(());
        }
        (self.say)(&format!("{missing} hosts join"));
        let begun = Instant::now();
        let mut joins = stream::iter(from..self.hosts).map(|number| joining.join(number));
        let mut joins = joins.by_ref().buffer_unordered(AT_ONCE);
        while let Some(joined) = joins.next().await {
            let Joined {
                identity,
                ca,
                server_name,
            } = joined.map_err(BenchError::Join)?;
            held.hosts.push(identity);
            (held.ca, held.server_name) = (Some(Bytes(ca)), server_name);
            if held.hosts.len().is_multiple_of(SAVE_EVERY) {
                (self.say)(&format!(
                    "{} of {} hosts have joined",
                    held.hosts.len(),
                    self.hosts
                ));
                if let Some(path) = &self.keep {
                    held.save(path).map_err(BenchError::Kept)?;
                }
            }
        }
        let took = begun.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "a count of hosts, for a figure")]
        let rate = missing as f64 / took.as_secs_f64().max(0.001);
        let note = format!(
            "{missing} hosts in {:.1} s; the controller sets the pace",
            took.as_secs_f64()
        );
        rows.push(Row::new("fleet-join", "rate", "hosts/s", rate).note(note));
        Ok(())
    }

    fn ends_soon(&self, host: &Identity) -> bool {
        let facts = identity::agent_facts(&host.certificate.0);
        let left = i64::try_from(LIFE_LEFT.as_millis()).unwrap_or(i64::MAX);
        facts.is_ok_and(|facts| facts.not_after.as_millis() < self.clock.now_ms() + left)
    }

    async fn profiles(&self, held: &Identities, prefix: String, stop: &Stop) -> Result<Vec<Row>, BenchError> {
        let hosts: Vec<_> = held.hosts.iter().take(self.hosts).cloned().collect();
        let sockets = hosts.len().div_ceil(HOSTS_PER_SOCKET);
        let endpoints = (0..sockets).map(|_| endpoint::agent(&Network::default(), self.remote));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>();
        let endpoints = endpoints.map_err(|error| BenchError::Local(error.into()))?;
        let origin = Instant::now();
        let board = Arc::new(Board::new(hosts.len(), origin));
        let (cut, cuts) = watch::channel(0);
        let (pace, paces) = watch::channel(None);
        let layout = metrics::layout(self.containers);
        let columns = layout.width();
        let ground = Arc::new(Ground {
            endpoints: endpoints.clone(),
            remote: self.remote,
            server_name: held.server_name.clone(),
            ca: held.ca.clone().map(|ca| ca.0).unwrap_or_default(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            board: Arc::clone(&board),
            apply: self.apply,
            containers: self.containers,
            layout,
            pace: paces,
            log: self.log,
            cut: cuts,
        });
        let tasks = TaskSet::new(stop.child(), self.random.clone());
        let go = Stop::new();
        let agents = hosts.iter().map(|host| host.agent).collect();
        for (number, identity) in hosts.iter().cloned().enumerate() {
            let (ground, stop, go) = (Arc::clone(&ground), tasks.stop().clone(), go.clone());
            tasks.spawn("host", OnFailure::Log, async move {
                if stop.run(go.stopped()).await.is_some() {
                    host::run(ground, number, identity, stop).await;
                }
            });
        }
        let prober = Prober::start(Arc::clone(&self.eye), origin, LOOK_EVERY).map_err(BenchError::Local)?;
        let running = Running {
            door: Arc::clone(&self.door),
            board,
            prober,
            remote: self.remote,
            hosts: hosts.len(),
            agents,
            prefix,
            at_start: self.pid.as_ref().and_then(Pid::usage),
            pid: self.pid.clone(),
            cut,
            pace,
            columns,
            go,
            say: Arc::clone(&self.say),
        };
        let rows = stop
            .run(self.all(&running))
            .await
            .unwrap_or(Err(BenchError::Stopped));
        drop(running);
        // Hosts say goodbye; whoever does not in time is found out by the controller.
        let _left = tasks.drain(Duration::from_secs(10)).await;
        for (endpoint, _) in &endpoints {
            let _in_time = tokio::time::timeout(Duration::from_secs(2), endpoint.wait_idle()).await;
        }
        rows
    }

    async fn all(&self, running: &Running) -> Result<Vec<Row>, BenchError> {
        (self.say)(&format!("{} hosts connect", running.agents().len()));
        let mut rows = running.connect().await;
        for profile in &self.profiles {
            match profile {
                Profile::Idle => {
                    (self.say)(&format!("idle for {} s", self.hold.as_secs()));
                    rows.extend(running.idle(self.hold).await);
                }
                Profile::DeployWave => {
                    (self.say)("a stack goes to all hosts");
                    rows.extend(running.deploy_wave(self.apply).await?);
                }
                Profile::ReconnectStorm => {
                    (self.say)("all hosts lose their connection");
                    rows.extend(running.reconnect_storm(self.restart).await);
                }
                Profile::Metrics => {
                    (self.say)(&format!("samples for {} s", self.hold.as_secs()));
                    let pace = Pace {
                        every: self.sample_every,
                        together: self.samples_together,
                    };
                    rows.extend(running.metrics(self.hold, pace).await);
                }
                Profile::Logs => {
                    (self.say)(&format!("logs are read for {} s", self.hold.as_secs()));
                    rows.extend(running.logs(self.hold, self.apply, self.log).await?);
                }
            }
        }
        Ok(rows)
    }

    async fn remove(&self, hosts: &[Identity]) -> Result<(), BenchError> {
        (self.say)(&format!("removing {} hosts", hosts.len()));
        let removals = stream::iter(hosts).map(|host| self.door.agent_remove(host.agent));
        let mut removals = removals.buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some(removed) = removals.next().await {
            failed = failed.or_else(|| removed.err());
        }
        match failed {
            None => Ok(()),
            Some(source) => Err(BenchError::Api {
                what: "removing a host of the bench",
                source,
            }),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
