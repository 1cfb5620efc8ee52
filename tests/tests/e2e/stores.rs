//! What hosts measure, in the real stores of others: Prometheus and VictoriaMetrics, as Debian has them.

#![expect(
    clippy::indexing_slicing,
    reason = "an answer of a store that lacks what is asked for fails the test"
)]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use fs_err as fs;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use windflow_api::HostMetrics;
use windflow_client::live::MetricsFeed;
use windflow_tests::{
    Fleet, Host, Target,
    fleet::free_port,
    program::{Launch, Program},
    wait::until,
};

use super::metrics::{memory_total, next, watched};

const SOON: Duration = Duration::from_secs(30);
/// A pause after failures may have grown to 16 s in the outage that is made here.
const CAUGHT_UP: Duration = Duration::from_secs(60);

/// Milliseconds since 1970, and the value there.
type Points = BTreeMap<i64, f64>;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Prometheus,
    VictoriaMetrics,
}

struct Store {
    kind: Kind,
    program: Program,
    launch: Launch,
    address: SocketAddr,
    /// Nobody else is given the port before the store listens.
    _kept: UdpSocket,
}

impl Store {
    /// Not started yet; `None`, with a line for the reader, where the program is missing.
    fn new(kind: Kind, dir: &Path) -> Option<Self> {
        let name = match kind {
            Kind::Prometheus => "prometheus",
            Kind::VictoriaMetrics => "victoria-metrics",
        };
        let program = Path::new("/usr/bin").join(name);
        if !program.exists() {
            eprintln!(
                "SKIPPED: {} is not there (scripts/setup tools installs it)",
                program.display()
            );
            return None;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let data = dir.join("data").display().to_string();
        let args = match kind {
            Kind::Prometheus => vec![
                format!("--config.file={}", dir.join("prometheus.yml").display()),
                format!("--storage.tsdb.path={data}"),
                format!("--web.listen-address={address}"),
                "--web.enable-remote-write-receiver".to_owned(),
            ],
            Kind::VictoriaMetrics => vec![
                format!("-storageDataPath={data}"),
                format!("-httpListenAddr={address}"),
            ],
        };
        Some(Self {
            _kept: UdpSocket::bind(address).unwrap(),
            kind,
            program: Program::new(name, dir.join("store.log")),
            launch: Launch {
                program,
                args: args.into_iter().map(Into::into).collect(),
                env: Vec::new(),
                user: None,
            },
            address,
        })
    }

    fn url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    async fn start(&mut self) {
        self.program.start(&self.launch);
        let ready = match self.kind {
            Kind::Prometheus => "/-/ready",
            Kind::VictoriaMetrics => "/health",
        };
        until("the store is ready", SOON, async || {
            assert!(self.program.is_running(), "{}", self.program.said());
            get(self.address, ready)
                .await
                .filter(|(status, _)| *status == 200)
        })
        .await;
    }

    /// What a series has, as it was written: no step, no rounding.
    async fn points(&self, series: &str) -> Points {
        let mut found = Points::new();
        match self.kind {
            Kind::Prometheus => {
                for series in self.query(&format!("{series}[1h]")).await {
                    for point in series["values"].as_array().unwrap() {
                        let at = (point[0].as_f64().unwrap() * 1_000.0).round() as i64;
                        found.insert(at, point[1].as_str().unwrap().parse().unwrap());
                    }
                }
            }
            Kind::VictoriaMetrics => {
                let path = format!("/api/v1/export?match%5B%5D={}", encoded(series));
                let (_, text) = get(self.address, &path).await.unwrap();
                for line in text.lines() {
                    let series: Value = serde_json::from_str(line).unwrap();
                    let times = series["timestamps"].as_array().unwrap().iter();
                    for (at, value) in times.zip(series["values"].as_array().unwrap()) {
                        found.insert(at.as_i64().unwrap(), value.as_f64().unwrap());
                    }
                }
            }
        }
        found
    }

    /// The answer to a question at this moment.
    async fn query(&self, query: &str) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let (status, text) = get(self.address, &path).await.unwrap();
        assert_eq!(status, 200, "{query}: {text}");
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {text}");
        match answer["data"]["result"].take() {
            Value::Array(found) => found,
            other => vec![other],
        }
    }

    /// Waits until the store has these samples, with their times and values.
    async fn has(&self, host: &Host, wanted: &[HostMetrics], bound: Duration) {
        let series = |name: &str| format!("{name}{{agent=\"{}\",host=\"h0\",site=\"lyon\"}}", host.id());
        let wanted: Vec<_> = wanted
            .iter()
            .map(|one| (one.usage.at.as_millis(), &one.usage.host))
            .collect();
        let totals = series("windflow_memory_total_bytes");
        let there = async || {
            let found = self.points(&totals).await;
            wanted
                .iter()
                .all(|(at, _)| found.contains_key(at))
                .then_some(found)
        };
        let total = until("the store has the samples", bound, there).await;
        let free = self.points(&series("windflow_memory_available_bytes")).await;
        let load = self.points(&series("windflow_load_1")).await;
        let taken = self.points(&series("windflow_host_sample_time_seconds")).await;
        for (at, host) in &wanted {
            let used = total[at] - free[at];
            assert_eq!(
                (total[at], used),
                (host.memory_total as f64, host.memory_used as f64),
                "{at}"
            );
            assert!(
                (load[at] - host.load[0]).abs() < 0.005,
                "{at}: {} and {:?}",
                load[at],
                host.load
            );
            assert_eq!((taken[at] * 1_000.0).round() as i64, *at);
        }
    }
}

/// Status and body of an answer; `None` if nobody listens.
async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut tcp = TcpStream::connect(address).await.ok()?;
    // The older form ends with the connection, and is never in chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A controller that writes to the store, and a watched host that shows its own metrics, too.
async fn fleet(store: &Store) -> (Fleet, Host, MetricsFeed, SocketAddr) {
    let env = [
        ("WINDFLOW_REMOTE_WRITE_URL", store.url()),
        ("WINDFLOW_REMOTE_WRITE_LABELS", "site=lyon".to_owned()),
    ];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let fleet = Fleet::start_with(&env).await;
    let mut host = fleet.enrol("h0", Target::Fake).await;
    let own = SocketAddr::from(([127, 0, 0, 1], free_port()));
    host.set_env("WINDFLOW_METRICS_LISTEN", &own.to_string());
    host.start();
    fleet.connected(&host).await;
    let feed = watched(&fleet).await;
    (fleet, host, feed, own)
}

#[tokio::test(flavor = "multi_thread")]
async fn victoria_metrics_gets_every_sample_through_its_outage_and_a_restart_of_the_controller() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut store) = Store::new(Kind::VictoriaMetrics, dir.path()) else {
        return;
    };
    store.start().await;
    let (mut fleet, host, mut feed, _) = fleet(&store).await;
    let before = next(&mut feed, host.id(), 0).await;
    store.has(&host, &before, SOON).await;

    store.program.stop(SOON).await.unwrap();
    let after = before.last().unwrap().usage.at.as_millis();
    let missed = next(&mut feed, host.id(), after).await;
    drop(feed);
    until("a request fails", SOON, async || {
        fleet
            .controller
            .said()
            .contains("remote write: samples are not taken")
            .then_some(())
    })
    .await;
    fleet.controller.stop(SOON).await.unwrap();
    fleet.restart_controller().await;
    fleet.connected(&host).await;
    store.start().await;
    let mut feed = watched(&fleet).await;
    let newest = missed.last().unwrap().usage.at.as_millis();
    let again = next(&mut feed, host.id(), newest).await;
    let all = [before, missed, again].concat();
    store.has(&host, &all, CAUGHT_UP).await;

    // Nothing between them is missing either: the store has as many as the controller's own history.
    let (from, to) = (
        all[0].usage.at.as_millis(),
        all.last().unwrap().usage.at.as_millis(),
    );
    let series = format!("windflow_memory_total_bytes{{agent=\"{}\"}}", host.id());
    let seconds = |points: &Points| {
        let within = points.range(from..=to).map(|(at, _)| at.div_euclid(1_000));
        within.collect::<std::collections::BTreeSet<_>>().len()
    };
    let stored = seconds(&store.points(&series).await);
    let own = super::metrics::kept(&fleet, from, to + 1_000).await;
    // The last step may hold a sample that came after `to`.
    assert!(own.len() - stored <= 1, "{stored} of {}", own.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_gets_what_is_written_and_scrapes_both_and_knows_the_dashboard() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut store) = Store::new(Kind::Prometheus, dir.path()) else {
        return;
    };
    // The store is not there yet: what was measured before is not lost.
    let (fleet, host, mut feed, own) = fleet(&store).await;
    let early = next(&mut feed, host.id(), 0).await;
    let _line = fleet.command_line().await;
    let saved: String = fs::read_to_string(fleet.scratch().join("cli.toml")).unwrap();
    let token = saved.lines().find_map(|line| line.strip_prefix("token = "));
    let config = format!(
        "global: {{ scrape_interval: 1s }}\n\
         scrape_configs:\n\
         - job_name: agent\n  static_configs: [{{ targets: [\"{own}\"] }}]\n\
         - job_name: controller\n  scheme: https\n  tls_config: {{ insecure_skip_verify: true }}\n  \
         authorization: {{ credentials: {} }}\n  static_configs: [{{ targets: [\"{}\"] }}]\n",
        token.unwrap(),
        fleet.http()
    );
    fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    store.start().await;
    store.has(&host, &early, CAUGHT_UP).await;

    // What is scraped has the same names.
    let value = async |query: &str| {
        let found = store.query(query).await;
        let text = found.first()?["value"][1].as_str()?.to_owned();
        text.parse::<f64>().ok()
    };
    for job in ["agent", "controller"] {
        let query = format!(
            "windflow_memory_total_bytes{{job=\"{job}\",agent=\"{}\"}}",
            host.id()
        );
        let scraped = until("it is scraped", SOON, async || value(&query).await).await;
        assert_eq!(scraped, memory_total() as f64, "{job}");
    }
    let taken = value("windflow_remote_write_values_total").await.unwrap();
    assert!(taken > 0.0, "{taken}");
    let (status, page) = get(own, "/metrics").await.unwrap();
    assert!(
        status == 200 && page.contains("windflow_agent_connected 1\n"),
        "{page}"
    );

    // Stopped in the middle of it: what it took and could not say is sent again, and refused; the rest comes.
    store.program.stop(SOON).await.unwrap();
    let after = early.last().unwrap().usage.at.as_millis();
    let missed = next(&mut feed, host.id(), after).await;
    store.start().await;
    store.has(&host, &missed, CAUGHT_UP).await;

    let mut asked = 0;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/grafana/windflow.json");
    let board: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let question = target["expr"].as_str().unwrap().replace("$host", ".*");
            let found = store.query(&question).await;
            asked += 1;
            // What every machine has must be there, once for the host, although it comes on three ways.
            let title = panel["title"].as_str().unwrap();
            if ["Processor", "Memory in use", "Hosts"].contains(&title) {
                let ours = found.iter().filter(|one| one["metric"]["host"] == "h0").count();
                assert_eq!(ours, 1, "{title}: {question}: {found:?}");
            }
        }
    }
    assert!(asked > 15, "{asked}");
}
