//! Waiting on conditions with a bound.

use std::time::Duration;

/// Pause between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(15);

/// Looks until `look` gives a value.
///
/// # Panics
/// After `bound`, naming `what`.
pub async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    match tokio::time::timeout(bound, looking).await {
        Ok(found) => found,
        Err(_) => panic!("not within {} ms: {what}", bound.as_millis()),
    }
}

/// The value below which `percent` of `sorted` lie (nearest rank). `sorted` must not be empty.
#[must_use]
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().expect("at least one value")
}
