//! The test of the tests: each deliberate bug has to be found, within the seeds that every run has.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use windflow_kit::seeded::Bug;
use windflow_tests::checker;

use crate::{
    child::{self, Wrong},
    run::Shape,
};

/// Seeds after which a bug counts as not found: those of `sim_seeds_break_no_invariant`.
const SEEDS: u64 = 200;

#[test]
fn soak_sim_every_deliberate_bug_is_found() {
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = (1..=SEEDS).find_map(|seed| {
                        let place = Bug::ALL.iter().position(|one| one == bug);
                        let Ok(events) = child::run(
                            seed,
                            Shape::default(),
                            Wrong {
                                bug: place,
                                strike: None,
                            },
                        ) else {
                            return Some((seed, "the run does not come to its end".to_owned()));
                        };
                        let first = checker::judge(&events).broken.into_iter().next()?;
                        Some((seed, first))
                    });
                    report.lock().unwrap().push((*bug, found));
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap();
    report.sort_by_key(|(bug, _)| Bug::ALL.iter().position(|one| one == bug));
    for (bug, found) in &report {
        match found {
            Some((seed, first)) => println!("found      {bug:?} by seed {seed}: {first}"),
            None => println!("NOT FOUND  {bug:?} in {SEEDS} seeds"),
        }
    }
    let missed: Vec<&Bug> = report
        .iter()
        .filter(|(_, found)| found.is_none())
        .map(|(bug, _)| bug)
        .collect();
    println!(
        "{} of {} deliberate bugs found",
        report.len() - missed.len(),
        report.len()
    );
    assert!(missed.is_empty(), "not found: {missed:?}");
}
