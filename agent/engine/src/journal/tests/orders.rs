//! Which orders are taken, what they take over, and which are kept.

use super::*;
use crate::order::{ApplyError, CancelOutcome};

/// What becomes of an order over a held revision 5, in one word.
async fn answer(desk: &Desk, order: &Order) -> &'static str {
    match desk.journal.accept(order, None).await {
        Ok(Accepted {
            acceptance: Acceptance::Accepted,
            fresh: true,
        }) => "taken",
        Ok(Accepted {
            acceptance: Acceptance::AlreadyHeld { .. },
            fresh: false,
        }) => "held already",
        Err(ApplyError::Diverged { held: Rev(5), .. }) => "diverged",
        Err(ApplyError::NameHeld { held_by, .. }) if held_by == super::order(1).owner => "name held",
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_order_is_taken_by_its_number_its_operation_and_its_owner() {
    let other = || Some(StackId::from_uuid(Uuid::from_u128(9)));
    let with = |rev: u64, op: OpId, owner: Option<StackId>| Order {
        op,
        owner,
        ..order(rev)
    };
    let ours = order(5).owner;
    for (gone, order, expected) in [
        (false, with(5, op(5), ours), "held already"),
        (false, with(5, op(6), ours), "diverged"),
        (false, with(6, op(6), ours), "taken"),
        (false, with(6, op(5), ours), "taken"),
        (false, with(4, op(4), ours), "diverged"),
        (false, with(4, op(5), ours), "diverged"),
        (false, with(6, op(6), other()), "name held"),
        (false, with(6, op(6), None), "name held"),
        (true, with(5, op(5), ours), "held already"),
        (true, with(4, op(4), ours), "diverged"),
        (true, with(6, op(6), ours), "taken"),
        (true, with(1, op(1), other()), "taken"),
        (true, with(1, op(1), None), "taken"),
    ] {
        let desk = Desk::open().await;
        let held = if gone { removal(5) } else { super::order(5) };
        desk.done(&held).await;
        let place = format!("gone {gone}: {} {} {:?}", order.rev, order.op, order.owner);
        assert_eq!(answer(&desk, &order).await, expected, "{place}");
        let now = desk.record().await;
        let (rev, owner) = match expected {
            "taken" => (order.rev, order.owner),
            _ => (Rev(5), ours),
        };
        assert_eq!((now.rev, now.owner), (rev, owner), "{place}");
        // A refusal is told to the deployment that it concerns; a repeat is none.
        let told = desk.reports().into_iter().filter(|(_, rev, event)| {
            *rev == order.rev.0
                && matches!(
                    event,
                    DeploymentEvent::Diverged { held: Rev(5) } | DeploymentEvent::Rejected { .. }
                )
        });
        let refused = matches!(expected, "diverged" | "name held");
        assert_eq!(told.count(), usize::from(refused), "{place}");
        // Another owner's history concerns nobody.
        let history = desk.journal.history(&web()).await.unwrap();
        assert_eq!(
            history.is_empty(),
            expected == "taken" && owner != ours,
            "{place}"
        );
    }
}

/// The largest order is taken and read back whole; one byte more is refused.
#[tokio::test]
async fn as_large_as_fits() {
    let desk = Desk::open().await;
    let padded = |rev: u64, size: usize| {
        let mut order = order(rev);
        order.spec.files[0].content.clear();
        let empty = serde_json::to_vec(&order).unwrap().len();
        order.spec.files[0].content = "x".repeat(size - empty);
        order
    };
    let limit = 6 << 20;
    let large = padded(1, limit);
    desk.done(&large).await;
    assert_eq!(desk.journal.order(&web(), Rev(1)).await.unwrap(), Some(large));
    let error = desk
        .journal
        .accept(&padded(2, limit + 1), None)
        .await
        .unwrap_err();
    let ApplyError::TooLarge {
        size, limit: told, ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((size, told), (limit + 1, limit));
    assert_eq!(desk.record().await.rev, Rev(1));
}

/// What was never begun ends at once; what runs ends when it has stopped.
#[tokio::test]
async fn what_a_newer_order_replaces() {
    let desk = Desk::open().await;
    let ends = || {
        let told = desk.reports().into_iter();
        let ends = told.filter_map(|(_, rev, event)| match event {
            DeploymentEvent::Superseded { by } => Some((rev, by.0)),
            _ => None,
        });
        ends.collect::<Vec<_>>()
    };
    let before = async || {
        desk.record()
            .await
            .before
            .map(|before| (before.rev.0, before.before.is_none()))
    };
    desk.accept(&order(1), None).await;
    desk.accept(&order(2), None).await;
    assert_eq!((ends(), before().await), (vec![(1, 2)], None));
    desk.event(2, DeploymentEvent::Preparing).await;
    desk.accept(&order(3), Some(op(2))).await;
    assert_eq!(
        (ends(), before().await),
        (vec![(1, 2)], Some((2, true))),
        "it runs"
    );
    // The second still runs, the third never began.
    desk.accept(&order(4), Some(op(2))).await;
    assert_eq!((ends(), before().await), (vec![(1, 2), (3, 4)], Some((2, true))));
    // The second has stopped, and nobody could write that; the fourth runs.
    desk.accept(&order(5), Some(op(4))).await;
    assert_eq!(
        (ends(), before().await),
        (vec![(1, 2), (3, 4), (2, 4)], Some((4, true)))
    );
    desk.journal.superseded(&web()).await.unwrap();
    assert_eq!(ends(), [(1, 2), (3, 4), (2, 4), (4, 5)]);
    desk.journal.superseded(&web()).await.unwrap();
    assert_eq!(ends().len(), 4, "once");
    // What has ended is replaced by nobody.
    desk.finish(5, DeploymentEvent::Succeeded).await;
    desk.accept(&order(6), Some(op(5))).await;
    assert_eq!((ends().len(), before().await), (4, None));
}

#[tokio::test]
async fn taken_back_as_long_as_nothing_has_changed() {
    let desk = Desk::open().await;
    let cancel = async |rev: u64, of: OpId| desk.journal.cancel(&web(), Rev(rev), of).await.unwrap();
    assert_eq!(cancel(1, op(1)).await, CancelOutcome::NotHeld);
    desk.accept(&order(1), None).await;
    assert_eq!(cancel(1, op(2)).await, CancelOutcome::NotHeld);
    assert_eq!(cancel(2, op(1)).await, CancelOutcome::NotHeld);
    for _ in 0..2 {
        assert_eq!(cancel(1, op(1)).await, CancelOutcome::Cancelled);
    }
    assert_eq!(desk.record().await.state, DeploymentState::Cancelled);
    assert_eq!(desk.reports(), [(2, 1, DeploymentEvent::Cancelled)]);
    desk.accept(&order(2), None).await;
    desk.event(2, DeploymentEvent::Applying { done: 0, total: 1 })
        .await;
    let state = DeploymentState::Applying { done: 0, total: 1 };
    assert_eq!(cancel(2, op(2)).await, CancelOutcome::TooLate { state });
}

/// Orders are kept of what is held, of the last good one, and, in local mode, of the last good ones.
#[tokio::test]
async fn which_orders_are_kept() {
    let desk = Desk::open().await;
    let kept = async || {
        let revs = desk.journal.order_revs(&web()).await.unwrap();
        revs.into_iter().map(|rev| rev.0).collect::<Vec<_>>()
    };
    desk.done(&order(1)).await;
    desk.done(&order(2)).await;
    assert_eq!(kept().await, [2]);
    desk.accept(&order(3), None).await;
    desk.accept(&order(4), None).await;
    assert_eq!(kept().await, [2, 3, 4]);
    desk.finish(4, DeploymentEvent::Failed { failure: failure() })
        .await;
    assert_eq!(kept().await, [2, 4], "the good one and the held one");
    desk.done(&removal(5)).await;
    assert_eq!(kept().await, [5], "nothing to go back to");
    assert_eq!(
        desk.journal.order(&web(), Rev(5)).await.unwrap(),
        Some(removal(5))
    );
    assert_eq!(desk.journal.order(&web(), Rev(2)).await.unwrap(), None);
}

#[tokio::test]
async fn local_mode_keeps_the_last_good_orders() {
    let desk = Desk::open().await;
    let kept = async || {
        let revs = desk.journal.order_revs(&web()).await.unwrap();
        revs.into_iter().map(|rev| rev.0).collect::<Vec<_>>()
    };
    for rev in 1..=12 {
        desk.done(&local(rev)).await;
    }
    assert_eq!(kept().await, (3..=12).collect::<Vec<_>>(), "ten of them");
    desk.accept(&local(13), None).await;
    desk.finish(13, DeploymentEvent::Failed { failure: failure() })
        .await;
    assert_eq!(kept().await, (3..=13).collect::<Vec<_>>());
    // However many there are, each end takes away as many as a transaction may hold.
    for rev in 14..=200 {
        desk.accept(&local(rev), None).await;
    }
    assert_eq!(kept().await.len(), 198);
    desk.finish(200, DeploymentEvent::Succeeded).await;
    assert_eq!(kept().await.len(), 198 - 90);
    desk.done(&local(201)).await;
    desk.done(&local(202)).await;
    assert_eq!(
        kept().await,
        [200, 201, 202],
        "the history is no longer than that"
    );
}
