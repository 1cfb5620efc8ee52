//! Many seeds, and one seed many times.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use windflow_tests::{
    checker,
    history::{Event, What, lines},
};

use crate::{
    child::{self, Wrong},
    run::Shape,
};

fn run(seed: u64, shape: Shape) -> Vec<Event> {
    child::run(seed, shape, Wrong::default()).unwrap()
}

/// Below this a run has proved nothing, and fails.
const GRANTED_AT_LEAST: usize = 15;
const FAULTS_AT_LEAST: usize = 10;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap())
}

/// What became of a seed.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    granted: usize,
    rollouts: BTreeMap<String, usize>,
    faults: usize,
    simulated_ms: u64,
    broken: Vec<String>,
}

fn judged(seed: u64, events: &[Event], sum: &mut Sum) {
    let verdict = checker::judge(events);
    sum.seeds += 1;
    sum.granted += verdict.granted;
    sum.faults += verdict.faults;
    for (phase, count) in verdict.rollouts {
        *sum.rollouts.entry(phase).or_default() += count;
    }
    sum.simulated_ms += events.iter().map(|event| event.at_ms).max().unwrap_or(0);
    let mut broken = verdict.broken;
    if !verdict.audited {
        broken.push("I9: nobody looked at the audit trail".to_owned());
    }
    if verdict.granted < GRANTED_AT_LEAST || verdict.faults < FAULTS_AT_LEAST {
        broken.push(format!(
            "too little happened: {} granted, {} faults",
            verdict.granted, verdict.faults
        ));
    }
    if !broken.is_empty() {
        let file = std::env::temp_dir().join(format!("windflow-sim-{seed}.jsonl"));
        fs_err::write(&file, lines(events)).unwrap();
        sum.broken.push(format!(
            "seed {seed} ({}):\n  {}",
            file.display(),
            broken.join("\n  ")
        ));
    }
}

#[test]
fn sim_seeds_break_no_invariant() {
    let first = setting("WINDFLOW_SEED", 1);
    let next = AtomicU64::new(first);
    let end = first + setting("WINDFLOW_SEEDS", 200);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let events = run(seed, Shape::default());
                    judged(seed, &events, &mut sum.lock().unwrap());
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    let rollouts: usize = sum.rollouts.values().sum();
    println!(
        "{} seeds, {:.1} simulated hours, {} deployments granted, {} rollouts {:?}, {} faults, {} seeds broke an invariant",
        sum.seeds,
        std::time::Duration::from_millis(sum.simulated_ms).as_secs_f64() / 3_600.0,
        sum.granted,
        rollouts,
        sum.rollouts,
        sum.faults,
        sum.broken.len()
    );
    assert!(rollouts as u64 >= sum.seeds / 2, "too few rollouts: {rollouts}");
    assert!(sum.broken.is_empty(), "{}", sum.broken.join("\n"));
}

#[test]
fn sim_a_seed_gives_the_same_history_again() {
    let seed = setting("WINDFLOW_SEED", 1);
    let times = setting("WINDFLOW_REPLAYS", 5);
    let first = lines(&run(seed, Shape::default()));
    assert!(
        first.lines().count() > 100,
        "a history of next to nothing proves nothing"
    );
    for time in 1..times {
        let again = lines(&run(seed, Shape::default()));
        let differs = first.lines().zip(again.lines()).position(|(a, b)| a != b);
        if let Some(line) = differs {
            let (a, b) = (first.lines().nth(line), again.lines().nth(line));
            panic!("seed {seed}, replay {time}, differs at event {line}:\n{a:?}\n{b:?}");
        }
        assert_eq!(
            first.len(),
            again.len(),
            "seed {seed}, replay {time}: the same, but shorter or longer"
        );
    }
    println!(
        "seed {seed} run {times} times: {} identical events",
        first.lines().count()
    );
}

#[test]
fn sim_another_seed_gives_another_history() {
    let of = |seed| {
        let events = run(
            seed,
            Shape {
                storm_ms: 5_000,
                ..Shape::default()
            },
        );
        let faults = events.into_iter().filter_map(|event| match event.what {
            What::Fault { text } => Some(text),
            _ => None,
        });
        faults.collect::<BTreeSet<_>>()
    };
    assert_ne!(of(1), of(2));
}
