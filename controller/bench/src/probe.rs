//! Somebody who looks at the web UI all the time: requests at a fixed rate, from a thread of its own, so that ten
//! thousand hosts in this process do not count as a slow controller.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior};
use windflow_kit::{BoxError, Stop};

use crate::{
    door::Door,
    figures::{Row, ms, quantile},
};

/// An answer that takes longer counts as none.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// One request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// When it was sent.
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    pub(crate) good: bool,
}

/// The thread. It ends with this value.
#[derive(Debug)]
pub(crate) struct Prober {
    samples: Arc<Mutex<Vec<Sample>>>,
    rests: Arc<AtomicBool>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    pub(crate) fn start(door: Arc<dyn Door>, origin: Instant, every: Duration) -> Result<Self, BoxError> {
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let (stop, rests) = (Stop::new(), Arc::<AtomicBool>::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (into, until, rest) = (Arc::clone(&samples), stop.clone(), Arc::clone(&rests));
        let thread = std::thread::Builder::new().name("prober".to_owned());
        let thread =
            thread.spawn(move || runtime.block_on(ask(&*door, origin, every, &into, &rest, &until)))?;
        Ok(Self {
            samples,
            rests,
            stop,
            thread: Some(thread),
        })
    }

    /// Whether nobody looks: what a fleet costs that is left alone.
    pub(crate) fn rest(&self, rests: bool) {
        self.rests.store(rests, Ordering::Relaxed);
    }

    /// Requests that were sent from then on and are answered, or not, by now.
    pub(crate) fn since(&self, from: Duration) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples
            .iter()
            .filter(|sample| sample.at >= from)
            .copied()
            .collect()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.trigger();
        if let Some(thread) = self.thread.take() {
            // Whether it panicked is of no interest to a run that ends.
            let _ended = thread.join();
        }
    }
}

async fn ask(
    door: &dyn Door,
    origin: Instant,
    every: Duration,
    into: &Mutex<Vec<Sample>>,
    rests: &AtomicBool,
    stop: &Stop,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut asked = FuturesUnordered::new();
    let mut number = 0;
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            _ = ticks.tick() => {
                if rests.load(Ordering::Relaxed) {
                    continue;
                }
                number += 1;
                asked.push(async move {
                    let begun = Instant::now();
                    let answer = tokio::time::timeout(ANSWER_WITHIN, door.look(number)).await;
                    Sample { at: begun - origin, took: begun.elapsed(), good: matches!(answer, Ok(Ok(()))) }
                });
            }
            Some(sample) = asked.next() => {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        }
    }
}

/// What a person noticed. `failures` says whether unanswered requests are worth a row.
pub(crate) fn rows(bench: &'static str, samples: &[Sample]) -> Vec<Row> {
    let took: Vec<_> = samples
        .iter()
        .filter(|one| one.good)
        .map(|one| one.took)
        .collect();
    let failed = samples.len() - took.len();
    let row = |name: &str, share| Row::new(bench, name, "ms", ms(quantile(&took, share)));
    let asked = format!("{} requests, {failed} not answered", samples.len());
    vec![
        row("API, p50", 0.5),
        row("API, p95", 0.95).note(asked),
        row("API, slowest", 1.0),
    ]
}
