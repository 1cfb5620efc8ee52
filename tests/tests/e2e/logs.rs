//! Searches in the logs of a fleet, as people type them.

use windflow_tests::{Fleet, Target};

use super::cli::check;

const COMPOSE: &str = "services:\n  web:\n    image: example/web:1\n";
const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const NOT_FOUND: i32 = 4;
const SOON: std::time::Duration = std::time::Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_a_fleet_are_searched_on_its_hosts() {
    let fleet = Fleet::start().await;
    let (one, mut two) = (
        fleet.host("one", Target::Fake).await,
        fleet.host("two", Target::Fake).await,
    );
    for (name, deployed) in [("shop", vec![&one, &two]), ("blog", vec![&two])] {
        for deployment in fleet.deploy(name, COMPOSE, &deployed).await {
            fleet.ended(deployment.deployment.id, SOON).await;
        }
    }
    let line = fleet.command_line().await;
    check(&line, "agent label one env=prod", OK, &[], &[]).await;
    let found = check(
        &line,
        "logs --search START",
        OK,
        &["one/shop-web-1 | ", "two/blog-web-1 | "],
        &["3 lines of 2 hosts match; 3 containers of 2 hosts were searched"],
    )
    .await;
    assert_eq!(found.lines().count(), 3, "{found}");
    // Which hosts, which containers, what.
    for (command, count) in [
        ("logs --search start --on env=prod", 1),
        ("logs --search start --on two", 2),
        ("logs --search start --selector !env", 2),
        ("logs --search start --container shop-web-1", 2),
        ("logs shop --search start", 2),
        ("logs shop --search start --on two", 1),
        ("logs --regex ^blog.*1$", 1),
        ("logs --search START --case-sensitive", 0),
        ("logs --level error", 0),
        ("logs --search start --since 1h", 3),
        ("logs --search start --until 1h", 0),
        ("logs --on two --tail all", 2),
    ] {
        let found = check(&line, command, OK, &[], &[]).await;
        assert_eq!(found.lines().count(), count, "{command}: {found}");
    }
    // What three containers of two hosts said is one text in order of time.
    let history = check(
        &line,
        "logs --on one,two --tail all --timestamps",
        OK,
        &["one/", "two/"],
        &[],
    )
    .await;
    let times: Vec<_> = history
        .lines()
        .filter_map(|line| line.split(" | ").nth(1)?.split(' ').next())
        .collect();
    assert_eq!(times.len(), 3, "{history}");
    assert!(times.is_sorted(), "{history}");
    // Each host stops at one; the newest of both is shown, and what was left out is said.
    let newest = check(
        &line,
        "logs --search start --limit 1",
        OK,
        &[],
        &["older lines match, too", "stopped at"],
    )
    .await;
    assert_eq!(newest.lines().count(), 1, "{newest}");
    let json = check(
        &line,
        "logs --search start -o json",
        OK,
        &["\"kind\":\"line\"", "\"kind\":\"searched\""],
        &[],
    )
    .await;
    assert_eq!(json.lines().count(), 5, "{json}");
    for (command, code, says) in [
        ("logs --regex a(", USAGE, "no regular expression"),
        (
            "logs --search x --on env=prod --selector a=b",
            USAGE,
            "use one of them",
        ),
        ("logs --search x --on nobody", NOT_FOUND, "nobody"),
        ("logs --search x --on env=none", NOT_FOUND, "host that is meant"),
    ] {
        check(&line, command, code, &[], &[says]).await;
    }
    // A host that is away is named; what the others have is shown.
    two.agent.kill().await;
    let rest = check(
        &line,
        "logs --search start",
        FAILED,
        &["one/shop-web-1"],
        &["two: "],
    )
    .await;
    assert_eq!(rest.lines().count(), 1, "{rest}");
}
