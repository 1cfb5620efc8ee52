//! The audit trail: listed, filtered, verified.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use serde_json::Value;
use windflow_kit::Clock;
use windflow_model::Timestamp;
use windflow_store::{MemStore, Store as _, Txn};

use super::world::{NOW_MS, World};
use crate::{app::keys, context::OpContext};

const PATH: &str = "/api/v1/audit-records";

fn words(answer: &Value, field: &str) -> Vec<String> {
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|one| one[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn records_come_newest_first_page_by_page_and_by_filter() {
    let world = World::new().await;
    // A minute apart, so that their order is known.
    let host = world.enrol(1).await;
    let later = || world.clock.advance(Duration::from_secs(60));
    later();
    let between = world.clock.now_ms();
    later();
    let web = world.stack("web").await;
    later();
    let made = world.deploy(&web, &[host]).await;
    later();
    let whole = world.ok("GET", PATH, None).await;
    let all = words(&whole, "action");
    assert_eq!(all.first().unwrap(), "deployment_create", "{whole}");
    // Of the first millisecond there are several, in no order that could be known.
    assert!(all.contains(&"setup_create".to_owned()), "{whole}");
    let first = &whole["items"][0];
    assert_eq!(first["user_name"], "admin");
    assert_eq!(first["object"], web.as_str());
    assert_eq!(first["moves"][0]["to"], "queued");
    assert!(!first["request"].as_str().unwrap().is_empty());

    // Whatever the size of the pages, the same records come.
    for limit in [1, 2, 500] {
        let (mut seen, mut path) = (Vec::new(), format!("{PATH}?limit={limit}"));
        loop {
            let page = world.ok("GET", &path, None).await;
            assert!(page["items"].as_array().unwrap().len() <= limit);
            seen.extend(words(&page, "id"));
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("{PATH}?limit={limit}&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen, words(&whole, "id"), "limit {limit}");
    }

    let check = async |query: &str, expected: &[&str]| {
        let found = world.ok("GET", &format!("{PATH}?{query}"), None).await;
        assert_eq!(words(&found, "action"), expected, "{query}");
    };
    let at = Timestamp::from_millis(between);
    let (start, deployment) = (Timestamp::from_millis(NOW_MS), made[0].0);
    check("action=stack_create", &["stack_create"]).await;
    check("action=stack", &["stack_create"]).await;
    check("action=sta", &[]).await;
    check(&format!("object={web}"), &["deployment_create", "stack_create"]).await;
    check(&format!("object={deployment}"), &["deployment_create"]).await;
    check(&format!("actor={host}"), &[]).await;
    check("actor=enrolment", &["agent_enrol"]).await;
    check("actor=Admin&action=deployment", &["deployment_create"]).await;
    check(&format!("from={at}"), &["deployment_create", "stack_create"]).await;
    check(&format!("from={at}&action=stack"), &["stack_create"]).await;
    check(&format!("to={at}&action=agent"), &["agent_enrol"]).await;
    check(&format!("to={start}"), &[]).await;
}

#[tokio::test]
async fn questions_that_mean_nothing_are_refused() {
    let world = World::new().await;
    let check = async |query: &str, word: &str| {
        let (status, answer) = world.call("GET", &format!("{PATH}?{query}"), None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {answer}");
        assert!(
            answer["message"].as_str().unwrap().contains(word),
            "{query}: {answer}"
        );
    };
    check("limit=0", "limit").await;
    check("limit=501", "limit").await;
    check("cursor=a%2Fb", "cursor").await;
    check("cursor=", "cursor").await;
    check("actor=", "actor").await;
    check("action=%20", "action").await;
    check(&format!("object={}", "x".repeat(201)), "object").await;
    check("from=yesterday", "from").await;
    check("from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z", "from").await;
    check("since=2026-11-22T00:00:00Z", "since").await;
}

#[tokio::test]
async fn a_verdict_names_what_was_changed() {
    let clock = Clock::manual(NOW_MS);
    let store = Arc::new(MemStore::new(clock.clone()));
    let mut world = World::over(store.clone(), clock);
    world.sign_up().await;
    world.stack("web").await;
    let verify = async || world.ok("GET", &format!("{PATH}/verdict"), None).await;
    let before = verify().await;
    assert_eq!(before["head"], Value::Null, "{before}");
    let open = before["open"].as_u64().unwrap();
    assert!(open >= 2, "{before}");
    world.app.audit_seal().await.unwrap();
    let sealed = verify().await;
    assert_eq!(
        (sealed["sealed"].as_u64(), sealed["open"].as_u64()),
        (Some(open), Some(0))
    );
    assert_eq!(sealed["head"]["number"], 1, "{sealed}");
    assert_eq!(sealed["head"]["hash"].as_str().unwrap().len(), 64);
    assert_eq!(sealed["problems"], serde_json::json!([]));

    let list = world.ok("GET", &format!("{PATH}?action=stack"), None).await;
    let id = list["items"][0]["id"].as_str().unwrap();
    let key = keys::audit(OpContext::system("").org, id);
    let mut value = store.get(&key).await.unwrap().unwrap().value;
    let at = value.windows(3).position(|three| three == b"web").unwrap();
    value[at] = b'W';
    store.txn(Txn::new().put(key, value)).await.unwrap();
    let spoilt = verify().await;
    let problem = &spoilt["problems"][0];
    assert_eq!(problem["kind"], "record_changed", "{spoilt}");
    assert_eq!(
        (&problem["record"], &problem["seal"]),
        (&list["items"][0]["id"], &1.into())
    );
    for field in ["message", "meaning", "remedy"] {
        assert!(!problem[field].as_str().unwrap().is_empty(), "{field}: {spoilt}");
    }
    assert_eq!(spoilt["problems"].as_array().unwrap().len(), 1);
}
