//! When it is tried again, and when it is given up.

use std::time::Duration;

use windflow_model::{
    ChannelId,
    alert::{Notice, NoticeState},
};

use super::*;
use crate::notify::outbox::{after_attempt, is_due};

fn notice(attempts: u32) -> Notice {
    Notice {
        channel: ChannelId::from_uuid(uuid::Uuid::nil()),
        notification: notification(NoticeStatus::Firing, Vec::new()),
        attempts,
        state: NoticeState::Waiting {
            next: NOW,
            error: String::new(),
        },
        remark: String::new(),
    }
}

#[test]
fn attempts_grow_apart_honour_the_server_and_end() {
    let later = |after: u64| {
        let after = (after > 0).then(|| Duration::from_secs(after));
        Err(SendError::later("down", after))
    };
    let wait = |attempts, result: &Result<Receipt, SendError>, after: u64, draw: fn(u64) -> u64| {
        let now = NOW.plus(Duration::from_secs(after));
        match after_attempt(&notice(attempts), result, now, draw) {
            NoticeState::Waiting { next, error } => {
                assert_eq!(error, "down");
                next.since(now).as_millis()
            }
            other => panic!("{other:?}"),
        }
    };
    let least: fn(u64) -> u64 = |_| 0;
    let most: fn(u64) -> u64 = |most| most;
    let check = |attempts, asked, expected: (u128, u128)| {
        let found = (
            wait(attempts, &later(asked), 0, least),
            wait(attempts, &later(asked), 0, most),
        );
        assert_eq!(found, expected, "after {attempts} attempts, {asked} s asked for");
    };
    check(0, 0, (2_500, 5_000));
    check(1, 0, (5_000, 10_000));
    check(5, 0, (80_000, 160_000));
    check(7, 0, (300_000, 600_000));
    check(4_000_000_000, 0, (300_000, 600_000));
    check(0, 30, (30_000, 30_000));
    check(9, 30, (300_000, 600_000));
    check(0, 1_000_000, (3_600_000, 3_600_000));
    // The last attempt is at the end, not before.
    assert_eq!(wait(9, &later(0), 86_390, most), 10_000);
    let given_up = after_attempt(
        &notice(9),
        &later(0),
        NOW.plus(Duration::from_secs(86_400)),
        least,
    );
    assert!(
        matches!(&given_up, NoticeState::Failed { error, .. } if error.contains("given up after 24 hours: down")),
        "{given_up:?}"
    );
    let never = after_attempt(&notice(0), &Err(SendError::never("no")), NOW, least);
    assert!(matches!(never, NoticeState::Failed { .. }));
    let sent = after_attempt(&notice(0), &Ok(Receipt { said: "ok".into() }), NOW, least);
    assert!(matches!(sent, NoticeState::Sent { said, .. } if said == "ok"));
}

#[test]
fn a_clock_that_was_set_back_keeps_nothing_for_ever() {
    assert!(is_due(NOW, NOW));
    assert!(!is_due(NOW.plus(Duration::from_secs(3_600)), NOW));
    assert!(is_due(NOW.plus(Duration::from_secs(86_400)), NOW));
}
