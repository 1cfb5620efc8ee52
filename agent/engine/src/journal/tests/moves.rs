//! How operations move, end and are replaced.

use super::*;

fn applying(done: u32) -> DeploymentEvent {
    DeploymentEvent::Applying { done, total: 3 }
}

fn failed() -> DeploymentEvent {
    DeploymentEvent::Failed { failure: failure() }
}

#[tokio::test]
async fn an_operation_is_current_until_it_ends() {
    let desk = Desk::open().await;
    let stands = async |rev: u64| {
        let current = desk.journal.is_current(&web(), op(rev)).await;
        let state = desk.journal.state(&web(), op(rev)).await;
        (current, state.map(|state| state.name()))
    };
    assert_eq!(stands(1).await, (false, None), "nobody knows it");
    assert_eq!(desk.event(1, DeploymentEvent::Preparing).await, Moved::No);
    desk.accept(&order(1), None).await;
    assert_eq!(stands(1).await, (true, Some("accepted")));
    assert_eq!(stands(2).await, (false, None), "that one is not held");
    desk.clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(desk.event(1, DeploymentEvent::Preparing).await, Moved::Yes);
    assert_eq!(stands(1).await, (true, Some("preparing")));
    let moved_at = desk.record().await.state_at;
    assert_eq!(moved_at, Timestamp::from_millis(START_MS + 5_000));
    assert_eq!(desk.finish(1, failed()).await, Moved::Yes);
    assert_eq!(stands(1).await, (false, Some("failed")));
    assert_eq!(desk.event(1, DeploymentEvent::Preparing).await, Moved::No);
    assert_eq!(desk.event(9, failed()).await, Moved::No, "that one is not held");
    let held: Vec<_> = desk.view.state().held.values().cloned().collect();
    assert_eq!(held, [desk.record().await.held()]);
    assert_eq!(held[0].state.name(), "failed");
    // Replaced before it began: the older one is no longer it.
    desk.accept(&order(2), None).await;
    desk.accept(&order(3), None).await;
    assert_eq!(stands(2).await, (false, None));
    assert_eq!(stands(3).await, (true, Some("accepted")));
}

#[tokio::test]
async fn a_repeated_move_is_no_report_unless_it_counts() {
    let desk = Desk::open().await;
    desk.accept(&order(1), None).await;
    let last = || desk.reports().last().unwrap().0;
    let before = last();
    assert_eq!(desk.event(1, DeploymentEvent::Preparing).await, Moved::Yes);
    assert_eq!(last(), before + 1);
    assert_eq!(desk.event(1, DeploymentEvent::Preparing).await, Moved::Yes);
    assert_eq!(last(), before + 1, "nothing new");
    // The tree may have changed though the count has not.
    for _ in 0..2 {
        assert_eq!(desk.event(1, applying(1)).await, Moved::Yes);
    }
    assert_eq!(last(), before + 3);
    assert_eq!(desk.event(1, applying(0)).await, Moved::No);
    assert_eq!(last(), before + 3);
}

/// A newer order while one runs: the older one may only end, as it really ended, and the newer one starts from there.
#[tokio::test]
async fn what_is_replaced_ends_as_it_does() {
    let check = async |event: DeploymentEvent, moved: Moved, good: u64, loose: bool| {
        let desk = Desk::open().await;
        desk.done(&order(1)).await;
        desk.accept(&order(2), None).await;
        desk.event(2, applying(1)).await;
        desk.accept(&order(3), Some(op(2))).await;
        assert_eq!(desk.event(2, applying(2)).await, Moved::No, "it may only end");
        assert!(!desk.journal.is_current(&web(), op(2)).await);
        assert_eq!(
            desk.event(8, event.clone()).await,
            Moved::No,
            "nobody knows that one"
        );
        assert_eq!(desk.event(2, event.clone()).await, moved, "{event:?}");
        desk.journal.superseded(&web()).await.unwrap();
        let record = desk.record().await;
        assert_eq!(record.before, None, "{event:?}");
        assert_eq!((record.good, record.loose), (Some(Rev(good)), loose), "{event:?}");
        assert_eq!(record.state, DeploymentState::Accepted);
        let entries = desk.journal.history(&web()).await.unwrap();
        let of_it = entries.iter().find(|entry| entry.rev == Rev(2)).unwrap();
        let expected = if moved == Moved::Yes {
            DeploymentState::Offered.next(&event).unwrap()
        } else {
            DeploymentState::Superseded { by: Rev(3) }
        };
        assert_eq!(of_it.state, expected, "{event:?}");
        let told = desk.reports();
        let told = told.iter().filter(|(_, rev, _)| *rev == 2).count();
        assert_eq!(told, 1, "one end");
    };
    check(DeploymentEvent::Succeeded, Moved::Yes, 2, false).await;
    check(failed(), Moved::Yes, 1, true).await;
    check(DeploymentEvent::Verifying, Moved::No, 1, true).await;
}

/// The first record that a one-off command's needs leave behind is none in the history, however they end.
#[tokio::test]
async fn what_a_one_off_command_needs_is_no_history() {
    let needs = |rev: u64| {
        let mut order = order(rev);
        order.options.only_needs = true;
        order
    };
    let desk = Desk::open().await;
    let revs = async || {
        let history = desk.journal.history(&web()).await.unwrap();
        history.iter().map(|entry| entry.rev.0).collect::<Vec<_>>()
    };
    desk.done(&needs(1)).await;
    assert_eq!(revs().await, [0; 0]);
    // Replaced before it began, and while it ran.
    desk.accept(&needs(2), None).await;
    desk.accept(&needs(3), None).await;
    desk.event(3, applying(1)).await;
    desk.accept(&order(4), Some(op(3))).await;
    desk.journal.superseded(&web()).await.unwrap();
    assert_eq!(revs().await, [0; 0]);
    desk.accept(&order(5), None).await;
    assert_eq!(revs().await, [4], "others have one");
    desk.accept(&order(6), None).await;
    assert_eq!(revs().await, [5, 4], "replaced before it began");
    desk.event(6, applying(1)).await;
    assert_eq!(revs().await, [5, 4], "it has not ended");
    desk.finish(6, failed()).await;
    assert_eq!(revs().await, [6, 5, 4]);
}

#[tokio::test]
async fn an_unknown_commit_is_looked_after() {
    let check = async |trick: Trick, expected: Option<Code>| {
        let desk = Desk::open().await;
        desk.accept(&order(1), None).await;
        desk.store.will(trick);
        let moved = desk
            .journal
            .event(&web(), op(1), DeploymentEvent::Preparing, None)
            .await;
        let code = moved.as_ref().err().map(|error| match error {
            JournalError::Store(StoreError::Full { .. }) => Code::DiskFull,
            _ => Code::HostFailure,
        });
        assert_eq!(code, expected, "{trick:?}: {moved:?}");
        if let Err(error) = moved {
            let told = Failure::from(error);
            assert_eq!(told.code, expected.unwrap().as_str(), "{told}");
            assert!(told.message.contains("the journal cannot be used: "), "{told}");
        }
        // What readers see is what is on disk.
        let name = if expected.is_none() {
            "preparing"
        } else {
            "accepted"
        };
        assert_eq!(desk.view.state().held[&web()].state.name(), name, "{trick:?}");
        assert_eq!(desk.again().await.record().await.state.name(), name, "{trick:?}");
    };
    check(Trick::AnswerLost, None).await;
    check(Trick::RequestLost, Some(Code::HostFailure)).await;
    check(Trick::Full, Some(Code::DiskFull)).await;
    // The same where something is only removed.
    for trick in [Trick::AnswerLost, Trick::RequestLost] {
        let desk = Desk::open().await;
        desk.accept(&order(1), None).await;
        desk.store.will(trick);
        let acked = desk.journal.ack(9).await;
        assert_eq!(acked.is_ok(), trick == Trick::AnswerLost, "{acked:?}");
        assert_eq!(desk.reports().is_empty(), acked.is_ok());
    }
}

#[tokio::test]
async fn each_life_is_counted_and_keeps_the_secret() {
    let desk = Desk::open().await;
    assert_eq!(desk.journal.boot(), 1);
    let secret = *desk.journal.secret();
    assert_eq!(secret, Random::seeded(3).bytes::<32>().unwrap());
    let desk = desk.again().await;
    let desk = desk.again().await;
    assert_eq!(desk.journal.boot(), 3);
    assert_eq!(*desk.journal.secret(), secret);
}
