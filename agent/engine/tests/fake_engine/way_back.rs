//! The way back itself: what is proved on it, an engine that is away meanwhile, files that were not kept.

use std::{collections::BTreeMap, time::Duration};

use windflow_engine::{Order, Source};
use windflow_model::{Code, DeploymentState, Rev};

use crate::{back::world, bench::Bench};

const SICK: &str = "services: { a: { image: fake/unhealthy, ports: ['80:80'] } }";

/// Who asked for a revision that is good gets a good one back, or hears that it is none.
#[tokio::test(start_paused = true)]
async fn what_comes_back_is_proved_if_the_failed_one_had_to_be() {
    let check = async |failed_waits: bool, expected: &str| {
        let bench = Bench::start().await;
        let mut good = bench.order("web", 1, SICK);
        good.options.no_wait = true;
        assert_eq!(bench.run(good).await, DeploymentState::Succeeded);
        let yaml = "services:\n  a: { image: y, ports: ['80:80'] }\n  b: { image: fake/unstartable, depends_on: [a] }\n";
        let mut order = bench.order("web", 2, yaml);
        order.options.no_wait = !failed_waits;
        let state = bench.run(order).await;
        assert_eq!(state.name(), expected, "{failed_waits}: {state:?}");
        if let DeploymentState::RollbackFailed { undo, to, .. } = state {
            let undo = undo.unwrap();
            assert_eq!(
                (undo.code.as_str(), to),
                (Code::Unhealthy.as_str(), Some(Rev(1))),
                "{undo}"
            );
        }
        bench.end().await;
    };
    check(true, "rollback_failed").await;
    check(false, "rolled_back").await;
}

/// An engine that does not answer is waited for as long as a service may take to get healthy.
#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_on_the_way_back() {
    for (seconds, expected) in [(50, "rolled_back"), (90, "rollback_failed")] {
        let bench = Bench::start().await;
        bench
            .deployed("web", 1, "services: { a: { image: x, ports: ['80:80'] } }")
            .await;
        let before = world(&bench, "web").await;
        let order = bench.order("web", 2, SICK);
        bench.handle.apply(order.clone()).await.unwrap();
        bench
            .until("it goes back", || async {
                let held = bench.handle.held();
                held.iter().any(|held| held.state.name() == "rolling_back")
            })
            .await;
        bench.target.set_reachable(false);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        bench.target.set_reachable(true);
        let state = bench.ended(&order.stack, order.op).await;
        assert_eq!(state.name(), expected, "{seconds}: {state:?}");
        match state {
            DeploymentState::RollbackFailed { undo, .. } => {
                assert_eq!(undo.unwrap().code, Code::EngineUnreachable.as_str());
            }
            _ => assert_eq!(world(&bench, "web").await, before),
        }
        bench.end().await;
    }
}

/// In local mode a revision comes back as it was read, if its files could be kept.
#[tokio::test(start_paused = true)]
async fn files_of_this_host_come_back_if_they_were_kept() {
    for (padding, expected) in [(0, "rolled_back"), (7 << 20, "rollback_failed")] {
        let bench = Bench::start().await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("compose.yaml");
        let in_place = |rev: u64| {
            let order = bench.order("web", rev, "");
            Order {
                owner: None,
                deployment: None,
                spec: windflow_model::StackSpec {
                    files: Vec::new(),
                    ..order.spec
                },
                source: Source::Directory {
                    project_directory: dir.path().to_owned(),
                    config_files: vec![file.clone()],
                    env_files: Vec::new(),
                    environment: BTreeMap::new(),
                },
                ..order
            }
        };
        let good = "services: { a: { image: x, ports: ['80:80'] } }";
        fs_err::write(&file, format!("{good}\n# {}\n", "x".repeat(padding))).unwrap();
        assert_eq!(bench.run(in_place(1)).await, DeploymentState::Succeeded);
        let before = world(&bench, "web").await;
        fs_err::write(&file, SICK).unwrap();
        let state = bench.run(in_place(2)).await;
        assert_eq!(state.name(), expected, "{padding}: {state:?}");
        match state {
            DeploymentState::RollbackFailed { undo, .. } => assert_eq!(
                undo.unwrap().message,
                "the files of web 1 were too large to be kept on this host"
            ),
            _ => assert_eq!(world(&bench, "web").await, before),
        }
        bench.end().await;
    }
}
