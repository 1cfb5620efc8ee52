//! Results: one row each, in the form that `scripts/bench` writes.

use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which part of the run.
    pub bench: &'static str,
    /// What was measured.
    pub name: String,
    /// In which unit.
    pub unit: &'static str,
    /// The value.
    pub value: f64,
    /// How it came about, if that is not plain.
    pub note: String,
}

impl Row {
    /// A row without a note.
    #[must_use]
    pub fn new(bench: &'static str, name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self {
            bench,
            name: name.into(),
            unit,
            value,
            note: String::new(),
        }
    }

    /// The same with a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Row", 11)?;
        row.serialize_field("bench", self.bench)?;
        row.serialize_field("name", &self.name)?;
        row.serialize_field("unit", self.unit)?;
        row.serialize_field("ours", &self.value)?;
        row.serialize_field("other", &None::<f64>)?;
        row.serialize_field("other_name", "")?;
        row.serialize_field("ratio", &None::<f64>)?;
        row.serialize_field("goal", "")?;
        row.serialize_field("ok", &None::<bool>)?;
        row.serialize_field("runs", &1)?;
        row.serialize_field("note", &self.note)?;
        row.end()
    }
}

/// The value below which `share` of all values lie; the nearest rank. 0 if there is none.
#[must_use]
pub fn quantile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among at most some million values"
    )]
    let rank = ((sorted.len() as f64 * share).ceil() as usize)
        .saturating_sub(1)
        .min(last);
    sorted.get(rank).copied().unwrap_or_default()
}

/// Milliseconds.
#[must_use]
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let values: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        let check = |share: f64, expected: u64| {
            assert_eq!(
                quantile(&values, share),
                Duration::from_millis(expected),
                "{share}"
            );
        };
        check(0.0, 1);
        check(0.5, 50);
        check(0.99, 99);
        check(1.0, 100);
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
        assert_eq!(quantile(&values[..1], 0.01), Duration::from_millis(100));
    }

    #[test]
    fn rows_have_the_keys_of_the_benches() {
        let row = serde_json::to_value(Row::new("fleet-idle", "memory", "KB", 1.5).note("n")).unwrap();
        let keys: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "bench",
                "name",
                "unit",
                "ours",
                "other",
                "other_name",
                "ratio",
                "goal",
                "ok",
                "runs",
                "note"
            ]
        );
    }
}
