//! The outbox: numbers, what a newer report makes needless, what is told with it.

use windflow_model::Progress;

use super::*;
use crate::order::ApplyError;

/// A tree with one note of that length.
fn tree(note: usize) -> Steps {
    let mut steps = Steps::default();
    let text = "n".repeat(note);
    steps.fold(&Progress::Note { text });
    steps.steps = serde_json::from_value(serde_json::json!([{
        "step": {
            "id": 0,
            "action": "create",
            "resource": { "kind": "container", "name": "web-a-1" },
            "reason": { "code": "new", "text": "there is none" },
        },
        "state": "running",
    }]))
    .unwrap();
    steps
}

#[tokio::test]
async fn a_newer_report_takes_the_place_of_an_older_one_of_its_operation() {
    let desk = Desk::open().await;
    let told = desk.view.reports.subscribe();
    desk.accept(&order(1), None).await;
    assert_eq!(desk.reports(), [(1, 1, DeploymentEvent::Accepted)]);
    assert_eq!(*told.borrow(), 1);
    desk.event(1, DeploymentEvent::Preparing).await;
    assert_eq!(desk.reports(), [(2, 1, DeploymentEvent::Preparing)]);
    // Two in one transaction: one number each. The end of the first stays.
    desk.accept(&order(2), None).await;
    let superseded = (3, 1, DeploymentEvent::Superseded { by: Rev(2) });
    let accepted = (4, 2, DeploymentEvent::Accepted);
    assert_eq!(desk.reports(), [superseded.clone(), accepted]);
    assert_eq!(*told.borrow(), 4);
    desk.finish(2, DeploymentEvent::Succeeded).await;
    let succeeded = (5, 2, DeploymentEvent::Succeeded);
    assert_eq!(desk.reports(), [superseded, succeeded.clone()]);
    // Another stack with the same operation: another matter.
    let mut shop = order(3);
    (shop.stack, shop.op) = ("shop".parse().unwrap(), op(4));
    desk.accept(&shop, None).await;
    desk.accept(&order(4), None).await;
    let accepted = [
        (6, 3, DeploymentEvent::Accepted),
        (7, 4, DeploymentEvent::Accepted),
    ];
    assert_eq!(desk.reports()[2..], accepted);
    // They survive, and are forgotten up to a number.
    let desk = desk.again().await;
    assert_eq!(desk.reports().len(), 4);
    let mut told = desk.view.reports.subscribe();
    assert_eq!(*told.borrow_and_update(), 7);
    desk.journal.ack(3).await.unwrap();
    assert_eq!(desk.reports()[0], succeeded);
    desk.journal.ack(6).await.unwrap();
    assert_eq!(desk.reports(), accepted[1..]);
    assert!(!told.has_changed().unwrap(), "nothing new");
    desk.journal.ack(7).await.unwrap();
    // Numbers go on after everything is forgotten.
    let desk = desk.again().await;
    assert_eq!(desk.reports(), []);
    assert_eq!(*desk.view.reports.borrow(), 7);
    desk.event(4, DeploymentEvent::Preparing).await;
    assert_eq!(desk.reports(), [(8, 4, DeploymentEvent::Preparing)]);
}

#[tokio::test]
async fn the_tree_goes_with_what_says_something_new_of_it() {
    let desk = Desk::open().await;
    desk.accept(&order(1), None).await;
    let say = async |event: DeploymentEvent, steps: Option<Steps>| {
        let moved = desk.journal.event(&web(), op(1), event, steps.as_ref()).await;
        assert_eq!(moved.unwrap(), Moved::Yes);
        let state = desk.view.state();
        let (_, last) = state.reports.last_key_value().unwrap();
        last.steps.is_some()
    };
    let applying = |done: u32| DeploymentEvent::Applying { done, total: 9 };
    assert!(!say(DeploymentEvent::Preparing, None).await, "there is none");
    assert!(!say(applying(0), Some(Steps::default())).await, "it is empty");
    assert!(!say(applying(1), Some(tree(1))).await, "progress is told apart");
    // The first count brings the plan; what takes its place before it is acknowledged has to bring it, too.
    desk.accept(&order(2), None).await;
    let say = async |event: DeploymentEvent| {
        let moved = desk.journal.event(&web(), op(2), event, Some(&tree(1))).await;
        assert_eq!(moved.unwrap(), Moved::Yes);
        let state = desk.view.state();
        let (seq, last) = state.reports.last_key_value().unwrap();
        (*seq, last.steps.is_some())
    };
    assert!(say(applying(0)).await.1);
    assert!(say(applying(1)).await.1, "nobody has the plan yet");
    let (seq, with) = say(applying(2)).await;
    assert!(with, "nobody has the plan yet");
    desk.journal.ack(seq).await.unwrap();
    assert!(!say(applying(3)).await.1, "the controller has it");
    assert!(!say(applying(4)).await.1, "the controller has it");
    assert!(say(DeploymentEvent::Verifying).await.1);
    assert!(say(DeploymentEvent::Succeeded).await.1);
}

/// A tree that would make the report larger than the store takes is left out; the report is told.
#[tokio::test]
async fn a_tree_that_is_too_large_is_left_out() {
    let with = async |note: usize| {
        let desk = Desk::open().await;
        desk.accept(&order(1), None).await;
        let moved = desk
            .journal
            .event(&web(), op(1), DeploymentEvent::Verifying, Some(&tree(note)))
            .await;
        assert_eq!(moved.unwrap(), Moved::Yes);
        let state = desk.view.state();
        let report = state.reports.values().last().unwrap().clone();
        assert_eq!(report.at, Timestamp::from_millis(START_MS));
        (serde_json::to_vec(&report).unwrap().len(), report.steps.is_some())
    };
    let (size, there) = with(1).await;
    assert!(there);
    let limit = 700 << 10;
    assert_eq!(with(1 + limit - size).await, (limit, true));
    let (size, there) = with(2 + limit - size).await;
    assert!(size < 1_000 && !there, "{size} {there}");
}

#[tokio::test]
async fn a_refusal_is_told_once() {
    let desk = Desk::open().await;
    desk.done(&order(5)).await;
    desk.journal.ack(9).await.unwrap();
    let refused = async |order: &Order| match desk.journal.accept(order, None).await {
        Err(ApplyError::Diverged { .. } | ApplyError::NameHeld { .. }) => desk.reports().len(),
        other => panic!("{other:?}"),
    };
    let older = order(4);
    assert_eq!(refused(&older).await, 1);
    assert_eq!(refused(&older).await, 1, "it waits there already");
    assert_eq!(refused(&order(3)).await, 2, "that is another one");
    // The same operation for another reason.
    let foreign = Order {
        owner: Some(StackId::from_uuid(Uuid::from_u128(9))),
        ..order(4)
    };
    assert_eq!(refused(&foreign).await, 3);
    assert_eq!(refused(&local(4)).await, 3, "nobody waits for that");
    let diverged = DeploymentEvent::Diverged { held: Rev(5) };
    let told = desk.reports();
    assert_eq!(told[..2], [(3, 4, diverged.clone()), (4, 3, diverged)]);
    let (_, 4, DeploymentEvent::Rejected { failure }) = &told[2] else {
        panic!("{told:?}")
    };
    assert_eq!(failure.code, Code::StackNameHeld.as_str());
    let desk = desk.again().await;
    assert_eq!(desk.reports(), told);
}
