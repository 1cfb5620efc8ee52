//! Alerts by the routes, with the task that moves them told when to look.

mod measured;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use windflow_kit::Clock;
use windflow_model::{
    AgentId, ChannelId, OrgId, Timestamp,
    alert::{Notice, NoticeState, NoticeStatus},
};
use windflow_store::{MemStore, Txn};

use super::world::{NOW_MS, World};
use crate::{
    app::{alerting::Alerting, create, keys, records::ChannelRecord, replace},
    context::OpContext,
};

/// A fleet of two after a restart of its controller: one host is back, the other one not.
struct Watched {
    world: World,
    task: Alerting,
    there: AgentId,
    away: AgentId,
}

impl Watched {
    async fn new() -> Self {
        let clock = Clock::manual(NOW_MS);
        let store = Arc::new(MemStore::new(clock.clone()));
        let mut before = World::over(store.clone(), clock.clone());
        before.sign_up().await;
        let (there, away) = (before.enrol(1).await, before.enrol(2).await);
        *before.hosts.connected.lock().unwrap() = vec![there, away];
        before.hosts.proven_at_ms.store(clock.now_ms(), Ordering::Relaxed);
        before.app.note_heard().await.unwrap();
        let mut world = World::over(store, clock);
        world.token.clone_from(&before.token);
        world.app.know_url("https://wf.example:8443".to_owned());
        *world.hosts.connected.lock().unwrap() = vec![there];
        Self {
            task: Alerting::new(world.app.clone()),
            world,
            there,
            away,
        }
    }

    /// Time goes on, and the task looks.
    async fn after(&mut self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
        self.task.look().await.unwrap();
    }

    /// Alerts, the newest first: `Host offline firing`.
    async fn alerts(&self, query: &str) -> Vec<String> {
        let page = self
            .world
            .ok("GET", &format!("/api/v1/alerts{query}"), None)
            .await;
        let one = |alert: &Value| {
            let word = |name: &str| alert[name].as_str().unwrap_or_default().to_owned();
            let silenced = if alert["silenced"] == json!([]) {
                ""
            } else {
                " silenced"
            };
            let known = if alert["acknowledged"].is_null() {
                ""
            } else {
                " acknowledged"
            };
            format!("{} {}{silenced}{known}", word("rule_name"), word("state"))
        };
        page["items"].as_array().unwrap().iter().map(one).collect()
    }

    async fn channel(&self, delivery: Value) -> ChannelId {
        let id = self.world.app.new_channel_id().unwrap();
        let settings = json!({"kind": "webhook", "url": "https://hooks.example/x"}).to_string();
        let sealed = self
            .world
            .app
            .vault()
            .seal(&format!("channel/{id}"), settings.as_bytes());
        let now = Timestamp::from_millis(self.world.clock.now_ms());
        let record = ChannelRecord {
            id,
            name: "hook".into(),
            kind: "webhook".into(),
            place: String::new(),
            sealed: STANDARD.encode(sealed.unwrap()),
            delivery: serde_json::from_value(delivery).unwrap(),
            templates: windflow_model::alert::Templates::default(),
            standard: true,
            enabled: true,
            created_at: now,
            updated_at: now,
            updated_by: OpContext::SYSTEM,
        };
        let txn = create(Txn::new(), "test", keys::channel(OrgId::DEFAULT, id), &record).unwrap();
        self.world.app.commit("test", txn).await.unwrap();
        id
    }

    /// Notifications so far, the oldest first: `firing 1-0`, with what they are grouped by.
    async fn notices(&self) -> Vec<String> {
        let prefix = keys::notices(OrgId::DEFAULT);
        let mut all = self.world.app.all::<Notice>("test", &prefix).await.unwrap();
        all.reverse();
        let one = |notice: &Notice| {
            let what = &notice.notification;
            assert_eq!(what.url, "https://wf.example:8443/alerts");
            let status = match what.status {
                NoticeStatus::Firing => "firing",
                NoticeStatus::Resolved => "resolved",
                NoticeStatus::Test => "test",
            };
            let group: Vec<_> = what.group.values().cloned().collect();
            format!("{status} {}-{} {}", what.firing, what.resolved, group.join("/"))
                .trim()
                .to_owned()
        };
        all.iter().map(|entry| one(&entry.value)).collect()
    }

    /// As if everything had arrived.
    async fn delivered(&self) {
        let sent = |at| NoticeState::Sent {
            at,
            said: String::new(),
        };
        self.ended(sent).await;
    }

    /// All notifications get on like this.
    async fn ended(&self, how: impl Fn(Timestamp) -> NoticeState) {
        let app = &self.world.app;
        let all = app
            .all::<Notice>("test", &keys::notices(OrgId::DEFAULT))
            .await
            .unwrap();
        for entry in all {
            let mut notice = entry.value.clone();
            notice.state = how(notice.notification.at);
            let txn = replace(Txn::new(), "test", &entry, &notice).unwrap();
            app.commit("test", txn).await.unwrap();
        }
    }

    /// Somebody saves the channel again.
    async fn mended(&self, channel: ChannelId) {
        let app = &self.world.app;
        let key = keys::channel(OrgId::DEFAULT, channel);
        let was = app.find::<ChannelRecord>("test", &key).await.unwrap().unwrap();
        let mut record = was.value.clone();
        record.updated_at = Timestamp::from_millis(self.world.clock.now_ms());
        let txn = replace(Txn::new(), "test", &was, &record).unwrap();
        app.commit("test", txn).await.unwrap();
    }
}

/// A password was wrong, and no repetition is wanted: what nobody heard is told when the channel is right.
#[tokio::test]
async fn what_was_given_up_is_told_anew_when_its_channel_is_mended() {
    for wait_s in [0, 30] {
        let mut it = Watched::new().await;
        let delivery = json!({"wait_s": wait_s, "interval_s": 60, "repeat_s": 0});
        let channel = it.channel(delivery).await;
        for seconds in [0, 61, 120, 30] {
            it.after(seconds).await;
        }
        assert_eq!(it.notices().await, ["firing 1-0 Host offline"]);
        it.ended(|at| NoticeState::Failed {
            at,
            error: "535 wrong password".to_owned(),
        })
        .await;
        it.after(86_400).await;
        assert_eq!(it.notices().await.len(), 1, "nothing has changed");
        it.mended(channel).await;
        for _ in 0..4 {
            it.after(10).await;
        }
        assert_eq!(
            it.notices().await,
            ["firing 1-0 Host offline"; 2],
            "wait {wait_s}"
        );
        it.delivered().await;
        it.after(86_400).await;
        assert_eq!(it.notices().await.len(), 2, "told once");
    }
}

#[tokio::test]
async fn a_host_that_stays_away_fires_is_told_once_and_ends() {
    let mut it = Watched::new().await;
    it.channel(json!({"wait_s": 0, "interval_s": 60, "repeat_s": 3_600}))
        .await;
    it.after(0).await;
    let rules = it.world.ok("GET", "/api/v1/alert-rules", None).await;
    assert_eq!(
        rules["items"].as_array().unwrap().len(),
        13,
        "those that WindFlow brings along"
    );
    assert_eq!(
        it.alerts("").await,
        Vec::<String>::new(),
        "hosts are still coming back"
    );
    it.after(61).await;
    assert_eq!(it.alerts("?state=pending").await, ["Host offline pending"]);
    assert_eq!(it.notices().await, Vec::<String>::new());
    it.after(119).await;
    assert_eq!(it.alerts("?state=firing").await, Vec::<String>::new());
    it.after(1).await;
    assert_eq!(
        it.alerts("?state=open&severity=critical").await,
        ["Host offline firing"]
    );
    assert_eq!(it.notices().await, ["firing 1-0 Host offline"]);
    let page = it
        .world
        .ok("GET", &format!("/api/v1/alerts?agent={}", it.away), None)
        .await;
    assert_eq!(page["items"][0]["host"], "box-2", "{page}");
    let none = it.alerts(&format!("?agent={}", it.there)).await;
    assert_eq!(none, Vec::<String>::new());

    // The controller is killed: the new one knows what it had told, and whom.
    it.task = Alerting::new(it.world.app.clone());
    it.delivered().await;
    it.after(30).await;
    it.after(600).await;
    assert_eq!(it.notices().await, ["firing 1-0 Host offline"]);
    it.after(3_000).await;
    assert_eq!(
        it.notices().await,
        ["firing 1-0 Host offline"; 2],
        "told again after an hour"
    );

    *it.world.hosts.connected.lock().unwrap() = vec![it.there, it.away];
    it.after(10).await;
    assert_eq!(it.alerts("?state=open").await, Vec::<String>::new());
    assert_eq!(it.alerts("").await, ["Host offline resolved"]);
    assert_eq!(it.notices().await.len(), 2, "the one before has not arrived yet");
    it.delivered().await;
    it.after(60).await;
    it.delivered().await;
    it.after(60).await;
    assert_eq!(it.notices().await.last().unwrap(), "resolved 0-1 Host offline");
    assert_eq!(it.notices().await.len(), 3);
    let groups = it
        .world
        .app
        .keys_below("test", &keys::all_told(OrgId::DEFAULT))
        .await
        .unwrap();
    assert!(groups.is_empty(), "nothing is left to be remembered");
}

#[tokio::test]
async fn what_is_silenced_or_acknowledged_is_there_and_not_told() {
    let mut it = Watched::new().await;
    it.channel(json!({"wait_s": 0, "interval_s": 1, "repeat_s": 600, "group_by": ["host", "severity"]}))
        .await;
    let bad = |schedule: Value| json!({"note": "work", "schedule": schedule});
    let refused = [
        (
            json!({"note": " ", "schedule": {"kind": "weekly", "at": "02:00", "minutes": 5}}),
            "note",
        ),
        (
            bad(json!({"kind": "weekly", "at": "25:00", "minutes": 5})),
            "25:00",
        ),
        (
            bad(json!({"kind": "once", "from": "2026-11-23T10:00:00Z", "until": "2026-11-23T09:00:00Z"})),
            "until",
        ),
        (
            bad(json!({"kind": "once", "from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"})),
            "over already",
        ),
    ];
    for (body, says) in refused {
        let (status, answer) = it.world.call("POST", "/api/v1/silences", Some(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(says), "{answer}");
    }
    let from = Timestamp::from_millis(NOW_MS);
    let until = Timestamp::from_millis(it.world.clock.now_ms() + 1_000_000);
    let silence = json!({
        "note": "the box moves",
        "matcher": {"targets": {"agents": [it.away]}},
        "schedule": {"kind": "once", "from": from, "until": until},
    });
    let silence = it.world.ok("POST", "/api/v1/silences", Some(silence)).await;
    it.after(61).await;
    it.after(120).await;
    assert_eq!(it.alerts("").await, ["Host offline firing silenced"]);
    assert_eq!(it.notices().await, Vec::<String>::new());

    let path = format!("/api/v1/silences/{}", silence["id"].as_str().unwrap());
    it.world.ok("DELETE", &path, None).await;
    it.after(10).await;
    assert_eq!(it.alerts("").await, ["Host offline firing"]);
    assert_eq!(it.notices().await, ["firing 1-0 box-2/critical"]);
    it.delivered().await;

    let page = it.world.ok("GET", "/api/v1/alerts", None).await;
    let known = format!(
        "/api/v1/alerts/{}/acknowledgement",
        page["items"][0]["id"].as_str().unwrap()
    );
    let answer = it
        .world
        .ok("PUT", &known, Some(json!({"note": "on my way"})))
        .await;
    assert_eq!(answer["acknowledged"]["by"]["name"], "admin");
    it.after(601).await;
    assert_eq!(it.notices().await.len(), 1, "nobody is told again what they know");
    it.world.ok("DELETE", &known, None).await;
    it.after(1).await;
    assert_eq!(it.notices().await.len(), 2);
}

#[tokio::test]
async fn rules_are_made_tried_changed_and_deleted() {
    let mut it = Watched::new().await;
    it.after(0).await;
    let refused = [
        (
            json!({"name": "x", "condition": {"on": "metric", "metric": "wind", "window_s": 60, "compare": "above", "threshold": 1}}),
            "wind",
        ),
        (
            json!({"name": "x", "condition": {"on": "metric", "metric": "cpu", "window_s": 5, "compare": "above", "threshold": 1}}),
            "window_s: 5",
        ),
        (
            json!({"name": "x", "condition": {"on": "metric", "metric": "cpu", "function": "p12", "window_s": 60, "compare": "above", "threshold": 1}}),
            "p12",
        ),
        (
            json!({"name": "x", "condition": {"on": "metric", "metric": "cpu", "window_s": 60, "compare": "above", "threshold": 0.5, "clear": 0.6}}),
            "clear",
        ),
        (
            json!({"name": "x", "condition": {"on": "event", "kinds": ["alert_changed"], "hold_s": 60}}),
            "alerts themselves",
        ),
        (
            json!({"name": "x", "condition": {"on": "host_offline"}, "forr_s": 1}),
            "forr_s",
        ),
        (
            json!({"name": "x", "condition": {"on": "host_offline"}, "for_s": 9_999_999}),
            "for_s: 9999999",
        ),
        (json!({"name": "x", "condition": {"on": "sunshine"}}), "sunshine"),
    ];
    for (body, says) in refused {
        let (status, answer) = it.world.call("POST", "/api/v1/alert-rules", Some(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(
            answer["message"].as_str().unwrap().contains(says),
            "{says}: {answer}"
        );
    }
    let spec = |name: &str, more: Value| {
        let mut spec = json!({"name": name, "condition": {"on": "host_offline"}, "severity": "info"});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        spec
    };
    let preview = it
        .world
        .ok(
            "POST",
            "/api/v1/alert-rules/preview",
            Some(json!({"spec": spec("", json!({}))})),
        )
        .await;
    assert_eq!(
        (&preview["holds"], &preview["clear"]),
        (&json!(1), &json!(1)),
        "{preview}"
    );
    assert_eq!(preview["sights"][0]["host"], "box-2");
    let (status, taken) = it
        .world
        .call(
            "POST",
            "/api/v1/alert-rules",
            Some(spec("Host offline", json!({}))),
        )
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{taken}");

    let made = it
        .world
        .ok("POST", "/api/v1/alert-rules", Some(spec("Away", json!({}))))
        .await;
    let path = format!("/api/v1/alert-rules/{}", made["id"].as_str().unwrap());
    it.after(61).await;
    assert_eq!(it.alerts("?severity=info&state=firing").await, ["Away firing"]);
    let save = async |it: &Watched, spec: Value| {
        let was = it.world.ok("GET", &path, None).await;
        let mut request = it.world.request("PUT", &path, Some(spec));
        let version = was["version"].to_string().parse().unwrap();
        request.headers_mut().insert("if-match", version);
        let (status, _, answer) = it.world.send(request).await;
        assert!(status.is_success(), "{answer}");
        answer
    };
    let view = save(&it, spec("Away", json!({"severity": "warning"}))).await;
    assert_eq!(view["firing"], 1);
    it.after(10).await;
    assert_eq!(
        it.alerts(&format!("?rule={}&state=open", made["id"].as_str().unwrap()))
            .await,
        ["Away firing"]
    );
    // About something else: what was there ends, and says why.
    save(&it, spec("Away", json!({"condition": {"on": "engine_silent"}}))).await;
    it.after(10).await;
    let page = it.world.ok("GET", "/api/v1/alerts?state=resolved", None).await;
    assert_eq!(
        (&page["items"][0]["rule_name"], &page["items"][0]["why"]),
        (&json!("Away"), &json!("rule"))
    );
    let rules = it.world.ok("GET", "/api/v1/alert-rules", None).await;
    for rule in rules["items"].as_array().unwrap() {
        let path = format!("/api/v1/alert-rules/{}", rule["id"].as_str().unwrap());
        it.world.ok("DELETE", &path, None).await;
    }
    it.after(200).await;
    assert_eq!(it.alerts("?state=open").await, Vec::<String>::new());
    let rules = it.world.ok("GET", "/api/v1/alert-rules", None).await;
    assert_eq!(
        rules["items"],
        json!([]),
        "who deletes them does not get them again"
    );
}
