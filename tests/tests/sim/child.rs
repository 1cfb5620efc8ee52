//! A run in a process of its own: what a process makes once, and counts, is the same in every run then.
//!
//! ```text
//! run(seed) ── starts this test program once more, with the job in its environment ──► a_run: World ── history ──► file
//! ```

use std::{
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde::{Deserialize, Serialize};
use windflow_kit::Clock;
use windflow_tests::history::{Event, lines};

use crate::{
    entropy,
    run::{Shape, World},
    strike::Strike,
};

/// Where the child finds its job.
const JOB: &str = "WINDFLOW_SIM_JOB";

/// What is wrong in a run on purpose, beyond what the world draws.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    /// Place of a deliberate bug in the list of all.
    pub(crate) bug: Option<usize>,
    pub(crate) strike: Option<Strike>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    seed: u64,
    shape: Shape,
    bug: Option<usize>,
    strike: Option<Strike>,
    /// Unix time at which the run begins, ms: certificates are checked against the real clock.
    begins_ms: i64,
    history: std::path::PathBuf,
}

/// The time at which all runs of this test begin.
fn begins_ms() -> i64 {
    static BEGINS: OnceLock<i64> = OnceLock::new();
    *BEGINS.get_or_init(|| Clock::system().now_ms())
}

/// Runs a seed.
///
/// # Errors
/// What the run said, if it broke off.
pub(crate) fn run(seed: u64, shape: Shape, wrong: Wrong) -> Result<Vec<Event>, String> {
    let room = tempfile::tempdir().unwrap();
    let job = Job {
        seed,
        shape,
        bug: wrong.bug,
        strike: wrong.strike,
        begins_ms: begins_ms(),
        history: room.path().join("history.jsonl"),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "this test program itself, waited for here; a run ends by its own simulated time"
    )]
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["child::a_run", "--exact", "--ignored", "--nocapture"])
        .env(JOB, serde_json::to_string(&job).unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if !child.status.success() {
        let said = String::from_utf8_lossy(&child.stderr);
        return Err(format!("seed {seed} broke off: {said}"));
    }
    let text = fs_err::read_to_string(&job.history).unwrap();
    Ok(text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect())
}

/// Not a test: what [`run`] starts.
#[test]
#[ignore = "a single run, started by the tests of this program"]
fn a_run() {
    let Ok(job) = std::env::var(JOB) else { return };
    let job: Job = serde_json::from_str(&job).unwrap();
    entropy::seed(job.seed);
    windflow_kit::blocking::in_turn();
    #[cfg(feature = "seeded-bugs")]
    windflow_kit::seeded::plant(job.bug.map(|place| windflow_kit::seeded::Bug::ALL[place]));
    assert!(
        job.bug.is_none() || cfg!(feature = "seeded-bugs"),
        "deliberate bugs are behind the feature seeded-bugs"
    );
    let events = World::new(job.seed, job.shape, job.strike, job.begins_ms).run();
    fs_err::write(&job.history, lines(&events)).unwrap();
}
