//! What hosts measure, by the routes that people and Prometheus use.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use serde_json::json;
use windflow_model::{
    AgentId,
    metrics::{Group, Layout, Metric, Sample, Scope, Subject},
};

use super::world::{NOW_MS, World};

fn layout() -> Arc<Layout> {
    let container = |id: &str, service: &str| Group {
        scope: Scope::Container,
        subject: Subject {
            key: id.to_owned(),
            name: format!("shop-{service}-1"),
            stack: "shop".to_owned(),
            service: service.to_owned(),
        },
        metrics: vec![Metric::CONTAINER_CPU, Metric::CONTAINER_MEMORY],
    };
    Arc::new(Layout {
        groups: vec![
            Group {
                scope: Scope::Host,
                subject: Subject::default(),
                metrics: vec![Metric::LOAD_1, Metric::MEMORY_TOTAL, Metric::MEMORY_AVAILABLE],
            },
            container("aaaaaaaaaaaa", "web"),
            container("bbbbbbbbbbbb", "db"),
        ],
    })
}

/// Ten minutes of a host: load `load`, one processor busy with the web, half of one with the database.
fn measure(world: &World, agent: AgentId, load: i64) {
    let layout = layout();
    let begin = NOW_MS - 600_000;
    let samples = (0..60).map(|n| Sample {
        seq: u64::try_from(n).unwrap(),
        at_ms: begin + n * 10_000,
        layout: Arc::clone(&layout),
        values: vec![load, 1_000, 400, n * 10_000_000, 100, n * 5_000_000, 50],
    });
    world.app.telemetry().push(agent, samples.collect());
}

#[tokio::test]
async fn now_and_before() {
    let world = World::new().await;
    let (one, two) = (world.enrol(1).await, world.enrol(2).await);
    world
        .ok(
            "PATCH",
            &format!("/api/v1/agents/{two}"),
            Some(json!({"name": "two", "labels": {"env": "prod"}})),
        )
        .await;
    let path = format!("/api/v1/agents/{one}/metrics");
    assert_eq!(
        world.call("GET", &path, None).await.0,
        StatusCode::NOT_FOUND,
        "nothing measured yet"
    );
    measure(&world, one, 100);
    measure(&world, two, 300);

    let now = world.ok("GET", &path, None).await;
    assert_eq!(
        (&now["host"]["memory_used"], &now["fresh"]),
        (&json!(600), &json!(true))
    );
    assert_eq!(now["containers"][0]["cpu"], 1.0);
    let all = world.ok("GET", "/api/v1/metrics", None).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert!(
        all["items"][0]["containers"].as_array().unwrap().is_empty(),
        "not asked for"
    );
    let some = world
        .ok("GET", "/api/v1/metrics?label=env=prod&detail=true", None)
        .await;
    assert_eq!(
        (&some["items"][0]["name"], &some["items"][1]),
        (&json!("two"), &json!(null))
    );

    let ask = async |query: &str| {
        let times = format!("from={}&to={}&step_s=600", stamp(NOW_MS - 600_000), stamp(NOW_MS));
        let path = format!("/api/v1/metrics/query?{times}&{query}");
        let answer = world.ok("GET", &path, None).await;
        let series = answer["series"].as_array().unwrap().iter();
        series
            .map(|one| {
                let values = one["values"].as_array().unwrap();
                let value = values.iter().find_map(serde_json::Value::as_f64);
                let name =
                    ["host", "stack", "service", "name"].map(|key| one[key].as_str().unwrap().to_owned());
                (name.join("/"), value.map(|value| (value * 100.0).round() / 100.0))
            })
            .collect::<Vec<_>>()
    };
    let check = async |query: &str, expected: &[(&str, f64)]| {
        let found = ask(query).await;
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some(*value)))
            .collect();
        assert_eq!(found, expected, "{query}");
    };
    check("metric=load_1", &[("box///", 1.0), ("two///", 3.0)]).await;
    check("metric=load_1&label=env=prod&function=max", &[("two///", 3.0)]).await;
    check("metric=load_1&by=all", &[("///", 4.0)]).await;
    check("metric=load_1&by=all&combine=mean", &[("///", 2.0)]).await;
    check("metric=load_1&by=all&function=p50", &[("///", 1.0)]).await;
    check("metric=load_1&by=all&function=p99", &[("///", 3.0)]).await;
    check("metric=memory_share&by=all", &[("///", 0.6)]).await;
    check("metric=container_cpu_us&stack=shop&by=stack", &[("/shop//", 3.0)]).await;
    check(
        "metric=container_cpu_us&by=service",
        &[("/shop/db/", 1.0), ("/shop/web/", 2.0)],
    )
    .await;
    check(
        &format!("metric=container_memory_bytes&agent={one}&key=shop-web-1"),
        &[("box/shop/web/shop-web-1", 100.0)],
    )
    .await;
    check("metric=container_memory_bytes&stack=other", &[]).await;

    let text = world.ok("GET", "/metrics", None).await;
    let text = text.as_str().unwrap();
    assert!(
        text.contains(&format!("windflow_load_1{{agent=\"{two}\",host=\"two\"}} 3\n")),
        "{text}"
    );
    // Removed: gone from everywhere.
    world.call("DELETE", &format!("/api/v1/agents/{two}"), None).await;
    check("metric=load_1", &[("box///", 1.0)]).await;
    // Old: still the newest that is known, but not the present.
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(world.ok("GET", &path, None).await["fresh"], false);
}

fn stamp(at: i64) -> String {
    windflow_model::Timestamp::from_millis(at).to_string()
}

#[tokio::test]
async fn questions_that_mean_nothing() {
    let world = World::new().await;
    let check = async |path: &str, says: &str| {
        let (status, answer) = world.call("GET", path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(says), "{path}: {message}");
    };
    check("/api/v1/metrics/query", "metric: \"\" is none").await;
    check("/api/v1/metrics/query?metric=x", "memory_share").await;
    check("/api/v1/metrics/query?metric=cpu&function=sin", "p95").await;
    check("/api/v1/metrics/query?metric=cpu&by=color", "by:").await;
    check("/api/v1/metrics/query?metric=cpu&combine=xor", "combine:").await;
    check("/api/v1/metrics/query?metric=cpu&step_s=0", "step_s").await;
    check(
        "/api/v1/metrics/query?metric=cpu&from=2020-01-01T00:00:00Z&step_s=1",
        "11000",
    )
    .await;
    check(
        "/api/v1/metrics/query?metric=cpu&to=1980-01-01T00:00:00Z&from=1990-01-01T00:00:00Z",
        "before",
    )
    .await;
    check("/api/v1/metrics?agent=box", "no id of a host").await;
    check("/api/v1/metrics?label=prod", "KEY=VALUE").await;
    check("/api/v1/metrics/live?every_ms=10", "between 1000 and 10000").await;
    let unknown = AgentId::from_uuid(uuid::Uuid::from_u128(7));
    let path = format!("/api/v1/metrics?agent={unknown}");
    assert_eq!(world.call("GET", &path, None).await.0, StatusCode::NOT_FOUND);
}
