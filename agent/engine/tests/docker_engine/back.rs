//! Replacing under load, and going back, on the real engine.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bollard::{
    models::{ContainerInspectResponse, Ipam, IpamConfig, NetworkCreateRequest},
    query_parameters::InspectContainerOptions,
};
use windflow_kit::Stop;
use windflow_model::{CheckKind, DeploymentState, Rev, Want};

use crate::bench::{self, Bench, Guard};

const SLEEP: &str = "image: 'windflow-test/busybox:IMAGE', command: [sleep, '3600'], stop_grace_period: 0s";

async fn inspect(bench: &Bench, id: &str) -> ContainerInspectResponse {
    let found = bench
        .docker
        .inspect_container(id, None::<InspectContainerOptions>);
    found.await.unwrap()
}

/// Ids, with the process, the networks and the names on them: what must not change.
async fn world(bench: &Bench) -> BTreeMap<String, (String, Option<i64>, Vec<String>)> {
    let mut out = BTreeMap::new();
    for (name, id) in bench.ids().await {
        let found = inspect(bench, &id).await;
        let networks = found.network_settings.and_then(|settings| settings.networks);
        let mut on: Vec<String> = Vec::new();
        for (network, place) in networks.unwrap_or_default() {
            let mut aliases = place.aliases.unwrap_or_default();
            aliases.retain(|alias| !id.starts_with(alias));
            aliases.sort();
            on.push(format!("{network}: {}", aliases.join(" ")));
        }
        on.sort();
        let running = found.state.and_then(|state| state.running).unwrap_or(false);
        out.insert(name, (id, running.then_some(1), on));
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_of_three_services_the_second_fails() {
    let Some(mut bench) = Bench::start("three").await else {
        return;
    };
    let yaml = |image: &str, check: &str| {
        let sleep = SLEEP.replace("IMAGE", image);
        format!(
            "services:\n  a: {{ {sleep}, volumes: ['data:/data'] }}\n  b: {{ {sleep}, depends_on: [a], healthcheck: {{ test: \"{check}\", interval: 300ms, retries: 2, timeout: 2s }} }}\n  c: {{ {sleep}, depends_on: {{ b: {{ condition: service_healthy }} }} }}\nvolumes: {{ data: {{}} }}\n"
        )
    };
    assert_eq!(bench.apply(&yaml("1", "true")).await, DeploymentState::Succeeded);
    let before = world(&bench).await;
    let bad = yaml("2", "echo no page today; exit 1").replace(
        "c: {",
        "d: { image: 'windflow-test/busybox:2', command: [sleep, '3600'], networks: [own] }\n  c: {",
    ) + "networks: { own: {} }\n";
    let state = bench.apply(&bad).await;
    let DeploymentState::RolledBack { failure, to } = &state else {
        panic!("{state:?}")
    };
    assert_eq!(*to, Some(Rev(1)));
    let check = failure.check.as_deref().unwrap();
    assert_eq!((check.service.as_str(), check.kind), ("b", CheckKind::Health));
    assert_eq!(check.output, "no page today");
    assert_eq!(check.exit_code, Some(1));
    assert_eq!(
        world(&bench).await,
        before,
        "the same containers, running, on their networks"
    );
    let networks = bench::networks(&bench.docker, bench.stack.as_str()).await;
    assert_eq!(networks.len(), 1, "{networks:?}");
    assert_eq!(bench::volumes(&bench.docker, bench.stack.as_str()).await.len(), 1);
    bench.end().await;
}

/// The engine refuses the new network's addresses when the old network is gone already.
#[tokio::test(flavor = "multi_thread")]
async fn docker_a_network_that_cannot_be_replaced_is_put_back() {
    let Some(mut bench) = Bench::start("netback").await else {
        return;
    };
    let other = "wft-engine-netback-other";
    bench::sweep(&bench.docker, other).await;
    let _guard = Guard::new(other, Stop::new());
    let taken = NetworkCreateRequest {
        name: other.to_owned(),
        labels: Some([("com.docker.compose.project".to_owned(), other.to_owned())].into()),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some("10.213.7.0/24".to_owned()),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        ..NetworkCreateRequest::default()
    };
    bench.docker.create_network(taken).await.unwrap();
    let yaml = |image: &str, subnet: &str| {
        let sleep = SLEEP.replace("IMAGE", image);
        format!(
            "services:\n  a: {{ {sleep}, networks: {{ n: {{ aliases: [front] }} }} }}\n  b: {{ {sleep}, networks: [n] }}\nnetworks: {{ n: {{ ipam: {{ config: [ {{ subnet: {subnet} }} ] }} }} }}\n"
        )
    };
    assert_eq!(
        bench.apply(&yaml("1", "10.213.9.0/24")).await,
        DeploymentState::Succeeded
    );
    let before = world(&bench).await;
    for automatic in [false, true] {
        let mut order = bench.order(&yaml("2", "10.213.7.0/24"), Want::Present);
        order.spec.policy.rollback.automatic = automatic;
        let state = bench.run(order).await;
        let expected = if automatic { "rolled_back" } else { "failed" };
        assert_eq!(state.name(), expected, "{state:?}");
        assert!(state.failure().unwrap().message.contains("network"), "{state:?}");
        assert_eq!(world(&bench).await, before, "{state:?}");
    }
    // It works, and so does a step after it that fails: the network goes back with the rest.
    let broken = yaml("2", "10.213.8.0/24").replace(
        "b: {",
        "b: { healthcheck: { test: 'exit 1', interval: 300ms, retries: 1 },",
    );
    for automatic in [false, true] {
        let mut order = bench.order(&broken, Want::Present);
        order.spec.policy.rollback.automatic = automatic;
        let state = bench.run(order).await;
        let expected = if automatic { "rolled_back" } else { "failed" };
        assert_eq!(state.name(), expected, "{state:?}");
        assert_eq!(world(&bench).await, before, "{state:?}");
    }
    assert_eq!(
        bench.apply(&yaml("2", "10.213.8.0/24")).await,
        DeploymentState::Succeeded
    );
    bench.end().await;
}

/// A proxy that finds the service by its name, and asks again where nobody answers, as proxies do.
fn behind_proxy(page: &str, port: u16) -> String {
    format!(
        r#"
services:
  proxy:
    image: windflow-test/busybox:1
    command: [httpd, -f, -p, '80', -h, /www]
    stop_grace_period: 0s
    ports: ['127.0.0.1:{port}:80']
    configs: [{{ source: proxy, target: /www/cgi-bin/ask, mode: 0555 }}]
  app:
    image: windflow-test/busybox:1
    command: [sh, -c, 'mkdir -p /www; echo {page} > /www/index.html; exec httpd -f -p 80 -h /www']
    stop_grace_period: 1s
    healthcheck: {{ test: wget -q -O /dev/null http://127.0.0.1/, interval: 300ms, retries: 10 }}
configs:
  proxy:
    content: |
      #!/bin/sh
      for try in 1 2 3 4 5; do
        for address in $$(nslookup app 127.0.0.11 | sed -n '/^Name/,$$ s/^Address[^:]*: //p'); do
        page=$$(timeout 2 wget -q -O - http://$$address/) && {{ printf 'Content-Type: text/plain\r\n\r\n%s' "$$page"; exit; }}
        done
      done
      printf 'Status: 502 Bad Gateway\r\n\r\nlost'
"#
    )
}

/// Asks again and again, each time on a new connection.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    task: std::thread::JoinHandle<Vec<String>>,
}

fn ask(port: u16) -> std::io::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"GET /cgi-bin/ask HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

impl Load {
    fn start(port: u16) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let task = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let answer = ask(port).unwrap_or_else(|error| format!("failed: {error}"));
                answers.push(answer.rsplit("\r\n").next().unwrap_or_default().to_owned());
                count.fetch_add(1, Ordering::Relaxed);
            }
            answers
        });
        Self { stop, asked, task }
    }

    /// So many more answers.
    async fn more(&self, count: u64) {
        let until = self.asked.load(Ordering::Relaxed) + count;
        let wait = async {
            while self.asked.load(Ordering::Relaxed) < until {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
    }

    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_under_load_no_request_is_lost() {
    let Some(mut bench) = Bench::start("load").await else {
        return;
    };
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    assert_eq!(
        bench.apply(&behind_proxy("one", port)).await,
        DeploymentState::Succeeded
    );
    let load = Load::start(port);
    load.more(20).await;
    assert_eq!(
        bench.apply(&behind_proxy("two", port)).await,
        DeploymentState::Succeeded
    );
    load.more(20).await;
    // And one that does not work out: nobody outside notices.
    let broken = behind_proxy("three", port)
        .replace("http://127.0.0.1/,", "http://127.0.0.1/none,")
        .replace("retries: 10", "retries: 2");
    assert_eq!(bench.apply(&broken).await.name(), "rolled_back");
    load.more(20).await;
    let answers = load.end();
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    for answer in &answers {
        *count.entry(answer).or_default() += 1;
    }
    println!("{} requests: {count:?}", answers.len());
    let lost = answers
        .iter()
        .filter(|answer| !matches!(answer.as_str(), "one" | "two" | "three"));
    assert_eq!(lost.count(), 0, "{count:?}");
    assert!(count["one"] >= 20 && count["two"] >= 20, "{count:?}");
    assert_eq!(answers.last().map(String::as_str), Some("two"));
    bench.end().await;
}

/// Healthy at first, and then no more while it is watched.
#[tokio::test(flavor = "multi_thread")]
async fn docker_what_turns_unhealthy_while_it_is_watched() {
    let Some(mut bench) = Bench::start("watch").await else {
        return;
    };
    let yaml = |image: &str, last: &str| {
        let port = "ports: ['127.0.0.1:0:80']";
        format!(
            "services: {{ a: {{ image: 'windflow-test/busybox:{image}', command: [sh, -c, '{last}; exec sleep 3600'], stop_grace_period: 0s, {port}, healthcheck: {{ test: test ! -e /sick, interval: 300ms, retries: 1 }} }} }}"
        )
    };
    assert_eq!(bench.apply(&yaml("1", "true")).await, DeploymentState::Succeeded);
    let before = world(&bench).await;
    let sickens = yaml("2", "echo about to fall ill; (sleep 3; touch /sick) &");
    let mut order = bench.order(&sickens.replace("&;", "&"), Want::Present);
    order.spec.policy.rollback.watch_s = 20;
    let state = bench.run(order).await;
    let DeploymentState::RolledBack { failure, .. } = &state else {
        panic!("{state:?}")
    };
    let check = failure.check.as_deref().unwrap();
    assert_eq!(check.log, ["about to fall ill"], "{check:?}");
    assert_eq!(check.command.as_deref(), Some("test ! -e /sick"));
    assert_eq!(world(&bench).await, before);
    bench.end().await;
}
