//! Gotify: a message of an application. Its clients show the text as it is, unless told that it is Markdown.

use serde_json::json;
use windflow_model::{
    Severity,
    alert::{NoticeStatus, Notification},
};

use super::{Outgoing, Words, text};

/// Its server sets no limit; a phone does.
const TEXT: usize = 16_000;

pub(super) fn outgoing(server: &str, token: &str, words: &Words, notification: &Notification) -> Outgoing {
    // From 4 on the clients make a sound, from 8 on they vibrate.
    let priority = match (notification.status, notification.severity) {
        (NoticeStatus::Resolved, _) | (_, Severity::Info) => 2,
        (NoticeStatus::Test, _) | (_, Severity::Warning) => 5,
        (NoticeStatus::Firing, Severity::Critical) => 8,
    };
    let mut extras = json!({ "client::display": { "contentType": "text/plain" } });
    if let (Some(map), false) = (extras.as_object_mut(), notification.url.is_empty()) {
        map.insert(
            "client::notification".to_owned(),
            json!({ "click": { "url": notification.url } }),
        );
    }
    let body = json!({
        "title": words.title,
        "message": text::fit(&words.linked(notification), TEXT, text::one),
        "priority": priority,
        "extras": extras,
    });
    // In a header, not in the URL: servers log URLs.
    Outgoing::json(text::join(server, "message"), &body).header("x-gotify-key", token)
}
