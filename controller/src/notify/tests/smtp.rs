//! Mail to a server that follows a script: each line of it is what it says next. Real servers are in the end-to-end tests.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use windflow_kit::{OnFailure, Random, Stop, TaskSet};

use super::{http::sender, *};
use crate::app::lock;

/// What a server that takes everything says to what it hears.
fn usual(heard: &str) -> &'static str {
    match heard.split(' ').next().unwrap_or_default() {
        "EHLO" => "250-mail.example\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME",
        "AUTH" => "235 welcome",
        "STARTTLS" => "220 go on",
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 ok",
    }
}

/// Sends a mail to a server which says `odd` to what begins with `when`.
async fn talk(
    tls: &str,
    user: &str,
    when: &'static str,
    odd: &'static str,
) -> (Result<Receipt, SendError>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&heard);
    let tasks = TaskSet::new(Stop::new(), Random::system());
    tasks.spawn("mail", OnFailure::Log, async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tcp = BufReader::new(tcp);
        let greeting = if when == "GREETING" {
            odd
        } else {
            "220 mail.example"
        };
        let _gone = tcp.write_all(format!("{greeting}\r\n").as_bytes()).await;
        let (mut line, mut data) = (String::new(), false);
        loop {
            line.clear();
            if tcp.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let text = line.trim_end().to_owned();
            lock(&kept).push(text.clone());
            if data && text != "." {
                continue;
            }
            let said = if text.starts_with(when) && !when.is_empty() {
                odd
            } else {
                usual(&text)
            };
            data = said.starts_with("354");
            if said == "hangs up" {
                return;
            }
            let _gone = tcp.write_all(format!("{said}\r\n").as_bytes()).await;
        }
    });
    let password = if user.is_empty() { "" } else { "s3cret-password" };
    let mail = settings(&format!(
        r#"{{"kind":"email","host":"127.0.0.1","port":{port},"tls":"{tls}","user":"{user}","password":"{password}","from":"WindFlow <wf@example.org>","to":["a@example.org","b@example.org"]}}"#
    ));
    let (_, notification) = table().remove(3);
    let attempt = sender()
        .send(&mail, &Templates::default(), &notification, NOW)
        .await;
    let heard = lock(&heard).clone();
    (attempt.result, heard)
}

#[tokio::test]
async fn a_mail_is_handed_over_whole() {
    let (result, heard) = talk("none", "me", "", "").await;
    assert_eq!(result.unwrap().said, "250 ok");
    let text = heard.join("\n");
    assert!(text.contains("AUTH PLAIN AG1lAHMzY3JldC1wYXNzd29yZA=="), "{text}");
    assert!(
        text.contains("MAIL FROM:<wf@example.org>\nRCPT TO:<a@example.org>\nRCPT TO:<b@example.org>\nDATA")
    );
    assert!(text.contains("Auto-Submitted: auto-generated") && text.contains("Message-ID: <ntc_"));
    // The name of a container is no header.
    assert!(!heard.iter().any(|line| line.starts_with("Bcc")), "{text}");
    assert_eq!(heard.last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn what_servers_say_is_judged() {
    let check = |tls: &'static str,
                 user: &'static str,
                 when: &'static str,
                 odd: &'static str,
                 expected: (bool, &'static str)| async move {
        let (result, heard) = talk(tls, user, when, odd).await;
        let error = result.unwrap_err();
        let (again, says) = expected;
        assert!(error.to_string().contains(says), "{when} {odd}: {error}");
        assert_eq!(error.again, again, "{when} {odd}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(
            !heard.iter().any(|line| line.starts_with("Subject")),
            "{when} {odd}"
        );
    };
    check(
        "none",
        "",
        "GREETING",
        "554 go away",
        (true, "refused the connection: 554 go away"),
    )
    .await;
    check("none", "", "GREETING", "SSH-2.0-x", (true, "does not speak SMTP")).await;
    check(
        "none",
        "",
        "MAIL",
        "451 later",
        (true, "refused the sender: 451 later"),
    )
    .await;
    check(
        "none",
        "",
        "MAIL",
        "550 no",
        (false, "refused the sender: 550 no"),
    )
    .await;
    check(
        "none",
        "",
        "RCPT",
        "550 nobody",
        (false, "the receiver b@example.org: 550 nobody"),
    )
    .await;
    check(
        "none",
        "",
        "RCPT",
        "450 greylisted",
        (true, "the receiver a@example.org: 450"),
    )
    .await;
    check("none", "", "DATA", "452 full", (true, "the mail: 452 full")).await;
    check("none", "", "DATA", "hangs up", (true, "hung up at the mail")).await;
    check(
        "none",
        "me",
        "AUTH",
        "535 wrong s3cret-password",
        (false, "refused the sign-in: 535 wrong"),
    )
    .await;
    check(
        "none",
        "me",
        "EHLO",
        "250 plain",
        (false, "neither AUTH PLAIN nor AUTH LOGIN"),
    )
    .await;
    // Somebody took STARTTLS out of the answer: nothing goes on in plain text.
    check("starttls", "me", "", "", (true, "offers no STARTTLS")).await;
    // And somebody put something behind the answer to it.
    check(
        "starttls",
        "me",
        "EHLO",
        "250-x\r\n250 STARTTLS",
        (true, "no TLS with"),
    )
    .await;
}

#[tokio::test]
async fn one_wrong_receiver_keeps_nobody_else_from_being_told() {
    let (result, heard) = talk("none", "", "RCPT TO:<b", "550 nobody").await;
    let said = result.unwrap().said;
    assert!(
        said.contains("250 ok; but") && said.contains("b@example.org: 550 nobody"),
        "{said}"
    );
    assert!(heard.contains(&"DATA".to_owned()));
}

#[tokio::test]
async fn a_password_is_not_sent_in_plain_text() {
    // STARTTLS that answers and then speaks no TLS.
    let (result, heard) = talk("starttls", "me", "EHLO", "250-x\r\n250 STARTTLS").await;
    assert!(result.is_err());
    assert!(!heard.iter().any(|line| line.starts_with("AUTH")), "{heard:?}");
}

/// A server with a certificate of its own: TLS at once, or behind STARTTLS. What it heard within TLS is marked.
async fn secured(at_once: bool, trusted: bool) -> (Result<Receipt, SendError>, Vec<String>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(windflow_transport::tls::web_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&heard);
    let tasks = TaskSet::new(Stop::new(), Random::system());
    tasks.spawn("mail", OnFailure::Log, async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        if !at_once {
            let (read, mut write) = tcp.split();
            let mut read = BufReader::new(read);
            let _gone = write.write_all(b"220 mail.example\r\n").await;
            for said in ["250-mail.example\r\n250 STARTTLS\r\n", "220 go on\r\n"] {
                let mut line = String::new();
                let _gone = read.read_line(&mut line).await;
                lock(&kept).push(format!("plain {}", line.trim_end()));
                let _gone = write.write_all(said.as_bytes()).await;
            }
        }
        let Ok(tls) = acceptor.accept(tcp).await else {
            return;
        };
        let mut tls = BufReader::new(tls);
        if at_once {
            let _gone = tls.write_all(b"220 mail.example\r\n").await;
            let _gone = tls.flush().await;
        }
        let (mut line, mut data) = (String::new(), false);
        while tls.read_line(&mut line).await.unwrap_or(0) > 0 {
            let text = line.trim_end().to_owned();
            line.clear();
            lock(&kept).push(format!("tls {text}"));
            if data && text != "." {
                continue;
            }
            let said = usual(&text);
            data = said.starts_with("354");
            let _gone = tls.write_all(format!("{said}\r\n").as_bytes()).await;
            let _gone = tls.flush().await;
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    fs_err::write(&ca_file, certificate.pem()).unwrap();
    let allow = crate::egress::Allow::read(&["127.0.0.1".to_owned()]).unwrap();
    let ca_file = trusted.then_some(ca_file);
    let egress = crate::egress::EgressOptions { allow, ca_file }.build().unwrap();
    let tls = if at_once { "tls" } else { "starttls" };
    let mail = settings(&format!(
        r#"{{"kind":"email","host":"127.0.0.1","port":{port},"tls":"{tls}","user":"me","password":"s3cret-password","from":"wf@example.org","to":["a@example.org"]}}"#
    ));
    let notification = notification(NoticeStatus::Firing, Vec::new());
    let attempt = Sender::new(egress)
        .send(&mail, &Templates::default(), &notification, NOW)
        .await;
    let heard = lock(&heard).clone();
    (attempt.result, heard)
}

#[tokio::test]
async fn tls_comes_before_anything_else() {
    for at_once in [true, false] {
        let (result, heard) = secured(at_once, true).await;
        assert_eq!(result.unwrap().said, "250 ok");
        assert!(
            heard.iter().any(|line| line.starts_with("tls AUTH PLAIN")),
            "{heard:?}"
        );
        let plain: Vec<_> = heard.iter().filter(|line| line.starts_with("plain ")).collect();
        let wanted: &[&str] = if at_once {
            &[]
        } else {
            &["plain EHLO [127.0.0.1]", "plain STARTTLS"]
        };
        assert_eq!(plain, wanted);
        // A certificate of nobody.
        let (result, heard) = secured(at_once, false).await;
        assert!(result.unwrap_err().to_string().contains("no TLS with 127.0.0.1"));
        assert!(!heard.iter().any(|line| line.starts_with("tls ")), "{heard:?}");
    }
}
