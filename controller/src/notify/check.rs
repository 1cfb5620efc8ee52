//! Whether a channel can work, at the moment of saving: all problems at once, each with its field.

use std::net::IpAddr;

use hyper::header::{HeaderName, HeaderValue};
use windflow_model::{
    NoticeId, Severity, Timestamp,
    alert::{ChannelSettings, MailTls, NoticeAlert, NoticeStatus, Notification, Templates},
    id::AlertId,
};

use super::{email, template};
use crate::egress::{Egress, Request};

/// Longest of the short texts.
const SHORT: usize = 1_024;

/// All that is wrong, as `field: what`.
#[must_use]
pub fn check(egress: &Egress, settings: &ChannelSettings, templates: &Templates) -> Vec<String> {
    let mut problems = Vec::new();
    of_settings(egress, settings, &mut problems);
    let whole = matches!(settings, ChannelSettings::Webhook { .. });
    for (field, source) in [("title", &templates.title), ("body", &templates.body)] {
        if source.is_empty() {
            continue;
        }
        for status in [NoticeStatus::Firing, NoticeStatus::Resolved, NoticeStatus::Test] {
            let notification = example(
                NoticeId::from_uuid(uuid::Uuid::nil()),
                Timestamp::from_millis(0),
                status,
            );
            let context = template::Context {
                notification: &notification,
                title: "title",
                text: "text",
            };
            let made = template::render(field, source, &context);
            let made = made.and_then(|text| {
                if whole && field == "body" {
                    template::json(&text)
                } else {
                    Ok(())
                }
            });
            if let Err(error) = made {
                let with = super::text::status(status);
                problems.push(format!(
                    "templates.{field}: with a notification that is {with}: {error}"
                ));
                break;
            }
        }
    }
    problems
}

fn of_settings(egress: &Egress, settings: &ChannelSettings, problems: &mut Vec<String>) {
    let mut add = |field: &str, what: &str| problems.push(format!("settings.{field}: {what}"));
    let mut url = |field: &str, url: &str| {
        if url.is_empty() {
            return add(field, "it is missing");
        }
        if let Err(error) = egress.judge(url) {
            add(field, &error.to_string());
        }
    };
    match settings {
        ChannelSettings::Slack { url: it }
        | ChannelSettings::Discord { url: it }
        | ChannelSettings::Teams { url: it } => {
            url("url", it);
        }
        ChannelSettings::Webhook {
            url: it,
            headers,
            key,
        } => {
            url("url", it);
            if key.len() > SHORT {
                add("key", "it is longer than 1,024 bytes");
            }
            if headers.len() > 20 {
                add("headers", "there are more than 20");
            }
            for (name, value) in headers {
                if HeaderName::try_from(name).is_err()
                    || value.len() > 4 * SHORT
                    || HeaderValue::try_from(value).is_err()
                {
                    add("headers", &format!("{name:?} is no header, or its value none"));
                } else if value.is_empty() {
                    add("headers", &format!("the value of {name:?} is missing"));
                } else if Request::is_own(name) || name.to_ascii_lowercase().starts_with("x-windflow-") {
                    add("headers", &format!("{name:?} is WindFlow's own"));
                }
            }
        }
        ChannelSettings::Telegram {
            token,
            chat,
            thread,
            server,
        } => {
            if !server.is_empty() {
                url("server", server);
            }
            word(token, "token", &mut add);
            let number = |text: &str| text.parse::<i64>().is_ok();
            let name = chat.strip_prefix('@').is_some_and(|name| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            if !number(chat) && !name {
                add(
                    "chat",
                    "it is the number of a chat, or @ and the name of a channel",
                );
            }
            if !thread.is_empty() && !number(thread) {
                add("thread", "it is a number, or empty");
            }
        }
        ChannelSettings::Ntfy { server, topic, token } => {
            if !server.is_empty() {
                url("server", server);
            }
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if topic.is_empty() || topic.len() > 64 || !topic.chars().all(fits) {
                add("topic", "1 to 64 letters, digits, - and _");
            }
            if !token.is_empty() {
                word(token, "token", &mut add);
            }
        }
        ChannelSettings::Gotify { server, token } => {
            url("server", server);
            word(token, "token", &mut add);
        }
        ChannelSettings::Email {
            host,
            port,
            tls,
            user,
            password,
            from,
            to,
        } => {
            if let Err(error) = egress.judge_wire(host, *port) {
                add("host", &error.to_string());
            }
            if user.len() > SHORT || password.len() > SHORT || user.contains('\0') || password.contains('\0')
            {
                add(
                    "user",
                    "name and password have at most 1,024 bytes, none of them zero",
                );
            }
            if user.is_empty() != password.is_empty() {
                add(
                    "password",
                    "name and password belong together: enter both or none",
                );
            }
            let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
            if *tls == MailTls::None && !user.is_empty() && !local {
                add("tls", "a password is only sent over TLS, or to this machine");
            }
            if let Err(error) = email::mailbox(from) {
                add("from", &error);
            }
            if to.is_empty() || to.len() > email::MOST_TO {
                add("to", "1 to 50 addresses");
            }
            for address in to {
                if let Err(error) = email::mailbox(address) {
                    add("to", &error);
                }
            }
        }
    }
}

/// A token: something without blanks that goes into a header or a path.
fn word(text: &str, field: &str, add: &mut dyn FnMut(&str, &str)) {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '%');
    if text.is_empty() {
        add(field, "it is missing");
    } else if text.len() > SHORT || !text.chars().all(fits) {
        add(field, "it has signs that no token has");
    }
}

/// Host and port of where a channel sends to, for people; empty if it cannot be told.
#[must_use]
pub fn place(settings: &ChannelSettings) -> String {
    let or = |text: &str, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            text.to_owned()
        }
    };
    let url = match settings {
        ChannelSettings::Email { host, port, .. } => return format!("{host}:{port}"),
        ChannelSettings::Webhook { url, .. }
        | ChannelSettings::Slack { url }
        | ChannelSettings::Discord { url }
        | ChannelSettings::Teams { url } => url.clone(),
        ChannelSettings::Telegram { server, .. } => or(server, "https://api.telegram.org"),
        ChannelSettings::Ntfy { server, .. } => or(server, "https://ntfy.sh"),
        ChannelSettings::Gotify { server, .. } => server.clone(),
    };
    let request = Request::new(hyper::Method::POST, &url);
    request.map_or_else(|_| String::new(), |request| request.place())
}

/// A notification for tests of channels and templates.
#[must_use]
pub fn example(id: NoticeId, now: Timestamp, status: NoticeStatus) -> Notification {
    let firing = status != NoticeStatus::Resolved;
    let since = Timestamp::from_millis(now.as_millis().saturating_sub(90_000));
    let alert = NoticeAlert {
        id: AlertId::from_uuid(uuid::Uuid::nil()),
        firing,
        rule: "CPU is busy".to_owned(),
        severity: Severity::Warning,
        host: "example-host".to_owned(),
        stack: "example-stack".to_owned(),
        part: "web-1".to_owned(),
        summary: "CPU is 0.97, above 0.9".to_owned(),
        note: "An example: nothing is wrong.".to_owned(),
        since,
        ended: (!firing).then_some(now),
    };
    Notification {
        id,
        at: now,
        status,
        severity: Severity::Warning,
        group: [("rule".to_owned(), "CPU is busy".to_owned())].into(),
        alerts: vec![alert],
        firing: u32::from(firing),
        resolved: u32::from(!firing),
        url: String::new(),
    }
}
