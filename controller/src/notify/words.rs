//! What a notification says: WindFlow's own words, or those of the channel's templates.

use windflow_model::{
    Severity, Timestamp,
    alert::{ChannelSettings, NoticeAlert, NoticeStatus, Notification, Templates},
};

use super::{template, text};

/// Longest title, in characters.
const TITLE: usize = 250;
/// Longest text, in bytes, before a format cuts it to what its receiver takes.
const TEXT: usize = 64 << 10;

/// Plain text, without control characters. Formats escape it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// One line.
    pub title: String,
    /// Lines.
    pub text: String,
    /// The text is of a template: nothing is added to it.
    pub templated: bool,
    /// Of a webhook: the whole body.
    pub body: Option<String>,
    /// Why a template was not used.
    pub remark: String,
}

impl Words {
    /// The words for a channel. A template that fails is replaced by WindFlow's own words: rather those than nothing.
    #[must_use]
    pub fn of(settings: &ChannelSettings, templates: &Templates, notification: &Notification) -> Self {
        Self::preview(
            matches!(settings, ChannelSettings::Webhook { .. }),
            templates,
            notification,
        )
    }

    /// The same without settings; `whole`: the body template makes all of a request's body, which is JSON.
    #[must_use]
    pub fn preview(whole: bool, templates: &Templates, notification: &Notification) -> Self {
        let (title, text) = own(notification);
        let mut words = Self {
            title: title.clone(),
            text: text.clone(),
            templated: false,
            body: None,
            remark: String::new(),
        };
        let mut failed = |remark: String| {
            if words.remark.is_empty() {
                words.remark = format!("WindFlow's own words were used: {remark}");
            }
        };
        let context = template::Context {
            notification,
            title: &title,
            text: &text,
        };
        if !templates.title.is_empty() {
            match template::render("title", &templates.title, &context) {
                Ok(title) => words.title = title,
                Err(error) => failed(error),
            }
        }
        if !templates.body.is_empty() {
            let rendered = template::render("body", &templates.body, &context);
            match rendered.and_then(|text| {
                if whole {
                    template::json(&text).map(|()| text)
                } else {
                    Ok(text)
                }
            }) {
                Ok(body) if whole => words.body = Some(body),
                Ok(text) => (words.text, words.templated) = (text, true),
                Err(error) => failed(error),
            }
        }
        words.title = text::fit(text::plain(&words.title, false).trim(), TITLE, text::one);
        words.text = text::fit(&text::plain(&words.text, true), TEXT, char::len_utf8);
        words
    }

    /// The text with the link to the page of alerts behind it, for formats that have no other place for it.
    pub(super) fn linked(&self, notification: &Notification) -> String {
        if self.templated || notification.url.is_empty() {
            return self.text.clone();
        }
        format!("{}\n\n{}", self.text, notification.url)
    }
}

/// Title and text in WindFlow's own words.
fn own(notification: &Notification) -> (String, String) {
    let title = match (notification.status, notification.alerts.as_slice()) {
        (NoticeStatus::Test, _) => "Test of this channel by WindFlow".to_owned(),
        (NoticeStatus::Resolved, [one]) => format!("Resolved: {}", headline(one)),
        (NoticeStatus::Firing, [one]) => format!("{}: {}", level(one.severity), headline(one)),
        (NoticeStatus::Resolved, _) => {
            let alerts = plural(notification.resolved, "alert");
            format!("Resolved: {alerts}{}", common(notification))
        }
        (NoticeStatus::Firing, _) => {
            let alerts = plural(notification.firing, "alert");
            format!(
                "{}: {alerts}{}",
                level(notification.severity),
                common(notification)
            )
        }
    };
    let mut parts: Vec<String> = notification.alerts.iter().map(of_alert).collect();
    if notification.status == NoticeStatus::Test {
        let text = "If you read this, the channel works. What follows is an example.";
        parts.insert(0, text.to_owned());
    }
    let listed = u32::try_from(notification.alerts.len()).unwrap_or(u32::MAX);
    let all = notification.firing.saturating_add(notification.resolved);
    if let more @ 1.. = all.saturating_sub(listed) {
        parts.push(format!("And {more} more."));
    }
    (title, parts.join("\n\n"))
}

fn plural(count: u32, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

fn common(notification: &Notification) -> String {
    let values: Vec<&str> = notification.group.values().map(String::as_str).collect();
    match values.is_empty() {
        true => String::new(),
        false => format!(" ({})", values.join(", ")),
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "Info",
        Severity::Warning => "Warning",
        Severity::Critical => "Critical",
    }
}

/// `CPU on web-1, shop/nginx`.
fn headline(alert: &NoticeAlert) -> String {
    // A name has no lines: those of a host could otherwise look like another alert.
    let line = |text: &String| text::plain(text, false);
    let mut text = line(&alert.rule);
    if !alert.host.is_empty() {
        text.push_str(" on ");
        text.push_str(&line(&alert.host));
    }
    let what: Vec<String> = [&alert.stack, &alert.part]
        .into_iter()
        .map(line)
        .filter(|part| !part.is_empty())
        .collect();
    if !what.is_empty() {
        text.push_str(", ");
        text.push_str(&what.join("/"));
    }
    text
}

fn of_alert(alert: &NoticeAlert) -> String {
    let state = if alert.firing {
        level(alert.severity)
    } else {
        "Resolved"
    };
    let mut lines = vec![format!("[{state}] {}", headline(alert))];
    if !alert.summary.is_empty() {
        lines.push(text::plain(&alert.summary, false));
    }
    lines.push(match alert.ended {
        Some(ended) => format!("From {} to {}", moment(alert.since), moment(ended)),
        None => format!("Since {}", moment(alert.since)),
    });
    if alert.firing && !alert.note.is_empty() {
        lines.push(format!("Note: {}", alert.note));
    }
    lines.join("\n")
}

/// A moment for people: `2026-11-23 20:45:09 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%F %T UTC").to_string())
}
