//! Slack: an incoming webhook. An attachment, because Mattermost and Rocket.Chat understand that, too, and blocks not.
//! `text` is what a phone shows; in the attachment nothing is markup (`mrkdwn_in` is empty).

use serde_json::json;
use windflow_model::alert::Notification;

use super::{Outgoing, Words, text};

/// Slack cuts messages at 40,000 characters; escaped, and with room for the rest.
const TEXT: usize = 38_000;

pub(super) fn outgoing(url: &str, words: &Words, notification: &Notification) -> Outgoing {
    let title = escape(&words.title);
    let mut attachment = json!({
        "fallback": title,
        "color": format!("#{:06x}", text::colour(notification)),
        "title": title,
        "text": escape(&text::fit(&words.text, TEXT, cost)),
        "mrkdwn_in": [],
        "footer": "WindFlow",
        "ts": notification.at.as_millis() / 1_000,
    });
    if let (Some(map), false) = (attachment.as_object_mut(), notification.url.is_empty()) {
        map.insert("title_link".to_owned(), json!(notification.url));
    }
    Outgoing::json(url, &json!({ "text": title, "attachments": [attachment] }))
}

/// Slack's three control characters; the calls of its relatives (`@channel`, `@all`) and their links broken.
fn escape(text: &str) -> String {
    text::without_mentions(text)
        .replace("](", "]\u{200b}(")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

const fn cost(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        '@' | ']' => 2,
        _ => 1,
    }
}
