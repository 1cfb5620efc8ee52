//! What rules see, and what becomes of it; the task with its store is tested with the routes, in `http/tests/alerts.rs`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use uuid::Uuid;
use windflow_model::{
    AgentId, AgentRecord, AlertRule, ContainerState, ContainerSummary, EngineProof, FleetEvent,
    FleetEventKind, Health, Presence, Rev, RuleId, Severity, StackId, Timestamp,
    agent::Absence,
    alert::{RuleSpec, Seen},
    container::ContainerList,
};

use super::{facts::Facts, followed::Followed, observe::observe, step};

const NOW: i64 = 1_000_000_000;

fn agent(number: u8) -> AgentId {
    AgentId::from_uuid(Uuid::from_u128(number.into()))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOW + seconds * 1_000)
}

fn rule(condition: &str, more: &str) -> AlertRule {
    let text = format!(r#"{{"name":"r","condition":{condition}{more}}}"#);
    let spec: RuleSpec = serde_json::from_str(&text).unwrap();
    AlertRule {
        id: RuleId::from_uuid(Uuid::from_u128(9)),
        spec,
        since: at(-10_000),
        created_at: at(-10_000),
        updated_at: at(-10_000),
        updated_by: None,
    }
}

fn container(name: &str, state: ContainerState, health: Health, exit_code: Option<i64>) -> ContainerSummary {
    ContainerSummary {
        id: name.into(),
        name: name.into(),
        project: Some("shop".into()),
        service: Some(name.into()),
        rev: None,
        image: "img".into(),
        state,
        health,
        exit_code,
        status: String::new(),
        ports: Vec::new(),
        created_at: at(0),
    }
}

fn connected(problem: Option<&str>) -> Presence {
    Presence::Connected {
        since: at(-1_000),
        proven_at: at(-1),
        rtt_us: 1,
        remote: String::new(),
        engine: Some(EngineProof {
            at: at(-1),
            took_us: 1,
            problem: problem.map(str::to_owned),
        }),
    }
}

fn offline(cause: Absence) -> Presence {
    Presence::Offline {
        since: Some(at(-50)),
        cause,
        reason: "gone".into(),
    }
}

/// Five hosts: 1 well, 2 with a silent engine, 3 offline, 4 not back since the start, 5 never seen.
fn facts(up: i64) -> Facts {
    let mut facts = Facts {
        now: at(0),
        started: at(-up),
        ..Facts::default()
    };
    let presences = [
        connected(None),
        connected(Some("timed out")),
        offline(Absence::Silent),
        offline(Absence::NotSinceStart),
        offline(Absence::NeverConnected),
    ];
    for (number, presence) in (1..).zip(presences) {
        let id = agent(number);
        let labels = BTreeMap::from([(
            "env".to_owned(),
            if number == 1 { "prod" } else { "test" }.to_owned(),
        )]);
        Arc::make_mut(&mut facts.fleet.hosts).insert(
            id,
            AgentRecord {
                id,
                name: format!("h{number}"),
                labels,
                inventory: windflow_model::Inventory::default(),
                enrolled_at: at(-9_000),
                last_seen_at: None,
            },
        );
        facts.presences.insert(id, presence);
        facts.certificates.insert(id, at(i64::from(number) * 1_000));
        use ContainerState::{Dead, Exited, Restarting, Running};
        let containers = vec![
            container("ok", Running, Health::Healthy, None),
            container("ill", Running, Health::Unhealthy, None),
            container("new", Running, Health::Starting, None),
            container("done", Exited, Health::None, Some(0)),
            container("stopped", Exited, Health::Unhealthy, Some(143)),
            container("broken", Exited, Health::None, Some(1)),
            container("again", Restarting, Health::None, Some(2)),
            container("stuck", Dead, Health::None, None),
        ];
        facts
            .containers
            .insert(id, (at(-5), Arc::new(ContainerList { containers })));
    }
    facts
}

/// What is seen, a word each: `h1/shop/ill:holds`.
fn seen(rule: &AlertRule, facts: &Facts, followed: &Followed) -> String {
    let sights = observe(rule, facts, followed, None);
    let one = |(subject, sight): (&windflow_model::alert::Subject, &super::observe::Sight)| {
        let parts = [
            facts.host_name(subject.agent),
            subject.stack.clone(),
            subject.part.clone(),
        ];
        let name: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let seen = match sight.seen {
            Seen::Holds => "holds",
            Seen::Clear => "clear",
            _ => "unknown",
        };
        format!("{}:{seen}", name.join("/"))
    };
    sights.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_seen_of_hosts_and_containers() {
    let check = |condition: &str, more: &str, up: i64, expected: &str| {
        let got = seen(&rule(condition, more), &facts(up), &Followed::default());
        assert_eq!(got, expected, "{condition} {more}");
    };
    let offline = r#"{"on":"host_offline"}"#;
    // Just after a start nobody can tell of those that are not back yet.
    check(offline, "", 30, "h1:clear h2:clear h3:holds h4:unknown");
    check(offline, "", 90, "h1:clear h2:clear h3:holds h4:holds");
    check(offline, r#","targets":{"selector":"env=prod"}"#, 90, "h1:clear");
    check(
        r#"{"on":"engine_silent"}"#,
        "",
        90,
        "h1:clear h2:holds h3:unknown h4:unknown h5:unknown",
    );
    // Containers of hosts that are away are not judged.
    let only = r#","targets":{"selector":"env=prod"}"#;
    check(
        r#"{"on":"container_unhealthy"}"#,
        only,
        90,
        "h1/shop/again:clear h1/shop/broken:clear h1/shop/done:clear h1/shop/ill:holds h1/shop/new:unknown \
         h1/shop/ok:clear h1/shop/stopped:clear h1/shop/stuck:clear",
    );
    check(
        r#"{"on":"container_down"}"#,
        only,
        90,
        "h1/shop/again:holds h1/shop/broken:holds h1/shop/done:clear h1/shop/ill:clear h1/shop/new:clear \
         h1/shop/ok:clear h1/shop/stopped:clear h1/shop/stuck:holds",
    );
    check(
        r#"{"on":"container_down","containers":{"stack":"shop","service":"broken"}}"#,
        "",
        90,
        "h1/shop/broken:holds h2/shop/broken:holds",
    );
    check(
        r#"{"on":"container_down","containers":{"stack":"other"}}"#,
        "",
        90,
        "",
    );
    check(
        r#"{"on":"certificate_expiry","within_s":2500}"#,
        "",
        90,
        "h1:holds h2:holds h3:clear h4:clear h5:clear",
    );
}

fn event(seconds: i64, kind: &str) -> FleetEvent {
    let text = format!(r#"{{"id":"1-1","at":"{}",{kind}}}"#, at(seconds));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_is_followed() {
    let mut followed = Followed::default();
    let restarts = rule(r#"{"on":"container_restarts","times":3,"within_s":600}"#, "");
    let memory = rule(
        r#"{"on":"event","kinds":["container.out_of_memory","agent_removed"],"hold_s":60}"#,
        "",
    );
    let failed = rule(r#"{"on":"deployment_failed"}"#, "");
    let rules = [memory.clone()];
    let container = |seconds: i64, action: &str, name: &str| {
        let kind = format!(
            r#""kind":"host","agent":"{}","life":1,"event":{{"seq":1,"at":"{}","subject":"container","action":"{action}","container":"c","name":"{name}","stack":"shop","service":"web"}}"#,
            agent(1),
            at(seconds)
        );
        event(0, &kind)
    };
    let facts = facts(90);
    for seconds in [-700, -500, -400] {
        followed.take(&container(seconds, "died", "web-1"), &rules);
    }
    assert_eq!(seen(&restarts, &facts, &followed), "h1/shop/web-1:clear");
    // Told late, and by a clock that goes ahead: it counts as now.
    followed.take(&container(50_000, "died", "web-1"), &rules);
    assert_eq!(seen(&restarts, &facts, &followed), "h1/shop/web-1:holds");
    followed.take(&container(-1, "removed", "web-1"), &rules);
    assert_eq!(seen(&restarts, &facts, &followed), "");

    followed.take(&container(-59, "out_of_memory", "web-1"), &rules);
    followed.take(&container(-61, "out_of_memory", "web-2"), &rules);
    followed.take(&container(-1, "started", "web-3"), &rules);
    assert_eq!(
        seen(&memory, &facts, &followed),
        "h1/shop/web-1:holds h1/shop/web-2:clear"
    );

    let stack = StackId::from_uuid(Uuid::from_u128(5));
    followed.name(stack, "shop".into());
    let moved = |rev: u64, state: &str| FleetEvent {
        kind: FleetEventKind::DeploymentChanged {
            deployment: windflow_model::DeploymentId::from_uuid(Uuid::from_u128(rev.into())),
            stack,
            agent: agent(1),
            rev: Rev(rev),
            state: state.into(),
        },
        ..event(0, r#""kind":"gap","lost":0"#)
    };
    let mut check = |rev: u64, state: &str, expected: &str| {
        followed.take(&moved(rev, state), &rules);
        assert_eq!(seen(&failed, &facts, &followed), expected, "{rev} {state}");
    };
    check(2, "applying", "h1/shop:unknown");
    check(2, "failed", "h1/shop:holds");
    check(1, "succeeded", "h1/shop:holds");
    check(3, "applying", "h1/shop:unknown");
    check(3, "succeeded", "h1/shop:clear");
    check(4, "rolled_back", "h1/shop:holds");
}

#[test]
fn alerts_begin_and_end_and_nothing_that_is_silent_gets_better() {
    let mut rule = rule(
        r#"{"on":"container_down"}"#,
        r#","for_s":60,"severity":"critical""#,
    );
    let mut facts = facts(90);
    let mut open = Vec::new();
    let mut next = 1_u128;
    let mut turn = |rule: &AlertRule, facts: &Facts, open: &mut Vec<windflow_model::Alert>| {
        let sights = observe(rule, facts, &Followed::default(), None);
        let mut told = Vec::new();
        for change in step::of_rule(rule, &sights, open, facts) {
            match change {
                step::Change::New(mut alert) => {
                    alert.id = windflow_model::AlertId::from_uuid(Uuid::from_u128(next));
                    next += 1;
                    told.push(format!(
                        "{}/{} {}",
                        alert.host,
                        alert.subject.part,
                        alert.state.name()
                    ));
                    open.push(*alert);
                }
                step::Change::Moved(alert) => {
                    told.push(format!(
                        "{}/{} {}",
                        alert.host,
                        alert.subject.part,
                        alert.state.name()
                    ));
                    open.retain(|one| one.id != alert.id);
                    if !alert.state.is_resolved() {
                        open.push(*alert);
                    }
                }
                step::Change::Dropped(id) => open.retain(|one| one.id != id),
            }
        }
        told.sort();
        told.join(", ")
    };
    rule.spec.targets = serde_json::from_str(r#"{"selector":"env=prod"}"#).unwrap();
    let pending = "h1/again pending, h1/broken pending, h1/stuck pending";
    assert_eq!(turn(&rule, &facts, &mut open), pending);
    assert_eq!(turn(&rule, &facts, &mut open), "");
    facts.now = at(60);
    assert_eq!(
        turn(&rule, &facts, &mut open),
        pending.replace("pending", "firing")
    );
    assert!(
        open.iter()
            .all(|alert| alert.severity == Severity::Critical && alert.state.since() == at(0))
    );
    // The host goes: nothing gets better by it.
    facts.presences.insert(agent(1), offline(Absence::Silent));
    facts.now = at(9_000);
    assert_eq!(turn(&rule, &facts, &mut open), "");
    // It is back, and two of the containers are gone; that is believed once it has been back for a while.
    let list = ContainerList {
        containers: vec![container("broken", ContainerState::Running, Health::None, None)],
    };
    facts.containers.insert(agent(1), (at(9_000), Arc::new(list)));
    facts.presences.insert(
        agent(1),
        Presence::Connected {
            since: at(9_000),
            proven_at: at(9_000),
            rtt_us: 1,
            remote: String::new(),
            engine: None,
        },
    );
    assert_eq!(turn(&rule, &facts, &mut open), "h1/broken resolved");
    facts.now = at(9_000).plus(Duration::from_secs(200));
    assert_eq!(
        turn(&rule, &facts, &mut open),
        "h1/again resolved, h1/stuck resolved"
    );
    assert!(open.is_empty());
}
