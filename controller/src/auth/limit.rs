//! Limits on guessing: so many tries per name and minute, and per address and minute. In memory, bounded.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use windflow_kit::Clock;

/// Length of a window in milliseconds.
const WINDOW_MS: i64 = 60_000;
/// Windows kept; beyond it the oldest go. 100 bytes each.
const KEPT: usize = 10_000;

/// What is limited, with tries per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// Sign-ins for one name: 5.
    LoginName,
    /// Sign-ins from one address: 20.
    LoginAddress,
    /// Setup codes from one address: 5.
    Setup,
    /// Refused enrolments from one address: 10. Those that succeed are not counted: a site may share one address.
    Enrol,
}

impl Limit {
    const fn per_minute(self) -> u32 {
        match self {
            Self::LoginName | Self::Setup => 5,
            Self::LoginAddress => 20,
            Self::Enrol => 10,
        }
    }
}

/// Counts tries.
#[derive(Debug)]
pub(crate) struct Limits {
    clock: Clock,
    windows: Mutex<HashMap<(Limit, String), Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began_ms: i64,
    tries: u32,
    /// Windows in a row that were exhausted: each doubles the wait, up to 16 minutes.
    exhausted: u32,
}

impl Limits {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            windows: Mutex::default(),
        }
    }

    /// Counts one try. `Err` carries the seconds to wait.
    pub(crate) fn take(&self, limit: Limit, who: &str) -> Result<(), u64> {
        let now = self.clock.now_ms();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= KEPT {
            windows.retain(|_, window| now - window.began_ms < window.length());
            if windows.len() >= KEPT {
                windows.clear();
            }
        }
        let key = (limit, who.chars().take(128).collect::<String>());
        let window = windows.entry(key).or_insert(Window {
            began_ms: now,
            tries: 0,
            exhausted: 0,
        });
        if now - window.began_ms >= window.length() || now < window.began_ms {
            let again = window.tries > limit.per_minute() && now - window.began_ms < 4 * window.length();
            *window = Window {
                began_ms: now,
                tries: 0,
                exhausted: if again { window.exhausted + 1 } else { 0 },
            };
        }
        window.tries = window.tries.saturating_add(1);
        if window.tries <= limit.per_minute() {
            return Ok(());
        }
        let wait = window.began_ms + window.length() - now;
        Err(u64::try_from(wait).unwrap_or(0).div_ceil(1_000).max(1))
    }

    /// The seconds to wait if there is no try left; counts nothing.
    pub(crate) fn spent(&self, limit: Limit, who: &str) -> Option<u64> {
        let now = self.clock.now_ms();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.get(&(limit, who.chars().take(128).collect()))?;
        let wait = window.began_ms + window.length() - now;
        let full = window.tries >= limit.per_minute() && now >= window.began_ms;
        (full && wait > 0).then(|| u64::try_from(wait).unwrap_or(0).div_ceil(1_000))
    }

    /// A try that turned out right: the name starts over.
    pub(crate) fn forgive(&self, limit: Limit, who: &str) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.remove(&(limit, who.chars().take(128).collect()));
    }
}

impl Window {
    const fn length(self) -> i64 {
        let doublings = if self.exhausted > 4 { 4 } else { self.exhausted };
        WINDOW_MS << doublings
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_sixth_try_waits_and_the_wait_grows() {
        let clock = Clock::manual(0);
        let limits = Limits::new(clock.clone());
        let take = || limits.take(Limit::LoginName, "admin");
        (0..5).for_each(|_| take().unwrap());
        assert_eq!(take(), Err(60));
        limits.take(Limit::LoginName, "other").unwrap();
        clock.advance(Duration::from_secs(61));
        (0..5).for_each(|_| take().unwrap());
        assert_eq!(take(), Err(120));
        clock.advance(Duration::from_secs(3_600));
        (0..5).for_each(|_| take().unwrap());
        assert_eq!(take(), Err(60));
        limits.forgive(Limit::LoginName, "admin");
        take().unwrap();
    }

    #[test]
    fn looking_costs_no_try() {
        let clock = Clock::manual(0);
        let limits = Limits::new(clock.clone());
        for _ in 0..10 {
            assert_eq!(limits.spent(Limit::Enrol, "a"), None);
            limits.take(Limit::Enrol, "a").unwrap();
        }
        assert_eq!(limits.spent(Limit::Enrol, "a"), Some(60));
        assert_eq!(limits.spent(Limit::Enrol, "b"), None);
        clock.advance(Duration::from_secs(60));
        assert_eq!(limits.spent(Limit::Enrol, "a"), None);
    }

    #[test]
    fn memory_is_bounded() {
        let limits = Limits::new(Clock::manual(0));
        for n in 0..30_000 {
            limits.take(Limit::Setup, &n.to_string()).unwrap();
        }
        assert!(limits.windows.lock().unwrap().len() <= KEPT);
    }
}
