//! Discord: a webhook of a channel. One embed: title 256, description 4,096 characters, together below 6,000.

use serde_json::json;
use windflow_model::alert::Notification;

use super::{Outgoing, Words, text, webhook::rfc3339};

const TITLE: usize = 256;
const DESCRIPTION: usize = 4_096;

pub(super) fn outgoing(url: &str, words: &Words, notification: &Notification) -> Outgoing {
    let mut embed = json!({
        "title": escape(&text::fit(&words.title, TITLE, cost)),
        "description": escape(&text::fit(&words.text, DESCRIPTION, cost)),
        "color": text::colour(notification),
        "timestamp": rfc3339(notification.at),
    });
    if let (Some(map), false) = (embed.as_object_mut(), notification.url.is_empty()) {
        map.insert("url".to_owned(), json!(notification.url));
    }
    // Nobody is called, whatever a container is named.
    Outgoing::json(
        url,
        &json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } }),
    )
}

/// A backslash before a sign shows the sign itself.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if sign(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

const fn sign(c: char) -> bool {
    matches!(
        c,
        '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '<' | '[' | ']' | '(' | ')' | '#' | '-' | '@' | ':'
    )
}

/// In units of UTF-16, as Discord counts at the latest.
const fn cost(c: char) -> usize {
    c.len_utf16() + sign(c) as usize
}
