//! Wall-clock time as a handle.
//!
//! A process makes one [`Clock::system`] in `main` and passes clones on. Tests use [`Clock::manual`], which stands
//! still until it is told otherwise; a simulation drives its clocks itself ([`Clock::driven`]). Only wall-clock time lives here; timers and deadlines use `tokio::time`, which
//! tests can pause.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A cloneable source of wall-clock time.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
    Driven(Arc<dyn Fn() -> i64 + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Manual(_) => "Manual",
            Self::Driven(_) => "Driven",
        })
    }
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `unix_ms` until [`Clock::set_ms`] or [`Clock::advance`]; clones share it.
    #[must_use]
    pub fn manual(unix_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(unix_ms))))
    }

    /// A clock that shows what `now_ms` says: the time of a simulation, with the error of this clock.
    #[must_use]
    pub fn driven(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Source::Driven(Arc::new(now_ms)))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z; negative before it.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System => system_now_ms(),
            Source::Manual(now) => now.load(Ordering::SeqCst),
            Source::Driven(now_ms) => now_ms(),
        }
    }

    /// Moves a manual clock forward. Does nothing on others.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(
                i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
                Ordering::SeqCst,
            );
        }
    }

    /// Sets a manual clock, also backwards. Does nothing on others.
    pub fn set_ms(&self, unix_ms: i64) {
        if let Source::Manual(now) = &self.0 {
            now.store(unix_ms, Ordering::SeqCst);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system clock; everybody else is handed it"
)]
fn system_now_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_is_shared_and_moves_only_when_told() {
        let clock = Clock::manual(1_000);
        let other = clock.clone();
        assert_eq!(other.now_ms(), 1_000);
        clock.advance(Duration::from_millis(500));
        assert_eq!(other.now_ms(), 1_500);
        other.set_ms(-7);
        assert_eq!(clock.now_ms(), -7);
    }

    #[test]
    fn system_clock_is_after_2020_and_ignores_advance() {
        let clock = Clock::system();
        let before = clock.now_ms();
        clock.advance(Duration::from_secs(1_000_000));
        assert!(before > 1_577_836_800_000);
        assert!(clock.now_ms() - before < 500_000);
    }
}
