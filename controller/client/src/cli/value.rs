//! Values on the command line that are more than words.

use std::time::Duration;

use windflow_model::{Severity, Timestamp};

/// Lines to begin with; `None` means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail(pub Option<u32>);

pub(super) fn parse_tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    let lines = text
        .parse()
        .map_err(|_| "give a number of lines, or `all`".to_owned())?;
    Ok(Tail(Some(lines)))
}

/// `90`, `90s`, `5m`, `2h`, `1h30m`.
pub(super) fn parse_severity(text: &str) -> Result<Severity, String> {
    [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|one| one.name() == text)
        .ok_or_else(|| "use info, warning or critical".to_owned())
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no duration: use forms like 90s, 5m or 1h30m");
    let mut seconds = 0_u64;
    let mut number = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let scale = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(bad()),
        };
        let count: u64 = number.parse().map_err(|_| bad())?;
        number.clear();
        seconds = count
            .checked_mul(scale)
            .and_then(|part| seconds.checked_add(part))
            .ok_or_else(bad)?;
    }
    if !number.is_empty() {
        if seconds > 0 {
            return Err(bad());
        }
        seconds = number.parse().map_err(|_| bad())?;
    } else if text.is_empty() {
        return Err(bad());
    }
    Ok(Duration::from_secs(seconds))
}

/// A time, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl When {
    /// The time that is meant, by what is said at `now`.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(age) => {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(age))
            }
            Self::At(at) => at,
        }
    }
}

/// `2h`, `2026-11-22`, `2026-11-22T08:30:00Z`.
pub(super) fn parse_when(text: &str) -> Result<When, String> {
    let at = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse());
    at.map(When::At)
        .or_else(|_| parse_duration(text).map(When::Ago))
        .map_err(|_| {
            format!("`{text}` is no time: use forms like 2h (ago), 2026-11-22 or 2026-11-22T08:30:00Z (UTC)")
        })
}

/// Life of an enrolment token: 1 minute to 24 hours, as the controller takes it.
pub(super) fn parse_ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_duration(text)?;
    if (60..=86_400).contains(&ttl.as_secs()) {
        Ok(ttl)
    } else {
        Err("a token lives 1m to 24h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_secs()), expected, "{text}");
        };
        check("90", Some(90));
        check("90s", Some(90));
        check("5m", Some(300));
        check("1h30m", Some(5_400));
        check("", None);
        check("m", None);
        check("1h30", None);
        check("5x", None);
        check("99999999999999999999h", None);
    }

    #[test]
    fn times() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<&str>| {
            let found = parse_when(text).ok().map(|when| when.before(now).to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("2h", Some("2026-11-22T10:00:00.000Z"));
        check("0s", Some("2026-11-22T12:00:00.000Z"));
        check("2026-11-21", Some("2026-11-21T00:00:00.000Z"));
        check("2026-11-21T08:30:00+01:00", Some("2026-11-21T07:30:00.000Z"));
        check("2026-11-31", None);
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn lives_of_tokens() {
        let check = |text: &str, good: bool| assert_eq!(parse_ttl(text).is_ok(), good, "{text}");
        check("1m", true);
        check("24h", true);
        check("59s", false);
        check("25h", false);
        check("soon", false);
    }
}
