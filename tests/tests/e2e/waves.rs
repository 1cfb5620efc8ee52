//! Deploys in waves with real processes: through a kill of the controller, and back again when too many hosts fail.

use std::time::Duration;

use windflow_api::{AgentPatch, DeploymentQuery, RolloutQuery, RolloutView};
use windflow_model::{ContainerState, HostState, RolloutState};
use windflow_tests::{Fleet, Target, fleet::CommandLine, wait::until};

const WITHIN: Duration = Duration::from_secs(60);
const HOSTS: u32 = 4;

fn compose(image: &str) -> String {
    format!("services:\n  web:\n    image: {image}\n")
}

async fn newest(fleet: &Fleet) -> RolloutView {
    let list = fleet
        .client()
        .rollout_list(&RolloutQuery::default())
        .await
        .unwrap();
    let id = list.first().unwrap().rollout.id;
    fleet.client().rollout_show(id).await.unwrap()
}

/// Runs a command line; gives its exit code and all that it said.
async fn say(line: &CommandLine, command: &str) -> (i32, String) {
    let args: Vec<_> = command.split_whitespace().collect();
    let done = line.run(&args).await;
    (done.code, format!("{}\n{}", done.stdout, done.stderr))
}

/// Groups are made, changed and removed; whatever is said twice is done once.
async fn groups_change(line: &CommandLine) {
    let check = async |command: &str, code: i32, word: &str| {
        let (ended, said) = say(line, command).await;
        assert!(ended == code && said.contains(word), "{command}: {ended}\n{said}");
    };
    check("group create all --selector fleet=yes", 0, "is there already").await;
    check(
        "group create all --selector fleet=no",
        1,
        "windflow group update all",
    )
    .await;
    check("group create two --on h0,h1", 0, "two has 2 host(s)").await;
    check("group update two --add h2 --drop h0", 0, "two has 2 host(s)").await;
    check("group update two --add h2 --drop h0", 0, "is so already").await;
    check("group show two", 0, "Hosts     h1, h2").await;
    check("group update two --name all", 1, "is taken").await;
    check(
        "group update two --name pair --selector fleet=none",
        0,
        "pair has 2",
    )
    .await;
    check("group update two --add h0", 4, "there is no group `two`").await;
    check(
        "group update pair --drop h1,h2 --no-selector",
        2,
        "nobody would be left",
    )
    .await;
    check("group update pair --add h9", 4, "h9").await;
    check("group list", 0, "pair").await;
    check("group remove pair --yes", 0, "removed pair").await;
    check("group remove pair --yes", 4, "there is no group `pair`").await;
    check("group remove pair --yes --if-exists", 0, "there is no group pair").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waves_outlive_the_controller_and_can_be_taken_back() {
    let mut fleet = Fleet::start().await;
    let line = fleet.command_line().await;
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        let host = fleet.host(&format!("h{number}"), Target::Fake).await;
        let patch = AgentPatch {
            labels: Some([("fleet".to_owned(), "yes".to_owned())].into()),
            ..AgentPatch::default()
        };
        // The host reports what it is at the same time: its record may change in between.
        until("the host has its label", WITHIN, async || {
            let version = fleet.client().agent_show(host.id()).await.ok()?.version;
            let changed = fleet.client().agent_update(host.id(), version, &patch).await;
            changed.ok()
        })
        .await;
        hosts.push(host);
    }
    let file = fleet.scratch().join("compose.yaml");
    let save = |image: &str| fs_err::write(&file, compose(image)).unwrap();
    save("example/web:1");
    let (code, said) = say(&line, "group create all --selector fleet=yes").await;
    assert!(code == 0 && said.contains("all has 4 host(s)"), "{said}");
    groups_change(&line).await;
    let deploy = format!(
        "stack deploy shop -f {} --group all --canary 1 --wave 2",
        file.display()
    );
    let (code, said) = say(&line, &format!("{deploy} --show-waves")).await;
    assert!(code == 0 && said.contains("3     h3"), "{said}");

    // Killed while the canary is at its gate; it goes on, and the one who follows it sees the end.
    let (code, said) = say(&line, &format!("{deploy} --gate 3s --detach")).await;
    assert_eq!(code, 0, "{said}");
    until("the canary is at its gate", WITHIN, async || {
        matches!(
            newest(&fleet).await.rollout.state,
            RolloutState::Gate { wave: 1, .. }
        )
        .then_some(())
    })
    .await;
    fleet.controller.kill().await;
    fleet.restart_controller().await;
    let (code, said) = say(&line, "rollout watch shop --timeout 90s").await;
    assert!(code == 0 && said.contains("4 succeeded"), "{said}");
    let view = newest(&fleet).await;
    assert_eq!(
        (view.rollout.state.clone(), view.summary.succeeded),
        (RolloutState::Succeeded, HOSTS)
    );
    assert_eq!(view.rollout.waves, [1, 2, 1]);
    for host in &hosts {
        let query = DeploymentQuery {
            agent: Some(host.id()),
            ..DeploymentQuery::default()
        };
        let made = fleet.client().deployment_list(&query).await.unwrap();
        assert_eq!(made.len(), 1, "{} got one deployment", host.name());
    }

    // The next one ends badly on the canary: nobody else hears of it, and the canary is as before.
    save("fake/unhealthy:1");
    let bad = format!("{deploy} --auto-rollback off --health-timeout 2s --on-failure rollback --timeout 90s");
    let (code, said) = say(&line, &bad).await;
    assert!(
        code == 1 && said.contains("rolled back (1 failed, 0 tolerated)"),
        "{said}"
    );
    let view = newest(&fleet).await;
    assert!(
        matches!(view.rollout.state, RolloutState::RolledBack { .. }),
        "{:?}",
        view.rollout.state
    );
    assert_eq!((view.summary.rolled_back, view.summary.untouched), (1, HOSTS - 1));
    let rows = fleet.client().rollout_hosts(view.rollout.id).await.unwrap();
    let canary = rows.first().unwrap();
    assert_eq!(canary.state, HostState::RolledBack);
    until("the canary runs what it ran before", WITHIN, async || {
        let held = fleet.client().agent_containers(canary.agent).await.ok()?;
        let mut web = held
            .containers
            .iter()
            .filter(|one| one.state == ContainerState::Running);
        web.any(|one| one.image == "example/web:1").then_some(())
    })
    .await;
    let (code, said) = say(&line, "rollout promote shop").await;
    assert!(
        code == 1 && said.contains("has no further wave to begin"),
        "{said}"
    );
}
