//! What hosts measure: the newest values, and a history on disk. Nothing of it enters the store.
//!
//! ```text
//! sessions ─▶ Telemetry (a lock per host) ─ newest ─▶ API, /metrics, live feeds
//!                 │                         recent ─┐
//!                 └─ "telemetry" task, every minute ─▶ disk ─▶ queries
//! ```
//! The task is the only writer of the disk. A sample is lost only with the last minute of a crash, or where its number
//! says so.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use thiserror::Error;
use tokio::sync::watch;
use windflow_kit::{Chain, Clock, Stop};
use windflow_model::{
    AgentId,
    metrics::{Sample, Subject, Usage},
};

use crate::app::lock;

mod block;
mod column;
mod disk;
mod host;
pub mod measure;
pub mod query;
pub mod remote;
mod segment;
mod since;
#[cfg(test)]
mod tests;
mod text;
mod tier;

pub use disk::Retention;

use self::{
    disk::Disk,
    host::{Host, blocks},
    measure::Measure,
    query::{Filter, Function, HostAnswer, Steps, VALUE_BYTES},
};

/// Between two writes to disk, each with one fsync.
const FLUSH: Duration = Duration::from_secs(60);
/// Coarser points are made, and old ones removed, every so many writes.
const TIDY: u64 = 5;
/// Memory that one question may take: a fleet of 10,000 hosts in a hundred steps, and not more.
const ROOM: usize = 128 << 20;
/// Newest values older than this are not shown as such.
pub const STALE: Duration = Duration::from_secs(150);

/// Handle to what hosts measure.
#[derive(Debug, Clone)]
pub struct Telemetry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    hosts: RwLock<HashMap<AgentId, Arc<Mutex<Host>>>>,
    disk: Mutex<Option<Disk>>,
    /// Counts up with every batch that came.
    came: watch::Sender<u64>,
    figures: Mutex<Figures>,
    /// Whether the history is open, or cannot be opened.
    settled: watch::Sender<bool>,
    remote: remote::Figures,
}

/// What was done since the start.
#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    samples: u64,
    values: u64,
    flushes: u64,
    failures: u64,
    flush_ms: u64,
    bytes: u64,
    block_values: u64,
}

/// The newest of a host.
#[derive(Debug, Clone)]
pub struct Newest {
    /// The host.
    pub agent: AgentId,
    /// What it uses.
    pub usage: Usage,
    /// How old that is, by the clock of the controller.
    pub age: Duration,
    /// Samples of this host that never came.
    pub lost: u64,
}

/// A series of an answer.
#[derive(Debug, Clone)]
pub struct Series {
    /// The host.
    pub agent: AgentId,
    /// Which disk, interface, container of it.
    pub subject: Subject,
    /// A value for each step; `None` where there was nothing.
    pub values: Vec<Option<f64>>,
    /// Only for percentiles, which are taken over the values of all series together.
    filling: Option<query::Filling>,
}

impl Series {
    /// The values of several series as one. Percentiles are taken over all of their values.
    #[must_use]
    pub fn combine(all: &[Self], function: Function, fold: impl Fn(&[f64]) -> f64) -> Vec<Option<f64>> {
        let Some((first, rest)) = all.split_first() else {
            return Vec::new();
        };
        if rest.is_empty() {
            return first.values.clone();
        }
        if let (Function::Percentile(_), Some(mut filling)) = (function, first.filling.clone()) {
            let more = rest.iter().filter_map(|one| one.filling.as_ref());
            more.for_each(|one| filling.merge(one));
            return filling.values();
        }
        let step = |index: usize| {
            let values = all
                .iter()
                .filter_map(|one| one.values.get(index).copied().flatten());
            let values: Vec<f64> = values.collect();
            (!values.is_empty()).then(|| fold(&values))
        };
        (0..first.values.len()).map(step).collect()
    }
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// What.
    pub measure: Measure,
    /// What of it.
    pub function: Function,
    /// When.
    pub steps: Steps,
    /// Of what within the hosts.
    pub filter: Filter,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// A file of the history cannot be read.
    #[error("the history of what hosts measure cannot be read")]
    Read(#[from] io::Error),
    /// The answer would not fit into the memory that a question may take.
    #[error("that is too much at once: ask for fewer hosts, a shorter time or longer steps")]
    TooMuch,
}

impl Telemetry {
    /// Ready to take samples; the history is opened by [`Telemetry::run`].
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            hosts: RwLock::default(),
            disk: Mutex::default(),
            came: watch::channel(0).0,
            figures: Mutex::default(),
            settled: watch::channel(false).0,
            remote: remote::Figures::default(),
        }))
    }

    fn host(&self, agent: AgentId) -> Option<Arc<Mutex<Host>>> {
        let hosts = self
            .0
            .hosts
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        hosts.get(&agent).cloned()
    }

    fn hosts(&self) -> Vec<(AgentId, Arc<Mutex<Host>>)> {
        let hosts = self
            .0
            .hosts
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        hosts
            .iter()
            .map(|(agent, host)| (*agent, Arc::clone(host)))
            .collect()
    }

    /// Takes samples of a host, in order. Never waits for the disk.
    pub fn push(&self, agent: AgentId, samples: Vec<Sample>) {
        let known = self.host(agent).unwrap_or_else(|| {
            let mut hosts = self
                .0
                .hosts
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(hosts.entry(agent).or_default())
        });
        let now_ms = self.0.clock.now_ms();
        let (count, values) = (
            samples.len(),
            samples.iter().map(|sample| sample.values.len()).sum::<usize>(),
        );
        let mut host = lock(&known);
        samples.into_iter().for_each(|sample| host.push(sample, now_ms));
        drop(host);
        let mut figures = lock(&self.0.figures);
        figures.samples += count as u64;
        figures.values += values as u64;
        drop(figures);
        self.0.came.send_modify(|count| *count += 1);
    }

    /// Changes whenever samples came.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.came.subscribe()
    }

    /// Forgets a host that was removed.
    pub fn forget(&self, agent: AgentId) {
        let mut hosts = self
            .0
            .hosts
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        hosts.remove(&agent);
        drop(hosts);
        if let Some(disk) = &mut *lock(&self.0.disk) {
            disk.forget_host(agent);
        }
    }

    /// The newest of a host, if it ever said anything since the start of the controller.
    #[must_use]
    pub fn newest(&self, agent: AgentId) -> Option<Newest> {
        let host = self.host(agent)?;
        let host = lock(&host);
        let (before, newest) = host.pair()?;
        let age = self.0.clock.now_ms().saturating_sub(host.received_ms);
        Some(Newest {
            agent,
            usage: Usage::between(before.as_deref(), &newest),
            age: Duration::from_millis(u64::try_from(age).unwrap_or(0)),
            lost: host.lost,
        })
    }

    /// Answers a question about some hosts. Reads files: not for the runtime's own threads.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask(&self, question: &Question, agents: &[AgentId]) -> Result<Vec<Series>, AskError> {
        self.ask_within(question, agents, ROOM)
    }

    fn ask_within(
        &self,
        question: &Question,
        agents: &[AgentId],
        mut room: usize,
    ) -> Result<Vec<Series>, AskError> {
        let together = matches!(question.function, Function::Percentile(_));
        let mut all = Vec::new();
        for agent in agents {
            let mut answer = self.ask_host(question, *agent, room)?;
            if answer.is_cut() {
                return Err(AskError::TooMuch);
            }
            let series = std::mem::take(&mut answer.series);
            room -= if together {
                answer.taken
            } else {
                series.len() * question.steps.count * VALUE_BYTES
            };
            all.extend(series.into_values().map(|(subject, mut filling)| Series {
                agent: *agent,
                subject,
                values: filling.values(),
                filling: together.then_some(filling),
            }));
        }
        Ok(all)
    }

    fn ask_host(&self, question: &Question, agent: AgentId, room: usize) -> io::Result<HostAnswer> {
        let Question {
            measure,
            function,
            steps,
            filter,
        } = question;
        // A counter's first step needs the point before it.
        let (from, to) = (steps.from.saturating_sub(steps.step.max(30_000)), steps.end());
        // Taken before the list of blocks: what becomes a block meanwhile is seen twice, never not at all.
        let recent = self
            .host(agent)
            .map(|host| lock(&host).recent())
            .unwrap_or_default();
        let stored = match &*lock(&self.0.disk) {
            Some(disk) => disk.blocks(agent, from, to, steps.step),
            None => Vec::new(),
        };
        let mut found = Vec::new();
        let mut layouts = None;
        for (stored, low, high) in stored {
            found.push((stored.read(&mut layouts)?, low, high));
        }
        found.sort_by_key(|(block, _, _)| block.first());
        let mut answer = HostAnswer::new(*measure, *function, *steps, filter.clone(), room);
        for (block, low, high) in &found {
            answer.add(block, *low, *high);
        }
        for block in blocks(&recent, i64::MIN) {
            answer.add(&block, from, to);
        }
        Ok(answer)
    }

    /// Opens the history in this folder and writes it until `stop`.
    ///
    /// # Errors
    /// The folder cannot be used. What comes is then kept in memory, as far as there is room for it.
    pub async fn run(self, dir: PathBuf, retention: Retention, stop: Stop) -> io::Result<()> {
        let opened = blocking(move || Disk::open(dir)).await;
        let failed = match opened {
            Ok(disk) => {
                *lock(&self.0.disk) = Some(disk);
                None
            }
            Err(error) => Some(error),
        };
        self.0.settled.send_replace(true);
        if let Some(error) = failed {
            return Err(error);
        }
        loop {
            let over = stop.run(tokio::time::sleep(FLUSH)).await.is_none();
            let this = self.clone();
            if let Err(error) = blocking(move || this.flush(&retention)).await {
                lock(&self.0.figures).failures += 1;
                tracing::error!(error = %Chain(&error), "metrics are not written; the newest stay in memory as far as there is room");
            }
            if over {
                return Ok(());
            }
        }
    }

    /// Writes what has come, with one fsync.
    fn flush(&self, retention: &Retention) -> io::Result<()> {
        let now_ms = self.0.clock.now_ms();
        let mut disk = lock(&self.0.disk);
        let Some(disk) = &mut *disk else { return Ok(()) };
        let head = disk.head(now_ms)?;
        let hosts = self.hosts();
        let (mut sealed, mut block_values) = (Vec::new(), 0);
        for (agent, host) in &hosts {
            let mut host = lock(host);
            host.pack();
            disk.note(*agent, &host.unwritten(head));
            let Some(chunks) = host.due(now_ms) else { continue };
            drop(host);
            let after = disk.last(*agent).unwrap_or(i64::MIN);
            for block in blocks(&chunks, after) {
                block_values += (block.times.len() * block.columns.len()) as u64;
                disk.append(*agent, &block)?;
            }
            sealed.push((agent, chunks.len()));
        }
        disk.sync_head()?;
        disk.write()?;
        let by_agent: BTreeMap<_, _> = hosts.iter().map(|(agent, host)| (agent, host)).collect();
        for (agent, count) in sealed {
            if let Some(host) = by_agent.get(agent) {
                lock(host).sealed(count);
            }
        }
        let oldest = hosts.iter().filter_map(|(_, host)| lock(host).oldest_head).min();
        disk.drop_heads(oldest.unwrap_or(head))?;
        let bytes = disk.bytes();
        let mut figures = lock(&self.0.figures);
        figures.bytes = bytes;
        figures.block_values += block_values;
        figures.flushes += 1;
        figures.flush_ms = u64::try_from(self.0.clock.now_ms() - now_ms).unwrap_or(0);
        let tidy = figures.flushes % TIDY == 1;
        drop(figures);
        if tidy {
            disk.coarsen(now_ms)?;
            disk.forget(retention, now_ms);
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    windflow_kit::blocking::run(work)
        .await
        .map_err(io::Error::other)?
}
