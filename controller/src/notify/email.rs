//! Mail: the message is a library's, its way is ours ([`super::smtp`]).

use std::time::{Duration, SystemTime};

use lettre::{
    Message,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use windflow_model::{
    Severity, Timestamp,
    alert::{ChannelSettings, NoticeStatus, Notification},
};

use super::{
    Receipt, SendError, TIMEOUT, Words,
    smtp::{self, Envelope},
};
use crate::egress::Egress;

/// Most receivers of a channel.
pub(super) const MOST_TO: usize = 50;

/// Sends a mail.
pub(super) async fn send(
    egress: &Egress,
    settings: &ChannelSettings,
    words: &Words,
    notification: &Notification,
    now: Timestamp,
) -> Result<Receipt, SendError> {
    let (envelope, message) = message(settings, words, notification, now).map_err(SendError::never)?;
    let sent = smtp::send(egress, settings, &envelope, &message);
    match tokio::time::timeout(TIMEOUT, sent).await {
        Ok(result) => result,
        Err(_) => Err(SendError::later(
            format!("{} did not take the mail within 15 s", super::place(settings)),
            None,
        )),
    }
}

/// A header that the library does not know.
fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The mail as it is sent, and between whom.
pub(super) fn message(
    settings: &ChannelSettings,
    words: &Words,
    notification: &Notification,
    now: Timestamp,
) -> Result<(Envelope, Vec<u8>), String> {
    let ChannelSettings::Email { from, to, .. } = settings else {
        return Err("these are no settings of a mail".to_owned());
    };
    let from = mailbox(from).map_err(|error| format!("from: {error}"))?;
    let since = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
    let mut envelope = Envelope {
        from: from.email.to_string(),
        to: Vec::new(),
    };
    // The name of the notification, so that a repetition is told by every mail program; at the domain of the sender.
    let id = format!("<{}@{}>", notification.id, from.email.domain());
    let mut builder = Message::builder()
        .from(from)
        .subject(&words.title)
        .date(SystemTime::UNIX_EPOCH + since)
        .message_id(Some(id))
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("X-WindFlow-Delivery", &notification.id.to_string()));
    if notification.severity == Severity::Critical && notification.status == NoticeStatus::Firing {
        builder = builder.raw_header(raw("Importance", "high"));
    }
    for address in to {
        let address = mailbox(address).map_err(|error| format!("to: {error}"))?;
        envelope.to.push(address.email.to_string());
        builder = builder.to(address);
    }
    let text = words.linked(notification).replace('\n', "\r\n");
    let message = builder.singlepart(SinglePart::plain(text));
    let message = message.map_err(|error| format!("the mail cannot be written: {error}"))?;
    Ok((envelope, message.formatted()))
}

/// An address, `Name <address>` or the address alone. Only of ASCII: others need a server that speaks SMTPUTF8.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, String> {
    let wrong = || format!("{text:?} is no mail address like name@example.org or Name <name@example.org>");
    let mailbox: Mailbox = text.parse().map_err(|_| wrong())?;
    let address = mailbox.email.to_string();
    let fits =
        address.is_ascii() && !address.contains(|c: char| c.is_control() || matches!(c, '<' | '>' | ' '));
    if fits && !text.contains(char::is_control) {
        Ok(mailbox)
    } else {
        Err(wrong())
    }
}
