//! Text within limits.

use windflow_model::Severity;
use windflow_model::alert::{NoticeStatus, Notification};

/// What is said of text that was cut.
pub(super) const CUT: &str = "… (cut; WindFlow shows all of it)";

/// Without control characters and without what turns the direction of writing; lines stay if `lines` says so.
pub(super) fn plain(text: &str, lines: bool) -> String {
    let one = |c: char| match c {
        '\n' | '\u{2028}' | '\u{2029}' if lines => Some('\n'),
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' if !lines => Some(' '),
        '\t' => Some(' '),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    };
    let text: String = text.chars().filter_map(one).collect();
    text.trim_end().to_owned()
}

/// As much of the text as costs at most `most`, where `cost` says what a character costs; cut text says so.
pub(super) fn fit(text: &str, most: usize, cost: impl Fn(char) -> usize) -> String {
    let all: usize = text.chars().map(&cost).sum();
    if all <= most {
        return text.to_owned();
    }
    let note: usize = CUT.chars().map(&cost).sum();
    let room = most.saturating_sub(note);
    let mut spent = 0;
    let kept: String = text
        .chars()
        .take_while(|c| {
            spent += cost(*c);
            spent <= room
        })
        .collect();
    format!("{}{CUT}", kept.trim_end())
}

/// Characters.
pub(super) const fn one(_: char) -> usize {
    1
}

/// Breaks what calls people: `@everyone`, `@channel`, …, by an invisible character behind the sign.
pub(super) fn without_mentions(text: &str) -> String {
    text.replace('@', "@\u{200b}")
}

/// Colour of a notification, as `0xRRGGBB`.
pub(super) const fn colour(notification: &Notification) -> u32 {
    match (notification.status, notification.severity) {
        (NoticeStatus::Resolved, _) => 0x002e_7d32,
        (NoticeStatus::Test, _) | (NoticeStatus::Firing, Severity::Info) => 0x0015_65c0,
        (NoticeStatus::Firing, Severity::Warning) => 0x00ed_6c02,
        (NoticeStatus::Firing, Severity::Critical) => 0x00c6_2828,
    }
}

/// Name of a status, as in JSON.
pub(super) const fn status(status: NoticeStatus) -> &'static str {
    match status {
        NoticeStatus::Firing => "firing",
        NoticeStatus::Resolved => "resolved",
        NoticeStatus::Test => "test",
    }
}

/// A path behind the address of a server.
pub(super) fn join(server: &str, path: &str) -> String {
    format!("{}/{path}", server.trim_end_matches('/'))
}
