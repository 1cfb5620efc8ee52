//! Every durable step of controller and host, struck in every way.

use std::{collections::BTreeMap, sync::Mutex};

use windflow_tests::{
    checker,
    history::{What, lines},
};

use crate::{
    child::{self, Wrong},
    run::Shape,
    strike::{How, Strike},
};

/// Runs without faults that show what durable steps there are.
const PILOTS: u64 = 3;
/// A sweep over fewer points than this has looked at next to nothing.
const POINTS_AT_LEAST: usize = 20;

const CALM: Shape = Shape {
    agents: 2,
    stacks: 2,
    storm_ms: 25_000,
    faults: false,
};

/// A blow, and the run in which its step is met.
struct Aimed {
    seed: u64,
    strike: Strike,
}

/// Each step in each way, each time at another one of its turns.
fn aims() -> (usize, Vec<Aimed>) {
    let mut points: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for seed in 1..=PILOTS {
        let events = child::run(seed, CALM, Wrong::default()).unwrap();
        let broken = checker::judge(&events).broken;
        assert!(broken.is_empty(), "without any fault: {broken:#?}");
        for event in events {
            if let What::Point { point, times } = event.what {
                let known = points.entry(point).or_insert((seed, times));
                if times > known.1 {
                    *known = (seed, times);
                }
            }
        }
    }
    let mut aims = Vec::new();
    for (place, (point, (seed, times))) in points.iter().enumerate() {
        for (which, how) in How::ALL.into_iter().enumerate() {
            // Another one of them for each way: not always the first.
            let nth = 1 + (place + which * 7) as u64 % times;
            let point = point.clone();
            aims.push(Aimed {
                seed: *seed,
                strike: Strike { point, nth, how },
            });
        }
    }
    (points.len(), aims)
}

/// What became of a blow; `Err` is what is wrong.
fn strike(aimed: &Aimed) -> Result<(), Vec<String>> {
    let wrong = Wrong {
        strike: Some(aimed.strike.clone()),
        ..Wrong::default()
    };
    let events = child::run(aimed.seed, CALM, wrong).map_err(|error| vec![error])?;
    let verdict = checker::judge(&events);
    let mut broken = verdict.broken;
    if !verdict.audited {
        broken.push("I9: nobody looked at the audit trail".to_owned());
    }
    if verdict.faults == 0 {
        broken.push("the step was not met".to_owned());
    }
    if broken.is_empty() {
        return Ok(());
    }
    let name: String = format!("{}-{:?}", aimed.strike.point, aimed.strike.how);
    let name = name.replace([' ', ':', '+', '/'], "_");
    let file = std::env::temp_dir().join(format!("windflow-sweep-{name}.jsonl"));
    fs_err::write(&file, lines(&events)).unwrap();
    broken.push(file.display().to_string());
    Err(broken)
}

#[test]
fn sim_a_blow_at_any_durable_step_breaks_no_invariant() {
    let (points, aims) = aims();
    let count = aims.len();
    let (queue, broken) = (Mutex::new(aims.into_iter()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(aimed) = queue.lock().unwrap().next() else {
                        return;
                    };
                    if let Err(why) = strike(&aimed) {
                        let text = format!("seed {} {:?}:\n  {}", aimed.seed, aimed.strike, why.join("\n  "));
                        broken.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    println!(
        "{points} durable steps, {count} blows, {} of them broke an invariant",
        broken.len()
    );
    assert!(points >= POINTS_AT_LEAST, "only {points} durable steps were met");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
