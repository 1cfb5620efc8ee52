//! What is said and in which form: files of all payloads; limits; templates; checks; and sending, in [`smtp`] and [`http`].

use windflow_model::{
    AlertId, NoticeId, Severity, Timestamp,
    alert::{ChannelSettings, NoticeAlert, NoticeStatus, Notification, Templates},
};

use super::*;

mod http;
mod limits;
mod outbox;
mod smtp;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_264_511_042);

pub(super) fn settings(json: &str) -> ChannelSettings {
    serde_json::from_str(json).unwrap()
}

/// One of each kind, to servers that do not exist.
pub(super) fn kinds() -> Vec<ChannelSettings> {
    [
        r#"{"kind":"email","host":"mail.example","port":587,"user":"u","password":"s3cret-password","from":"WindFlow <wf@example.org>","to":["a@example.org","Bob <b@example.org>"]}"#,
        r#"{"kind":"webhook","url":"https://hook.example/s3cret-path","key":"s3cret-key","headers":{"Authorization":"Bearer s3cret-header"}}"#,
        r#"{"kind":"slack","url":"https://slack.example/services/s3cret-path"}"#,
        r#"{"kind":"discord","url":"https://discord.example/api/webhooks/1/s3cret-path"}"#,
        r#"{"kind":"teams","url":"https://teams.example/workflows/s3cret-path"}"#,
        r#"{"kind":"telegram","token":"1:s3cret-token","chat":"-1001","thread":"7"}"#,
        r#"{"kind":"ntfy","topic":"alerts","token":"s3cret-token"}"#,
        r#"{"kind":"gotify","server":"https://gotify.example/sub/","token":"s3cret-token"}"#,
    ]
    .map(settings)
    .into()
}

pub(super) fn alert(number: u128, rule: &str, host: &str, part: &str) -> NoticeAlert {
    NoticeAlert {
        id: AlertId::from_uuid(uuid::Uuid::from_u128(number)),
        firing: true,
        rule: rule.to_owned(),
        severity: Severity::Critical,
        host: host.to_owned(),
        stack: String::new(),
        part: part.to_owned(),
        summary: "CPU is 0.97, above 0.9".to_owned(),
        note: String::new(),
        since: Timestamp::from_millis(1_795_264_391_000),
        ended: None,
    }
}

pub(super) fn notification(status: NoticeStatus, alerts: Vec<NoticeAlert>) -> Notification {
    let firing = alerts.iter().filter(|alert| alert.firing).count();
    Notification {
        id: NoticeId::from_uuid(uuid::Uuid::from_u128(0x0194_0000_0000_7000_8000_0000_0000_0001)),
        at: NOW,
        status,
        severity: alerts
            .iter()
            .map(|alert| alert.severity)
            .max()
            .unwrap_or_default(),
        group: [("rule".to_owned(), "CPU".to_owned())].into(),
        resolved: u32::try_from(alerts.len() - firing).unwrap(),
        firing: u32::try_from(firing).unwrap(),
        alerts,
        url: "https://windflow.example/alerts".to_owned(),
    }
}

/// A name as somebody gives it to a container who wants to be noticed.
const HOSTILE: &str =
    "<!here> @everyone @channel [x](https://evil.example) *b* `c` </b>\r\nBcc: d@e\u{202e}\u{0}";

fn table() -> Vec<(&'static str, Notification)> {
    let mut one = alert(1, "CPU", "web-1", "nginx");
    (one.stack, one.note) = ("shop".to_owned(), "Look at the graph first.".to_owned());
    let mut ended = one.clone();
    (ended.firing, ended.ended) = (false, Some(Timestamp::from_millis(1_795_264_511_000)));
    let mut warning = alert(3, "Disk", "db-1", "/var");
    warning.severity = Severity::Warning;
    let mut many = notification(
        NoticeStatus::Firing,
        vec![alert(2, "CPU", "web-2", ""), warning, ended.clone()],
    );
    many.firing = 14;
    let hostile = alert(4, "CPU", "web-1", HOSTILE);
    vec![
        ("one", notification(NoticeStatus::Firing, vec![one])),
        ("resolved", notification(NoticeStatus::Resolved, vec![ended])),
        ("many", many),
        ("hostile", notification(NoticeStatus::Firing, vec![hostile])),
        ("test", {
            let mut test = example(
                NoticeId::from_uuid(uuid::Uuid::from_u128(5)),
                NOW,
                NoticeStatus::Test,
            );
            test.url = "https://windflow.example/alerts".to_owned();
            test
        }),
    ]
}

/// What is sent, as a text.
fn payload(settings: &ChannelSettings, notification: &Notification) -> String {
    let words = Words::of(settings, &Templates::default(), notification);
    match outgoing(settings, &words, notification, NOW) {
        Some(outgoing) => {
            let headers: Vec<_> = outgoing
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}\n"))
                .collect();
            let body: serde_json::Value = serde_json::from_str(&outgoing.body).unwrap();
            let body = serde_json::to_string_pretty(&body).unwrap();
            // What cannot be seen is seen here.
            let body = body.replace('\u{200b}', "<U+200B>");
            format!("POST {}\n{}\n{body}\n", outgoing.url, headers.concat())
        }
        None => {
            let (envelope, message) = email::message(settings, &words, notification, NOW).unwrap();
            let message = String::from_utf8(message).unwrap().replace("\r\n", "\n");
            format!("{envelope:?}\n\n{message}\n")
        }
    }
}

#[test]
fn payloads_are_as_in_the_files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/notify/tests/golden");
    let bless = std::env::var_os("WINDFLOW_BLESS").is_some();
    for settings in kinds() {
        let mut text = String::new();
        for (name, notification) in table() {
            text.push_str(&format!("===== {name}\n{}\n", payload(&settings, &notification)));
        }
        let file = folder.join(format!("{}.txt", settings.kind()));
        if bless {
            fs_err::write(&file, &text).unwrap();
        }
        let wanted = fs_err::read_to_string(&file).unwrap_or_default();
        let differs = text
            .lines()
            .zip(wanted.lines())
            .find(|(ours, theirs)| ours != theirs);
        assert!(
            text == wanted,
            "{}: first at {differs:?} (WINDFLOW_BLESS=1 writes the files)",
            file.display()
        );
    }
}

#[test]
fn templates_say_what_they_are_told_to_and_failing_ones_are_replaced() {
    let (_, notification) = table().remove(0);
    let check = |kind: &str, title: &str, body: &str, expected: (&str, &str, &str)| {
        let templates = Templates {
            title: title.to_owned(),
            body: body.to_owned(),
        };
        let words = Words::preview(kind == "webhook", &templates, &notification);
        let text = words.body.clone().unwrap_or(words.text);
        let (wanted_title, wanted_text, remark) = expected;
        assert!(words.title.contains(wanted_title), "{title}: {}", words.title);
        assert!(text.contains(wanted_text), "{body}: {text}");
        assert!(
            words.remark.contains(remark) && words.remark.is_empty() == remark.is_empty(),
            "{}",
            words.remark
        );
    };
    let own = "Critical: CPU on web-1, shop/nginx";
    check("slack", "", "", (own, "Look at the graph", ""));
    check(
        "slack",
        "{{ severity|upper }} {{ alerts[0].host }}\nx",
        "{% for a in alerts %}{{ a.part }} since {{ a.since|time }}{% endfor %} {{ url }}",
        ("CRITICAL web-1 x", "nginx since 2026-11-21", ""),
    );
    check(
        "slack",
        "{{ nobody }}",
        "",
        (own, "CPU is", "title template, line 1"),
    );
    check(
        "slack",
        "",
        "\n{{ alerts[0].nothing }}",
        (own, "CPU is", "body template, line 2"),
    );
    check(
        "slack",
        "",
        "{{ text",
        (own, "CPU is", "line 1: a tag is not closed"),
    );
    check("slack", "", "{{ text|nofilter }}", (own, "CPU is", "nofilter"));
    check(
        "slack",
        "",
        "{% for a in alerts %}{% for b in text %}{% for c in text %}{% for d in text %}x{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
        (own, "CPU is", "body template"),
    );
    check("webhook", "", "{{ text }}", (own, "CPU is", "makes no JSON"));
    check(
        "webhook",
        "",
        r#"{"text": {{ text|tojson }}, "n": {{ alerts|length }}}"#,
        (own, r#""n": 1}"#, ""),
    );
}

#[test]
fn checks_name_every_field() {
    let egress = crate::egress::EgressOptions::default().build().unwrap();
    let check = |json: &str, templates: (&str, &str), expected: &[&str]| {
        let templates = Templates {
            title: templates.0.to_owned(),
            body: templates.1.to_owned(),
        };
        let problems = super::check(&egress, &settings(json), &templates);
        assert_eq!(problems.len(), expected.len(), "{json}: {problems:?}");
        for (problem, says) in problems.iter().zip(expected) {
            assert!(problem.contains(says), "{json}: {problem:?}, not {says:?}");
        }
    };
    for one in kinds() {
        check(&serde_json::to_string(&one).unwrap(), ("", ""), &[]);
    }
    check(r#"{"kind":"slack"}"#, ("", ""), &["settings.url: it is missing"]);
    check(
        r#"{"kind":"slack","url":"http://127.0.0.1/x"}"#,
        ("{{ x", "{{ y }}"),
        &[
            "settings.url: 127.0.0.1:80 is refused",
            "templates.title",
            "templates.body: with a notification that is firing",
        ],
    );
    check(
        r#"{"kind":"email","host":"127.0.0.1","port":25,"tls":"none","user":"u","from":"nobody","to":["a@b\r\nBcc: c@d"]}"#,
        ("", ""),
        &[
            "settings.host",
            "settings.password",
            "settings.from",
            "settings.to",
        ],
    );
    check(
        r#"{"kind":"email","host":"mail.example","port":25,"tls":"none","user":"u","password":"p","from":"a@example.org","to":["a@example.org"]}"#,
        ("", ""),
        &["settings.tls: a password is only sent over TLS"],
    );
    check(
        r#"{"kind":"webhook","url":"https://h.example/","headers":{"Host":"x","A B":"x","X-WindFlow-Event":"x","Ok":""}}"#,
        ("", ""),
        &["A B", "Host", "Ok", "X-WindFlow-Event"],
    );
    check(
        r#"{"kind":"telegram","token":"1:a/b","chat":"bob","thread":"x"}"#,
        ("", ""),
        &["settings.token", "settings.chat", "settings.thread"],
    );
    check(
        r#"{"kind":"ntfy","server":"ftp://x","topic":"a b"}"#,
        ("", ""),
        &["settings.server", "settings.topic"],
    );
}

#[test]
fn a_signature_is_what_the_manual_says() {
    // From: printf '%s' '1795264511.{"a":1}' | openssl dgst -sha256 -hmac key
    let signed = webhook::sign("key", NOW, r#"{"a":1}"#);
    let (time, signature) = signed.split_once(",v1=").unwrap();
    assert_eq!(time, "t=1795264511");
    assert_eq!(
        signature,
        "aa4f2402424d3cc069c07821dc5b533d44ffe784c3779d1122396dcff829c738"
    );
}
