//! Telegram: `sendMessage` of the bot API, with its HTML. 4,096 characters after entities, counted in UTF-16.

use serde_json::json;
use windflow_model::{
    Severity,
    alert::{NoticeStatus, Notification},
};

use super::{Outgoing, Words, text};

const OWN: &str = "https://api.telegram.org";
/// For the text; the title (at most 250 characters, each perhaps two units and a break) has the rest of 4,096.
const TEXT: usize = 3_400;

pub(super) fn outgoing(
    server: &str,
    token: &str,
    chat: &str,
    thread: &str,
    words: &Words,
    notification: &Notification,
) -> Outgoing {
    let server = if server.is_empty() { OWN } else { server };
    let mut message = format!("<b>{}</b>", escape(&text::fit(&words.title, 600, cost)));
    let fitting = text::fit(&words.text, TEXT, cost);
    if !fitting.is_empty() {
        message.push('\n');
        message.push_str(&escape(&fitting));
    }
    if !words.templated && !notification.url.is_empty() {
        let url = notification.url.replace('"', "%22");
        message.push_str(&format!("\n\n<a href=\"{}\">WindFlow</a>", markup(&url)));
    }
    // What wakes nobody: what has ended, and what is only worth knowing.
    let quiet = notification.status == NoticeStatus::Resolved || notification.severity == Severity::Info;
    let mut body = json!({
        "chat_id": chat,
        "text": message,
        "parse_mode": "HTML",
        "link_preview_options": { "is_disabled": true },
        "disable_notification": quiet,
    });
    if let (Some(map), Ok(thread)) = (body.as_object_mut(), thread.parse::<i64>()) {
        map.insert("message_thread_id".to_owned(), json!(thread));
    }
    Outgoing::json(text::join(server, &format!("bot{token}/sendMessage")), &body)
}

fn markup(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn escape(text: &str) -> String {
    markup(&text::without_mentions(text))
}

const fn cost(c: char) -> usize {
    match c {
        '@' => 2,
        c => c.len_utf16(),
    }
}
