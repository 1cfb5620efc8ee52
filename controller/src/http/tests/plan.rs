//! Plans of stacks that need not exist, and deployments that are held to a plan.

use serde_json::{Value, json};

use super::world::{World, YAML};

fn spec() -> Value {
    json!({"files": [{"path": "compose.yaml", "content": YAML}]})
}

#[tokio::test]
async fn a_stack_that_does_not_exist_is_planned() {
    let world = World::new().await;
    let agent = world.enrol(1).await;
    let check = async |body: Value, status: u16| {
        let (got, answer) = world
            .call("POST", "/api/v1/stacks/plan", Some(body.clone()))
            .await;
        assert_eq!(got.as_u16(), status, "{body}: {answer}");
        answer
    };
    // The hosts of this world are away: each says so for itself, and nothing is saved.
    let answer = check(json!({"name": "new", "spec": spec(), "agents": [agent]}), 200).await;
    assert_eq!(answer["items"][0]["agent"], agent.to_string());
    assert!(answer["items"][0]["error"]["message"].is_string(), "{answer}");
    assert_eq!(world.ok("GET", "/api/v1/stacks", None).await["items"], json!([]));
    world.stack("there").await;
    check(json!({"name": "there", "spec": spec(), "agents": [agent]}), 200).await;
    check(json!({"name": "new", "spec": spec(), "agents": []}), 400).await;
    check(json!({"name": "No Name", "spec": spec(), "agents": [agent]}), 400).await;
    let broken = json!({"files": [{"path": "compose.yaml", "content": "services: ["}]});
    check(json!({"name": "new", "spec": broken, "agents": [agent]}), 422).await;
}

#[tokio::test]
async fn a_deployment_takes_its_plan_to_the_host() {
    let world = World::new().await;
    let (stack, one, two) = (
        world.stack("web").await,
        world.enrol(1).await,
        world.enrol(2).await,
    );
    let path = format!("/api/v1/stacks/{stack}/deployments");
    let pin = json!({"steps": "00ff", "parts": {"image nginx": "1"}});
    let of = |agent: &dyn std::fmt::Display| json!({"agent": agent.to_string(), "pin": pin});
    let check = async |body: Value, status: u16| {
        let (got, answer) = world.call("POST", &path, Some(body.clone())).await;
        assert_eq!(got.as_u16(), status, "{body}: {answer}");
        answer
    };
    check(json!({"agents": [one, two], "pins": [of(&one)]}), 400).await;
    check(json!({"agents": [one], "pins": [of(&one), of(&one)]}), 400).await;
    check(json!({"agents": [one], "pins": [of(&one), of(&two)]}), 400).await;
    check(
        json!({"agents": [one], "pins": [{"agent": one, "pin": {"steps": "", "parts": {}}}]}),
        400,
    )
    .await;
    let made = check(json!({"agents": [one], "pins": [of(&one)]}), 200).await;
    assert!(made["items"][0]["pin"].is_null(), "{made}");
    let sent = world.app.work(one).await.unwrap().assignments;
    assert_eq!(serde_json::to_value(&sent[0].pin).unwrap(), pin);
    // Without pins the host plans for itself.
    check(json!({"agents": [two]}), 200).await;
    assert_eq!(world.app.work(two).await.unwrap().assignments[0].pin, None);
}
