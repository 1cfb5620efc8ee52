//! Against listeners on this machine, which is what is refused.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{CertificateParams, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use windflow_kit::{OnFailure, Random, Stop, TaskSet};

use super::*;
use crate::app::lock;

/// A listener that keeps what it was asked, and answers each with the same bytes; `None` answers with silence.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: TaskSet,
}

impl Server {
    async fn start(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&asked);
        let tasks = TaskSet::new(Stop::new(), Random::system());
        tasks.spawn("server", OnFailure::Log, async move {
            // What is answered with silence stays open.
            let mut silent = Vec::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                let request = read(&mut tcp).await;
                lock(&kept).push(request);
                match answer {
                    Some(answer) => {
                        let _gone = tcp.write_all(answer.as_bytes()).await;
                    }
                    None => silent.push(tcp),
                }
            }
        });
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

/// A request with its body, as far as `Content-Length` says.
async fn read(tcp: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        if tcp.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

fn egress(allow: &[&str]) -> Egress {
    let allow: Vec<_> = allow.iter().map(|entry| (*entry).to_owned()).collect();
    let allow = Allow::read(&allow).unwrap();
    EgressOptions { allow, ca_file: None }.build().unwrap()
}

fn get(url: &str) -> Request {
    Request::new(Method::GET, url).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test]
async fn this_machine_is_refused_unless_it_is_listed() {
    let server = Server::start(Some(OK)).await;
    let port = server.address.port();
    let all = [
        server.url("/"),
        // A name, and forms that only resolvers understand.
        format!("http://localhost:{port}/"),
        format!("http://LOCALHOST.:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://0:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::ffff:7f00:1]:{port}/"),
        format!("http://[::]:{port}/"),
    ];
    let closed = egress(&[]);
    for url in &all {
        let error = closed.send(get(url)).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused { .. }), "{url}: {error:?}");
        assert!(error.to_string().contains("egress_allow"), "{error}");
    }
    assert!(matches!(
        closed.judge(&server.url("/")),
        Err(EgressError::Refused { .. })
    ));
    assert!(
        closed.judge("http://localhost/").is_ok(),
        "told when it is resolved"
    );
    assert!(server.asked().is_empty(), "nothing came to the server");

    let open = egress(&["127.0.0.0/8"]);
    let request = Request::new(Method::POST, &server.url("/a?b=c"))
        .and_then(|request| request.header("x-secret", "s3cret"))
        .and_then(|request| request.header("host", "another.example"))
        .unwrap()
        .body("12345");
    assert!(!format!("{request:?}").contains("s3cret") && !format!("{request:?}").contains("b=c"));
    let answer = open.send(request).await.unwrap();
    assert_eq!(
        (answer.status, answer.told(100).as_str()),
        (StatusCode::OK, "hello")
    );
    let asked = server.asked().concat();
    for says in [
        "POST /a?b=c HTTP/1.1\r\n",
        &format!("host: 127.0.0.1:{port}\r\n"),
        "x-secret: s3cret\r\n",
        "user-agent: windflow-controller/",
        "content-length: 5\r\n",
        "\r\n\r\n12345",
    ] {
        assert!(asked.contains(says), "{says:?} is not in {asked:?}");
    }
    assert!(!asked.contains("another.example"));
}

#[tokio::test]
async fn what_the_configuration_names_is_reached_and_nothing_beside_it() {
    let (named, other) = (Server::start(Some(OK)).await, Server::start(Some(OK)).await);
    let closed = egress(&[]);
    let trusting = closed.trusting(&named.url("/api/v1/write")).unwrap();
    assert_eq!(
        trusting.send(get(&named.url("/"))).await.unwrap().status,
        StatusCode::OK
    );
    let beside = format!("http://127.0.0.2:{}/", other.address.port());
    for (egress, url) in [(&trusting, beside.as_str()), (&closed, &named.url("/"))] {
        let error = egress.send(get(url)).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let inner = Server::start(Some(OK)).await;
    let text = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
        inner.url("/secret")
    );
    let outer = Server::start(Some(Box::leak(text.into_boxed_str()))).await;
    let answer = egress(&["127.0.0.1"]).send(get(&outer.url("/"))).await.unwrap();
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!((outer.asked().len(), inner.asked().len()), (1, 0));
}

#[tokio::test]
async fn silence_and_floods_end() {
    let open = egress(&["127.0.0.1"]);
    let silent = Server::start(None).await;
    let short = Duration::from_millis(200);
    let error = open.send(get(&silent.url("/")).timeout(short)).await.unwrap_err();
    assert!(
        matches!(&error, EgressError::TimedOut { step: Step::Answer, after, .. } if *after == short),
        "{error:?}"
    );
    // The same for one that begins to speak TLS and hears nothing.
    let url = silent.url("/").replace("http:", "https:");
    let error = open.send(get(&url).timeout(short)).await.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::TimedOut {
                step: Step::Connection,
                ..
            }
        ),
        "{error:?}"
    );

    let long = Server::start(Some(OK)).await;
    let error = open.send(get(&long.url("/")).most(4)).await.unwrap_err();
    assert!(matches!(error, EgressError::TooLong { most: 4, .. }), "{error:?}");
    assert_eq!(
        open.send(get(&long.url("/")).most(5)).await.unwrap().body,
        "hello"
    );

    let endless = Server::start(Some(Box::leak(
        format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(200_000)).into_boxed_str(),
    )))
    .await;
    let error = open.send(get(&endless.url("/"))).await.unwrap_err();
    assert!(matches!(error, EgressError::Exchange { .. }), "{error:?}");

    let cut = Server::start(Some("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")).await;
    let nonsense = Server::start(Some("hello\r\n\r\n")).await;
    for server in [cut, nonsense] {
        // The listener's side closes when its answer is written.
        let error = open.send(get(&server.url("/"))).await.unwrap_err();
        assert!(matches!(error, EgressError::Exchange { .. }), "{error:?}");
        assert!(error.may_pass());
    }
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = open.send(get(&format!("http://{gone}/"))).await.unwrap_err();
    assert!(matches!(error, EgressError::Connect { .. }), "{error:?}");
    let error = open.send(get("http://nothing.invalid/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Name { .. }), "{error:?}");
}

/// A resolver that gives these answers, one after the other.
fn resolver(answers: &[&[&str]], port: u16) -> (connect::Lookup, Arc<AtomicUsize>) {
    let answers: Vec<Vec<SocketAddr>> = answers
        .iter()
        .map(|all| {
            all.iter()
                .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
                .collect()
        })
        .collect();
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    let lookup: connect::Lookup = Arc::new(move |_, _| {
        let found = answers[counted.fetch_add(1, Ordering::SeqCst)].clone();
        Box::pin(async move { Ok(found) })
    });
    (lookup, count)
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_judged_is_called() {
    let server = Server::start(Some(OK)).await;
    let allow = Allow::read(&["127.0.0.1".to_owned()]).unwrap();
    let options = || EgressOptions {
        allow: allow.clone(),
        ca_file: None,
    };
    // What would be told at a second look is not on the list; there is no second look.
    let (lookup, count) = resolver(&[&["127.0.0.1"], &["10.0.0.1"]], server.address.port());
    let rebinding = options().build_with(lookup).unwrap();
    let url = "http://rebind.example/";
    assert!(rebinding.send(get(url)).await.is_ok());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let error = rebinding.send(get(url)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("10.0.0.1 is an address of a private network"),
        "{error}"
    );
    // One address of several is enough to refuse all, wherever it stands.
    let (lookup, _) = resolver(&[&["127.0.0.1", "169.254.169.254"]], server.address.port());
    let mixed = options().build_with(lookup).unwrap();
    let error = mixed.send(get(url)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("169.254.169.254 is an address of a cloud's metadata"),
        "{error}"
    );
    assert_eq!(server.asked().len(), 1);
    // The next address is tried where one does not answer.
    let (lookup, _) = resolver(&[&["127.0.0.3", "127.0.0.1"]], server.address.port());
    let allow = Allow::read(&["127.0.0.0/8".to_owned()]).unwrap();
    let second = EgressOptions { allow, ca_file: None }.build_with(lookup).unwrap();
    assert!(second.send(get(url)).await.is_ok());
}

#[tokio::test]
async fn certificates_are_judged() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["store.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(windflow_transport::tls::web_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls_pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tasks = TaskSet::new(Stop::new(), Random::system());
    tasks.spawn("server", OnFailure::Log, async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                let mut bytes = [0; 1_024];
                let _read = tls.read(&mut bytes).await;
                let _written = tls.write_all(OK.as_bytes()).await;
                let _closed = tls.shutdown().await;
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    fs_err::write(&ca_file, certificate.pem()).unwrap();
    let client = |ca_file: Option<std::path::PathBuf>| {
        let allow = Allow::read(&["127.0.0.1".to_owned()]).unwrap();
        EgressOptions { allow, ca_file }
            .build_with(resolver(&[&["127.0.0.1"]], port).0)
            .unwrap()
    };
    let trusted = client(Some(ca_file.clone()))
        .send(get("https://store.example/"))
        .await;
    assert_eq!(trusted.unwrap().body, "hello");
    let error = client(Some(ca_file))
        .send(get("https://other.example/"))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
    let error = client(None)
        .send(get("https://store.example/"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, EgressError::Tls { .. } | EgressError::Roots(_)),
        "{error:?}"
    );
}

#[test]
fn a_file_of_authorities_that_is_none_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str, says: &str| {
        let path = dir.path().join("ca.pem");
        fs_err::write(&path, text).unwrap();
        let options = EgressOptions {
            allow: Allow::default(),
            ca_file: Some(path),
        };
        let error = options.build().unwrap_err().to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    };
    check("", "no certificate in it");
    check("nonsense", "no certificate in it");
    check("-----BEGIN CERTIFICATE-----\nAAAA\n", "ca.pem");
}
