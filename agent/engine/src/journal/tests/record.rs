//! What a record says of its host.

use super::*;

fn applying() -> DeploymentState {
    DeploymentState::Applying { done: 1, total: 2 }
}

fn failed() -> DeploymentState {
    DeploymentState::Failed { failure: failure() }
}

fn back(to: Option<u64>) -> DeploymentState {
    DeploymentState::RolledBack {
        failure: failure(),
        to: to.map(Rev),
    }
}

#[test]
fn what_stands_what_is_loose_and_what_is_looked_after() {
    use DeploymentState::{Accepted, Cancelled, Succeeded};
    // Revision 5 over a good 3; touched, and loose from before.
    let check =
        |want: Want, state: DeploymentState, touched: bool, loose: bool, expected: (Option<u64>, &str)| {
            let mut record = StackRecord::new(&Order { want, ..order(5) }, Timestamp::from_millis(1));
            (record.state, record.good) = (state.clone(), Some(Rev(3)));
            (record.touched, record.loose) = (touched, loose);
            let says = [
                (record.is_gone(), "gone"),
                (record.is_loose(), "loose"),
                (record.is_tended(), "tended"),
            ];
            let says: Vec<&str> = says.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            let found = (record.steady().map(|rev| rev.0), says.join(" "));
            let place = format!("{want:?} {state:?} touched {touched} loose {loose}");
            assert_eq!(found, (expected.0, expected.1.to_owned()), "{place}");
        };
    let (present, absent) = (Want::Present, Want::Absent);
    for touched in [false, true] {
        for loose in [false, true] {
            // An end that settles the host, whatever was before.
            check(present, Succeeded, touched, loose, (Some(5), "tended"));
            check(absent, Succeeded, touched, loose, (None, "gone"));
            check(present, back(Some(2)), touched, loose, (Some(2), "tended"));
            check(present, back(None), touched, loose, (None, ""));
        }
    }
    // An end without a change leaves what was good before; one in the middle leaves two halves to be tidied up.
    check(present, Cancelled, false, false, (Some(3), "tended"));
    check(present, failed(), false, false, (Some(3), "tended"));
    check(present, failed(), true, false, (None, "loose tended"));
    check(present, failed(), false, true, (None, "loose tended"));
    check(present, failed(), true, true, (None, "loose tended"));
    // A removal that has begun is not tidied up; one that was taken back is.
    check(absent, failed(), false, false, (Some(3), "tended"));
    check(absent, failed(), true, false, (None, "loose"));
    check(absent, failed(), true, true, (None, "loose"));
    check(absent, Cancelled, false, true, (None, "loose tended"));
    // As long as it is at work it is nobody else's.
    check(present, Accepted, false, false, (None, ""));
    check(present, Accepted, false, true, (None, "loose"));
    check(present, applying(), true, false, (None, "loose"));
    check(absent, applying(), true, false, (None, "loose"));
}

#[tokio::test]
async fn the_last_good_revision_is_one_that_stood() {
    let desk = Desk::open().await;
    let good = async || desk.record().await.good.map(|rev| rev.0);
    desk.done(&order(1)).await;
    assert_eq!(good().await, Some(1));
    desk.accept(&order(2), None).await;
    assert_eq!(good().await, Some(1), "it has not ended");
    desk.finish(2, DeploymentEvent::Failed { failure: failure() })
        .await;
    assert_eq!(good().await, Some(1), "it did not stand");
    let mut needs = order(3);
    needs.options.only_needs = true;
    desk.done(&needs).await;
    assert_eq!(good().await, Some(1), "only what a one-off command needs");
    desk.done(&order(4)).await;
    assert_eq!(good().await, Some(4));
    desk.done(&removal(5)).await;
    assert_eq!(good().await, None, "there is nothing to go back to");
    desk.done(&order(6)).await;
    assert_eq!(good().await, Some(6));
}

/// What was stopped is remembered until somebody has settled the host, also over the ends of others.
#[tokio::test]
async fn what_was_stopped_is_forgotten_once_the_host_is_settled() {
    let check = async |event: DeploymentEvent, kept: bool| {
        let desk = Desk::open().await;
        desk.done(&order(1)).await;
        desk.accept(&order(2), None).await;
        desk.event(2, DeploymentEvent::Applying { done: 0, total: 1 })
            .await;
        assert!(desk.record().await.touched);
        let entry = StepEntry {
            what: "stop container a".into(),
            stops: None,
            done: None,
        };
        let begun = desk
            .journal
            .step_intent(&web(), op(2), 1, &entry, Some("a1"))
            .await;
        begun.unwrap();
        desk.event(2, DeploymentEvent::Verifying).await;
        assert!(desk.record().await.touched, "once touched, always touched");
        let stopped = |record: StackRecord| record.stopped.into_iter().collect::<Vec<_>>();
        assert_eq!(stopped(desk.record().await), ["a1"], "it has not ended");
        desk.finish(2, event.clone()).await;
        let left = stopped(desk.record().await);
        assert_eq!(left.len(), usize::from(kept), "{event:?}");
        // The next one has to know, in the next life, too.
        let desk = desk.again().await;
        desk.accept(&order(3), None).await;
        let next = desk.record().await;
        assert_eq!((next.loose, next.touched), (kept, false), "{event:?}");
        assert_eq!(stopped(next), left, "{event:?}");
    };
    check(DeploymentEvent::Succeeded, false).await;
    let (failure, to) = (failure(), Some(Rev(1)));
    let back = DeploymentEvent::RolledBack {
        failure: failure.clone(),
        to,
    };
    check(back, false).await;
    check(DeploymentEvent::Failed { failure }, true).await;
    // Taken back before it touched anything, after one that had broken off.
    let desk = Desk::open().await;
    desk.accept(&order(1), None).await;
    let entry = StepEntry {
        what: "stop container a".into(),
        stops: None,
        done: None,
    };
    let begun = desk
        .journal
        .step_intent(&web(), op(1), 1, &entry, Some("a1"))
        .await;
    begun.unwrap();
    desk.event(1, DeploymentEvent::Cancelled).await;
    assert!(desk.record().await.stopped.is_empty(), "nothing was touched");
}
