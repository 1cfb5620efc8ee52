//! Measures the host and its containers, from files of the kernel that stay open.
//!
//! ```text
//! containers (watch) ─▶ "sampler" task ─ every 10 s, or as somebody asks ─▶ newest (watch) ─▶ every reader
//!                          ▲                                           └─▶ backlog (256 KiB, oldest lost) ─▶ link
//!                        pace (watch): how often, until when
//! ```
//! Nothing here starts a program, asks the engine or lists processes: a sample costs what reading its files costs.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use windflow_kit::{Clock, Stop};
use windflow_model::{
    ContainerSummary,
    container::ContainerList,
    metrics::{Layout, Sample},
};

mod backlog;
mod cgroup;
mod containers;
mod disks;
mod file;
mod filesystems;
mod host;
mod networks;
mod parse;
mod temperatures;

use self::{
    backlog::Backlog, containers::Containers, disks::Disks, file::Buffer, filesystems::Filesystems,
    host::Host, networks::Networks, temperatures::Temperatures,
};

/// Between two samples when nobody watches.
pub const USUAL: Duration = Duration::from_secs(10);
/// Shortest time between two samples.
const SHORTEST: Duration = Duration::from_millis(200);
/// Longest time that one request for another pace holds.
const LONGEST_WATCH: Duration = Duration::from_secs(300);

/// Where the kernel tells.
#[derive(Debug, Clone)]
pub struct SamplerOptions {
    /// Its processes: `/proc`.
    pub proc: PathBuf,
    /// Its devices and control groups: `/sys`.
    pub sys: PathBuf,
    /// Stamps the samples.
    pub clock: Clock,
}

impl SamplerOptions {
    /// The usual places.
    #[must_use]
    pub fn of_this_host(clock: Clock) -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            clock,
        }
    }

    /// Looks at what there is to be measured.
    #[must_use]
    pub fn build(self) -> Sampler {
        Sampler {
            host: Host::open(&self),
            disks: Disks::new(&self),
            filesystems: Filesystems::new(&self),
            networks: Networks::new(&self),
            temperatures: Temperatures::open(&self),
            containers: Containers::new(&self),
            clock: self.clock,
            buffer: Buffer::default(),
            layout: None,
            before: Arc::default(),
            seq: 0,
            width: 0,
        }
    }
}

/// Takes samples.
#[derive(Debug)]
pub struct Sampler {
    host: Host,
    disks: Disks,
    filesystems: Filesystems,
    networks: Networks,
    temperatures: Temperatures,
    containers: Containers,
    clock: Clock,
    buffer: Buffer,
    /// The columns that are in use; `None` when they must be looked at again.
    layout: Option<Arc<Layout>>,
    /// The last ones: what comes back the same keeps its name.
    before: Arc<Layout>,
    seq: u64,
    width: usize,
}

/// Whether what was read has the columns that were said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Fits,
    /// Something came or went: the columns must be said anew.
    Changed,
}

impl Sampler {
    /// The containers to be measured from now on: the running ones of the list.
    pub fn watch_containers(&mut self, list: &[ContainerSummary]) {
        if self.containers.follow(list) {
            self.layout = None;
        }
    }

    /// One sample.
    pub fn sample(&mut self) -> Sample {
        // Things may come and go while they are looked at; the next sample looks again.
        for _ in 0..2 {
            if self.layout.is_none() {
                self.lay_out();
            }
            let mut values = Vec::with_capacity(self.width);
            if let (Fit::Fits, Some(layout)) = (self.read(&mut values), &self.layout)
                && values.len() == self.width
            {
                return self.numbered(Arc::clone(layout), values);
            }
            self.layout = None;
        }
        self.numbered(Arc::default(), Vec::new())
    }

    fn numbered(&mut self, layout: Arc<Layout>, values: Vec<i64>) -> Sample {
        self.seq += 1;
        Sample {
            seq: self.seq,
            at_ms: self.clock.now_ms(),
            layout,
            values,
        }
    }

    fn lay_out(&mut self) {
        let mut groups = Vec::new();
        self.host.lay_out(&mut groups);
        self.disks.lay_out(&mut self.buffer, &mut groups);
        self.filesystems.lay_out(&mut self.buffer, &mut groups);
        self.networks.lay_out(&mut self.buffer, &mut groups);
        self.temperatures.lay_out(&mut groups);
        self.containers.lay_out(&mut self.buffer, &mut groups);
        let layout = Layout { groups };
        self.width = layout.width();
        if *self.before != layout {
            self.before = Arc::new(layout);
        }
        self.layout = Some(Arc::clone(&self.before));
    }

    fn read(&mut self, values: &mut Vec<i64>) -> Fit {
        let buffer = &mut self.buffer;
        self.host.read(buffer, values);
        let fits = self.disks.read(buffer, values) == Fit::Fits
            && self.filesystems.read(buffer, values) == Fit::Fits
            && self.networks.read(buffer, values) == Fit::Fits;
        self.temperatures.read(buffer, values);
        if fits && self.containers.read(buffer, values) == Fit::Fits {
            Fit::Fits
        } else {
            Fit::Changed
        }
    }
}

/// How often to sample, and until when.
#[derive(Debug, Clone, Copy)]
struct Pace {
    every: Duration,
    until: Instant,
}

/// Reads what the sampler measures, and asks for more of it.
#[derive(Debug, Clone)]
pub struct SamplerHandle {
    newest: watch::Receiver<Option<Arc<Sample>>>,
    pace: watch::Sender<Option<Pace>>,
    backlog: Arc<Mutex<Backlog>>,
}

impl SamplerHandle {
    /// The newest sample, as it changes.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<Option<Arc<Sample>>> {
        self.newest.clone()
    }

    /// Samples so often for a while; what was asked last counts.
    pub fn watch(&self, every: Duration, lasts: Duration) {
        let pace = (!lasts.is_zero()).then(|| Pace {
            every: every.clamp(SHORTEST, USUAL),
            until: Instant::now() + lasts.min(LONGEST_WATCH),
        });
        self.pace.send_replace(pace);
    }

    /// Whether somebody watches now.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.pace.borrow().is_some_and(|pace| pace.until > Instant::now())
    }

    /// Samples that were not taken yet, oldest first, and how many there are.
    pub fn waiting(&self, most: usize) -> (Vec<Arc<Sample>>, usize) {
        let backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        (backlog.oldest(most), backlog.len())
    }

    /// Samples up to this number were taken.
    pub fn taken(&self, seq: u64) {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        backlog.taken(seq);
    }
}

/// The task of a sampler.
#[derive(Debug)]
pub struct SamplerTask {
    sampler: Sampler,
    newest: watch::Sender<Option<Arc<Sample>>>,
    pace: watch::Receiver<Option<Pace>>,
    backlog: Arc<Mutex<Backlog>>,
}

impl Sampler {
    /// The sampler as a task with its handle.
    #[must_use]
    pub fn into_task(self) -> (SamplerTask, SamplerHandle) {
        let (newest, seen) = watch::channel(None);
        let (asked, pace) = watch::channel(None);
        let backlog = Arc::<Mutex<Backlog>>::default();
        let handle = SamplerHandle {
            newest: seen,
            pace: asked,
            backlog: Arc::clone(&backlog),
        };
        let task = SamplerTask {
            sampler: self,
            newest,
            pace,
            backlog,
        };
        (task, handle)
    }
}

impl SamplerTask {
    /// Samples until `stop`.
    pub async fn run(mut self, mut containers: watch::Receiver<Arc<ContainerList>>, stop: Stop) {
        let mut next = Instant::now();
        containers.mark_changed();
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                Ok(()) = containers.changed() => {
                    let list = Arc::clone(&containers.borrow_and_update());
                    self.sampler.watch_containers(&list.containers);
                }
                Ok(()) = self.pace.changed() => next = next.min(Instant::now() + self.every()),
                () = tokio::time::sleep_until(next) => {
                    let sample = Arc::new(self.sampler.sample());
                    self.backlog
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(Arc::clone(&sample));
                    self.newest.send_replace(Some(sample));
                    // On the beat; what was slept through is not made up for.
                    let now = Instant::now();
                    next = (next + self.every()).max(now);
                }
            }
        }
    }

    fn every(&self) -> Duration {
        match *self.pace.borrow() {
            Some(pace) if pace.until > Instant::now() => pace.every,
            _ => USUAL,
        }
    }
}

#[cfg(test)]
mod tests;
