//! Channels over the API, and the delivery behind them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use windflow_kit::{OnFailure, Random, Stop, TaskSet};
use windflow_model::{ChannelId, OrgId, alert::NoticeStatus};
use windflow_store::Txn;

use super::world::World;
use crate::{app::lock, notify};

/// A receiver whose answer can be changed; it keeps the ids that it was sent, in their order.
struct Receiver {
    url: String,
    answer: Arc<Mutex<&'static str>>,
    got: Arc<Mutex<Vec<String>>>,
    _tasks: TaskSet,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/s3cret-path", listener.local_addr().unwrap());
        let (answer, got) = (
            Arc::new(Mutex::new("204 No Content")),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let (say, keep) = (Arc::clone(&answer), Arc::clone(&got));
        let tasks = TaskSet::new(Stop::new(), Random::system());
        tasks.spawn("receiver", OnFailure::Log, async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let text = loop {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head
                            .lines()
                            .find_map(|line| line.strip_prefix("content-length: "));
                        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                            break text;
                        }
                    }
                    if tcp.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                        break text;
                    }
                };
                let said = *lock(&say);
                let id = text
                    .lines()
                    .find_map(|line| line.strip_prefix("x-windflow-delivery: "));
                if said.starts_with('2') {
                    lock(&keep).push(id.unwrap_or_default().to_owned());
                }
                let _gone = tcp
                    .write_all(format!("HTTP/1.1 {said}\r\ncontent-length: 0\r\n\r\n").as_bytes())
                    .await;
            }
        });
        Self {
            url,
            answer,
            got,
            _tasks: tasks,
        }
    }

    fn says(&self, answer: &'static str) {
        *lock(&self.answer) = answer;
    }

    fn got(&self) -> Vec<String> {
        lock(&self.got).clone()
    }
}

fn hook(name: &str, url: &str) -> Value {
    json!({"name": name, "settings": {"kind": "webhook", "url": url, "key": "s3cret-key", "headers": {"A": "s3cret-header"}}})
}

async fn made(world: &World, name: &str, url: &str) -> (ChannelId, Value) {
    let view = world.ok("POST", "/api/v1/channels", Some(hook(name, url))).await;
    (view["id"].as_str().unwrap().parse().unwrap(), view)
}

/// Adds a notification as whoever tells something does.
async fn tell(world: &World, channel: ChannelId) -> String {
    world.clock.advance(Duration::from_millis(5));
    let id = world.app.new_notice_id().unwrap();
    let notification = notify::example(id, world.app.now(), NoticeStatus::Firing);
    let txn = world
        .app
        .notice_add(Txn::new(), "tell", OrgId::DEFAULT, channel, notification)
        .unwrap();
    world.app.commit("tell", txn).await.unwrap();
    id.to_string()
}

/// Lets the job run until it holds.
async fn until(world: &World, what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        world.app.notices_deliver().await.unwrap();
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come about");
}

async fn states(world: &World, channel: ChannelId) -> Vec<String> {
    let page = world
        .ok("GET", &format!("/api/v1/notices?channel={channel}"), None)
        .await;
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|one| one["state"]["state"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn secrets_go_in_and_never_out() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let (id, view) = made(&world, "hook", &receiver.url).await;
    let path = format!("/api/v1/channels/{id}");
    assert_eq!(view["secrets"], json!(["url", "key", "headers.A"]));
    let change = json!({"name": "hook2", "settings": {"kind": "webhook", "headers": {"A": ""}}});
    let mut request = world.request("PUT", &path, Some(change));
    let version = view["version"].as_u64().unwrap();
    request
        .headers_mut()
        .insert("if-match", format!("\"{version}\"").parse().unwrap());
    let (status, _, saved) = world.send(request).await;
    assert!(status.is_success(), "{saved}");
    assert_eq!(saved["secrets"], view["secrets"]);
    // Elsewhere nothing of it goes along.
    let mut elsewhere = hook("hook2", "http://127.0.0.1:9/");
    elsewhere["settings"]["headers"]["A"] = json!("");
    let test = json!({"id": id, "settings": elsewhere["settings"]});
    let (status, refused) = world.call("POST", "/api/v1/channels/test", Some(test)).await;
    assert_eq!(status.as_u16(), 400, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("value of \"A\" is missing"),
        "{refused}"
    );
    let tested = world.ok("POST", &format!("{path}/test"), None).await;
    assert_eq!(
        (tested["sent"].as_bool(), tested["said"].as_str()),
        (Some(true), Some("204 No Content"))
    );
    receiver.says("500 Oh");
    let tested = world.ok("POST", &format!("{path}/test"), None).await;
    assert_eq!(
        (tested["sent"].as_bool(), tested["again"].as_bool()),
        (Some(false), Some(true))
    );
    let (status, taken) = world
        .call("POST", "/api/v1/channels", Some(hook("hook2", &receiver.url)))
        .await;
    assert_eq!(status.as_u16(), 409, "{taken}");
    let all = [
        view,
        saved,
        refused,
        tested,
        world.ok("GET", "/api/v1/channels", None).await,
        world.ok("GET", "/api/v1/audit-records", None).await,
        world.ok("GET", "/api/v1/events", None).await,
    ];
    for answer in all {
        assert!(!answer.to_string().contains("s3cret"), "{answer}");
    }
    world.ok("DELETE", &path, None).await;
    let (status, _) = world.call("GET", &path, None).await;
    assert_eq!(status.as_u16(), 404);
}

#[tokio::test]
async fn what_cannot_work_is_refused_with_all_its_fields() {
    let world = World::new().await;
    let request = json!({"name": "x", "settings": {"kind": "slack", "url": "http://169.254.169.254/"}, "templates": {"title": "{{ nobody }}"}});
    let (status, answer) = world.call("POST", "/api/v1/channels", Some(request)).await;
    let message = answer["message"].as_str().unwrap();
    assert_eq!(status.as_u16(), 400);
    assert!(
        message.contains("settings.url") && message.contains("templates.title"),
        "{message}"
    );
    let request = json!({"name": "x", "settings": {"kind": "slack", "url": "https://s.example/"}, "delivery": {"wait_s": 9000, "repeat_s": 3}});
    let (_, answer) = world.call("POST", "/api/v1/channels", Some(request)).await;
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("wait_s") && message.contains("repeat_s"),
        "{message}"
    );
    let request = json!({"kind": "slack", "status": "firing", "templates": {"title": "{{ alerts[0].host }}", "body": "{{ nobody }}"}});
    let seen = world.ok("POST", "/api/v1/channels/preview", Some(request)).await;
    assert_eq!(seen["title"], "example-host");
    assert!(
        seen["problem"]
            .as_str()
            .unwrap()
            .contains("body template, line 1"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_dead_channel_keeps_its_order_and_holds_up_nobody() {
    let world = World::new().await;
    let (dead, well) = (Receiver::start().await, Receiver::start().await);
    dead.says("503 Down");
    let (one, _) = made(&world, "dead", &dead.url).await;
    let (two, _) = made(&world, "well", &well.url).await;
    let mut told = (Vec::new(), Vec::new());
    for _ in 0..5 {
        told.0.push(tell(&world, one).await);
        told.1.push(tell(&world, two).await);
    }
    until(&world, "the channel that works", || well.got().len() == 5).await;
    assert_eq!(well.got(), told.1);
    until(&world, "the first attempt", || {
        world
            .app
            .notice_metrics()
            .contains("sent_total{kind=\"webhook\"} 5")
    })
    .await;
    assert!(dead.got().is_empty());
    assert_eq!(states(&world, one).await, vec!["waiting"; 5]);
    // Back again, after its time; in the order in which they were made.
    dead.says("200 OK");
    world.clock.advance(Duration::from_secs(6));
    until(&world, "the channel that came back", || dead.got().len() == 5).await;
    assert_eq!(dead.got(), told.0);
    until(&world, "nothing waiting", || {
        world.app.notice_metrics().contains("waiting{kind=\"webhook\"} 0")
    })
    .await;
    assert_eq!(states(&world, one).await, vec!["sent"; 5]);
}

#[tokio::test]
async fn refused_or_deleted_is_given_up_and_old_ones_are_swept() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.says("404 Not Found");
    let (channel, _) = made(&world, "gone", &receiver.url).await;
    tell(&world, channel).await;
    until(&world, "the refusal", || {
        world
            .app
            .notice_metrics()
            .contains("failed_total{kind=\"webhook\"} 1")
    })
    .await;
    receiver.says("503 Down");
    tell(&world, channel).await;
    world
        .ok("DELETE", &format!("/api/v1/channels/{channel}"), None)
        .await;
    until(&world, "the end", || {
        world
            .app
            .notice_metrics()
            .contains("failed_total{kind=\"deleted\"} 1")
    })
    .await;
    let page = world.ok("GET", "/api/v1/notices", None).await;
    let newest = &page["items"][0]["state"];
    assert_eq!(newest["error"], "the channel was deleted", "{page}");
    assert_eq!(world.app.notices_sweep().await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(31 * 24 * 3_600));
    assert_eq!(world.app.notices_sweep().await.unwrap(), 2);
    let page = world.ok("GET", "/api/v1/notices", None).await;
    assert_eq!(page["items"], json!([]));
}
