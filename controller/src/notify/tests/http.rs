//! Sending over HTTP to a sink on this machine: what answers mean, and that no secret is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use windflow_kit::{OnFailure, Random, Stop, TaskSet};

use super::*;
use crate::{
    app::lock,
    egress::{Allow, EgressOptions},
};

struct Sink {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: TaskSet,
}

impl Sink {
    /// Answers everything the same; `{}` stands for what it was asked.
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&asked);
        let tasks = TaskSet::new(Stop::new(), Random::system());
        tasks.spawn("sink", OnFailure::Log, async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let request = loop {
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
                let echo = request.replace("\r\n", " ");
                lock(&kept).push(request);
                let body = answer
                    .split_once("\r\n\r\n")
                    .map_or("", |(_, body)| body)
                    .replace("{}", &echo);
                let head = answer.split_once("\r\n\r\n").map_or(answer, |(head, _)| head);
                let text = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _gone = tcp.write_all(text.as_bytes()).await;
            }
        });
        Self {
            url,
            asked,
            _tasks: tasks,
        }
    }
}

pub(super) fn sender() -> Sender {
    let allow = Allow::read(&["127.0.0.1/32".to_owned()]).unwrap();
    Sender::new(EgressOptions { allow, ca_file: None }.build().unwrap())
}

/// The same kinds, sent to `url`; secrets are canaries.
fn kinds_at(url: &str) -> Vec<ChannelSettings> {
    let at = |text: &str| settings(&text.replace("URL", url));
    vec![
        at(
            r#"{"kind":"webhook","url":"URL/hook/s3cret-path?s3cret=s3cret-query","key":"s3cret-key","headers":{"Authorization":"s3cret-header"}}"#,
        ),
        at(r#"{"kind":"slack","url":"URL/services/s3cret-path"}"#),
        at(r#"{"kind":"discord","url":"URL/api/webhooks/1/s3cret-path"}"#),
        at(r#"{"kind":"teams","url":"URL/workflows/s3cret-path"}"#),
        at(r#"{"kind":"telegram","token":"1:s3cret-token","chat":"-1001","server":"URL"}"#),
        at(r#"{"kind":"ntfy","server":"URL","topic":"alerts","token":"s3cret-token"}"#),
        at(r#"{"kind":"gotify","server":"URL/sub","token":"s3cret-token"}"#),
    ]
}

#[tokio::test]
async fn answers_are_judged_and_no_secret_is_told() {
    let check = |answer: &'static str, expected: Result<(), (bool, u64)>| async move {
        let sink = Sink::start(answer).await;
        for settings in kinds_at(&sink.url) {
            let notification = notification(NoticeStatus::Firing, vec![alert(1, "CPU", "web-1", "")]);
            let attempt = sender()
                .send(&settings, &Templates::default(), &notification, NOW)
                .await;
            let told = format!("{attempt:?} {settings:?} {:?}", outgoing_debug(&settings));
            assert!(!told.contains("s3cret"), "{told}");
            let found = attempt
                .result
                .map(drop)
                .map_err(|error| (error.again, error.after.unwrap_or_default().as_secs()));
            assert_eq!(found, expected, "{}: {answer}", settings.kind());
        }
        assert_eq!(lock(&sink.asked).len(), 7);
    };
    check("HTTP/1.1 200 OK\r\n\r\nyou asked {}", Ok(())).await;
    check("HTTP/1.1 204 No Content", Ok(())).await;
    check("HTTP/1.1 404 Not Found\r\n\r\nCannot {}", Err((false, 0))).await;
    check("HTTP/1.1 401 Unauthorized", Err((false, 0))).await;
    check("HTTP/1.1 302 Found\r\nlocation: /x", Err((false, 0))).await;
    check("HTTP/1.1 408 Request Timeout", Err((true, 0))).await;
    check("HTTP/1.1 425 Too Early", Err((true, 0))).await;
    check("HTTP/1.1 429 Too Many\r\nretry-after: 17", Err((true, 17))).await;
    check(
        "HTTP/1.1 429 Too Many\r\n\r\n{\"retry_after\": 1.5}",
        Err((true, 2)),
    )
    .await;
    check(
        "HTTP/1.1 429 Too Many\r\n\r\n{\"ok\":false,\"parameters\":{\"retry_after\":9}}",
        Err((true, 9)),
    )
    .await;
    check("HTTP/1.1 500 Oh\r\n\r\n{}", Err((true, 0))).await;
    check("HTTP/1.1 503 Down\r\nretry-after: 120", Err((true, 120))).await;
    check("nonsense", Err((true, 0))).await;
}

fn outgoing_debug(settings: &ChannelSettings) -> String {
    let notification = notification(NoticeStatus::Test, Vec::new());
    let words = Words::of(settings, &Templates::default(), &notification);
    let outgoing = outgoing(settings, &words, &notification, NOW).unwrap();
    format!("{:?}", sender().request(outgoing).unwrap())
}

#[tokio::test]
async fn nobody_there_passes_and_a_refused_address_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/s3cret-path", listener.local_addr().unwrap());
    drop(listener);
    let notification = notification(NoticeStatus::Firing, Vec::new());
    let gone = settings(&format!(r#"{{"kind":"slack","url":"{url}"}}"#));
    let attempt = sender()
        .send(&gone, &Templates::default(), &notification, NOW)
        .await;
    let error = attempt.result.unwrap_err();
    assert!(
        error.again && error.to_string().contains("cannot be reached"),
        "{error}"
    );
    let inside = settings(r#"{"kind":"slack","url":"http://169.254.169.254/s3cret-path"}"#);
    let attempt = sender()
        .send(&inside, &Templates::default(), &notification, NOW)
        .await;
    let error = attempt.result.unwrap_err();
    assert!(
        !error.again && error.to_string().contains("is refused"),
        "{error}"
    );
    assert!(!error.to_string().contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let notification = notification(NoticeStatus::Firing, Vec::new());
    let silent = settings(&format!(r#"{{"kind":"slack","url":"{url}"}}"#));
    let begun = tokio::time::Instant::now();
    let attempt = sender()
        .send(&silent, &Templates::default(), &notification, NOW)
        .await;
    assert!(attempt.result.unwrap_err().again);
    assert!(begun.elapsed() <= TIMEOUT + Duration::from_secs(1));
}
