//! Notifications: what is said, in which form, and how it is sent.
//!
//! ```text
//! Notification ─▶ words (own, or the channel's templates) ─▶ a format: payload within the receiver's limits ─▶ egress ─▶ Receipt
//!                                                         └▶ mail: SMTP over a connection of egress          └▶ SendError: again or never
//! ```
//! Names of containers, stacks and hosts come from hosts: for each format everything is escaped, mentions are broken and
//! control characters left out. No error repeats a URL or a token.

use std::time::Duration;

use windflow_kit::Chain;
use windflow_model::{
    Timestamp,
    alert::{ChannelSettings, Notification, Templates},
};

use crate::egress::{Answer, Egress, EgressError, Request};

mod check;
mod discord;
mod email;
mod gotify;
mod ntfy;
pub mod outbox;
mod outcome;
mod sandbox;
mod slack;
mod smtp;
mod teams;
mod telegram;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod webhook;
mod words;

pub use check::{check, example, place};
pub use outcome::{Receipt, SendError};
pub use words::Words;

/// Time for one attempt.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// A request in the making: pure, so that what is sent can be compared with files.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Where to. Often secret.
    url: String,
    /// Further headers. Their values are often secret.
    headers: Vec<(String, String)>,
    /// JSON.
    body: String,
}

impl Outgoing {
    fn json(url: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            body: body.to_string(),
        }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// The request for a notification; `None` for mail.
pub(crate) fn outgoing(
    settings: &ChannelSettings,
    words: &Words,
    notification: &Notification,
    now: Timestamp,
) -> Option<Outgoing> {
    Some(match settings {
        ChannelSettings::Email { .. } => return None,
        ChannelSettings::Webhook { url, key, headers } => {
            webhook::outgoing(url, key, headers, words, notification, now)
        }
        ChannelSettings::Slack { url } => slack::outgoing(url, words, notification),
        ChannelSettings::Discord { url } => discord::outgoing(url, words, notification),
        ChannelSettings::Teams { url } => teams::outgoing(url, words, notification),
        ChannelSettings::Telegram {
            token,
            chat,
            thread,
            server,
        } => telegram::outgoing(server, token, chat, thread, words, notification),
        ChannelSettings::Ntfy { server, topic, token } => {
            ntfy::outgoing(server, topic, token, words, notification)
        }
        ChannelSettings::Gotify { server, token } => gotify::outgoing(server, token, words, notification),
    })
}

/// Sends notifications.
#[derive(Debug, Clone)]
pub struct Sender {
    egress: Egress,
}

/// How an attempt went.
#[derive(Debug)]
pub struct Attempt {
    /// What the server said, or why it was not sent.
    pub result: Result<Receipt, SendError>,
    /// What was odd: a template that failed.
    pub remark: String,
}

impl Sender {
    /// All requests go through `egress`.
    #[must_use]
    pub const fn new(egress: Egress) -> Self {
        Self { egress }
    }

    /// One attempt, of at most [`TIMEOUT`].
    pub async fn send(
        &self,
        settings: &ChannelSettings,
        templates: &Templates,
        notification: &Notification,
        now: Timestamp,
    ) -> Attempt {
        let words = Words::of(settings, templates, notification);
        let result = match (settings, outgoing(settings, &words, notification, now)) {
            (_, Some(outgoing)) => self.post(outgoing).await,
            (ChannelSettings::Email { .. }, None) => {
                Box::pin(email::send(&self.egress, settings, &words, notification, now)).await
            }
            (_, None) => Err(SendError::never("there is no way to send it")),
        };
        Attempt {
            result: result
                .map(|receipt| receipt.veiled(settings))
                .map_err(|error| error.veiled(settings)),
            remark: words.remark,
        }
    }

    async fn post(&self, outgoing: Outgoing) -> Result<Receipt, SendError> {
        let request = self.request(outgoing).map_err(|error| failed(&error))?;
        let place = request.place();
        let answer = self.egress.send(request).await.map_err(|error| failed(&error))?;
        judged(&place, &answer)
    }

    fn request(&self, outgoing: Outgoing) -> Result<Request, EgressError> {
        let mut request = Request::new(hyper::Method::POST, &outgoing.url)?
            .header("content-type", "application/json")?
            .timeout(TIMEOUT);
        for (name, value) in &outgoing.headers {
            request = request.header(name, value)?;
        }
        Ok(request.body(outgoing.body))
    }
}

fn failed(error: &EgressError) -> SendError {
    let again = error.may_pass() && !matches!(error, EgressError::Refused { .. });
    let text = Chain(error).to_string();
    if again {
        SendError::later(text, None)
    } else {
        SendError::never(text)
    }
}

/// What an answer means.
fn judged(place: &str, answer: &Answer) -> Result<Receipt, SendError> {
    let told = answer.told(200);
    let said = match told.is_empty() {
        true => answer.status.to_string(),
        false => format!("{}: {told}", answer.status),
    };
    if answer.status.is_success() {
        return Ok(Receipt { said });
    }
    let text = format!("{place} answered {said}");
    let code = answer.status.as_u16();
    if matches!(code, 408 | 425 | 429 | 500..) {
        return Err(SendError::later(
            text,
            answer.retry_after().or_else(|| asked(&answer.body)),
        ));
    }
    let text = match answer.status.is_redirection() {
        true => format!("{text}; redirects are not followed: enter the address that it leads to"),
        false => text,
    };
    Err(SendError::never(text))
}

/// Seconds to wait as Discord and Telegram write them into the body.
fn asked(body: &[u8]) -> Option<Duration> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let seconds = json
        .get("retry_after")
        .or_else(|| json.pointer("/parameters/retry_after"))?;
    Duration::try_from_secs_f64(seconds.as_f64()?.ceil()).ok()
}
