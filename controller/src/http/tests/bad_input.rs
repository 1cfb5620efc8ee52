//! Bad input: one clear error with status, code and remedy, and nothing half-done.

use serde_json::{Value, json};

use super::world::{World, YAML, enrol_request};
use crate::app::AppError;

#[tokio::test]
async fn requests() {
    let world = World::new().await;
    let stack = world.stack("web").await;
    let agent = world.enrol(1).await;
    let check = async |method: &str, path: &str, body: Option<Value>, status: u16, code: &str, says: &str| {
        let (found, answer) = world.call(method, path, body).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(
            (found.as_u16(), answer["code"].as_str()),
            (status, Some(code)),
            "{method} {path}: {answer}"
        );
        assert!(
            message.contains(says),
            "{method} {path}: {says:?} is not in {message:?}"
        );
        for field in ["hint", "request_id"] {
            let text = answer[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{method} {path}: no {field} in {answer}");
        }
    };
    let spec = |text: &str| json!({"files": [{"path": "compose.yaml", "content": text}]});
    let stacks = "/api/v1/stacks";
    let deployments = format!("{stacks}/{stack}/deployments");
    let nobody = "agt_00000000000000000000000000";
    check(
        "POST",
        stacks,
        Some(json!({"name": "web", "spec": spec(YAML)})),
        409,
        "WF-1005",
        "is taken",
    )
    .await;
    check(
        "POST",
        stacks,
        Some(json!({"name": "W!", "spec": spec(YAML)})),
        400,
        "WF-1001",
        "cannot name a stack",
    )
    .await;
    check(
        "POST",
        stacks,
        Some(json!({"name": "x", "spec": spec("services: {a: {imag: b}}")})),
        422,
        "WF-2001",
        "imag",
    )
    .await;
    check(
        "POST",
        stacks,
        Some(json!({"name": "x", "spec": spec("a: [")})),
        422,
        "WF-2001",
        "compose.yaml:",
    )
    .await;
    check(
        "POST",
        stacks,
        Some(json!({"name": "x", "spec": spec(YAML), "is_admin": true})),
        400,
        "WF-1001",
        "is_admin",
    )
    .await;
    check(
        "POST",
        stacks,
        Some(json!({"name": "x", "spec": spec(&"#".repeat(3 << 20))})),
        413,
        "WF-1008",
        "larger",
    )
    .await;
    check(
        "GET",
        "/api/v1/stacks/stk_x",
        None,
        400,
        "WF-1001",
        "not a valid id",
    )
    .await;
    check(
        "GET",
        "/api/v1/stacks/agt_x",
        None,
        400,
        "WF-1001",
        "must begin with",
    )
    .await;
    check(
        "GET",
        "/api/v1/stacks/stk_00000000000000000000000000",
        None,
        404,
        "WF-1004",
        "there is no stack",
    )
    .await;
    check("GET", "/api/v1/stacks?limit=0", None, 400, "WF-1001", "limit").await;
    check("GET", "/api/v1/stacks?cursor=x", None, 400, "WF-1001", "cursor").await;
    check("GET", "/api/v1/stacks?color=x", None, 400, "WF-1001", "color").await;
    let unknown = "/api/v1/deployments?state=done";
    check("GET", unknown, None, 400, "WF-1001", "there are active, queued").await;
    check(
        "GET",
        "/api/v1/me?token=wft_x",
        None,
        400,
        "WF-1001",
        "in the URL",
    )
    .await;
    check(
        "PUT",
        &format!("{stacks}/{stack}"),
        Some(json!({"spec": spec(YAML)})),
        428,
        "WF-1006",
        "If-Match",
    )
    .await;
    check(
        "POST",
        &deployments,
        Some(json!({"agents": []})),
        400,
        "WF-1001",
        "at least one",
    )
    .await;
    check(
        "POST",
        &deployments,
        Some(json!({"agents": [agent, agent]})),
        400,
        "WF-1001",
        "twice",
    )
    .await;
    check(
        "POST",
        &deployments,
        Some(json!({"agents": [nobody]})),
        404,
        "WF-1004",
        "there is no host",
    )
    .await;
    check(
        "POST",
        &deployments,
        Some(json!({"agents": [agent], "rev": 7})),
        404,
        "WF-1004",
        "revision 7",
    )
    .await;
    check(
        "POST",
        &format!("{stacks}/{stack}/remove"),
        Some(json!({})),
        409,
        "WF-1005",
        "no host has",
    )
    .await;
    check(
        "POST",
        "/api/v1/enrolment-tokens",
        Some(json!({"ttl_s": 5})),
        400,
        "WF-1001",
        "60 to 86400",
    )
    .await;
    check(
        "PATCH",
        &format!("/api/v1/agents/{agent}"),
        Some(json!({"name": ""})),
        400,
        "WF-1001",
        "1 to 64",
    )
    .await;
    check("PATCH", stacks, None, 405, "WF-1001", "method").await;
    check(
        "POST",
        "/api/v1/sessions",
        Some(json!({"username": "admin", "password": "wrong horse"})),
        401,
        "WF-1002",
        "wrong",
    )
    .await;
    // Nothing of it left anything behind.
    assert_eq!(
        world.ok("GET", stacks, None).await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        world.ok("GET", "/api/v1/deployments", None).await["items"],
        json!([])
    );
}

#[tokio::test]
async fn a_stale_save_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let stack = world.stack("web").await;
    let path = format!("/api/v1/stacks/{stack}");
    let version = world.ok("GET", &path, None).await["version"].as_u64().unwrap();
    let save = async |version: u64| {
        let body =
            json!({"spec": {"files": [{"path": "compose.yaml", "content": "services: {web: {image: b}}"}]}});
        let mut request = world.request("PUT", &path, Some(body));
        request
            .headers_mut()
            .insert("if-match", format!("\"{version}\"").parse().unwrap());
        let (status, _, answer) = world.send(request).await;
        (status.as_u16(), answer)
    };
    assert_eq!(save(version + 1).await.0, 412);
    assert_eq!(save(version).await.0, 200);
    let (status, answer) = save(version).await;
    assert_eq!(
        (status, answer["code"].as_str()),
        (412, Some("WF-1005")),
        "{answer}"
    );
}

#[tokio::test]
async fn enrolment_tokens() {
    let world = World::new().await;
    let token = world
        .ok("POST", "/api/v1/enrolment-tokens", Some(json!({})))
        .await;
    let secret = token["secret"].as_str().unwrap().to_owned();
    let check = async |secret: &str, key: u8, says: &str| {
        world.clock.advance(std::time::Duration::from_secs(61));
        let result = world.app.agent_enrol(enrol_request(secret, key)).await;
        match result {
            Ok(grant) => {
                assert_eq!(says, "", "{grant:?}");
                Some(grant.agent)
            }
            Err(AppError::Refused(refused)) => {
                assert!(!says.is_empty() && refused.message.contains(says), "{refused}");
                None
            }
            Err(other) => panic!("{other}"),
        }
    };
    check("wfj_nonsense", 1, "unknown").await;
    check(&format!("{secret}x"), 1, "unknown").await;
    let first = check(&secret, 1, "").await.unwrap();
    // The reply was lost: the same key gets the same host; nobody else gets anything.
    assert_eq!(check(&secret, 1, "").await, Some(first));
    check(&secret, 2, "another host").await;
    let late = world
        .ok("POST", "/api/v1/enrolment-tokens", Some(json!({"ttl_s": 60})))
        .await;
    check(late["secret"].as_str().unwrap(), 3, "expired").await;
    let revoked = world
        .ok("POST", "/api/v1/enrolment-tokens", Some(json!({})))
        .await;
    let path = format!("/api/v1/enrolment-tokens/{}", revoked["id"].as_str().unwrap());
    world.call("DELETE", &path, None).await;
    check(revoked["secret"].as_str().unwrap(), 4, "unknown").await;
    // A removed host's key stays out, whatever token it brings; its connection is cut.
    world
        .call("DELETE", &format!("/api/v1/agents/{first}"), None)
        .await;
    assert_eq!(*world.hosts.disconnected.lock().unwrap(), [first]);
    let fresh = world
        .ok("POST", "/api/v1/enrolment-tokens", Some(json!({})))
        .await;
    check(fresh["secret"].as_str().unwrap(), 1, "was removed").await;
}

#[tokio::test]
async fn a_thousand_racing_redemptions_make_one_host() {
    let world = World::new().await;
    let token = world
        .ok("POST", "/api/v1/enrolment-tokens", Some(json!({})))
        .await;
    let secret = token["secret"].as_str().unwrap();
    let tries = (0..1_000_u32).map(|n| {
        let mut request = enrol_request(secret, u8::try_from(n % 200).unwrap());
        request.remote = format!("10.0.{}.{}:1", n / 250, n % 250);
        world.app.agent_enrol(request)
    });
    let results = futures_util::future::join_all(tries).await;
    let mut agents: Vec<_> = results.into_iter().flatten().map(|grant| grant.agent).collect();
    agents.sort_unstable();
    agents.dedup();
    assert_eq!(agents.len(), 1);
    assert_eq!(
        world.ok("GET", "/api/v1/agents", None).await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
