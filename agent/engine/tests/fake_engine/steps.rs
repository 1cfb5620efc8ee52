//! What a deployment says about itself: its step tree, its warnings, its problems.

use windflow_engine::targets::TargetErrorKind;
use windflow_model::{Action, StepState, StepView};

use crate::bench::Bench;

#[tokio::test(start_paused = true)]
async fn every_step_of_a_deployment_that_is_over_has_ended() {
    let bench = Bench::start().await;
    let stack = |a: &str, b: &str| format!("services: {{ a: {{ image: {a} }}, b: {{ image: {b} }} }}");
    let mut rev = 0;
    for (what, yaml, fault, state, kept) in [
        ("all is new", stack("x", "y"), None, "succeeded", 0),
        ("nothing changes", stack("x", "y"), None, "succeeded", 3),
        ("one service changes", stack("x", "z"), None, "succeeded", 2),
        (
            "its image cannot be pulled",
            stack("x", "fake/unpullable"),
            None,
            "failed",
            2,
        ),
        (
            "it cannot be started",
            stack("x", "w"),
            Some("start"),
            "rolled_back",
            2 + 2,
        ),
        (
            "it never gets healthy",
            stack("x", "fake/unhealthy"),
            None,
            "rolled_back",
            2 + 2,
        ),
    ] {
        rev += 1;
        if let Some(fault) = fault {
            bench.target.fail_next(fault, TargetErrorKind::DiskFull);
        }
        let order = bench.order("web", rev, &yaml);
        assert_eq!(bench.run(order.clone()).await.name(), state, "{what}");
        let reports = bench.reports(0);
        let last = reports.iter().rev().find(|report| report.op == order.op);
        let steps = last.and_then(|report| report.steps.clone()).unwrap().steps;
        let open = |view: &&StepView| matches!(view.state, StepState::Pending | StepState::Running);
        assert_eq!(steps.iter().find(open), None, "{what}");
        let unchanged = steps
            .iter()
            .filter(|view| view.step.action == Action::Keep && view.state == StepState::Done);
        assert_eq!(unchanged.count(), kept, "{what}: {steps:#?}");
        // Images are pulled under a first plan; the second one keeps how long it took.
        let untimed = |view: &&StepView| {
            let timed = view.started_at.is_some() && view.ended_at >= view.started_at;
            view.step.action == Action::Pull && !timed
        };
        assert_eq!(steps.iter().find(untimed), None, "{what}");
    }
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn paths_are_told_as_the_stack_names_them() {
    let bench = Bench::start().await;
    for (yaml, told) in [
        ("services: { a: { image: 'x:${NOPE}' } }", "compose.yaml:1:"),
        ("services: { a: { imgae: x } }", "compose.yaml:1:"),
        ("services: { a: { image: x, env_file: [none.env] } }", "none.env"),
    ] {
        let text = match bench.handle.plan(bench.order("web", 1, yaml)).await {
            Ok(plan) => plan.warnings.join("\n"),
            Err(failure) => failure.message,
        };
        assert!(text.contains(told), "{yaml}: {text:?}");
        let work = bench.dir.path().to_string_lossy().into_owned();
        assert!(!text.contains(&work), "{yaml}: {text:?}");
    }
    bench.end().await;
}
