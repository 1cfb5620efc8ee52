//! Randomness as a handle.
//!
//! [`Random::system`] draws from the operating system and serves keys and tokens. [`Random::seeded`] repeats itself
//! and serves tests and simulations only: its numbers can be guessed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{clock::Clock, secret::Secret};

/// A cloneable source of random bytes.
#[derive(Clone, Default)]
pub struct Random(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Seeded(Arc<Mutex<SplitMix>>),
}

/// The operating system gave no random bytes. There is no safe way on from here for whoever wants a key.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct RandomError {
    #[source]
    source: getrandom::Error,
}

impl Random {
    /// Bytes of the operating system, fit for keys.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A sequence fixed by `seed`, shared by all clones. Never for secrets.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(SplitMix(seed)))))
    }

    /// Fills `out`.
    ///
    /// # Errors
    /// [`RandomError`] if the operating system refuses; it does not happen on a booted Linux.
    pub fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        match &self.0 {
            Source::System => getrandom::fill(out).map_err(|source| RandomError { source }),
            Source::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in out.chunks_mut(8) {
                    let bytes = state.next().to_le_bytes();
                    for (to, from) in chunk.iter_mut().zip(bytes) {
                        *to = from;
                    }
                }
                Ok(())
            }
        }
    }

    /// `N` random bytes, e.g. a key or a nonce.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], RandomError> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    /// Any `u64`.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn u64(&self) -> Result<u64, RandomError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// A number in `0..=max`, for jitter: never fails (0 if the system gives nothing) and has a bias below `max / 2^64`.
    #[must_use]
    pub fn up_to(&self, max: u64) -> u64 {
        let drawn = u128::from(self.u64().unwrap_or(0));
        u64::try_from((drawn * (u128::from(max) + 1)) >> 64).unwrap_or(max)
    }

    /// A secret text of `bytes` random bytes in base64url without padding: 16 bytes are 128 bit and 22 letters.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn token(&self, bytes: usize) -> Result<Secret<String>, RandomError> {
        let mut raw = zeroize::Zeroizing::new(vec![0; bytes]);
        self.fill(&mut raw)?;
        Ok(Secret::new(URL_SAFE_NO_PAD.encode(&*raw)))
    }

    /// A UUID of version 7: sorts by the millisecond of `clock`, 74 random bits behind it.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn uuid_v7(&self, clock: &Clock) -> Result<Uuid, RandomError> {
        let millis = u64::try_from(clock.now_ms()).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()?).into_uuid())
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Random::system",
            Source::Seeded(_) => "Random::seeded",
        })
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, passes BigCrush, and needs no crate.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_repeats_and_clones_share_the_sequence() {
        let (one, two) = (Random::seeded(7), Random::seeded(7));
        let clone = one.clone();
        assert_eq!(
            (one.u64().unwrap(), clone.u64().unwrap()),
            (two.u64().unwrap(), two.u64().unwrap())
        );
        assert_ne!(Random::seeded(8).u64().unwrap(), Random::seeded(7).u64().unwrap());
    }

    #[test]
    fn tokens_are_url_safe_distinct_and_as_long_as_asked() {
        let random = Random::system();
        let (one, two) = (random.token(32).unwrap(), random.token(32).unwrap());
        assert_eq!(one.expose().len(), 43);
        assert_ne!(one.expose(), two.expose());
        assert!(
            one.expose()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
    }

    #[test]
    fn uuids_sort_by_the_clock() {
        let (clock, random) = (Clock::manual(1_795_264_511_042), Random::seeded(1));
        let one = random.uuid_v7(&clock).unwrap();
        clock.advance(std::time::Duration::from_millis(1));
        let two = random.uuid_v7(&clock).unwrap();
        assert!(one < two);
        assert_eq!(one.get_version_num(), 7);
    }

    #[test]
    fn up_to_stays_in_range_and_reaches_both_ends() {
        let random = Random::seeded(3);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| random.up_to(3)).collect();
        assert_eq!(drawn, (0..=3).collect());
        assert_eq!(random.up_to(0), 0);
        let _ = random.up_to(u64::MAX);
    }
}
