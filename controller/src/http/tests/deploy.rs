//! The life of deployments: minting, order, hosts that come and go, restarts.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::json;
use windflow_kit::Clock;
use windflow_model::{AgentId, Code, DeploymentEvent as E, DeploymentState, Failure, Rev};
use windflow_store::{RedbOptions, RedbStore, SharedStore};

use super::world::{NOW_MS, World, report};
use crate::{
    context::OpContext,
    fleet::{Assignment, Held},
};

fn held(assignment: &Assignment, state: DeploymentState) -> Held {
    Held {
        stack: assignment.name.clone(),
        owner: Some(assignment.stack),
        deployment: Some(assignment.deployment),
        rev: assignment.rev,
        op: assignment.op,
        want: assignment.want,
        digest: assignment.digest,
        state,
    }
}

#[tokio::test]
async fn a_deploy_reaches_the_host_and_its_reports_move_it() {
    let world = World::new().await;
    let (stack, agent) = (world.stack("web").await, world.enrol(1).await);
    let deployed = world.deploy(&stack, &[agent]).await;
    let (id, rev) = deployed[0];
    assert_eq!((world.state(id).await.as_str(), rev), ("queued", 1));
    let sent = world.app.work(agent).await.unwrap().assignments;
    assert_eq!((sent.len(), sent[0].deployment), (1, id));
    assert_eq!(world.state(id).await, "offered");
    for (event, state) in [
        (E::Accepted, "accepted"),
        (E::Preparing, "preparing"),
        (E::Applying { done: 0, total: 2 }, "applying"),
        (E::Accepted, "applying"),
        (E::Succeeded, "succeeded"),
        (E::Verifying, "succeeded"),
    ] {
        world.report(agent, &sent[0], event).await;
        assert_eq!(world.state(id).await, state);
    }
    assert!(world.app.work(agent).await.unwrap().assignments.is_empty());
    // Still there, so the stack cannot be deleted; once removed, it can.
    let path = format!("/api/v1/stacks/{stack}");
    assert_eq!(world.call("DELETE", &path, None).await.0.as_u16(), 409);
    world.ok("POST", &format!("{path}/remove"), Some(json!({}))).await;
    let sent = world.app.work(agent).await.unwrap().assignments;
    assert!(sent[0].want.is_absent());
    world.report(agent, &sent[0], E::Succeeded).await;
    assert_eq!(world.call("DELETE", &path, None).await.0.as_u16(), 204);
}

/// A host's reports come one by one, or many at once after a time without the link: the same is known after both.
#[tokio::test]
async fn reports_that_come_together_say_the_same() {
    let world = World::new().await;
    let failure = Failure::new(Code::Internal, "no");
    let applying = E::Applying { done: 1, total: 2 };
    let lives = [
        vec![
            E::Accepted,
            E::Preparing,
            applying.clone(),
            E::Verifying,
            E::Succeeded,
        ],
        vec![E::Accepted, E::Preparing, E::Failed { failure }, E::Succeeded],
        vec![E::Accepted, E::Superseded { by: Rev(2) }],
        vec![E::Superseded { by: Rev(2) }],
        vec![E::Preparing, E::Accepted, applying],
    ];
    for (row, life) in lives.into_iter().enumerate() {
        let mut known = Vec::new();
        for together in [false, true] {
            let host = u8::try_from(row * 2).unwrap() + u8::from(together);
            let agent = world.enrol(host).await;
            let stack = world.stack(&format!("web-{host}")).await;
            let (id, _) = world.deploy(&stack, &[agent]).await[0];
            let sent = world.app.work(agent).await.unwrap().assignments;
            let reports = life.iter().map(|event| report(&sent[0], event.clone()));
            if together {
                world
                    .app
                    .deployment_reports(agent, reports.collect())
                    .await
                    .unwrap();
            } else {
                for report in reports {
                    world.app.deployment_reports(agent, vec![report]).await.unwrap();
                }
            }
            let moves = world.app.audit_moves(&OpContext::system("test")).await.unwrap();
            let moves = moves.into_iter().filter(|one| one.deployment == id.to_string());
            let mut moves: Vec<_> = moves.map(|one| (one.from, one.to)).collect();
            moves.sort();
            let view = world.ok("GET", &format!("/api/v1/deployments/{id}"), None).await;
            let path = format!("/api/v1/stacks/{stack}");
            let deleted = world.call("DELETE", &path, None).await.0;
            known.push((view["state"].clone(), moves, deleted));
        }
        assert_eq!(known[0], known[1], "{life:?}");
    }
}

#[tokio::test]
async fn the_latest_are_one_per_stack_and_host_over_all_pages() {
    let world = World::new().await;
    let (web, api) = (world.stack("web").await, world.stack("api").await);
    let (one, two) = (world.enrol(1).await, world.enrol(2).await);
    let mut newest = Vec::new();
    for stack in [&web, &api] {
        world.deploy(stack, &[one, two]).await;
        newest.extend(world.deploy(stack, &[one, two]).await);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/deployments?latest=true&limit=3{cursor}");
        let page = world.ok("GET", &path, None).await;
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut expected: Vec<_> = newest.iter().map(|(id, _)| id.to_string()).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    let of_api = format!("/api/v1/deployments?latest=true&stack={api}&agent={one}");
    assert_eq!(
        world.ok("GET", &of_api, None).await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_revision_is_reused_only_where_it_is_new() {
    let world = World::new().await;
    let stack = world.stack("web").await;
    let (one, two) = (world.enrol(1).await, world.enrol(2).await);
    let rev = async |agents: &[AgentId]| world.deploy(&stack, agents).await[0].1;
    assert_eq!(rev(&[one]).await, 1);
    assert_eq!(rev(&[two]).await, 1);
    assert_eq!(rev(&[two]).await, 2);
    assert_eq!(rev(&[one, two]).await, 3);
    let back = json!({"rev": 1, "agents": [one]});
    let back = world
        .ok("POST", &format!("/api/v1/stacks/{stack}/rollback"), Some(back))
        .await;
    assert_eq!(back["items"][0]["rev"], 4);
    let revision = world
        .ok("GET", &format!("/api/v1/stacks/{stack}/revisions/4"), None)
        .await;
    assert_eq!(revision["rollback_of"], 1);
}

#[tokio::test]
async fn one_key_makes_one_deploy() {
    let world = World::new().await;
    let (stack, agent) = (world.stack("web").await, world.enrol(1).await);
    let send = async |body: serde_json::Value| {
        let mut request = world.request("POST", &format!("/api/v1/stacks/{stack}/deployments"), Some(body));
        request
            .headers_mut()
            .insert("idempotency-key", "k-1".parse().unwrap());
        let (status, _, answer) = world.send(request).await;
        (status.as_u16(), answer["items"][0]["id"].clone())
    };
    let first = send(json!({"agents": [agent]})).await;
    assert_eq!(first.0, 200);
    assert_eq!(send(json!({"agents": [agent]})).await, first);
    assert_eq!(send(json!({"agents": [agent], "rev": 1})).await.0, 409);
    assert_eq!(
        world.ok("GET", "/api/v1/deployments", None).await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn many_hosts_are_queued_in_several_transactions() {
    let world = World::new().await;
    let stack = world.stack("web").await;
    let mut agents = Vec::new();
    for key in 0..40 {
        agents.push(world.enrol(key).await);
    }
    let made = world.deploy(&stack, &agents).await;
    assert_eq!(made.len(), 40);
    let page = world
        .ok("GET", "/api/v1/deployments?state=queued&limit=30", None)
        .await;
    assert_eq!(page["items"].as_array().unwrap().len(), 30);
    let next = page["next_cursor"].as_str().unwrap();
    let rest = world
        .ok(
            "GET",
            &format!("/api/v1/deployments?limit=30&cursor={next}"),
            None,
        )
        .await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn cancel_and_expiry() {
    let world = World::new().await;
    let (stack, agent) = (world.stack("web").await, world.enrol(1).await);
    let cancel = async |id| {
        world
            .call("POST", &format!("/api/v1/deployments/{id}/cancel"), None)
            .await
            .0
            .as_u16()
    };
    let (waiting, _) = world.deploy(&stack, &[agent]).await[0];
    assert_eq!(
        (cancel(waiting).await, world.state(waiting).await.as_str()),
        (200, "cancelled")
    );
    assert!(world.app.work(agent).await.unwrap().assignments.is_empty());
    // It never reached the host, so nothing is in the way.
    let (offered, _) = world.deploy(&stack, &[agent]).await[0];
    let sent = world.app.work(agent).await.unwrap().assignments;
    assert_eq!(
        (cancel(offered).await, world.state(offered).await.as_str()),
        (200, "offered")
    );
    // Had it still waited when somebody looked, and gone out since: it is the host's to answer.
    let op = OpContext::system("test");
    let event = E::Cancelled;
    let ended = world
        .app
        .deployment_end_waiting("test", &op, offered, &event)
        .await;
    assert_eq!(
        (ended.unwrap(), world.state(offered).await.as_str()),
        (false, "offered")
    );
    assert_eq!(*world.hosts.withdrawn.lock().unwrap(), [offered]);
    assert_eq!(world.app.work(agent).await.unwrap().withdrawals.len(), 1);
    // The offer was lost with the connection: the wish to cancel was not.
    world.app.agent_held(agent, Vec::new()).await.unwrap();
    assert!(world.app.work(agent).await.unwrap().assignments.is_empty());
    assert_eq!(world.state(offered).await, "cancelled");
    world.report(agent, &sent[0], E::Accepted).await;
    assert_eq!(world.state(offered).await, "cancelled");
    let (applying, _) = world.deploy(&stack, &[agent]).await[0];
    let sent = world.app.work(agent).await.unwrap().assignments;
    world
        .report(agent, &sent[0], E::Applying { done: 0, total: 1 })
        .await;
    assert_eq!(
        (cancel(applying).await, world.state(applying).await.as_str()),
        (409, "applying")
    );

    let spec = json!({"files": [{"path": "compose.yaml", "content": "services: {a: {image: b}}"}],
        "policy": {"queue_timeout_s": 60}});
    let made = world
        .ok(
            "POST",
            "/api/v1/stacks",
            Some(json!({"name": "short", "spec": spec})),
        )
        .await;
    let (short, _) = world.deploy(made["id"].as_str().unwrap(), &[agent]).await[0];
    assert_eq!(world.app.expire_all().await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.app.expire_all().await.unwrap(), 1);
    assert_eq!(world.state(short).await, "expired");
}

#[tokio::test]
async fn a_silent_host_is_shown_as_unknown_with_its_age() {
    let world = World::new().await;
    let (stack, agent) = (world.stack("web").await, world.enrol(1).await);
    let (id, _) = world.deploy(&stack, &[agent]).await[0];
    let sent = world.app.work(agent).await.unwrap().assignments;
    world.report(agent, &sent[0], E::Verifying).await;
    let view = async || world.ok("GET", &format!("/api/v1/deployments/{id}"), None).await["view"].clone();
    let unknown = view().await;
    assert_eq!(
        (&unknown["view"], &unknown["last"]),
        (&json!("unknown"), &json!("verifying"))
    );
    world.hosts.connected.lock().unwrap().push(agent);
    assert_eq!(view().await, json!({"view": "known"}));
}

#[tokio::test]
async fn a_host_that_lost_its_journal_is_sent_its_work_again() {
    let world = World::new().await;
    let (stack, agent) = (world.stack("web").await, world.enrol(1).await);
    let (id, _) = world.deploy(&stack, &[agent]).await[0];
    let sent = world.app.work(agent).await.unwrap().assignments;
    world.report(agent, &sent[0], E::Accepted).await;
    world
        .app
        .agent_held(agent, vec![held(&sent[0], DeploymentState::Preparing)])
        .await
        .unwrap();
    assert_eq!(world.state(id).await, "preparing");
    assert!(world.app.work(agent).await.unwrap().assignments.is_empty());
    world.app.agent_held(agent, Vec::new()).await.unwrap();
    assert_eq!(world.app.work(agent).await.unwrap().assignments[0].deployment, id);
    world.report(agent, &sent[0], E::Succeeded).await;
    assert!(world.app.work(agent).await.unwrap().assignments.is_empty());
}

#[tokio::test]
async fn another_hosts_report_is_ignored() {
    let world = World::new().await;
    let stack = world.stack("web").await;
    let (one, two) = (world.enrol(1).await, world.enrol(2).await);
    let (id, _) = world.deploy(&stack, &[one]).await[0];
    let sent = world.app.work(one).await.unwrap().assignments;
    world.report(two, &sent[0], E::Succeeded).await;
    assert_eq!(world.state(id).await, "offered");
}

#[tokio::test]
async fn acknowledged_work_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW_MS);
    let open = || -> SharedStore { Arc::new(RedbStore::open(dir.path(), RedbOptions::default()).unwrap()) };
    let store = open();
    let mut world = World::over(store.clone(), clock.clone());
    let (code, _) = world.app.setup().present().unwrap();
    let body = json!({"code": code, "username": "admin", "password": "correct horse", "token": true});
    let session = world.ok("POST", "/api/v1/setup", Some(body)).await;
    world.token = session["token"].as_str().unwrap().to_owned();
    let token = world.token.clone();
    let (stack, agent) = (world.stack("web").await, world.enrol(1).await);
    let (first, _) = world.deploy(&stack, &[agent]).await[0];
    world.app.work(agent).await.unwrap();
    let (second, _) = world.deploy(&stack, &[agent]).await[0];
    store.close().await;
    drop((world, store));

    let mut world = World::over(open(), clock);
    world.token = token;
    assert_eq!(world.state(first).await, "offered");
    // The host never got the first offer: only the newest revision is sent.
    world.app.agent_held(agent, Vec::new()).await.unwrap();
    let sent = world.app.work(agent).await.unwrap().assignments;
    assert_eq!(
        sent.iter().map(|one| one.deployment).collect::<Vec<_>>(),
        [second]
    );
    assert_eq!(world.state(first).await, "superseded");
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Deploy(bool, bool),
    Send(usize),
    Accept(usize),
    Finish(usize),
    Reconnect(usize),
    Cancel,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Act::Deploy(a, b)),
        (0..2_usize).prop_map(Act::Send),
        (0..2_usize).prop_map(Act::Accept),
        (0..2_usize).prop_map(Act::Finish),
        (0..2_usize).prop_map(Act::Reconnect),
        Just(Act::Cancel),
    ];
    proptest::collection::vec(act, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: revisions sent to a host only rise, an ended deployment never moves, and
    /// once things calm down every deployment has ended.
    #[test]
    fn revisions_rise_and_everything_ends(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let stack = world.stack("web").await;
            let agents = [world.enrol(1).await, world.enrol(2).await];
            let mut journal: [Option<(Assignment, DeploymentState)>; 2] = [None, None];
            let mut all = Vec::new();
            let mut ended = std::collections::BTreeMap::new();
            for act in acts.into_iter().chain([Act::Reconnect(0), Act::Finish(0), Act::Reconnect(1), Act::Finish(1)]) {
                match act {
                    Act::Deploy(one, two) => {
                        let wanted: Vec<_> = agents.iter().zip([one, two]).filter(|(_, on)| *on).map(|(a, _)| *a).collect();
                        if !wanted.is_empty() {
                            all.extend(world.deploy(&stack, &wanted).await);
                        }
                    }
                    Act::Send(host) | Act::Accept(host) | Act::Reconnect(host) => {
                        if matches!(act, Act::Reconnect(_)) {
                            let list = journal[host].iter().map(|(one, state)| held(one, state.clone())).collect();
                            world.app.agent_held(agents[host], list).await.unwrap();
                        }
                        for sent in world.app.work(agents[host]).await.unwrap().assignments {
                            if let Some((before, state)) = &journal[host] {
                                assert!(sent.rev >= before.rev, "rev {} after {}", sent.rev, before.rev);
                                if sent.rev > before.rev && !state.is_terminal() {
                                    world.report(agents[host], before, E::Superseded { by: sent.rev }).await;
                                }
                            }
                            // `Send` alone is an offer lost on its way.
                            if !matches!(act, Act::Send(_)) {
                                world.report(agents[host], &sent, E::Accepted).await;
                                journal[host] = Some((sent, DeploymentState::Accepted));
                            }
                        }
                    }
                    Act::Finish(host) => {
                        if let Some((one, state)) = &mut journal[host] {
                            world.report(agents[host], one, E::Succeeded).await;
                            *state = DeploymentState::Succeeded;
                        }
                    }
                    Act::Cancel => {
                        if let Some((id, _)) = all.last() {
                            world.call("POST", &format!("/api/v1/deployments/{id}/cancel"), None).await;
                        }
                    }
                }
                for (id, _) in &all {
                    let state = world.state(*id).await;
                    if let Some(before) = ended.get(id) {
                        assert_eq!(&state, before, "{id} moved after its end");
                    } else if !["queued", "offered", "accepted"].contains(&state.as_str()) {
                        ended.insert(*id, state);
                    }
                }
            }
            for (id, _) in &all {
                assert!(ended.contains_key(id), "{id} is still {}", world.state(*id).await);
            }
        });
    }
}
