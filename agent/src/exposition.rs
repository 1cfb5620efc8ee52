//! `/metrics` of the agent, if its owner wants it: the newest sample in the text format of Prometheus, without a controller.
//!
//! ```text
//! watch<Sample> ─▶ "metrics" task (TCP, plain HTTP) ─▶ whoever asks
//! ```
//! One page and nothing else, so the few lines of HTTP are here: the head of a request is read as far as its first line, one
//! answer is given, the connection ends. There is no token: the address is to be one that only those reach who may read.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use windflow_kit::Stop;
use windflow_model::{
    AgentId,
    metrics::{
        Kind, Sample,
        text::{write_head, write_row, write_samples},
    },
};

use crate::{host, status::LinkStatus};

/// Longest head of a request.
const HEAD: usize = 8 * 1024;
/// Time for a whole request and its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at once; more wait until they are accepted.
const AT_ONCE: usize = 16;
/// Pause where there are no file handles.
const REST: Duration = Duration::from_millis(200);

/// What the page is made of.
#[derive(Debug, Clone)]
pub struct Page {
    /// The newest sample.
    pub newest: watch::Receiver<Option<Arc<Sample>>>,
    /// Where the link stands.
    pub link: watch::Receiver<LinkStatus>,
    /// The host's id, if it has joined.
    pub agent: Option<AgentId>,
}

impl Page {
    /// Answers until stop.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(self, address: SocketAddr, stop: Stop) -> io::Result<()> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("metrics_listen: {address}: {error}")))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "metrics are shown at /metrics");
        if !is_private(address.ip()) {
            tracing::warn!(%address, "metrics_listen is neither loopback nor private: whoever reaches it reads the metrics");
        }
        self.answer(listener, stop).await;
        Ok(())
    }

    async fn answer(self, listener: TcpListener, stop: Stop) {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                Some(_done) = open.next() => {}
                accepted = listener.accept(), if open.len() < AT_ONCE => match accepted {
                    Ok((tcp, _)) => open.push(tokio::time::timeout(PATIENCE, self.one(tcp))),
                    Err(_) => tokio::time::sleep(REST).await,
                },
            }
        }
    }

    /// One request. Whoever goes away or sends nonsense without end gets no answer.
    async fn one(&self, mut tcp: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            if head.len() >= HEAD || tcp.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let (status, body) = match wanted(&head) {
            Wanted::Page => ("200 OK", self.text()),
            Wanted::Another => ("404 Not Found", "there is /metrics\n".to_owned()),
            Wanted::Method => ("405 Method Not Allowed", "only GET\n".to_owned()),
            Wanted::Nonsense => ("400 Bad Request", "this is no HTTP/1\n".to_owned()),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\
             allow: GET\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        tcp.write_all(answer.as_bytes()).await?;
        tcp.shutdown().await
    }

    /// The page.
    fn text(&self) -> String {
        let mut text = String::new();
        write_head(&mut text, "windflow_agent_build_info", Kind::Gauge, "This build.");
        let version = [("version", windflow_kit::build::VERSION)];
        write_row(&mut text, "windflow_agent_build_info", &version, &[], 1.0);
        let connected = matches!(*self.link.borrow(), LinkStatus::Connected { .. });
        let help = "1 with a proven connection to the controller, else 0.";
        write_head(&mut text, "windflow_agent_connected", Kind::Gauge, help);
        write_row(
            &mut text,
            "windflow_agent_connected",
            &[],
            &[],
            f64::from(u8::from(connected)),
        );
        let (agent, name) = (self.agent.map(|agent| agent.to_string()), host::hostname());
        let mut labels = Vec::new();
        labels.extend(agent.as_deref().map(|agent| ("agent", agent)));
        labels.push(("host", name.as_str()));
        let newest = self.newest.borrow().clone();
        if let Some(sample) = &newest {
            write_samples(&mut text, &[(labels, sample)]);
        }
        text
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Page,
    Another,
    Method,
    Nonsense,
}

fn wanted(head: &[u8]) -> Wanted {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words.as_slice() else {
        return Wanted::Nonsense;
    };
    if !version.starts_with(b"HTTP/1.") {
        return Wanted::Nonsense;
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    match (*method, path) {
        (b"GET", b"/metrics") => Wanted::Page,
        (b"GET", _) => Wanted::Another,
        _ => Wanted::Method,
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use windflow_model::metrics::{Group, Layout, Metric, Scope, Subject};

    use super::*;

    #[test]
    fn first_lines() {
        let check = |head: &str, expected: Wanted| assert_eq!(wanted(head.as_bytes()), expected, "{head:?}");
        check("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Wanted::Page);
        check("GET /metrics?a=b HTTP/1.0\r\n\r\n", Wanted::Page);
        check("GET / HTTP/1.1\r\n\r\n", Wanted::Another);
        check("GET /metrics/../x HTTP/1.1\r\n\r\n", Wanted::Another);
        check("POST /metrics HTTP/1.1\r\n\r\n", Wanted::Method);
        check("GET /metrics HTTP/2\r\n\r\n", Wanted::Nonsense);
        check("GET /metrics\r\n\r\n", Wanted::Nonsense);
        check("\r\n\r\n", Wanted::Nonsense);
        check("\u{16}\u{3}\u{1} \r\n\r\n", Wanted::Nonsense);
    }

    #[test]
    fn addresses_that_need_no_warning() {
        for (ip, expected) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("::1", true),
            ("fd00::1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_private(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    async fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(request).await.unwrap();
        let mut answer = String::new();
        let _reset = tcp.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn the_page_is_answered_and_nonsense_holds_nobody_up() {
        let layout = Layout {
            groups: vec![Group {
                scope: Scope::Host,
                subject: Subject::default(),
                metrics: vec![Metric::LOAD_1],
            }],
        };
        let (newest, seen) = watch::channel(None);
        let (_link, link) = watch::channel(LinkStatus::NotEnrolled);
        let page = Page {
            newest: seen,
            link,
            agent: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Stop::new();
        let asking = async {
            // Those that say nothing, and one that never ends its head.
            let _silent = [
                TcpStream::connect(address).await.unwrap(),
                TcpStream::connect(address).await.unwrap(),
            ];
            assert_eq!(ask(address, &[b'x'; HEAD + 100]).await, "");
            let before = ask(address, b"GET /metrics HTTP/1.1\r\n\r\n").await;
            assert!(before.contains("windflow_agent_connected 0\n"), "{before}");
            assert!(!before.contains("windflow_load_1"), "nothing was measured yet");
            newest.send_replace(Some(Arc::new(Sample {
                seq: 1,
                at_ms: 2_000,
                layout: Arc::new(layout),
                values: vec![150],
            })));
            let after = ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
            let (head, body) = after.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(
                head.contains(&format!("content-length: {}\r\n", body.len())),
                "{head}"
            );
            let row = format!("windflow_load_1{{host=\"{}\"}} 1.5\n", host::hostname());
            assert!(body.contains(&row), "{row} is not in {body}");
            assert!(
                ask(address, b"GET / HTTP/1.1\r\n\r\n")
                    .await
                    .starts_with("HTTP/1.1 404 ")
            );
            stop.trigger();
        };
        tokio::join!(page.answer(listener, stop.clone()), asking);
    }
}
