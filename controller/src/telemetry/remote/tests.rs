//! Against a store that answers as it is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use windflow_kit::{Clock, OnFailure, TaskSet};
use windflow_model::metrics::{Group, Layout, Metric, Sample, Scope, Subject};
use windflow_store::MemStore;

use super::{
    super::{disk::Disk, disk::Retention},
    *,
};
use crate::{
    app::{AppOptions, lock},
    egress::EgressOptions,
};

/// Labels as text, time and value.
type Point = (String, i64, f64);
/// The status for a request of these points.
type Verdict = Box<dyn Fn(&[Point]) -> u16 + Send>;

struct Inner {
    verdict: Verdict,
    asked: usize,
    taken: Vec<Point>,
    authorization: Option<String>,
}

#[derive(Clone)]
struct Store(Arc<Mutex<Inner>>);

async fn write(
    State(store): State<Store>,
    headers: HeaderMap,
    body: Bytes,
) -> (axum::http::StatusCode, HeaderMap, &'static str) {
    assert_eq!(headers["content-encoding"], "snappy");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-prometheus-remote-write-version"], "0.1.0");
    let points = points(&snap::raw::Decoder::new().decompress_vec(&body).unwrap());
    let mut inner = lock(&store.0);
    inner.asked += 1;
    inner.authorization = headers
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned());
    let status = (inner.verdict)(&points);
    if status < 300 {
        inner.taken.extend(points);
    }
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "7".parse().unwrap());
    (status.try_into().unwrap(), headers, "because\nof this")
}

/// Fields of a protobuf message: number and content.
fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let content = match key & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            1 => bytes.split_off(..8).unwrap().to_vec(),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                bytes.split_off(..length).unwrap().to_vec()
            }
            other => panic!("wire type {other}"),
        };
        found.push(((key >> 3) as u8, content));
    }
    found
}

fn points(message: &[u8]) -> Vec<Point> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    for (field, series) in fields(message) {
        assert_eq!(field, 1);
        let mut labels = Vec::new();
        for (field, content) in fields(&series) {
            let inner = fields(&content);
            match field {
                1 => labels.push((text(&inner[0].1), text(&inner[1].1))),
                _ => {
                    let value = f64::from_le_bytes(inner[0].1.clone().try_into().unwrap());
                    let at = i64::from_le_bytes(inner[1].1.clone().try_into().unwrap());
                    let all: Vec<_> = labels
                        .iter()
                        .map(|(name, value)| format!("{name}={value}"))
                        .collect();
                    found.push((all.join(" "), at, value));
                }
            }
        }
        assert!(labels.is_sorted(), "{labels:?}");
        assert!(labels.iter().all(|(_, value)| !value.is_empty()), "{labels:?}");
    }
    found
}

struct World {
    app: App,
    clock: Clock,
    store: Store,
    dir: tempfile::TempDir,
    url: String,
    _tasks: TaskSet,
}

const NOW: i64 = 1_000_000_000;

impl World {
    async fn new(verdict: impl Fn(&[Point]) -> u16 + Send + 'static) -> Self {
        let (clock, random) = (Clock::manual(NOW), Random::seeded(1));
        let tasks = TaskSet::new(Stop::new(), random.clone());
        let app = AppOptions {
            store: Arc::new(MemStore::new(clock.clone())),
            clock: clock.clone(),
            tasks: tasks.clone(),
            random,
            epoch: 1,
            egress: EgressOptions::default().build().unwrap(),
            vault: crate::vault::Vault::passing(Random::system()).unwrap(),
        }
        .build();
        let store = Store(Arc::new(Mutex::new(Inner {
            verdict: Box::new(verdict),
            asked: 0,
            taken: Vec::new(),
            authorization: None,
        })));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/write", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/write", post(write))
            .with_state(store.clone());
        tasks.spawn("store", OnFailure::Log, async move {
            axum::serve(listener, router).await
        });
        let dir = tempfile::tempdir().unwrap();
        *lock(&app.telemetry().0.disk) = Some(Disk::open(dir.path().to_path_buf()).unwrap());
        Self {
            app,
            clock,
            store,
            dir,
            url,
            _tasks: tasks,
        }
    }

    fn verdict(&self, verdict: impl Fn(&[Point]) -> u16 + Send + 'static) {
        lock(&self.store.0).verdict = Box::new(verdict);
    }

    /// The task as after a start of the controller, with two hosts that have names.
    fn task(&self) -> RemoteWrite {
        let options = RemoteWriteOptions {
            url: self.url.clone(),
            credentials: Credentials::None,
            labels: vec![("Site".to_owned(), "lyon".to_owned())],
            backlog: Duration::from_secs(3_600),
        };
        let mut task = options
            .build(self.app.clone(), self.dir.path().to_path_buf(), Stop::new())
            .unwrap();
        task.names = BTreeMap::from([(agent(1), "one".to_owned()), (agent(2), "two".to_owned())]);
        task.named = Some(Instant::now());
        task
    }

    /// So many samples of a host, ten seconds apart, the last one now; the clock goes on.
    fn feed(&self, host: u128, count: i64) {
        let layout = Arc::new(Layout {
            groups: vec![
                Group {
                    scope: Scope::Host,
                    subject: Subject::default(),
                    metrics: vec![Metric::LOAD_1, Metric(9_999)],
                },
                Group {
                    scope: Scope::Container,
                    subject: Subject {
                        key: "0123".to_owned(),
                        name: "web".to_owned(),
                        ..Subject::default()
                    },
                    metrics: vec![Metric::CONTAINER_CPU],
                },
            ],
        });
        for _ in 0..count {
            self.clock.set_ms(self.clock.now_ms() + 10_000);
            let at_ms = self.clock.now_ms();
            let sample = Sample {
                seq: 0,
                at_ms,
                layout: Arc::clone(&layout),
                values: vec![150, 1, 2_500_000],
            };
            self.app.telemetry().push(agent(host), vec![sample]);
        }
    }

    fn flush(&self) {
        self.app.telemetry().flush(&Retention::default()).unwrap();
    }

    /// Times that the store has of the load of a host, in the order in which they came.
    fn times(&self, host: &str) -> Vec<i64> {
        let wanted = format!("host={host}");
        let store = lock(&self.store.0);
        let found = store.taken.iter().filter(|(labels, _, _)| {
            labels.contains("__name__=windflow_load_1 ") && labels.contains(&wanted)
        });
        found.map(|(_, at, _)| *at).collect()
    }

    fn figure(&self, name: &str) -> f64 {
        let text = self.app.telemetry().text(&BTreeMap::new());
        let name = format!("windflow_remote_write_{name} ");
        let row = text.lines().find_map(|line| line.strip_prefix(name.as_str()));
        row.unwrap_or_else(|| panic!("{name} is not in {text}"))
            .parse()
            .unwrap()
    }
}

fn agent(n: u128) -> AgentId {
    AgentId::from_uuid(uuid::Uuid::from_u128(n))
}

fn every(from: i64, count: i64) -> Vec<i64> {
    (1..=count).map(|n| from + n * 10_000).collect()
}

#[tokio::test]
async fn names_labels_times_and_values_are_those_of_metrics() {
    let world = World::new(|_| 204).await;
    let mut task = world.task();
    world.feed(1, 2);
    task.round().await.unwrap();
    let id = agent(1);
    let (first, second) = (NOW + 10_000, NOW + 20_000);
    let host = |name: &str| format!("Site=lyon __name__={name} agent={id} host=one");
    let container = format!(
        "Site=lyon __name__=windflow_container_cpu_seconds_total agent={id} container=0123 host=one name=web"
    );
    let time = host("windflow_host_sample_time_seconds");
    let expected = [
        (time.clone(), first, first as f64 / 1_000.0),
        (time, second, second as f64 / 1_000.0),
        (host("windflow_load_1"), first, 1.5),
        (host("windflow_load_1"), second, 1.5),
        (container.clone(), first, 2.5),
        (container, second, 2.5),
    ];
    assert_eq!(lock(&world.store.0).taken, expected);
    // Every name and label is one that /metrics has, too.
    let text = world
        .app
        .telemetry()
        .text(&BTreeMap::from([(id, "one".to_owned())]));
    for says in [
        format!("windflow_load_1{{agent=\"{id}\",host=\"one\"}} 1.5\n"),
        format!("windflow_host_sample_time_seconds{{agent=\"{id}\",host=\"one\"}} 1000020\n"),
        format!(
            "windflow_container_cpu_seconds_total{{agent=\"{id}\",host=\"one\",container=\"0123\",name=\"web\",stack=\"\",service=\"\"}} 2.5\n"
        ),
    ] {
        assert!(text.contains(&says), "{says} is not in {text}");
    }
}

#[tokio::test]
async fn what_a_store_did_not_take_waits_on_disk_and_nothing_is_sent_twice() {
    let world = World::new(|_| 204).await;
    let mut task = world.task();
    world.feed(1, 3);
    task.round().await.unwrap();
    task.round().await.unwrap();
    task.save().await;
    assert_eq!(
        (world.times("one"), lock(&world.store.0).asked),
        (every(NOW, 3), 1)
    );

    world.verdict(|_| 503);
    for _ in 0..20 {
        world.feed(1, 15);
        world.flush();
    }
    world.feed(2, 3);
    let error = task.round().await.unwrap_err();
    let after = Duration::from_secs(7);
    assert!(
        matches!(&error, RoundError::Status { status: 503, after: Some(asked), told } if *asked == after && told == "because of this"),
        "{error:?}"
    );
    task.measure();
    assert_eq!(world.figure("failures_total"), 1.0);
    assert_eq!(world.figure("waiting_hosts"), 2.0);
    // The second host has never been written.
    assert_eq!(world.figure("waiting_seconds"), 3_060.0);
    assert_eq!(world.times("one").len(), 3);

    // The controller is started anew meanwhile: what is on disk is found, and how far it was written.
    world.verdict(|_| 204);
    let mut task = world.task();
    task.round().await.unwrap();
    task.save().await;
    task.measure();
    assert_eq!(world.times("one"), every(NOW, 303));
    assert_eq!(world.times("two"), every(NOW + 3_030_000, 3));
    assert_eq!(world.figure("waiting_hosts"), 0.0);
    assert_eq!(world.figure("values_total"), (306 * 3) as f64);
    let mut task = world.task();
    task.round().await.unwrap();
    assert_eq!(world.times("one").len(), 303);

    // What waits too long is dropped and counted: an hour of it is kept.
    world.verdict(|_| 503);
    world.feed(1, 400);
    task.round().await.unwrap_err();
    world.verdict(|_| 204);
    task.round().await.unwrap();
    let dropped = world.figure("dropped_values_total{reason=\"too_old\"}");
    assert_eq!(world.times("one").len(), 303 + 361);
    assert_eq!(dropped, (39 * 3) as f64);
}

#[tokio::test]
async fn a_store_that_refuses_one_value_gets_the_others() {
    // As Prometheus refuses what is older than what it has: the whole request for one value.
    let world = World::new(|points| {
        if points.iter().any(|(_, at, _)| *at <= NOW + 30_000) {
            400
        } else {
            204
        }
    })
    .await;
    let mut task = world.task();
    world.feed(1, 10);
    world.feed(2, 5);
    task.round().await.unwrap();
    assert_eq!(world.times("one"), every(NOW + 30_000, 7));
    assert_eq!(world.times("two"), every(NOW + 100_000, 5));
    assert_eq!(
        world.figure("dropped_values_total{reason=\"refused\"}"),
        (3 * 3) as f64
    );
}

#[tokio::test]
async fn a_store_that_refuses_everything_is_not_asked_for_ever() {
    for status in [400, 413, 422] {
        let world = World::new(move |_| status).await;
        let mut task = world.task();
        for _ in 0..20 {
            world.feed(1, 2);
            task.round().await.unwrap();
        }
        assert!(
            lock(&world.store.0).asked <= 40,
            "{status}: {}",
            lock(&world.store.0).asked
        );
        assert_eq!(
            world.figure("dropped_values_total{reason=\"refused\"}"),
            (40 * 3) as f64
        );
        assert!(task.told.is_some());
        // It thinks better of it.
        world.verdict(|_| 200);
        world.feed(1, 1);
        task.round().await.unwrap();
        assert_eq!(
            (world.times("one").len(), task.told.clone(), task.fruitless),
            (1, None, 0)
        );
    }
}

#[tokio::test]
async fn what_may_be_put_right_costs_nothing() {
    for status in [302, 401, 403, 404, 408, 429, 500, 503] {
        let world = World::new(move |_| status).await;
        let mut task = world.task();
        world.feed(1, 20);
        let error = task.round().await.unwrap_err();
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(lock(&world.store.0).asked, 1, "{status}");
        world.verdict(|_| 204);
        task.round().await.unwrap();
        assert_eq!(world.times("one").len(), 20, "{status}");
        assert_eq!(world.figure("dropped_values_total{reason=\"refused\"}"), 0.0);
    }
}

#[tokio::test]
async fn credentials_are_read_anew() {
    let world = World::new(|_| 204).await;
    let file = world.dir.path().join("secret");
    let mut task = world.task();
    let check = async |task: &mut RemoteWrite, credentials: Credentials, expected: &str| {
        fs_err::write(&file, "s3cret\n").unwrap();
        task.options.credentials = credentials;
        world.feed(1, 1);
        task.round().await.unwrap();
        assert_eq!(lock(&world.store.0).authorization.as_deref(), Some(expected));
    };
    check(&mut task, Credentials::Bearer(file.clone()), "Bearer s3cret").await;
    check(
        &mut task,
        Credentials::Basic("wf".to_owned(), file.clone()),
        "Basic d2Y6czNjcmV0",
    )
    .await;
    assert!(!format!("{task:?}").contains("d2Y6czNjcmV0"));
    fs_err::remove_file(&file).unwrap();
    world.feed(1, 1);
    let error = task.round().await.unwrap_err();
    assert!(matches!(error, RoundError::Credentials(_)), "{error:?}");
}

#[tokio::test]
async fn the_task_waits_for_the_history_and_ends() {
    let world = World::new(|_| 204).await;
    let mut task = world.task();
    let stop = task.stop.clone();
    task.named = Some(Instant::now());
    world.feed(1, 2);
    world.app.telemetry().0.settled.send_replace(true);
    let ends = async {
        tokio::time::timeout(Duration::from_secs(20), async {
            while world.times("one").len() < 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
        stop.trigger();
    };
    tokio::join!(task.run(Random::seeded(1)), ends);
    assert!(world.dir.path().join("remote-write.json").exists());
    assert_eq!(world.task().cursors.of(agent(1)), NOW + 20_000);
}
