//! The log of a container that says so many lines a second, as an engine keeps it: whoever reads slowly finds the rest
//! later.

use std::{
    os::unix::net::UnixStream,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use windflow_kit::Clock;

use super::{Shared, http};

/// Lines are written this often.
const EVERY: Duration = Duration::from_millis(10);
/// Most bytes in one piece, but for one line that is longer.
const PIECE: usize = 64 << 10;
/// A header of Docker's frames: standard output, then the length.
const STDOUT: u8 = 1;

/// Number of a line, and when it was said (ms since 1970).
///
/// # Panics
/// If the text is not one of such a log.
#[must_use]
pub fn said(text: &str) -> (u64, i64) {
    let mut words = text.split(' ').skip(1);
    let mut number = || words.next().and_then(|word| word.parse::<i64>().ok());
    match (number(), number()) {
        (Some(line), Some(at)) => (u64::try_from(line).unwrap_or_default(), at),
        _ => panic!("not a line of a simulated log: {text}"),
    }
}

/// Serves a log that is followed, until the reader has gone.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own for each reader, which says its lines by the clock"
)]
pub(super) fn serve(to: &mut UnixStream, shared: &Shared) -> std::io::Result<()> {
    http::begin(to, &shared.options.api)?;
    let (clock, since) = (Clock::system(), Instant::now());
    let mut said = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let passed = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = passed.saturating_mul(shared.options.log_lines_per_s) / 1_000;
        while said < due {
            let (mut piece, now) = (Vec::new(), clock.now_ms());
            while said < due && piece.len() < PIECE {
                let number = said;
                said += 1;
                // A time that is never the same twice, as the engine's; the rest is what a program may say.
                let (seconds, nanos) = (number / 1_000_000_000 % 60, number % 1_000_000_000);
                let mut line = format!(
                    "2026-01-01T00:00:{seconds:02}.{nanos:09}Z line {number} {now} GET /index.html 200 took 12 ms, as it \
                     does on most of these days"
                );
                let missing = shared.options.log_line_bytes.saturating_sub(line.len());
                line.extend(std::iter::repeat_n('x', missing));
                line.push('\n');
                let length = u32::try_from(line.len()).unwrap_or_default();
                piece.extend_from_slice(&[STDOUT, 0, 0, 0]);
                piece.extend_from_slice(&length.to_be_bytes());
                piece.extend_from_slice(line.as_bytes());
            }
            http::chunk(to, &piece)?;
        }
        if http::is_gone(to)? {
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
    Ok(())
}
