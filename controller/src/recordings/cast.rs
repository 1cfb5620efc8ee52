//! asciicast v2: a line of JSON about the recording, then a line for each event: `[seconds, kind, text]`.
//!
//! The text is Unicode and output is bytes: a character that is cut waits for its rest, what is none becomes U+FFFD.

use serde_json::json;
use windflow_model::{TerminalSize, Timestamp};

/// A terminal that nobody has told a size has this one.
const USUAL: TerminalSize = TerminalSize {
    columns: 80,
    rows: 24,
};

/// Turns output into events.
#[derive(Debug, Default)]
pub(super) struct Cast {
    /// The begin of a character, of each output.
    cut: [Vec<u8>; 2],
}

/// The first line.
pub(super) fn head(
    size: Option<TerminalSize>,
    started: Timestamp,
    title: &str,
    command: &[String],
) -> String {
    let TerminalSize { columns, rows } = size.unwrap_or(USUAL);
    let head = json!({
        "version": 2, "width": columns, "height": rows, "timestamp": started.as_millis() / 1_000,
        "command": command.join(" "), "title": title, "env": { "TERM": "xterm-256color" },
    });
    format!("{head}\n")
}

/// The terminal has another size.
pub(super) fn resized(after_ms: u64, size: TerminalSize) -> String {
    line(after_ms, "r", &format!("{}x{}", size.columns, size.rows))
}

/// Something to know about the recording itself.
pub(super) fn marker(after_ms: u64, text: &str) -> String {
    line(after_ms, "m", text)
}

fn line(after_ms: u64, kind: &str, text: &str) -> String {
    let (seconds, rest) = (after_ms / 1_000, after_ms % 1_000);
    // A string is always JSON.
    let text = serde_json::Value::from(text);
    format!("[{seconds}.{rest:03}, \"{kind}\", {text}]\n")
}

impl Cast {
    /// Output; nothing if all of it is the begin of a character.
    pub(super) fn output(&mut self, after_ms: u64, stderr: bool, bytes: &[u8]) -> String {
        let [out, errors] = &mut self.cut;
        let cut = if stderr { errors } else { out };
        let text = text(cut, bytes);
        if text.is_empty() {
            return String::new();
        }
        line(after_ms, "o", &text)
    }

    /// What is still cut when nothing comes behind it.
    pub(super) fn rest(&mut self, after_ms: u64) -> String {
        let mut lines = String::new();
        for cut in &mut self.cut {
            if !cut.is_empty() {
                cut.clear();
                lines.push_str(&line(after_ms, "o", "\u{fffd}"));
            }
        }
        lines
    }
}

/// The text of bytes that come behind a cut character.
fn text(cut: &mut Vec<u8>, bytes: &[u8]) -> String {
    cut.extend_from_slice(bytes);
    let all = std::mem::take(cut);
    let mut text = String::with_capacity(all.len());
    let mut rest = all.as_slice();
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return text;
            }
            Err(error) => {
                let (valid, behind) = rest.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                let Some(wrong) = error.error_len() else {
                    *cut = behind.to_vec();
                    return text;
                };
                text.push('\u{fffd}');
                rest = behind.get(wrong..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text of all output, as a player puts it together.
    fn played(lines: &str) -> String {
        let mut text = String::new();
        for line in lines.lines() {
            let (_, kind, what): (f64, String, String) = serde_json::from_str(line).unwrap();
            assert_eq!(kind, "o");
            text.push_str(&what);
        }
        text
    }

    proptest! {
        /// Any bytes, however they are cut: what is played is what a whole reading shows, and every line is JSON.
        #[test]
        fn cuts_do_not_show(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                "[a-z\u{e9}\u{4f60}\u{1f600}\\x1b\"\\\\]{0,80}".prop_map(String::into_bytes),
            ],
            piece in 1_usize..9,
        ) {
            let (mut cast, mut lines) = (Cast::default(), String::new());
            for (at, piece) in bytes.chunks(piece).enumerate() {
                lines.push_str(&cast.output(at as u64 * 7, false, piece));
            }
            lines.push_str(&cast.rest(9_999));
            prop_assert_eq!(played(&lines), String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn lines_as_players_read_them() {
        let mut cast = Cast::default();
        assert_eq!(cast.output(1_002, false, b"\xe4\xbd"), "");
        // The two outputs do not mix within a character.
        assert_eq!(cast.output(1_003, true, b"e"), "[1.003, \"o\", \"e\"]\n");
        assert_eq!(
            cast.output(61_040, false, b"\xa0\x1b[1m\r\n"),
            "[61.040, \"o\", \"\u{4f60}\\u001b[1m\\r\\n\"]\n"
        );
        let size = TerminalSize {
            columns: 100,
            rows: 30,
        };
        assert_eq!(resized(0, size), "[0.000, \"r\", \"100x30\"]\n");
        assert_eq!(marker(5, "a \"gap\""), "[0.005, \"m\", \"a \\\"gap\\\"\"]\n");
        let head = head(
            Some(size),
            Timestamp::from_millis(1_700_000_000_999),
            "t",
            &["sh".to_owned()],
        );
        assert_eq!(
            head,
            "{\"version\":2,\"width\":100,\"height\":30,\"timestamp\":1700000000,\"command\":\"sh\",\"title\":\"t\",\"env\":{\"TERM\":\"xterm-256color\"}}\n"
        );
    }
}
