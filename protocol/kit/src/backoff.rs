//! Retry delays: exponential ceilings with full jitter.
//!
//! Full jitter (a delay anywhere between 0 and the ceiling) spreads a thousand agents that lost the same controller
//! over the whole window; half jitter leaves them in waves.

use std::time::Duration;

use crate::random::Random;

/// Shape of a [`Backoff`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackoffOptions {
    /// First ceiling.
    pub min: Duration,
    /// Highest ceiling.
    pub max: Duration,
    /// Growth of the ceiling per attempt; values below 1 count as 1.
    pub factor: f64,
}

impl Default for BackoffOptions {
    /// 1 s to 60 s, doubling: the range in which 1,000 agents come back within 20 s of a controller restart.
    fn default() -> Self {
        Self {
            min: Duration::from_secs(1),
            max: Duration::from_secs(60),
            factor: 2.0,
        }
    }
}

impl BackoffOptions {
    /// From a first and a highest ceiling, doubling.
    #[must_use]
    pub const fn between(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            factor: 2.0,
        }
    }

    /// Starts at the first ceiling.
    #[must_use]
    pub fn build(self, random: Random) -> Backoff {
        Backoff {
            ceiling: self.min.min(self.max),
            options: self,
            random,
            attempts: 0,
        }
    }
}

/// A running sequence of delays.
#[derive(Debug, Clone)]
pub struct Backoff {
    options: BackoffOptions,
    random: Random,
    ceiling: Duration,
    attempts: u32,
}

impl Backoff {
    /// The next delay: uniform in `0..=ceiling`, then the ceiling grows.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.attempts = self.attempts.saturating_add(1);
        let grown = ceiling.as_secs_f64() * self.options.factor.max(1.0);
        self.ceiling =
            Duration::try_from_secs_f64(grown).map_or(self.options.max, |next| next.min(self.options.max));
        Duration::from_micros(
            self.random
                .up_to(u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX)),
        )
    }

    /// The next delay, but not before `floor`: what the other side asked for, plus our jitter.
    pub fn next_delay_after(&mut self, floor: Duration) -> Duration {
        floor.saturating_add(self.next_delay())
    }

    /// Delays given since the start or the last reset.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Back to the first ceiling. Call it when the thing has worked for a while, not when it merely started.
    pub fn reset(&mut self) {
        self.ceiling = self.options.min.min(self.options.max);
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn same_seed_same_delays_and_reset_starts_over() {
        let options = BackoffOptions::between(Duration::from_millis(100), Duration::from_secs(2));
        let delays = |seed| {
            let mut backoff = options.build(Random::seeded(seed));
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(delays(5), delays(5));
        assert_ne!(delays(5), delays(6));
        let mut backoff = options.build(Random::seeded(5));
        for _ in 0..8 {
            backoff.next_delay();
        }
        assert_eq!(backoff.attempts(), 8);
        backoff.reset();
        assert_eq!(backoff.attempts(), 0);
        assert!(backoff.next_delay() <= Duration::from_millis(100));
    }

    proptest! {
        #[test]
        fn delays_stay_under_the_growing_ceiling(seed: u64, min in 0_u64..5_000, max in 0_u64..100_000, factor in 0.1_f64..10.0) {
            let (low, high) = (Duration::from_millis(min), Duration::from_millis(max));
            let mut backoff = BackoffOptions { min: low, max: high, factor }.build(Random::seeded(seed));
            let mut ceiling = low.min(high).as_secs_f64();
            for _ in 0..40 {
                let delay = backoff.next_delay().as_secs_f64();
                prop_assert!(delay <= ceiling + 1e-6, "{delay} > {ceiling}");
                ceiling = (ceiling * factor.max(1.0)).min(high.as_secs_f64());
            }
            prop_assert!(backoff.next_delay_after(high) >= high);
        }
    }
}
