//! A webhook: the notification as JSON, or what the body template makes, signed if there is a key.

use std::collections::BTreeMap;

use ring::hmac;
use serde_json::Value;
use windflow_model::{Timestamp, alert::Notification};

use super::{Outgoing, Words, text};

pub(super) fn outgoing(
    url: &str,
    key: &str,
    headers: &BTreeMap<String, String>,
    words: &Words,
    notification: &Notification,
    now: Timestamp,
) -> Outgoing {
    let body = words.body.clone().unwrap_or_else(|| own(words, notification));
    let mut outgoing = Outgoing {
        url: url.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body,
    }
    .header("x-windflow-event", text::status(notification.status))
    .header("x-windflow-delivery", notification.id.to_string());
    if !key.is_empty() {
        let signature = sign(key, now, &outgoing.body);
        outgoing = outgoing.header("x-windflow-signature", signature);
    }
    outgoing
}

fn own(words: &Words, notification: &Notification) -> String {
    let mut body = serde_json::to_value(notification).unwrap_or(Value::Null);
    if let Some(map) = body.as_object_mut() {
        map.insert("title".to_owned(), Value::from(words.title.clone()));
        map.insert("text".to_owned(), Value::from(words.text.clone()));
    }
    body.to_string()
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 over the seconds, a dot and the body. The time is of the attempt, so that a receiver can
/// refuse what is old.
pub(super) fn sign(key: &str, now: Timestamp, body: &str) -> String {
    let seconds = now.as_millis() / 1_000;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", hex::encode(tag))
}

/// A moment as in RFC 3339.
pub(super) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| String::new(), |at| at.to_string())
}
