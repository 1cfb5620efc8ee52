//! Rollouts over the API: waves, gates, thresholds, people, and hosts that do what they like.

use serde_json::{Value, json};
use windflow_model::{
    AgentId, Code, ContainerState, ContainerSummary, DeploymentEvent as E, Failure, Health, Timestamp,
    container::ContainerList,
};

use super::world::World;
use crate::fleet::Assignment;

mod crowd;
mod killed;

use crowd::Crowd;

impl Crowd {
    async fn start(&self, plan: Value) -> Value {
        let body = json!({"stack": self.stack, "targets": {"selector": "fleet=yes"}, "plan": plan});
        self.world.ok("POST", "/api/v1/rollouts", Some(body)).await
    }

    async fn show(&self, id: &Value) -> Value {
        let path = format!("/api/v1/rollouts/{}", id.as_str().unwrap());
        let view = self.world.ok("GET", &path, None).await;
        let summary = view["summary"].as_object().unwrap();
        let parts: u64 = summary
            .iter()
            .filter(|(name, _)| *name != "total")
            .map(|(_, hosts)| hosts.as_u64().unwrap())
            .sum();
        assert_eq!(summary["total"], parts, "{summary:?}");
        view
    }

    async fn act(&self, id: &Value, act: &str, body: Option<Value>) -> (u16, Value) {
        let path = format!("/api/v1/rollouts/{}/{act}", id.as_str().unwrap());
        let (status, answer) = self.world.call("POST", &path, body).await;
        (status.as_u16(), answer)
    }

    /// Lets everything happen until the rollout is in this phase; gives what is then shown.
    async fn until(&mut self, id: &Value, phase: &str) -> Value {
        for _ in 0..200 {
            self.round().await;
            let view = self.show(id).await;
            if view["state"]["phase"] == phase {
                return view;
            }
        }
        panic!("never {phase}: {}", self.show(id).await);
    }

    async fn hosts(&self, id: &Value) -> Vec<Value> {
        let path = format!("/api/v1/rollouts/{}/hosts", id.as_str().unwrap());
        let page = self.world.ok("GET", &path, None).await;
        page["items"].as_array().unwrap().clone()
    }
}

fn broken() -> E {
    E::Failed {
        failure: Failure::new(Code::Unhealthy, "web is unhealthy"),
    }
}

#[tokio::test]
async fn waves_follow_each_other_when_the_one_before_is_good() {
    let mut crowd = Crowd::new(6).await;
    let plan = json!({"canary": "1", "wave": "50%", "pause": {"kind": "manual"}, "gate_s": 5});
    let preview = json!({"targets": {"selector": "fleet=yes"}, "plan": plan});
    let preview = crowd
        .world
        .ok("POST", "/api/v1/rollouts/preview", Some(preview))
        .await;
    assert_eq!(preview["waves"], json!([1, 3, 2]));
    assert_eq!(preview["hosts"][3]["wave"], 2);
    let made = crowd.start(plan).await;
    let id = &made["id"];
    assert_eq!(
        (&made["waves"], &made["summary"]["waiting"]),
        (&json!([1, 3, 2]), &json!(6))
    );

    let paused = crowd.until(id, "paused").await;
    assert_eq!(
        (&paused["state"]["wave"], &paused["state"]["why"]["cause"]),
        (&json!(2), &json!("between"))
    );
    assert_eq!(
        (&paused["summary"]["succeeded"], &paused["started"]),
        (&json!(1), &json!(1))
    );
    // Who read it before it moved does not promote the next one by accident.
    let stale = crowd.world.request(
        "POST",
        &format!("/api/v1/rollouts/{}/promote", id.as_str().unwrap()),
        None,
    );
    let mut stale = stale;
    stale
        .headers_mut()
        .insert("if-match", made["version"].to_string().parse().unwrap());
    assert_eq!(crowd.world.send(stale).await.0.as_u16(), 412);
    assert_eq!(crowd.act(id, "promote", None).await.0, 200);
    let paused = crowd.until(id, "paused").await;
    assert_eq!(paused["wave_summaries"][1]["succeeded"], 3);
    assert_eq!(crowd.act(id, "resume", None).await.0, 200);
    let done = crowd.until(id, "succeeded").await;
    assert_eq!(done["summary"]["succeeded"], 6);
    assert_eq!(done["wave_at"].as_array().unwrap().len(), 3);
    assert_eq!(crowd.act(id, "cancel", Some(json!({}))).await.0, 409);
    let list = crowd
        .world
        .ok("GET", "/api/v1/rollouts?state=succeeded", None)
        .await;
    assert_eq!(list["items"][0]["summary"], done["summary"]);
    let none = crowd.world.ok("GET", "/api/v1/rollouts?state=active", None).await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn too_many_failures_stop_it_or_take_it_back() {
    for (on_failure, end, first, waiting) in [
        ("stop", "stopped", "succeeded", "cancelled"),
        ("rollback", "rolled_back", "rolled_back", "cancelled"),
    ] {
        let mut crowd = Crowd::new(8).await;
        // It never had the stack; one of the wave is away and must not get it later.
        crowd.spec("services: {web: {image: b}}").await;
        let (bad, away) = (crowd.agents[2], crowd.agents[3]);
        crowd.answer = Box::new(move |agent, sent: &Assignment| {
            Some(if agent == bad && sent.rev.0 == 2 {
                broken()
            } else {
                E::Succeeded
            })
        });
        crowd.away(away);
        let plan = json!({"canary": "2", "wave": "3", "gate_s": 0, "on_failure": on_failure});
        let made = crowd.start(plan).await;
        let view = crowd.until(&made["id"], end).await;
        crowd.round().await;
        let rows = crowd.hosts(&made["id"]).await;
        let state = |agent: AgentId| {
            let row = rows.iter().find(|row| row["agent"] == json!(agent)).unwrap();
            row["state"].as_str().unwrap().to_owned()
        };
        // Hosts that are away have their turn last.
        assert_eq!(
            (state(crowd.agents[0]).as_str(), state(away).as_str()),
            (first, "untouched")
        );
        assert_eq!(view["summary"]["untouched"], 3, "{view}");
        assert_eq!(view["started"], 5);
        if on_failure == "rollback" {
            // Hosts 0 to 6 had revision 1; the last one had nothing.
            assert!(crowd.sent(crowd.agents[0]).last().unwrap().rev.0 > 2);
            assert_eq!(view["summary"]["rolled_back"], 5);
        } else {
            assert_eq!(
                view["state"]["why"],
                json!({"reason": "failures", "failed": 1, "limit": 0})
            );
            assert_eq!(view["summary"]["failed"], 1);
            // A person may still take it back.
            let (status, _) = crowd
                .act(&made["id"], "cancel", Some(json!({"rollback": true})))
                .await;
            assert_eq!(status, 200);
            let view = crowd.until(&made["id"], "rolled_back").await;
            assert_eq!(view["summary"]["rolled_back"], 5);
        }
        let _ = waiting;
        // The stack is free for the next one.
        let (status, _) = crowd.try_start(json!({})).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn a_host_that_had_nothing_gets_it_removed() {
    let mut crowd = Crowd::new(2).await;
    let new = crowd.join().await;
    crowd.answer = Box::new(move |agent, sent| {
        Some(if agent == new && !sent.want.is_absent() {
            broken()
        } else {
            E::Succeeded
        })
    });
    let made = crowd.start(json!({"on_failure": "rollback"})).await;
    crowd.until(&made["id"], "rolled_back").await;
    assert!(crowd.sent(new).last().unwrap().want.is_absent());
    let kept = crowd.sent(crowd.agents[0]).last().unwrap();
    assert!(!kept.want.is_absent());
    assert_eq!(made["rev"], 2);
}

#[tokio::test]
async fn hosts_that_are_away_wait_and_then_count_as_unreachable() {
    let mut crowd = Crowd::new(4).await;
    let (away, silent) = (crowd.agents[1], crowd.agents[2]);
    crowd.away(away);
    // Takes it and is never heard of again.
    crowd.answer = Box::new(move |agent, _| (agent != silent).then_some(E::Succeeded));
    let plan = json!({"deadline_s": 60, "gate_s": 0, "max_failures": "1"});
    let made = crowd.start(plan).await;
    crowd.round().await;
    crowd.away(silent);
    let view = crowd.show(&made["id"]).await;
    assert_eq!(
        (&view["summary"]["waiting"], &view["summary"]["unknown"]),
        (&json!(1), &json!(1))
    );
    let view = crowd.until(&made["id"], "incomplete").await;
    assert_eq!(
        (&view["summary"]["unreachable"], &view["summary"]["unknown"]),
        (&json!(1), &json!(1))
    );
    // Unreachable is not an end: the host gets it when it is back, and the sum says so.
    crowd.back(away);
    crowd.round().await;
    let view = crowd.show(&made["id"]).await;
    assert_eq!(
        (&view["summary"]["succeeded"], &view["state"]["phase"]),
        (&json!(3), &json!("incomplete"))
    );

    // One that falls silent with it counts against the threshold once it is overdue.
    crowd.back(silent);
    crowd.round().await;
    let made = crowd.start(json!({"deadline_s": 60})).await;
    crowd.round().await;
    crowd.away(silent);
    let view = crowd.until(&made["id"], "stopped").await;
    assert_eq!(
        (&view["summary"]["unknown"], &view["state"]["why"]["failed"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_canary_that_nobody_saw_proves_nothing() {
    let mut crowd = Crowd::new(3).await;
    for agent in crowd.agents.clone() {
        crowd.away(agent);
    }
    let made = crowd.start(json!({"canary": "1", "deadline_s": 60})).await;
    let view = crowd.until(&made["id"], "paused").await;
    assert_eq!(
        (&view["state"]["why"]["cause"], &view["started"]),
        (&json!("unproven"), &json!(1))
    );
}

#[tokio::test]
async fn a_container_that_falls_ill_at_the_gate_is_a_failure() {
    let mut crowd = Crowd::new(3).await;
    let made = crowd.start(json!({"canary": "1", "gate_s": 60})).await;
    crowd.until(&made["id"], "gate").await;
    let ill = crowd.agents[0];
    let container = ContainerSummary {
        id: "c".into(),
        name: "web-1".into(),
        project: Some("web".into()),
        service: Some("web".into()),
        rev: None,
        image: "nginx".into(),
        state: ContainerState::Running,
        health: Health::Unhealthy,
        exit_code: None,
        status: String::new(),
        ports: Vec::new(),
        created_at: Timestamp::from_millis(0),
    };
    let list = ContainerList {
        containers: vec![container],
    };
    crowd.world.app.agent_containers_seen(ill, list);
    let view = crowd.until(&made["id"], "stopped").await;
    assert_eq!(
        (&view["summary"]["failed"], &view["summary"]["untouched"]),
        (&json!(1), &json!(2))
    );
    let rows = crowd.hosts(&made["id"]).await;
    assert_eq!(rows[0]["reason"], "container web-1 is unhealthy");
}

#[tokio::test]
async fn a_newer_deploy_by_hand_is_told_and_holds_it_back() {
    let mut crowd = Crowd::new(4).await;
    let plan = json!({"canary": "2", "wave": "1", "pause": {"kind": "manual"}, "gate_s": 0});
    let made = crowd.start(plan).await;
    let id = &made["id"];
    let second = json!({"stack": crowd.stack, "targets": {"selector": "fleet"}});
    let (status, answer) = crowd.world.call("POST", "/api/v1/rollouts", Some(second)).await;
    assert_eq!(status.as_u16(), 409);
    assert!(
        answer["message"].as_str().unwrap().contains(id.as_str().unwrap()),
        "{answer}"
    );
    assert_eq!(
        crowd
            .world
            .call("DELETE", &format!("/api/v1/stacks/{}", crowd.stack), None)
            .await
            .0
            .as_u16(),
        409
    );
    crowd.until(id, "paused").await;
    // The third host gets this very revision by hand, the fourth one a newer one, before their turns.
    let stack = crowd.stack.clone();
    let (third, fourth) = (crowd.agents[2], crowd.agents[3]);
    assert_eq!(crowd.world.deploy(&stack, &[third]).await[0].1, 2);
    assert_eq!(crowd.world.deploy(&stack, &[fourth, third]).await[0].1, 3);
    // And the first one, which had succeeded.
    let first = crowd.agents[0];
    assert_eq!(crowd.show(id).await["summary"]["succeeded"], 2);
    crowd.world.deploy(&stack, &[first]).await;
    assert_eq!(crowd.show(id).await["summary"]["superseded"], 1);
    let mut causes = Vec::new();
    for _ in 0..3 {
        crowd.act(id, "resume", None).await;
        let view = crowd.until(id, "paused").await;
        causes.push(view["state"]["why"].clone());
    }
    let overtaken = |hosts: u32| json!({"cause": "overtaken", "hosts": hosts});
    assert_eq!(causes, [overtaken(2), json!({"cause": "unproven"}), overtaken(3)]);
    crowd.act(id, "resume", None).await;
    let view = crowd.until(id, "incomplete").await;
    assert_eq!(
        (&view["summary"]["succeeded"], &view["summary"]["superseded"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(crowd.show(id).await["summary"], view["summary"]);
}

#[tokio::test]
async fn people_pause_promote_and_cancel() {
    let mut crowd = Crowd::new(5).await;
    let made = crowd
        .start(json!({"canary": "1", "wave": "2", "gate_s": 600}))
        .await;
    let id = &made["id"];
    crowd.until(id, "gate").await;
    assert_eq!(crowd.act(id, "pause", None).await.0, 200);
    assert_eq!(crowd.act(id, "pause", None).await.0, 200);
    for _ in 0..5 {
        crowd.round().await;
    }
    let view = crowd.show(id).await;
    assert_eq!(view["state"]["why"]["by"]["name"], "admin");
    assert_eq!(view["started"], 1);
    crowd.act(id, "resume", None).await;
    crowd.until(id, "gate").await;
    assert_eq!(crowd.act(id, "promote", None).await.0, 200);
    let view = crowd.until(id, "gate").await;
    assert_eq!((&view["state"]["wave"], &view["started"]), (&json!(2), &json!(3)));
    assert_eq!(crowd.act(id, "cancel", Some(json!({}))).await.0, 200);
    let view = crowd.until(id, "cancelled").await;
    assert_eq!(
        (&view["summary"]["succeeded"], &view["summary"]["untouched"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(crowd.act(id, "resume", None).await.0, 409);
}

#[tokio::test]
async fn a_removed_host_is_neither_failed_nor_waited_for() {
    let mut crowd = Crowd::new(4).await;
    let plan = json!({"canary": "1", "wave": "1", "pause": {"kind": "manual"}, "gate_s": 0});
    let made = crowd.start(plan).await;
    crowd.until(&made["id"], "paused").await;
    let gone = crowd.agents[1];
    crowd
        .world
        .ok("DELETE", &format!("/api/v1/agents/{gone}"), None)
        .await;
    crowd.away(gone);
    for _ in 0..3 {
        crowd.act(&made["id"], "resume", None).await;
        for _ in 0..5 {
            crowd.round().await;
        }
    }
    let view = crowd.until(&made["id"], "incomplete").await;
    assert_eq!(
        (&view["summary"]["removed"], &view["summary"]["succeeded"]),
        (&json!(1), &json!(3))
    );
}

#[tokio::test]
async fn one_key_makes_one_rollout_and_hundreds_of_hosts_are_in_order() {
    let mut crowd = Crowd::new(30).await;
    let body =
        json!({"stack": crowd.stack, "targets": {"selector": "fleet"}, "plan": {"wave": "40%", "gate_s": 0}});
    let send = async || {
        let mut request = crowd
            .world
            .request("POST", "/api/v1/rollouts", Some(body.clone()));
        request
            .headers_mut()
            .insert("idempotency-key", "k-1".parse().unwrap());
        crowd.world.send(request).await.2["id"].clone()
    };
    let id = send().await;
    assert_eq!(send().await, id);
    let view = crowd.until(&id, "succeeded").await;
    assert_eq!(view["waves"], json!([12, 12, 6]));
    let rows = crowd.hosts(&id).await;
    let waves: Vec<_> = rows.iter().map(|row| row["wave"].as_u64().unwrap()).collect();
    assert_eq!((waves.len(), waves.is_sorted()), (30, true));
    let path = format!(
        "/api/v1/rollouts/{}/hosts?limit=20&state=succeeded",
        id.as_str().unwrap()
    );
    let page = crowd.world.ok("GET", &path, None).await;
    let next = page["next_cursor"].as_str().unwrap();
    let rest = crowd
        .world
        .ok("GET", &format!("{path}&cursor={next}"), None)
        .await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn groups_are_saved_choices() {
    let crowd = Crowd::new(3).await;
    let world: &World = &crowd.world;
    let one = crowd.agents[0];
    let body = json!({"name": "paris", "selector": "fleet=yes,!spare", "agents": [one]});
    let made = world.ok("POST", "/api/v1/groups", Some(body.clone())).await;
    assert_eq!(made["hosts"].as_array().unwrap().len(), 3);
    let taken = world.call("POST", "/api/v1/groups", Some(body)).await;
    assert_eq!(taken.0.as_u16(), 409);
    let path = format!("/api/v1/groups/{}", made["id"].as_str().unwrap());
    let save = |version: &Value, body: Value| {
        let mut request = world.request("PUT", &path, Some(body));
        request
            .headers_mut()
            .insert("if-match", version.to_string().parse().unwrap());
        world.send(request)
    };
    let only = json!({"name": "rome", "agents": [one]});
    let (status, _, saved) = save(&made["version"], only.clone()).await;
    assert_eq!((status.as_u16(), &saved["hosts"]), (200, &json!([one])));
    assert_eq!(save(&made["version"], only).await.0.as_u16(), 412);
    let targets = json!({"targets": {"group": made["id"]}});
    let preview = world
        .ok("POST", "/api/v1/rollouts/preview", Some(targets.clone()))
        .await;
    assert_eq!(preview["waves"], json!([1]));
    for (body, says) in [
        (json!({"name": "x"}), "needs a selector"),
        (json!({"name": "x", "selector": "a b"}), "label selector"),
        (json!({"name": " ", "selector": "a"}), "name"),
    ] {
        let (status, answer) = world.call("POST", "/api/v1/groups", Some(body)).await;
        assert_eq!(status.as_u16(), 400);
        assert!(answer["message"].as_str().unwrap().contains(says), "{answer}");
    }
    let list = world.ok("GET", "/api/v1/groups", None).await;
    assert_eq!(list["items"][0]["name"], "rome");
    assert_eq!(world.call("DELETE", &path, None).await.0.as_u16(), 204);
    assert_eq!(
        world
            .call("POST", "/api/v1/rollouts/preview", Some(targets))
            .await
            .0
            .as_u16(),
        404
    );
}
