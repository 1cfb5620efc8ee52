//! What a sample costs: processor time of the sampler beside that of reading five files of `/proc` that stay open.
//!
//! `cargo run --release -p windflow-agent --example sample [ROUNDS]` prints one JSON object.
#![forbid(unsafe_code)]

use std::{fs::File, io, io::Write as _, os::unix::fs::FileExt as _, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use windflow_agent::sampler::SamplerOptions;
use windflow_kit::Clock;

const FILES: [&str; 5] = ["stat", "meminfo", "net/dev", "diskstats", "loadavg"];
/// Alternating, so that both see the same machine.
const TURNS: usize = 11;

fn main() -> io::Result<()> {
    let rounds: u32 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000);
    let files: Result<Vec<File>, io::Error> = FILES
        .iter()
        .map(|name| Ok(fs_err::File::open(format!("/proc/{name}"))?.into_parts().0))
        .collect();
    let files = files?;
    let mut buffer = vec![0_u8; 64 << 10];
    let mut sampler = SamplerOptions::of_this_host(Clock::system()).build();
    let width = sampler.sample().values.len();
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        bare.push(cpu_us(rounds, || {
            for file in &files {
                // Only the cost is of interest; a file that cannot be read costs less and is seen in the ratio.
                let _read = file.read_at(&mut buffer, 0);
            }
        }));
        ours.push(cpu_us(rounds, || {
            let _sample = sampler.sample();
        }));
    }
    let (bare, ours) = (median(bare), median(ours));
    writeln!(
        io::stdout(),
        "{{\"columns\":{width},\"five_files_us\":{bare:.2},\"sample_us\":{ours:.2},\"ratio\":{:.2}}}",
        ours / bare
    )
}

/// Microseconds of this process's processor time for one round.
fn cpu_us(rounds: u32, mut work: impl FnMut()) -> f64 {
    let begin = cpu();
    (0..rounds).for_each(|_| work());
    (cpu() - begin).as_secs_f64() * 1e6 / f64::from(rounds.max(1))
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.try_into().unwrap_or(0))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
