//! What orders are taken, refused, repeated, replaced, taken back.

use std::time::Duration;

use windflow_engine::{Acceptance, ApplyError, CancelOutcome, Order, targets::TargetErrorKind};
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

/// Twenty containers are to be started, ten at the same time, when it has to stop: what is in hand ends, what waits for its
/// turn never begins, and that is no failure.
#[tokio::test(start_paused = true)]
async fn what_has_to_stop_lets_only_end_what_has_begun() {
    let check = async |why: &str| {
        let bench = Bench::start().await;
        let services: Vec<String> = (10..30).map(|n| format!("s{n}: {{ image: x }}")).collect();
        let yaml = format!("services: {{ {} }}", services.join(", "));
        let first = bench.order("web", 1, &yaml);
        bench.handle.apply(first.clone()).await.unwrap();
        bench
            .until("all are made", || async { bench.names("web").await.len() == 20 })
            .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let starts = |bench: &Bench| {
            let done = bench.target.operations();
            done.iter().filter(|line| line.starts_with("start ")).count()
        };
        assert_eq!(starts(&bench), 0, "they are being started");
        let bench = match why {
            "a newer revision" => {
                let second = Order {
                    want: Want::Absent,
                    ..bench.order("web", 2, "services: {}")
                };
                assert_eq!(bench.run(second).await, DeploymentState::Succeeded);
                assert_eq!(starts(&bench), 10, "{why}");
                bench
            }
            "a restart" => {
                let bench = bench.restart().await;
                assert_eq!(starts(&bench), 10, "{why}");
                bench
            }
            _ => {
                bench.target.fail_next("start", TargetErrorKind::DiskFull);
                bench
            }
        };
        let state = bench.ended(&first.stack, first.op).await;
        let (name, started) = match why {
            "a newer revision" => ("superseded", 10),
            "a restart" => ("succeeded", 20),
            _ => ("failed", 9),
        };
        assert_eq!(
            (state.name(), starts(&bench)),
            (name, started),
            "{why}: {state:?}"
        );
        bench.end().await;
    };
    check("a newer revision").await;
    check("a restart").await;
    check("a failure").await;
}
