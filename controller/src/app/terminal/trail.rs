//! What the audit trail says of a terminal.

use std::sync::atomic::Ordering;

use sha2::{Digest as _, Sha256};
use windflow_api::TerminalCreate;
use windflow_model::{TerminalCause, TerminalEnd, TerminalPlace, Timestamp};

use super::Moved;

/// A command in an audit record is cut here, in characters; its length and SHA-256 tell what the rest was.
const SHOWN_COMMAND: usize = 400;
/// Names of variables in an audit record.
const SHOWN_KEYS: usize = 40;

/// Where and what, for the audit trail.
pub(super) fn told(place: &TerminalPlace, host: &str, request: &TerminalCreate) -> String {
    let place = match place {
        TerminalPlace::Service {
            stack,
            service,
            number,
        } => {
            let number = number.map_or_else(String::new, |number| format!("-{number}"));
            format!("{stack}/{service}{number} on {host}")
        }
        TerminalPlace::Container { container } => format!("container {container} on {host}"),
        TerminalPlace::Host => format!("the host {host} itself"),
    };
    let command = if request.command.is_empty() {
        "a shell".to_owned()
    } else {
        shortened(&format!("{:?}", request.command))
    };
    let mut text = format!("{place}: {command}");
    if let Some(user) = &request.user {
        text.push_str(&format!(", as {user:?}"));
    }
    let keys: Vec<_> = keys_of(request).take(SHOWN_KEYS).collect();
    if !keys.is_empty() {
        text.push_str(&format!(", with {}", keys.join(", ")));
    }
    let more = request.env.len() - keys.len();
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

pub(super) fn keys_of(request: &TerminalCreate) -> impl Iterator<Item = &str> {
    request.env.iter().filter_map(|text| text.split('=').next())
}

/// A command in full, or so much of it that what was left out can be proved.
fn shortened(command: &str) -> String {
    let count = command.chars().count();
    if count <= SHOWN_COMMAND {
        return command.to_owned();
    }
    let shown: String = command.chars().take(SHOWN_COMMAND).collect();
    let digest = hex::encode(Sha256::digest(command.as_bytes()));
    format!("{shown}… ({count} characters, SHA-256 {digest})")
}

/// How it ended, for the audit trail.
pub(super) fn said(end: &TerminalEnd, opened: Timestamp, now: Timestamp, moved: &Moved) -> String {
    let how = match end.cause {
        TerminalCause::Exited => match end.exit_code {
            Some(code) => format!("ended with exit code {code}"),
            None => "ended".to_owned(),
        },
        TerminalCause::Closed => "closed".to_owned(),
        TerminalCause::Idle => "closed: nobody typed for too long".to_owned(),
        TerminalCause::TooLong => "closed: it was open for too long".to_owned(),
        TerminalCause::Abandoned => "closed: its reader was lost and did not come back".to_owned(),
        TerminalCause::AgentStopped => "closed: the agent was stopped".to_owned(),
        TerminalCause::TakenOver | TerminalCause::Broken | TerminalCause::Other => "broken off".to_owned(),
    };
    let seconds = now.as_millis().saturating_sub(opened.as_millis()) / 1_000;
    let (typed, shown) = (
        moved.typed.load(Ordering::Relaxed),
        moved.shown.load(Ordering::Relaxed),
    );
    let more = if end.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", end.detail)
    };
    format!("{how} after {seconds} s, {typed} bytes typed, {shown} bytes shown{more}")
}

#[cfg(test)]
mod tests {
    use super::{super::count, *};

    #[test]
    fn what_is_cut_can_be_proved() {
        let most = "é".repeat(SHOWN_COMMAND);
        assert_eq!(shortened(&most), most);
        let long = format!("{most}; rm -rf /");
        let digest = hex::encode(Sha256::digest(long.as_bytes()));
        assert_eq!(
            shortened(&long),
            format!("{most}… (410 characters, SHA-256 {digest})")
        );
    }

    #[test]
    fn ends_as_the_trail_has_them() {
        let check = |cause, exit_code, detail: &str, expected: &str| {
            let end = TerminalEnd {
                cause,
                exit_code,
                detail: detail.to_owned(),
            };
            let moved = Moved::default();
            count(&moved.typed, 3);
            count(&moved.shown, 40);
            let (opened, now) = (Timestamp::from_millis(1_000), Timestamp::from_millis(13_900));
            assert_eq!(said(&end, opened, now, &moved), expected);
        };
        check(
            TerminalCause::Exited,
            Some(7),
            "",
            "ended with exit code 7 after 12 s, 3 bytes typed, 40 bytes shown",
        );
        check(
            TerminalCause::Broken,
            None,
            "no engine",
            "broken off after 12 s, 3 bytes typed, 40 bytes shown (no engine)",
        );
        check(
            TerminalCause::Abandoned,
            None,
            "",
            "closed: its reader was lost and did not come back after 12 s, 3 bytes typed, 40 bytes shown",
        );
    }
}
