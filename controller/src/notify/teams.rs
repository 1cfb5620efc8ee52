//! Microsoft Teams: the webhook of a workflow. An adaptive card in the envelope that workflows take, below 28 KB in all.
//! Runs of rich text are shown as they are; the card's plain blocks would read Markdown.

use serde_json::{Value, json};
use windflow_model::{
    Severity,
    alert::{NoticeStatus, Notification},
};

use super::{Outgoing, Words, text};

/// Bytes of the lines as JSON; title and envelope take the rest of 28 KB.
const TEXT: usize = 22_000;
/// What a line takes besides its text.
const LINE: usize = 110;

pub(super) fn outgoing(url: &str, words: &Words, notification: &Notification) -> Outgoing {
    let colour = match (notification.status, notification.severity) {
        (NoticeStatus::Resolved, _) => "Good",
        (NoticeStatus::Test, _) | (NoticeStatus::Firing, Severity::Info) => "Accent",
        (NoticeStatus::Firing, Severity::Warning) => "Warning",
        (NoticeStatus::Firing, Severity::Critical) => "Attention",
    };
    let mut body = vec![json!({
        "type": "RichTextBlock",
        "inlines": [{
            "type": "TextRun", "text": words.title, "weight": "Bolder", "size": "Medium", "color": colour,
        }],
    })];
    let fitting = text::fit(&words.text, TEXT, cost);
    let mut apart = true;
    for line in fitting.lines() {
        if line.trim().is_empty() {
            apart = true;
            continue;
        }
        body.push(json!({
            "type": "RichTextBlock",
            "spacing": if apart { "Medium" } else { "None" },
            "inlines": [{ "type": "TextRun", "text": line }],
        }));
        apart = false;
    }
    let actions: Vec<Value> = match notification.url.as_str() {
        "" => Vec::new(),
        url => vec![json!({ "type": "Action.OpenUrl", "title": "WindFlow", "url": url })],
    };
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "body": body,
        "actions": actions,
    });
    let envelope = json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    });
    Outgoing::json(url, &envelope)
}

const fn cost(c: char) -> usize {
    match c {
        '\n' => LINE,
        '"' | '\\' => 2,
        c => c.len_utf8(),
    }
}
