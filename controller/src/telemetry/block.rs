//! Samples of one host in a row, with the same columns.

use std::sync::Arc;

use windflow_model::metrics::{Group, Layout, Metric, Sample};
use windflow_protocol::metrics::{MetricsError, Reader, put_unsigned};

use super::column::{self, Scratch};

/// In coarser tiers: the highest value of a gauge beside its mean.
pub(super) const HIGHEST: u16 = 0x8000;
/// More points than any writer puts into a block.
const MOST: usize = 4_096;

/// Points with their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) layout: Arc<Layout>,
    /// Milliseconds since 1970, rising.
    pub(super) times: Vec<i64>,
    /// As many as the layout is wide, each as long as `times`.
    pub(super) columns: Vec<Vec<i64>>,
}

impl Block {
    /// A block without points.
    pub(super) fn new(layout: Arc<Layout>) -> Self {
        let columns = vec![Vec::new(); layout.width()];
        Self {
            layout,
            times: Vec::new(),
            columns,
        }
    }

    /// Takes a sample of the same columns. One that is not newer than the last is left out: a clock went back.
    pub(super) fn push(&mut self, sample: &Sample) {
        if sample.values.len() != self.columns.len()
            || self.times.last().is_some_and(|last| *last >= sample.at_ms)
        {
            return;
        }
        self.times.push(sample.at_ms);
        for (column, value) in self.columns.iter_mut().zip(&sample.values) {
            column.push(*value);
        }
    }

    pub(super) fn first(&self) -> Option<i64> {
        self.times.first().copied()
    }

    pub(super) fn last(&self) -> Option<i64> {
        self.times.last().copied()
    }

    /// Everything but the layout, as bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut scratch = Scratch::default();
        put_unsigned(out, self.times.len() as u64);
        column::encode(&self.times, out, &mut scratch);
        for values in &self.columns {
            column::encode(values, out, &mut scratch);
        }
    }

    /// Reads what [`Block::encode`] wrote.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub(super) fn decode(layout: Arc<Layout>, bytes: &[u8]) -> Result<Self, MetricsError> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(MOST)?;
        let times = column::decode(&mut reader, count)?;
        let columns = (0..layout.width()).map(|_| column::decode(&mut reader, count));
        let columns = columns.collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self {
            layout,
            times,
            columns,
        })
    }

    /// The points from `from` on and before `to`, as one for each `step` milliseconds: of counters where they got to, of
    /// gauges the mean and the highest. `None` if there are none.
    pub(super) fn coarser(&self, from: i64, to: i64, step: i64) -> Option<Self> {
        let layout = coarser_layout(&self.layout);
        let mut times = Vec::new();
        let mut ends = Vec::new();
        let begin = self.times.partition_point(|time| *time < from);
        let end = self.times.partition_point(|time| *time < to);
        for index in begin..end {
            let time = self.times.get(index)?.div_euclid(step) * step;
            if times.last() == Some(&time) {
                ends.pop();
            } else {
                times.push(time);
            }
            ends.push(index + 1);
        }
        if times.is_empty() {
            return None;
        }
        let mut columns = Vec::with_capacity(layout.width());
        let metrics = self.layout.groups.iter().flat_map(|group| &group.metrics);
        for (metric, values) in metrics.zip(&self.columns) {
            let mut spans = Vec::with_capacity(ends.len());
            let mut start = begin;
            for end in &ends {
                spans.push(values.get(start..*end)?);
                start = *end;
            }
            if metric.is_counter() {
                columns.push(
                    spans
                        .iter()
                        .map(|span| span.last().copied().unwrap_or(0))
                        .collect(),
                );
            } else if metric.0 & HIGHEST != 0 {
                columns.push(
                    spans
                        .iter()
                        .map(|span| span.iter().copied().max().unwrap_or(0))
                        .collect(),
                );
            } else {
                columns.push(spans.iter().map(|span| mean(span)).collect());
                if !has(&self.layout, *metric) {
                    columns.push(
                        spans
                            .iter()
                            .map(|span| span.iter().copied().max().unwrap_or(0))
                            .collect(),
                    );
                }
            }
        }
        Some(Self {
            layout: Arc::new(layout),
            times,
            columns,
        })
    }
}

fn mean(values: &[i64]) -> i64 {
    let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
    let count = i128::try_from(values.len().max(1)).unwrap_or(1);
    i64::try_from(sum / count).unwrap_or(0)
}

/// Whether the highest of a gauge has a column already.
fn has(layout: &Layout, metric: Metric) -> bool {
    let highest = Metric(metric.0 | HIGHEST);
    layout.groups.iter().any(|group| group.metrics.contains(&highest))
}

fn coarser_layout(layout: &Layout) -> Layout {
    let groups = layout.groups.iter().map(|group| {
        let mut metrics = Vec::new();
        for metric in &group.metrics {
            metrics.push(*metric);
            if !metric.is_counter() && metric.0 & HIGHEST == 0 && !has(layout, *metric) {
                metrics.push(Metric(metric.0 | HIGHEST));
            }
        }
        Group {
            metrics,
            ..group.clone()
        }
    });
    Layout {
        groups: groups.collect(),
    }
}

#[cfg(test)]
mod tests {
    use windflow_model::metrics::{Scope, Subject};

    use super::*;

    fn layout() -> Arc<Layout> {
        Arc::new(Layout {
            groups: vec![Group {
                scope: Scope::Host,
                subject: Subject::default(),
                metrics: vec![Metric::CPU_USER, Metric::LOAD_1],
            }],
        })
    }

    fn block(points: &[(i64, i64, i64)]) -> Block {
        let layout = layout();
        let mut block = Block::new(Arc::clone(&layout));
        for (at_ms, counter, gauge) in points {
            block.push(&Sample {
                seq: 1,
                at_ms: *at_ms,
                layout: Arc::clone(&layout),
                values: vec![*counter, *gauge],
            });
        }
        block
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let block = block(&[
            (1_000, 5, 7),
            (2_000, 6, -7),
            (2_000, 9, 9),
            (1_500, 9, 9),
            (3_000, 6, 7),
        ]);
        assert_eq!(block.times, [1_000, 2_000, 3_000]);
        let mut bytes = Vec::new();
        block.encode(&mut bytes);
        assert_eq!(Block::decode(layout(), &bytes), Ok(block));
        for end in 0..bytes.len() {
            assert!(Block::decode(layout(), &bytes[..end]).is_err(), "{end}");
        }
        bytes.push(0);
        assert!(Block::decode(layout(), &bytes).is_err());
    }

    #[test]
    fn coarser_and_coarser_again() {
        let fine = block(&[
            (0, 1, 10),
            (30_000, 2, 20),
            (60_000, 5, 6),
            (119_999, 9, 8),
            (120_000, 11, 1),
        ]);
        let minutes = fine.coarser(0, 120_000, 60_000).unwrap();
        assert_eq!(minutes.times, [0, 60_000]);
        assert_eq!(minutes.columns, [vec![2, 9], vec![15, 7], vec![20, 8]]);
        assert_eq!(
            minutes.layout.groups[0].metrics[2],
            Metric(Metric::LOAD_1.0 | HIGHEST)
        );
        let tens = minutes.coarser(0, 600_000, 600_000).unwrap();
        assert_eq!(
            (tens.times, tens.columns),
            (vec![0], vec![vec![9], vec![11], vec![20]])
        );
        assert_eq!(fine.coarser(200_000, 300_000, 60_000), None);
    }
}
