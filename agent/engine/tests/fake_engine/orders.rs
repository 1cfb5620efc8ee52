//! What orders are taken, refused, repeated, replaced, taken back.

use windflow_engine::{Acceptance, ApplyError, CancelOutcome};
use windflow_model::{Code, DeploymentEvent, DeploymentState, Failure, Rev, StackId, Want};

use crate::bench::Bench;

const ONE: &str = "services: { a: { image: x } }";

#[tokio::test(start_paused = true)]
async fn repeats_older_revisions_and_foreign_names() {
    let bench = Bench::start().await;
    let order = bench.order("web", 5, ONE);
    assert_eq!(
        bench.handle.apply(order.clone()).await.unwrap(),
        Acceptance::Accepted
    );
    let repeat = bench.handle.apply(order.clone()).await.unwrap();
    assert!(matches!(repeat, Acceptance::AlreadyHeld { .. }), "{repeat:?}");
    assert_eq!(
        bench.ended(&order.stack, order.op).await,
        DeploymentState::Succeeded
    );
    let repeat = bench.handle.apply(order.clone()).await.unwrap();
    assert_eq!(
        repeat,
        Acceptance::AlreadyHeld {
            state: DeploymentState::Succeeded
        }
    );

    let older = bench.order("web", 4, ONE);
    let error = bench.handle.apply(older.clone()).await.unwrap_err();
    assert!(
        matches!(error, ApplyError::Diverged { held: Rev(5), .. }),
        "{error}"
    );
    assert_eq!(
        bench.ended(&older.stack, older.op).await,
        DeploymentState::Diverged { held: Rev(5) }
    );

    let mut other = bench.order("web", 9, ONE);
    other.owner = Some(StackId::from_uuid(bench.uuid()));
    let error = bench.handle.apply(other.clone()).await.unwrap_err();
    assert_eq!(Failure::from(error).code, Code::StackNameHeld.as_str());
    let state = bench.ended(&other.stack, other.op).await;
    assert!(matches!(state, DeploymentState::Rejected { .. }), "{state:?}");

    // Once removed, the name is free for anybody, with numbers of his own.
    let mut gone = bench.order("web", 6, ONE);
    gone.want = Want::Absent;
    assert_eq!(bench.run(gone).await, DeploymentState::Succeeded);
    (other.rev, other.op) = (Rev(1), bench.order("web", 1, ONE).op);
    assert_eq!(bench.run(other).await, DeploymentState::Succeeded);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_revision_takes_over_after_the_step_in_hand() {
    let bench = Bench::start().await;
    let yaml = |image: &str| {
        format!("services: {{ a: {{ image: {image} }}, b: {{ image: fake/slow, depends_on: [a] }} }}")
    };
    let first = bench.order("web", 1, &yaml("x"));
    bench.handle.apply(first.clone()).await.unwrap();
    bench
        .until("the first starts a", || async {
            bench.target.operations().contains(&"start web-a-1".to_owned())
        })
        .await;
    let (second, third) = (
        bench.order("web", 2, &yaml("y")),
        bench.order("web", 3, &yaml("z")),
    );
    bench.handle.apply(second.clone()).await.unwrap();
    bench.handle.apply(third.clone()).await.unwrap();
    assert_eq!(
        bench.ended(&third.stack, third.op).await,
        DeploymentState::Succeeded
    );
    assert_eq!(
        bench.ended(&first.stack, first.op).await,
        DeploymentState::Superseded { by: Rev(3) }
    );
    assert_eq!(
        bench.ended(&second.stack, second.op).await,
        DeploymentState::Superseded { by: Rev(3) }
    );
    assert_eq!(bench.names("web").await, ["web-a-1", "web-b-1"]);
    assert!(
        !bench.target.operations().iter().any(|done| done == "pull y"),
        "the second never worked"
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn cancel_before_and_after_the_first_change() {
    let bench = Bench::start().await;
    let order = bench.order("web", 1, "services: { a: { image: fake/slow } }");
    bench.handle.apply(order.clone()).await.unwrap();
    // The pull takes two seconds.
    let cancelled = bench
        .handle
        .cancel(&order.stack, order.rev, order.op)
        .await
        .unwrap();
    assert_eq!(cancelled, CancelOutcome::Cancelled);
    assert_eq!(
        bench.ended(&order.stack, order.op).await,
        DeploymentState::Cancelled
    );
    assert!(bench.names("web").await.is_empty());

    let order = bench.order("web", 2, "services: { a: { image: fake/slow } }");
    bench.handle.apply(order.clone()).await.unwrap();
    bench
        .until("a is created", || async { !bench.names("web").await.is_empty() })
        .await;
    let late = bench
        .handle
        .cancel(&order.stack, order.rev, order.op)
        .await
        .unwrap();
    assert!(matches!(late, CancelOutcome::TooLate { .. }), "{late:?}");
    let unknown = bench.handle.cancel(&order.stack, Rev(7), order.op).await.unwrap();
    assert_eq!(unknown, CancelOutcome::NotHeld);
    assert_eq!(
        bench.ended(&order.stack, order.op).await,
        DeploymentState::Succeeded
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn reports_rise_survive_and_are_forgotten_when_acknowledged() {
    let bench = Bench::start().await;
    let order = bench.order("web", 1, ONE);
    assert_eq!(bench.run(order.clone()).await, DeploymentState::Succeeded);
    let bench = bench.restart().await;
    assert_eq!(bench.handle.boot(), 2);
    let reports = bench.reports(0);
    assert!(reports.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    let last = reports.last().unwrap();
    assert_eq!((last.op, &last.event), (order.op, &DeploymentEvent::Succeeded));
    assert!(last.steps.as_ref().is_some_and(|steps| !steps.steps.is_empty()));
    let seq = last.seq;
    bench.handle.reports_ack(seq).await.unwrap();
    assert!(bench.reports(0).is_empty());
    let bench = bench.restart().await;
    assert!(bench.reports(0).is_empty());
    let next = bench.order("web", 2, ONE);
    assert_eq!(bench.run(next).await, DeploymentState::Succeeded);
    assert!(bench.reports(0)[0].seq > seq, "numbers never repeat");
    bench.end().await;
}
