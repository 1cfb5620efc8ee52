//! ntfy: published as JSON to the root of the server, so that no title has to fit into a header. 4,096 bytes of text: what is
//! longer would become a file.

use serde_json::json;
use windflow_model::{
    Severity,
    alert::{NoticeStatus, Notification},
};

use super::{Outgoing, Words, text};

const OWN: &str = "https://ntfy.sh";
const TEXT: usize = 4_096;

pub(super) fn outgoing(
    server: &str,
    topic: &str,
    token: &str,
    words: &Words,
    notification: &Notification,
) -> Outgoing {
    let server = if server.is_empty() { OWN } else { server };
    let priority = match (notification.status, notification.severity) {
        (NoticeStatus::Resolved, _) | (_, Severity::Info) => 2,
        (NoticeStatus::Test, _) | (_, Severity::Warning) => 3,
        (NoticeStatus::Firing, Severity::Critical) => 5,
    };
    // Not `warning`: ntfy would make a picture of it.
    let severity = format!("severity-{}", notification.severity);
    let mut body = json!({
        "topic": topic,
        "title": words.title,
        "message": text::fit(&words.text, TEXT, char::len_utf8),
        "priority": priority,
        "tags": ["windflow", text::status(notification.status), severity],
    });
    if let (Some(map), false) = (body.as_object_mut(), notification.url.is_empty()) {
        map.insert("click".to_owned(), json!(notification.url));
    }
    let outgoing = Outgoing::json(text::join(server, ""), &body);
    if token.is_empty() {
        outgoing
    } else {
        outgoing.header("authorization", format!("Bearer {token}"))
    }
}
