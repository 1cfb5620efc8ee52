//! How bad a line says that it is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Levels of log lines, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// What happens.
    Info,
    /// What should be looked at.
    Warn,
    /// What failed.
    Error,
    /// What ended the program, or should wake somebody.
    Fatal,
}

/// What programs write. Those of one letter count only where a level is expected.
const NAMES: &[(&str, LogLevel)] = &[
    ("trace", LogLevel::Trace),
    ("trc", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("dbg", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("inf", LogLevel::Info),
    ("information", LogLevel::Info),
    ("notice", LogLevel::Info),
    ("log", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("warning", LogLevel::Warn),
    ("wrn", LogLevel::Warn),
    ("error", LogLevel::Error),
    ("err", LogLevel::Error),
    ("eror", LogLevel::Error),
    ("fatal", LogLevel::Fatal),
    ("ftl", LogLevel::Fatal),
    ("panic", LogLevel::Fatal),
    ("critical", LogLevel::Fatal),
    ("crit", LogLevel::Fatal),
    ("alert", LogLevel::Fatal),
    ("emerg", LogLevel::Fatal),
    ("emergency", LogLevel::Fatal),
];
/// Fields of JSON lines that hold it.
const FIELDS: &[&str] = &[
    "level",
    "severity",
    "lvl",
    "log.level",
    "loglevel",
    "levelname",
    "@level",
];
/// A level stands this far in front, if it stands there at all: behind it, words are what the line speaks of.
const HEAD: usize = 120;

impl LogLevel {
    /// The level that a line tells: a field of it if it is JSON (`level`, `severity`, …; also the numbers of bunyan and pino),
    /// `level=` as in logfmt, the letter of klog (`E0321 …`), the number of syslog (`<3>`), or the first word in the front of
    /// the line that names a level and stands as levels do: in capitals, in brackets, or before a colon.
    #[must_use]
    pub fn of(line: &str, json: Option<&Value>) -> Option<Self> {
        if let Some(object) = json {
            return FIELDS
                .iter()
                .find_map(|field| object.get(field))
                .or_else(|| object.get("log")?.get("level"))
                .and_then(Self::of_value);
        }
        let head = line.get(..line.floor_char_boundary(HEAD)).unwrap_or(line);
        Self::of_syslog(head)
            .or_else(|| Self::of_klog(head))
            .or_else(|| Self::of_logfmt(line))
            .or_else(|| Self::of_words(head))
    }

    fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::of_name(text.trim()),
            Value::Number(number) => Some(match number.as_u64()? {
                0..=10 => Self::Trace,
                11..=20 => Self::Debug,
                21..=30 => Self::Info,
                31..=40 => Self::Warn,
                41..=50 => Self::Error,
                _ => Self::Fatal,
            }),
            _ => None,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let one = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        one.map(|(_, level)| *level).or(match name {
            "T" | "t" => Some(Self::Trace),
            "D" | "d" => Some(Self::Debug),
            "I" | "i" => Some(Self::Info),
            "W" | "w" => Some(Self::Warn),
            "E" | "e" => Some(Self::Error),
            "F" | "f" | "C" | "c" => Some(Self::Fatal),
            _ => None,
        })
    }

    /// `<3>text`: priority, of which the last three bits are the severity (RFC 5424, 6.2.1).
    fn of_syslog(head: &str) -> Option<Self> {
        let (number, _) = head.strip_prefix('<')?.split_once('>')?;
        let priority: u32 = number.parse().ok().filter(|priority| *priority < 192)?;
        Some(match priority % 8 {
            0..=2 => Self::Fatal,
            3 => Self::Error,
            4 => Self::Warn,
            5 | 6 => Self::Info,
            _ => Self::Debug,
        })
    }

    /// `E0321 12:00:00.000000 …`: a letter and four digits.
    fn of_klog(head: &str) -> Option<Self> {
        let (first, _) = head.split_once(' ')?;
        let (letter, date) = first.split_at_checked(1)?;
        (date.len() == 4 && date.bytes().all(|byte| byte.is_ascii_digit())).then_some(())?;
        match letter {
            "D" => Some(Self::Debug),
            "I" => Some(Self::Info),
            "W" => Some(Self::Warn),
            "E" => Some(Self::Error),
            "F" => Some(Self::Fatal),
            _ => None,
        }
    }

    fn of_logfmt(line: &str) -> Option<Self> {
        let value = ["level=", "lvl=", "severity="].iter().find_map(|key| {
            let at = line.find(key)?;
            let starts = at == 0 || line.as_bytes().get(at - 1) == Some(&b' ');
            starts.then(|| line.get(at + key.len()..))?
        })?;
        let value = value.strip_prefix('"').unwrap_or(value);
        let end = value.find(|letter: char| !letter.is_ascii_alphabetic());
        Self::of_name(value.get(..end.unwrap_or(value.len()))?)
    }

    fn of_words(head: &str) -> Option<Self> {
        let bytes = head.as_bytes();
        let mut start = None;
        for at in 0..=bytes.len() {
            let in_word = bytes
                .get(at)
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            match (start, in_word) {
                (None, true) => start = Some(at),
                (Some(from), false) => {
                    start = None;
                    let word = head.get(from..at).unwrap_or_default();
                    let before = from.checked_sub(1).and_then(|at| bytes.get(at));
                    let after = bytes.get(at);
                    let enclosed = matches!(
                        (before, after),
                        (Some(b'['), Some(b']')) | (Some(b'('), Some(b')')) | (Some(b'|'), Some(b'|'))
                    );
                    // `-` and `/` would take `error-page` and `/error` for levels.
                    let apart = !matches!(before, Some(b'-' | b'/' | b'.' | b'=' | b'"'))
                        && !matches!(after, Some(b'-' | b'/' | b'.' | b'=' | b'"'));
                    let capitals = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
                    let colon = after == Some(&b':');
                    if enclosed || (apart && (capitals || colon)) {
                        let known = if word.len() > 1 || enclosed {
                            Self::of_name(word)
                        } else {
                            None
                        };
                        if known.is_some() {
                            return known;
                        }
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Its name as it travels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no level: use trace, debug, info, warn, error or fatal")]
pub struct NoLevel(String);

impl FromStr for LogLevel {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Self, NoLevel> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, level)| *level)
            .ok_or_else(|| NoLevel(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_level() {
        use LogLevel::{Debug, Error, Fatal, Info, Trace, Warn};
        let cases: &[(&str, Option<LogLevel>)] = &[
            (r#"{"level":"error","msg":"x"}"#, Some(Error)),
            (r#"{"severity":"WARNING"}"#, Some(Warn)),
            (r#"{"level":30,"msg":"pino"}"#, Some(Info)),
            (r#"{"level":60}"#, Some(Fatal)),
            (r#"{"log":{"level":"debug"}}"#, Some(Debug)),
            (r#"{"log.level":"warn"}"#, Some(Warn)),
            (r#"{"msg":"ERROR in text alone"}"#, None),
            ("time=x level=warn msg=\"all is ERROR\"", Some(Warn)),
            ("level=\"error\" msg=x", Some(Error)),
            ("xlevel=error", None),
            ("<3>kernel: gone", Some(Error)),
            ("<30>daemon", Some(Info)),
            ("<999>no", None),
            ("E0321 12:00:00.1 file.go:1] no", Some(Error)),
            ("I0321 12:00:00.1 file.go:1] yes", Some(Info)),
            ("2026-11-21 12:00:00,123 ERROR [main] it broke", Some(Error)),
            ("2026-11-21T12:00:00Z  INFO windflow: started", Some(Info)),
            ("[warn] low", Some(Warn)),
            ("[W] low", Some(Warn)),
            ("error: no such file", Some(Error)),
            ("panic: runtime error", Some(Fatal)),
            ("LOG:  database system is ready", Some(Info)),
            ("GET /error 200", None),
            ("served the error-page", None),
            ("no errors were found", None),
            ("an error was expected", None),
            ("TRACE on", Some(Trace)),
            ("a request from W: x", None),
            ("", None),
            ("é", None),
        ];
        for (line, wanted) in cases {
            let json = serde_json::from_str(line).ok();
            assert_eq!(LogLevel::of(line, json.as_ref()), *wanted, "{line}");
        }
    }
}
