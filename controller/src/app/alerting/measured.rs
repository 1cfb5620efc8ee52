//! What the history of metrics says of a rule's condition.

use std::{collections::BTreeMap, time::Duration};

use windflow_model::{
    AgentId, Alert, Timestamp,
    alert::{Compare, Condition, Seen, Subject},
    metrics::Unit,
};

use super::observe::{Sight, container_subject, span};
use crate::{
    app::metrics::function,
    telemetry::{
        AskError, Question, Series, Telemetry,
        measure::Measure,
        query::{Filter, Function, Steps},
    },
};

/// Steps of a forecast.
const STEPS: i64 = 12;
/// A forecast needs at least so many of them.
const LEAST: usize = 6;

/// The answer to the question of a condition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    series: Vec<(Subject, Vec<Option<f64>>)>,
    /// Alerts that are there: their value must be beyond the clearing threshold to end.
    open: Vec<Subject>,
    unit: Option<Scale>,
}

/// How a value is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Share,
    Bytes,
    Rate,
    Plain(Unit),
}

/// The question of a condition, if it is about metrics.
pub(crate) fn question(condition: &Condition, now: Timestamp) -> Option<Question> {
    let to = now.as_millis() + 1;
    match condition {
        Condition::Metric {
            metric,
            function: word,
            window_s,
            key,
            containers,
            ..
        } => {
            let window = i64::from(*window_s) * 1_000;
            Some(Question {
                measure: Measure::named(metric)?,
                function: function(word).ok()?,
                steps: Steps {
                    from: to - window,
                    step: window,
                    count: 1,
                },
                filter: Filter {
                    key: some(key),
                    stack: some(&containers.stack),
                    service: some(&containers.service),
                },
            })
        }
        Condition::DiskFull { window_s, .. } => {
            let step = i64::from(*window_s) * 1_000 / STEPS;
            Some(Question {
                measure: Measure::named("filesystem_available_bytes")?,
                function: Function::Mean,
                steps: Steps {
                    from: to - step * STEPS,
                    step,
                    count: usize::try_from(STEPS).unwrap_or_default(),
                },
                filter: Filter::default(),
            })
        }
        _ => None,
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Asks. Reads files: not for the runtime's own threads.
pub(crate) fn ask(
    telemetry: &Telemetry,
    question: &Question,
    agents: &[AgentId],
    open: Vec<Subject>,
) -> Result<Measured, AskError> {
    let scale = scale(&question.measure);
    let series = telemetry.ask(question, agents)?;
    Ok(Measured {
        series: series.into_iter().map(subject).collect(),
        open,
        unit: Some(scale),
    })
}

fn subject(series: Series) -> (Subject, Vec<Option<f64>>) {
    let of = series.subject;
    let subject = if of.name.is_empty() {
        Subject {
            agent: Some(series.agent),
            part: of.key,
            ..Subject::default()
        }
    } else {
        container_subject(series.agent, &of.name, Some(&of.stack), Some(&of.service))
    };
    (subject, series.values)
}

fn scale(measure: &Measure) -> Scale {
    if measure.is_share() {
        return Scale::Share;
    }
    let unit = measure.unit();
    match (measure.is_rate(), unit) {
        (true, Unit::Bytes) => Scale::Rate,
        (false, Unit::Bytes) => Scale::Bytes,
        // Seconds a second: so many processors, or a share of the time.
        (true, _) => Scale::Plain(Unit::Count),
        (_, unit) => Scale::Plain(unit),
    }
}

impl Measured {
    /// Which alerts are there by now.
    pub(crate) fn now_open(&mut self, open: &[Alert]) {
        self.open = open.iter().map(|alert| alert.subject.clone()).collect();
    }

    /// What is seen of each subject.
    pub(crate) fn sights(&self, condition: &Condition) -> BTreeMap<Subject, Sight> {
        let one = |(subject, values): &(Subject, Vec<Option<f64>>)| {
            let sight = match condition {
                Condition::Metric {
                    metric,
                    function,
                    window_s,
                    compare,
                    threshold,
                    clear,
                    ..
                } => {
                    let value = (*values.first()?)?;
                    let bound = match clear {
                        Some(clear) if self.open.contains(subject) => *clear,
                        _ => *threshold,
                    };
                    let of = if function == "last" {
                        String::new()
                    } else {
                        format!(
                            " ({function} of {})",
                            span(Duration::from_secs(u64::from(*window_s)))
                        )
                    };
                    let (value_text, bound_text) = (self.tell(value), self.tell(bound));
                    let side = if compare.holds(value, bound) {
                        format!("{} {bound_text}", compare.word())
                    } else {
                        format!("not {} {bound_text}", compare.word())
                    };
                    Sight {
                        seen: if compare.holds(value, bound) {
                            Seen::Holds
                        } else {
                            Seen::Clear
                        },
                        value: Some(value),
                        summary: format!("{metric} is {value_text}{of}, {side}"),
                    }
                }
                Condition::DiskFull { window_s, within_s } => {
                    full(values, *window_s, Duration::from_secs(u64::from(*within_s)))?
                }
                _ => return None,
            };
            Some((subject.clone(), sight))
        };
        self.series.iter().filter_map(one).collect()
    }

    fn tell(&self, value: f64) -> String {
        match self.unit {
            Some(Scale::Share) => format!("{} %", short(value * 100.0)),
            Some(Scale::Bytes) => bytes(value),
            Some(Scale::Rate) => format!("{}/s", bytes(value)),
            Some(Scale::Plain(Unit::Milliseconds | Unit::Microseconds)) => format!("{} s", short(value)),
            Some(Scale::Plain(Unit::Millidegrees)) => format!("{} °C", short(value)),
            _ => short(value),
        }
    }
}

/// At most three digits that count.
fn short(value: f64) -> String {
    let places = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 1_024.0 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!(
        "{} {}",
        short(value),
        units.get(unit).copied().unwrap_or_default()
    )
}

/// Whether what is free comes to its end within `within`, along the straight line through the values (least squares).
fn full(values: &[Option<f64>], window_s: u32, within: Duration) -> Option<Sight> {
    let points = values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| Some((index as f64, (*value)?)));
    let points: Vec<(f64, f64)> = points.collect();
    let (_, last) = *points.last()?;
    if points.len() < LEAST.min(values.len()) {
        return None;
    }
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (middle, level) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points
        .iter()
        .map(|(at, value)| (at - middle) * (value - level))
        .sum();
    let spread: f64 = points.iter().map(|(at, _)| (at - middle).powi(2)).sum();
    let step = f64::from(window_s) / values.len() as f64;
    let slope = if spread > 0.0 { along / spread / step } else { 0.0 };
    let left = if last <= 0.0 {
        Some(0.0)
    } else {
        (slope < 0.0).then(|| last / -slope)
    };
    let holds = left.is_some_and(|left| left < within.as_secs_f64());
    let summary = match left {
        // Beyond a century it is not told.
        Some(left) if left < 3.2e9 => {
            format!(
                "{} are free, full in {} if it goes on like this",
                bytes(last),
                span(Duration::from_secs_f64(left))
            )
        }
        _ => format!("{} are free", bytes(last)),
    };
    Some(Sight {
        seen: if holds { Seen::Holds } else { Seen::Clear },
        value: left,
        summary,
    })
}

/// Why a condition about metrics cannot be used.
pub(crate) fn check(condition: &Condition) -> Result<(), String> {
    let Condition::Metric {
        metric,
        function: word,
        compare,
        threshold,
        clear,
        ..
    } = condition
    else {
        return Ok(());
    };
    if Measure::named(metric).is_none() {
        return Err(format!(
            "condition.metric: {metric:?} is none; there are cpu, memory_share, filesystem_share and those of /metrics"
        ));
    }
    function(word).map_err(|error| format!("condition.{error}"))?;
    if !threshold.is_finite() || clear.is_some_and(|clear| !clear.is_finite()) {
        return Err("condition.threshold: not a number".to_owned());
    }
    match (compare, clear) {
        (Compare::Above, Some(clear)) if clear > threshold => {
            Err("condition.clear: must not lie above the threshold".to_owned())
        }
        (Compare::Below, Some(clear)) if clear < threshold => {
            Err("condition.clear: must not lie below the threshold".to_owned())
        }
        _ => Ok(()),
    }
}
