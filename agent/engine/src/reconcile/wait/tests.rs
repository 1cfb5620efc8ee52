//! What is said of a container, by what was seen of it and since when.

use windflow_compose::{LoadRequest, MemoryFiles, Source};

use super::*;
use windflow_model::Timestamp;

fn project(yaml: &str) -> Project {
    let files = MemoryFiles([("/compose.yaml".to_owned(), yaml.to_owned())].into());
    let request = LoadRequest {
        files: vec![Source {
            path: "/compose.yaml".into(),
            text: None,
        }],
        name: Some("web".into()),
        ..LoadRequest::default()
    };
    windflow_compose::load(&request, &files).unwrap().project
}

fn one(state: ContainerState, status: &str) -> ContainerSummary {
    ContainerSummary {
        id: "1".into(),
        name: "web-a-1".into(),
        project: Some("web".into()),
        service: Some("a".into()),
        rev: None,
        image: "x".into(),
        state,
        health: Health::None,
        exit_code: None,
        status: status.into(),
        ports: Vec::new(),
        created_at: Timestamp::from_millis(0),
    }
}

fn ended_with(code: Option<i64>) -> ContainerSummary {
    ContainerSummary {
        exit_code: code,
        ..one(ContainerState::Exited, "Exited a moment ago")
    }
}

fn said(verdict: Verdict) -> String {
    match verdict {
        Verdict::Good => "good".into(),
        Verdict::NotYet(why) => why.into(),
        Verdict::Bad(kind, why) => format!("{kind:?}: {why}"),
    }
}

/// What is said at each of these instants, in milliseconds from the first look.
struct Looks {
    project: Project,
    until: Until,
    health: bool,
}

impl Looks {
    fn new(service: &str, until: Until) -> Self {
        Self {
            project: project(&format!("services: {{ a: {{ image: x{service} }} }}")),
            until,
            health: true,
        }
    }

    async fn check(&self, looks: &[(u64, Option<&ContainerSummary>, &str)]) {
        let rules = Rules {
            spec: self.project.services.get("a"),
            until: self.until,
            settle: Duration::from_secs(1),
            health: self.health,
        };
        let (begin, mut seen) = (Instant::now(), Seen::default());
        for (at, found, expected) in looks {
            tokio::time::sleep_until(begin + Duration::from_millis(*at)).await;
            let place = format!("after {at} ms: {found:?}");
            assert_eq!(said(judge(*found, &rules, &mut seen)), *expected, "{place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_good_once_it_has_stayed_up() {
    let young = one(ContainerState::Running, "Up Less than a second");
    let looks = Looks::new("", Until::Good);
    let new = "has just started";
    looks
        .check(&[
            (0, Some(&young), new),
            (999, Some(&young), new),
            (1_000, Some(&young), "good"),
        ])
        .await;
    // It counts from its last start.
    let again = one(ContainerState::Restarting, "Restarting (1) a moment ago");
    looks
        .check(&[
            (0, Some(&young), new),
            (900, Some(&again), "is being restarted"),
            (1_100, Some(&young), new),
            (2_000, Some(&young), new),
            (2_100, Some(&young), "good"),
        ])
        .await;
    // The engine may know how long it has been up.
    for (status, expected) in [
        ("Up 1 second", new),
        ("Up 2 seconds (healthy)", new),
        ("Up 3 seconds", "good"),
        ("Up 5 weeks", "good"),
        ("running", new),
    ] {
        let up = one(ContainerState::Running, status);
        looks.check(&[(0, Some(&up), expected)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_a_health_check_is_as_good_as_that_says() {
    use Until::{Completed, Good, Healthy};
    for (until, health, counts, expected) in [
        (Good, Health::Healthy, true, "good"),
        (Good, Health::Starting, true, "is not healthy yet"),
        (Good, Health::Unhealthy, true, "Unhealthy: is unhealthy"),
        (Good, Health::Unhealthy, false, "good"),
        (Good, Health::Starting, false, "good"),
        (Healthy, Health::Healthy, true, "good"),
        (Healthy, Health::Starting, true, "is not healthy yet"),
        (Healthy, Health::Unhealthy, true, "Unhealthy: is unhealthy"),
        (
            Healthy,
            Health::None,
            true,
            "Unhealthy: has no health check that could pass",
        ),
        (Completed, Health::Healthy, true, "has not ended yet"),
    ] {
        let up = ContainerSummary {
            health,
            ..one(ContainerState::Running, "Up 5 weeks")
        };
        let looks = Looks {
            health: counts,
            ..Looks::new("", until)
        };
        looks.check(&[(0, Some(&up), expected)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_good_where_it_is_a_job() {
    let bad = |code: i64| format!("ContainerExited: ended with exit code {code}");
    for (service, until, code, expected) in [
        ("", Until::Good, Some(0), "good".to_owned()),
        (", restart: 'no'", Until::Good, Some(0), "good".to_owned()),
        (
            ", restart: 'on-failure:3'",
            Until::Good,
            Some(0),
            "good".to_owned(),
        ),
        ("", Until::Good, Some(1), bad(1)),
        ("", Until::Good, None, bad(-1)),
        ("", Until::Completed, Some(0), "good".to_owned()),
        ("", Until::Completed, Some(1), bad(1)),
        (", restart: always", Until::Completed, Some(0), "good".to_owned()),
        ("", Until::Healthy, Some(0), bad(0)),
    ] {
        let end = ended_with(code);
        let looks = Looks::new(service, until);
        looks.check(&[(0, Some(&end), &expected)]).await;
    }
    // Nobody could say that its end is a success.
    let looks = Looks {
        project: project("services: { b: { image: x } }"),
        ..Looks::new("", Until::Good)
    };
    let end = ended_with(Some(0));
    looks.check(&[(0, Some(&end), &bad(0))]).await;
}

/// An engine that goes away takes its containers down first.
#[tokio::test(start_paused = true)]
async fn an_end_that_the_restart_policy_should_answer_is_waited_for() {
    let (end, up) = (ended_with(Some(0)), one(ContainerState::Running, "Up 1 second"));
    let waits = "has ended, and the engine does not start it again";
    let bad = "ContainerExited: ended with exit code 0";
    for policy in ["always", "unless-stopped"] {
        let looks = Looks::new(&format!(", restart: {policy}"), Until::Good);
        looks
            .check(&[
                (0, Some(&end), waits),
                (14_999, Some(&end), waits),
                (15_000, Some(&end), bad),
            ])
            .await;
        // Each end counts for itself.
        looks
            .check(&[
                (0, Some(&end), waits),
                (14_000, Some(&up), "has just started"),
                (15_000, Some(&end), waits),
                (29_999, Some(&end), waits),
                (30_000, Some(&end), bad),
            ])
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_crashes_over_and_over_does_not_come_up() {
    let again = one(ContainerState::Restarting, "Restarting (1) a moment ago");
    let waits = "is being restarted";
    let looks = Looks::new(", restart: always", Until::Good);
    looks
        .check(&[
            (0, Some(&again), waits),
            (10_000, Some(&again), waits),
            (
                10_001,
                Some(&again),
                "ContainerExited: ends again and again (Restarting (1) a moment ago)",
            ),
        ])
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_neither_up_nor_ended() {
    let looks = Looks::new("", Until::Good);
    let there = one(ContainerState::Created, "Created");
    looks
        .check(&[
            (0, None, "is not in the list yet"),
            (200, Some(&there), "has not started yet"),
            (400, None, "ContainerExited: is gone"),
        ])
        .await;
    for (state, expected) in [
        (ContainerState::Paused, "Unhealthy: is paused"),
        (ContainerState::Removing, "ContainerExited: is being removed"),
        (ContainerState::Unknown, "has not started yet"),
    ] {
        let found = one(state, "");
        looks.check(&[(0, Some(&found), expected)]).await;
    }
}

#[test]
fn whose_end_is_waited_for() {
    let project = project(
        "services:\n  a: { image: x, depends_on: { b: { condition: service_completed_successfully }, c: { condition: service_started } } }\n  b: { image: x }\n  c: { image: x }\n",
    );
    for (service, expected) in [("a", false), ("b", true), ("c", false)] {
        assert_eq!(awaited_end(&project, service), expected, "{service}");
    }
}

#[test]
fn what_a_failure_tells() {
    let check =
        |command: Option<&str>, exit_code: Option<i64>, output: &str, log: &[&str], expected: &str| {
            let check = FailedCheck {
                service: "a".into(),
                container: "web-a-1".into(),
                kind: CheckKind::Health,
                seen: "is unhealthy".into(),
                command: command.map(str::to_owned),
                exit_code,
                output: output.into(),
                log: log.iter().map(|line| (*line).to_owned()).collect(),
            };
            assert_eq!(story(Some(&check)), expected);
        };
    check(None, Some(3), "ignored", &[], "");
    check(
        Some("true"),
        None,
        "",
        &[],
        ": its health check `true` has not run yet",
    );
    check(
        Some("true"),
        Some(1),
        "",
        &[],
        ": its health check `true` ended with exit code 1",
    );
    check(
        Some("true"),
        Some(1),
        "not today",
        &["one", "two"],
        ": its health check `true` ended with exit code 1 and said: not today; its last output:\none\ntwo",
    );
    assert_eq!(story(None), "");
}
