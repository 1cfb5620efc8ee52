//! Readers of logs that stop reading: they cost little, end by themselves, and nobody else notices them.
//!
//! ```text
//! engine, so many lines a second to each reader ──▶ agent ──▶ one link ──▶ controller ──▶ a healthy reader, all the time
//!                                                                                   └──▶ stalled ones, which take nothing
//! ```

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;
use windflow_api::LogParams;
use windflow_client::live::LogFeed;
use windflow_kit::{Clock, task::spawn_scoped};
use windflow_model::{DeploymentState, LogEvent, StackId};
use windflow_tests::{
    Fleet, Host, Target,
    engine::{EngineOptions, SimulatedEngine, said},
    fleet::memory,
    program::resident,
    wait::{percentile, until},
};

/// Lines that each reader is sent a second. `WINDFLOW_TEST_LINES` chooses another.
const LINES_PER_S: u64 = 10_000;
/// A stalled reader is let go within this time (the contract's 30 s, and a moment to notice).
const CLOSED_WITHIN: Duration = Duration::from_secs(35);
/// The contract's bound for what one stalled reader costs the controller.
const STALLED_KIB: u64 = 1_024;
/// Until readers that go on after the pause have all that they missed.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);
/// What was on its way to a reader that was let go: an open log would never end.
const DRAINED_WITHIN: Duration = Duration::from_secs(10);
/// A deployment to the same host, while everybody stalls.
const DEPLOYED_WITHIN: Duration = Duration::from_secs(15);
/// Until every stalled reader has stopped taking lines, and those that are to go on do so.
const PAUSE: Duration = Duration::from_secs(12);

/// Checks that the numbers of a stream have no holes but those that are said (I10), and that they are those of the engine.
#[derive(Debug, Default)]
struct Numbers {
    next: u64,
    lost: u64,
}

impl Numbers {
    /// Takes the next event; when a line was said (ms).
    fn take(&mut self, event: &LogEvent) -> Option<i64> {
        match event {
            LogEvent::Line { seq, text, .. } => {
                let (number, at) = said(text);
                assert_eq!(*seq, self.next, "a hole that nobody spoke of");
                assert_eq!(number, *seq, "a line that is another one");
                self.next += 1;
                Some(at)
            }
            LogEvent::Gap { from, lost, .. } => {
                assert_eq!(*from, self.next, "a gap in another place");
                self.next += lost;
                self.lost += lost;
                None
            }
            LogEvent::Searched(_) | LogEvent::End { .. } => None,
        }
    }
}

/// How long lines took to a reader that takes all of them, and when they came.
#[derive(Debug, Clone, Default)]
struct Healthy(Arc<Mutex<Vec<(Instant, u64)>>>);

impl Healthy {
    async fn read(self, mut feed: LogFeed) {
        let (clock, mut numbers) = (Clock::system(), Numbers::default());
        while let Some(frame) = feed.next().await.expect("the healthy reader is never cut off") {
            if let Some(at) = numbers.take(&frame.event) {
                let took = u64::try_from(clock.now_ms() - at).unwrap_or_default();
                self.0.lock().unwrap().push((Instant::now(), took));
            }
            assert_eq!(numbers.lost, 0, "a reader that reads loses nothing");
        }
    }

    /// Lines a second, median, p99 (ms), and the longest time without a line (ms) since an instant.
    fn since(&self, since: Instant) -> (u64, u64, u64, u64) {
        let all = self.0.lock().unwrap();
        let from = all.partition_point(|(at, _)| *at < since);
        let (mut silence, mut before) = (Duration::ZERO, since);
        let mut took: Vec<u64> = Vec::new();
        for (at, ms) in &all[from..] {
            silence = silence.max(*at - before);
            before = *at;
            took.push(*ms);
        }
        silence = silence.max(before.elapsed());
        took.sort_unstable();
        assert!(!took.is_empty(), "the healthy reader gets nothing at all");
        let rate = took.len() as u64 * 1_000 / u64::try_from(since.elapsed().as_millis()).unwrap().max(1);
        let silence = u64::try_from(silence.as_millis()).unwrap();
        (rate, percentile(&took, 50), percentile(&took, 99), silence)
    }
}

struct World {
    // Dropped first: its socket is in the host's folder.
    _engine: SimulatedEngine,
    host: Host,
    fleet: Fleet,
    stack: StackId,
}

impl World {
    async fn start(lines_per_s: u64) -> Self {
        let fleet = Fleet::start_in(&memory(), &[]).await;
        let mut host = fleet.enrol("talks", Target::Docker).await;
        let options = EngineOptions {
            log_lines_per_s: lines_per_s,
            ..EngineOptions::default()
        };
        let engine = SimulatedEngine::start(host.scratch(), options);
        host.set_env("DOCKER_HOST", &engine.host());
        host.start();
        fleet.connected(&host).await;
        let made = fleet.deploy("talks", COMPOSE, &[&host]).await;
        let view = fleet.ended(made[0].deployment.id, DEPLOYED_WITHIN).await;
        assert_eq!(view.deployment.state, DeploymentState::Succeeded);
        Self {
            _engine: engine,
            host,
            stack: view.deployment.stack,
            fleet,
        }
    }

    async fn follow(&self) -> LogFeed {
        let params = LogParams {
            tail: Some(0),
            follow: true,
            ..LogParams::default()
        };
        let feed = self.fleet.client().stack_logs(self.stack, &params).await;
        feed.expect("the log opens")
    }

    /// A deployment on the same link, in ms.
    async fn deploy(&self, variant: u64) -> u64 {
        let since = Instant::now();
        let compose = format!("{COMPOSE}    environment: {{ VARIANT: '{variant}' }}\n");
        let made = self.fleet.deploy("beside", &compose, &[&self.host]).await;
        let view = self.fleet.ended(made[0].deployment.id, DEPLOYED_WITHIN).await;
        assert_eq!(view.deployment.state, DeploymentState::Succeeded);
        u64::try_from(since.elapsed().as_millis()).unwrap()
    }
}

const COMPOSE: &str = "services:\n  web:\n    image: example/web:1\n";

/// Reads on after a pause, to lines that were said after it.
async fn goes_on(mut feed: LogFeed, mut numbers: Numbers, paused_until: i64) {
    loop {
        let frame = feed.next().await.expect("it was not closed yet");
        let frame = frame.expect("the log goes on");
        if numbers.take(&frame.event).is_some_and(|at| at > paused_until) {
            return;
        }
    }
}

/// Takes what is left of a feed that was closed.
async fn drain(mut feed: LogFeed, mut numbers: Numbers) {
    while let Ok(Some(frame)) = feed.next().await {
        numbers.take(&frame.event);
    }
}

/// Rounds of readers that stall; in each, half of them go on after a pause and the others never read again. What one
/// costs the controller (KiB), and the p99 of the healthy reader before and meanwhile.
async fn stalls(stalled: usize, rounds: u64) -> (u64, [u64; 2]) {
    let lines = super::world::number("WINDFLOW_TEST_LINES", LINES_PER_S);
    let world = World::start(lines).await;
    let pid = world.fleet.controller.pid().unwrap();
    let healthy = Healthy::default();
    let _reading = spawn_scoped("healthy reader", healthy.clone().read(world.follow().await));
    let quiet = Instant::now();
    until("the healthy reader is warm", PAUSE * 2, async || {
        (quiet.elapsed() >= PAUSE).then_some(())
    })
    .await;
    let (rate, p50, before, silence) = healthy.since(quiet);
    println!(
        "slow readers: alone {rate} lines/s, p50 {p50} ms, p99 {before} ms, longest silence {silence} ms"
    );
    let (mut worst, mut cost, mut deploys) = (0, 0, Vec::new());
    for round in 1..=rounds {
        let (began, base) = (Instant::now(), resident(pid).unwrap());
        let mut feeds = Vec::new();
        for _ in 0..stalled {
            let (mut feed, mut numbers) = (world.follow().await, Numbers::default());
            // It runs; from here on it takes nothing.
            while numbers.next == 0 {
                let frame = feed.next().await.expect("an open log").expect("lines");
                numbers.take(&frame.event);
            }
            feeds.push((feed, numbers));
        }
        let mut peak = 0;
        deploys.push(world.deploy(round).await);
        let paused = Instant::now();
        until("they have all stalled", PAUSE * 2, async || {
            peak = peak.max(resident(pid).unwrap());
            (paused.elapsed() >= PAUSE).then_some(())
        })
        .await;
        deploys.push(world.deploy(round + rounds).await);
        let (_, _, opening, silence) = healthy.since(began);
        let (rate, p50, p99, _) = healthy.since(paused);
        println!(
            "round {round}: with {stalled} stalled {rate} lines/s, p50 {p50} ms, p99 {p99} ms ({opening} ms with their \
             opening), longest silence {silence} ms; the controller's memory {base} -> {peak} KiB"
        );
        assert!(silence < 5_000, "the healthy reader waited {silence} ms");
        worst = worst.max(p99);
        cost = cost.max(peak.saturating_sub(base) / stalled as u64);
        let silent = feeds.split_off(stalled / 2);
        let now = Clock::system().now_ms();
        let go_on = feeds
            .into_iter()
            .map(|(feed, numbers)| goes_on(feed, numbers, now));
        let gone_on = tokio::time::timeout(CAUGHT_UP_WITHIN, futures_util::future::join_all(go_on)).await;
        assert!(
            gone_on.is_ok(),
            "a reader that goes on has not caught up within {CAUGHT_UP_WITHIN:?}"
        );
        until("the others may be gone", CLOSED_WITHIN * 2, async || {
            (paused.elapsed() >= CLOSED_WITHIN).then_some(())
        })
        .await;
        let drained =
            futures_util::future::join_all(silent.into_iter().map(|(feed, numbers)| drain(feed, numbers)));
        let drained = tokio::time::timeout(DRAINED_WITHIN, drained).await;
        assert!(
            drained.is_ok(),
            "somebody who took nothing for {CLOSED_WITHIN:?} is still served"
        );
    }
    deploys.sort_unstable();
    println!(
        "slow readers: {rounds} rounds of {stalled}; each costs the controller at most {cost} KiB; no line is \
         missing or comes twice; deployments beside them took at most {} ms; the healthy reader's p99 {before} ms \
         alone, {worst} ms beside them",
        deploys.last().unwrap()
    );
    assert!(cost <= STALLED_KIB, "{cost} KiB");
    (cost, [before, worst])
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_slow_readers() {
    stalls(10, 1).await;
}

/// Ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_slow_readers() {
    let (_, [before, worst]) = stalls(50, 12).await;
    assert!(
        worst * 10 <= before * 12,
        "p99 {before} ms alone, {worst} ms beside stalled readers"
    );
}
