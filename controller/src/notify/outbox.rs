//! When a notification is tried again, and when it is given up. Pure; the delivery itself is `app/notice`.

use std::time::Duration;

use windflow_model::{
    Timestamp,
    alert::{Notice, NoticeState},
};

use super::{Receipt, SendError};

/// Until the second attempt, at most; each further one doubles it.
const FIRST: Duration = Duration::from_secs(5);
/// Longest time between attempts.
const LONGEST: Duration = Duration::from_secs(600);
/// Longest time that a server may ask for.
const ASKED: Duration = Duration::from_secs(3_600);
/// From a notification to the moment when it is given up: whoever reads it later learns nothing of now.
pub const GIVEN_UP: Duration = Duration::from_secs(24 * 3_600);

/// What an attempt makes of a notification. `jitter` draws a number from 0 to its argument.
pub fn after_attempt(
    notice: &Notice,
    result: &Result<Receipt, SendError>,
    now: Timestamp,
    jitter: impl FnOnce(u64) -> u64,
) -> NoticeState {
    let error = match result {
        Ok(receipt) => {
            return NoticeState::Sent {
                at: now,
                said: receipt.said.clone(),
            };
        }
        Err(error) => error,
    };
    let text = error.to_string();
    if !error.again {
        return NoticeState::Failed { at: now, error: text };
    }
    let end = notice.notification.at.plus(GIVEN_UP);
    if now >= end {
        return NoticeState::Failed {
            at: now,
            error: format!("given up after 24 hours: {text}"),
        };
    }
    let ceiling = FIRST.saturating_mul(1 << notice.attempts.min(10)).min(LONGEST);
    let asked = error.after.unwrap_or_default().min(ASKED);
    // Half of it is certain, so that a server that is down is not hurried; never sooner than it asked for.
    let half = u64::try_from(ceiling.as_millis() / 2).unwrap_or(u64::MAX);
    let delay = Duration::from_millis(half.saturating_add(jitter(half)));
    let delay = match asked > Duration::ZERO {
        true => asked.max(delay),
        false => delay,
    };
    NoticeState::Waiting {
        next: now.plus(delay).min(end),
        error: text,
    }
}

/// Whether a notification may be tried now. A clock that was set back must not keep it for ever.
#[must_use]
pub fn is_due(next: Timestamp, now: Timestamp) -> bool {
    next <= now || next.since(now) > ASKED + LONGEST
}
