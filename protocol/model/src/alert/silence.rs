//! When nobody wants to be told: silences, and windows of maintenance that come again.

use jiff::{
    Span, ToSpan as _, Zoned,
    civil::{Time, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use super::Severity;
use crate::{
    doc::Document,
    id::{RuleId, SilenceId, UserId},
    rollout::Targets,
    time::Timestamp,
};

/// What a silence is about. Everything that is said must fit; what says nothing fits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = SilenceMatcher))]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// Alerts of this rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// Alerts of these hosts; those that are about no host do not fit then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// Alerts of this stack (Compose project).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stack: String,
    /// Alerts of no more than this severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

impl Matcher {
    /// Whether it says nothing, and so fits everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = SilenceDay))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    const fn of(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

/// A time that comes again each week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = SilenceWindow))]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// On these days; empty: on every day.
    #[serde(default)]
    pub days: Vec<Day>,
    /// It begins at this time of the day, `HH:MM`.
    pub at: String,
    /// It lasts so many minutes, 1 to 10,079.
    pub minutes: u32,
    /// Time zone by its name in the IANA database, e.g. `Europe/Paris`; empty: UTC.
    #[serde(default)]
    pub zone: String,
}

/// Why a window is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Not a time of the day.
    #[error("at: {0:?} is not a time of the day such as 02:30")]
    At(String),
    /// Not a length.
    #[error("minutes: {0} is not between 1 and 10079 (a week less a minute)")]
    Minutes(u32),
    /// Not a zone.
    #[error("zone: {0:?} is no time zone of the IANA database, such as Europe/Paris")]
    Zone(String),
}

impl Window {
    /// Whether it can be used.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn check(&self) -> Result<(), WindowError> {
        self.parts().map(drop)
    }

    fn parts(&self) -> Result<(Time, Span, TimeZone), WindowError> {
        let at = self.at.split_once(':').and_then(|(hour, minute)| {
            let two = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
            Time::new(two(hour)?, two(minute)?, 0, 0).ok()
        });
        let at = at.ok_or_else(|| WindowError::At(self.at.clone()))?;
        if !(1..7 * 24 * 60).contains(&self.minutes) {
            return Err(WindowError::Minutes(self.minutes));
        }
        let zone = match self.zone.as_str() {
            "" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| WindowError::Zone(self.zone.clone()))?,
        };
        Ok((at, i64::from(self.minutes).minutes(), zone))
    }

    /// Until when it lasts, if this moment is within it. A time of the day that a change of clocks leaves out is taken an hour
    /// later; its minutes are real ones.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let (at, span, zone) = self.parts().ok()?;
        let now: Zoned = jiff::Timestamp::from_millisecond(now.as_millis())
            .ok()?
            .to_zoned(zone.clone());
        let ends = (0..=7_i64).filter_map(|back| {
            let day = now.date().checked_sub(back.days()).ok()?;
            if !self.days.is_empty() && !self.days.contains(&Day::of(day.weekday())) {
                return None;
            }
            let begin = day.to_datetime(at).to_zoned(zone.clone()).ok()?;
            let end = begin.checked_add(span).ok()?;
            (begin <= now && now < end).then(|| Timestamp::from_millis(end.timestamp().as_millisecond()))
        });
        ends.max()
    }
}

/// When a silence holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = SilenceSchedule))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Schedule {
    /// Once.
    Once {
        /// From then.
        from: Timestamp,
        /// Until then.
        until: Timestamp,
    },
    /// Every week again: a window of maintenance.
    Weekly(Window),
}

/// Alerts of which nobody wants to be told. They are still there, and shown as silenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Silence {
    /// Id, never reused.
    pub id: SilenceId,
    /// What it is for.
    pub note: String,
    /// Which alerts.
    pub matcher: Matcher,
    /// When.
    pub schedule: Schedule,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was saved last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: UserId,
}

impl Document for Silence {
    const NAME: &'static str = "silence";
    const SCHEMA: u16 = 1;
}

impl Silence {
    /// Until when it holds, if it holds at this moment.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::Once { from, until } => (*from <= now && now < *until).then_some(*until),
            Schedule::Weekly(window) => window.until(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_again_by_the_clock_on_the_wall() {
        let window = |days: &[Day], at: &str, minutes: u32, zone: &str| Window {
            days: days.to_vec(),
            at: at.to_owned(),
            minutes,
            zone: zone.to_owned(),
        };
        let check = |window: &Window, now: &str, until: Option<&str>| {
            let got = window.until(now.parse().unwrap());
            assert_eq!(
                got,
                until.map(|text| text.parse().unwrap()),
                "{window:?} at {now}"
            );
        };
        // 2026-11-23 is a Monday.
        let daily = window(&[], "02:00", 60, "");
        check(&daily, "2026-11-23T01:59:59Z", None);
        check(&daily, "2026-11-23T02:00:00Z", Some("2026-11-23T03:00:00Z"));
        check(&daily, "2026-11-23T02:59:59Z", Some("2026-11-23T03:00:00Z"));
        check(&daily, "2026-11-23T03:00:00Z", None);
        // Over midnight, and over the end of the week.
        let sunday = window(&[Day::Sunday], "23:30", 90, "");
        check(&sunday, "2026-11-22T23:29:00Z", None);
        check(&sunday, "2026-11-23T00:30:00Z", Some("2026-11-23T01:00:00Z"));
        check(&sunday, "2026-11-24T00:30:00Z", None);
        // Two that overlap: the longer one counts.
        let long = window(&[], "20:00", 2_000, "");
        check(&long, "2026-11-23T21:00:00Z", Some("2026-11-25T05:20:00Z"));
        // Summer time: the same time of the day, another one in UTC.
        let paris = window(&[], "04:00", 30, "Europe/Paris");
        check(&paris, "2026-03-28T03:10:00Z", Some("2026-03-28T03:30:00Z"));
        check(&paris, "2026-03-29T02:10:00Z", Some("2026-03-29T02:30:00Z"));
        // 02:30 does not exist on that day.
        let left_out = window(&[], "02:30", 60, "Europe/Paris");
        check(&left_out, "2026-03-29T01:45:00Z", Some("2026-03-29T02:30:00Z"));
        let six_days = window(&[Day::Monday], "00:00", 7 * 24 * 60 - 1, "");
        check(&six_days, "2026-11-29T23:58:00Z", Some("2026-11-29T23:59:00Z"));

        let refused = |window: &Window, says: &str| {
            let error = window.check().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert_eq!(window.until("2026-11-23T02:00:00Z".parse().unwrap()), None);
        };
        refused(&window(&[], "2:00", 1, ""), "\"2:00\" is not a time");
        refused(&window(&[], "24:00", 1, ""), "\"24:00\" is not a time");
        refused(&window(&[], "-1:00", 1, ""), "\"-1:00\" is not a time");
        refused(&window(&[], "00:00", 0, ""), "minutes: 0");
        refused(&window(&[], "00:00", 10_080, ""), "minutes: 10080");
        refused(&window(&[], "00:00", 1, "Mars/Olympus"), "Mars/Olympus");
    }
}
