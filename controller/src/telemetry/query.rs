//! Questions about the history: a metric, a function, steps.
//!
//! Counters are taken as rates from point to point, in base units a second; a counter that fell began anew, and a pause in
//! the points is no zero. Gauges are taken as they are, in base units.

use std::collections::BTreeMap;

use windflow_model::metrics::{Group, Metric, Subject};

use super::{
    block::{Block, HIGHEST},
    measure::Measure,
};

/// Points further apart than this (milliseconds), beyond the step, have a pause between them.
const PAUSE: i64 = 150_000;

/// What one point of a series says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Mean over the step: of a counter, its rate.
    Mean,
    /// The highest value in the step.
    Highest,
    /// The lowest value in the step.
    Lowest,
    /// The last value in the step.
    Last,
    /// So many hundredths of the values are not above it.
    Percentile(u8),
}

/// The steps of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// Begin of the first, in milliseconds since 1970.
    pub from: i64,
    /// Length of each in milliseconds.
    pub step: i64,
    /// How many.
    pub count: usize,
}

impl Steps {
    pub(super) const fn end(&self) -> i64 {
        self.from
            .saturating_add(self.step.saturating_mul(self.count as i64))
    }

    fn of(&self, at: i64) -> Option<usize> {
        let index = at.checked_sub(self.from)?.div_euclid(self.step.max(1));
        usize::try_from(index).ok().filter(|index| *index < self.count)
    }
}

/// What fell into one step.
#[derive(Debug, Clone, Default)]
struct Step {
    sum: f64,
    weight: f64,
    highest: Option<f64>,
    lowest: Option<f64>,
    last: Option<f64>,
    /// Only for percentiles.
    all: Vec<f32>,
}

/// What a step of a series takes: while it is filled, and its value.
const STEP_BYTES: usize = size_of::<Step>() + VALUE_BYTES;
/// What is left of it once it is filled.
pub(super) const VALUE_BYTES: usize = size_of::<Option<f64>>();

/// Steps that are being filled.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    function: Function,
    steps: Vec<Step>,
}

impl Filling {
    fn new(function: Function, count: usize) -> Self {
        Self {
            function,
            steps: vec![Step::default(); count],
        }
    }

    /// `highest` is what the value reached in its time, if more is known than `value`.
    fn add(&mut self, index: usize, value: f64, weight: f64, highest: f64) {
        let Some(step) = self.steps.get_mut(index) else {
            return;
        };
        step.sum += value * weight;
        step.weight += weight;
        step.highest = Some(step.highest.map_or(highest, |known| known.max(highest)));
        step.lowest = Some(step.lowest.map_or(value, |known| known.min(value)));
        step.last = Some(value);
        if matches!(self.function, Function::Percentile(_)) {
            step.all.push(value as f32);
        }
    }

    /// The values of the steps; `None` where there was nothing.
    pub(super) fn values(&mut self) -> Vec<Option<f64>> {
        let function = self.function;
        let value = |step: &mut Step| match function {
            Function::Mean => (step.weight > 0.0).then(|| step.sum / step.weight),
            Function::Highest => step.highest,
            Function::Lowest => step.lowest,
            Function::Last => step.last,
            Function::Percentile(hundredths) => percentile(&mut step.all, hundredths),
        };
        self.steps.iter_mut().map(value).collect()
    }

    /// All that fell into the steps of another series, too: for percentiles over many series.
    pub(super) fn merge(&mut self, other: &Self) {
        for (step, more) in self.steps.iter_mut().zip(&other.steps) {
            step.all.extend_from_slice(&more.all);
        }
    }
}

/// The nearest rank.
fn percentile(all: &mut [f32], hundredths: u8) -> Option<f64> {
    all.sort_by(f32::total_cmp);
    let rank = (all.len() * usize::from(hundredths))
        .div_ceil(100)
        .saturating_sub(1);
    all.get(rank).map(|value| f64::from(*value))
}

/// Which series are wanted, within a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Device, mount point, interface; first digits of the id or name of a container.
    pub key: Option<String>,
    /// Compose project of a container.
    pub stack: Option<String>,
    /// Compose service of a container.
    pub service: Option<String>,
}

impl Filter {
    fn fits(&self, subject: &Subject) -> bool {
        let same = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|wanted| wanted == has);
        let key = self.key.as_deref().is_none_or(|wanted| {
            wanted == subject.key
                || wanted == subject.name
                || subject.key.len() >= 12 && wanted.starts_with(&subject.key)
        });
        key && same(&self.stack, &subject.stack) && same(&self.service, &subject.service)
    }
}

/// The series of one host.
#[derive(Debug)]
pub(super) struct HostAnswer {
    measure: Measure,
    function: Function,
    steps: Steps,
    filter: Filter,
    pub(super) series: BTreeMap<String, (Subject, Filling)>,
    /// Bytes that the series may take, and have taken.
    room: usize,
    pub(super) taken: usize,
    /// Where each counter was, and when: pairs reach over blocks.
    before: BTreeMap<String, (i64, Vec<i64>)>,
}

impl HostAnswer {
    /// An answer that may take so many bytes.
    pub(super) fn new(
        measure: Measure,
        function: Function,
        steps: Steps,
        filter: Filter,
        room: usize,
    ) -> Self {
        Self {
            room,
            taken: 0,
            measure,
            function,
            steps,
            filter,
            series: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }

    /// Whether there was not enough room for all of it.
    pub(super) const fn is_cut(&self) -> bool {
        self.taken > self.room
    }

    /// Adds the points of a block from `low` on and before `high`. Blocks come in the order of time; points that are not
    /// behind the last one are left out.
    pub(super) fn add(&mut self, block: &Block, low: i64, high: i64) {
        let begin = block.times.partition_point(|time| *time < low);
        let end = block.times.partition_point(|time| *time < high);
        for (at, group) in block.layout.placed() {
            if group.scope == self.measure.scope && self.filter.fits(&group.subject) {
                self.add_group(block, at, group, begin..end);
            }
        }
    }

    fn add_group(&mut self, block: &Block, at: usize, group: &Group, points: std::ops::Range<usize>) {
        let column = |metric: &Metric| {
            let place = group.metrics.iter().position(|one| one == metric)?;
            block.columns.get(at + place).map(Vec::as_slice)
        };
        let parts = |metrics: &'static [Metric]| metrics.iter().map(column).collect::<Option<Vec<_>>>();
        let (Some(plus), Some(minus), Some(of)) = (
            parts(self.measure.plus),
            parts(self.measure.minus),
            parts(self.measure.of),
        ) else {
            return;
        };
        // Coarser points know how high the gauge was meanwhile; of what is made of several, only alone.
        let highest = match (self.measure.plus, self.measure.minus) {
            ([one], []) => column(&Metric(one.0 | HIGHEST)),
            _ => None,
        };
        let key = &group.subject.key;
        let fresh = !self.series.contains_key(key);
        if fresh {
            self.taken += self.steps.count * STEP_BYTES;
        }
        if matches!(self.function, Function::Percentile(_)) {
            self.taken += points.len() * size_of::<f32>();
        }
        if self.is_cut() {
            return;
        }
        if fresh {
            let filling = Filling::new(self.function, self.steps.count);
            self.series.insert(key.clone(), (group.subject.clone(), filling));
        }
        let Some((_, filling)) = self.series.get_mut(key) else {
            return;
        };
        let (counter, per_base) = (self.measure.is_counter(), self.measure.per_base());
        let mut before = self.before.remove(key);
        let sum = |columns: &[&[i64]], index: usize| -> i64 {
            let values = columns.iter().filter_map(|column| column.get(index));
            values.fold(0, |sum, value| sum.wrapping_add(*value))
        };
        for index in points {
            let Some(time) = block.times.get(index).copied() else {
                break;
            };
            if before.as_ref().is_some_and(|(last, _)| *last >= time) {
                continue;
            }
            let value = sum(&plus, index).wrapping_sub(sum(&minus, index));
            let whole = sum(&of, index);
            let now = vec![value, whole];
            let step = self.steps.of(time);
            if counter {
                if let (Some((then, was)), Some(step)) = (&before, step)
                    && let ([value_was, whole_was], true) =
                        (was.as_slice(), time - then <= PAUSE + self.steps.step)
                {
                    let (risen, whole_risen) =
                        (value.wrapping_sub(*value_was), whole.wrapping_sub(*whole_was));
                    let seconds = (time - then) as f64 / 1_000.0;
                    if risen >= 0 && !of.is_empty() && whole_risen > 0 {
                        let share = risen as f64 / whole_risen as f64;
                        filling.add(step, share, seconds, share);
                    } else if risen >= 0 && of.is_empty() {
                        let rate = risen as f64 / per_base / seconds;
                        filling.add(step, rate, seconds, rate);
                    }
                }
            } else if let Some(step) = step {
                let scale = if of.is_empty() { per_base } else { whole as f64 };
                if scale > 0.0 {
                    let top = highest
                        .and_then(|column| column.get(index))
                        .copied()
                        .unwrap_or(value);
                    filling.add(step, value as f64 / scale, 1.0, top as f64 / scale);
                }
            }
            before = Some((time, now));
        }
        if let Some(before) = before {
            self.before.insert(key.clone(), before);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windflow_model::metrics::{Layout, Sample, Scope};

    use super::*;

    fn block(group: Group, points: &[(i64, &[i64])]) -> Block {
        let layout = Arc::new(Layout { groups: vec![group] });
        let mut block = Block::new(Arc::clone(&layout));
        for (at_ms, values) in points {
            block.push(&Sample {
                seq: 1,
                at_ms: *at_ms,
                layout: Arc::clone(&layout),
                values: values.to_vec(),
            });
        }
        block
    }

    fn group(scope: Scope, key: &str, metrics: &[Metric]) -> Group {
        Group {
            scope,
            subject: Subject::plain(key),
            metrics: metrics.to_vec(),
        }
    }

    fn ask(name: &str, function: Function, blocks: &[Block]) -> Vec<Option<f64>> {
        let steps = Steps {
            from: 0,
            step: 60_000,
            count: 3,
        };
        let mut answer = HostAnswer::new(
            Measure::named(name).unwrap(),
            function,
            steps,
            Filter::default(),
            usize::MAX,
        );
        blocks.iter().for_each(|block| answer.add(block, 0, steps.end()));
        answer.series.values_mut().next().unwrap().1.values()
    }

    #[test]
    fn counters_are_rates_and_pauses_are_no_zeros() {
        let disk = || group(Scope::Disk, "sda", &[Metric::DISK_READ, Metric::DISK_BUSY]);
        let blocks = [
            block(disk(), &[(0, &[0, 0]), (30_000, &[3_000, 15_000])]),
            // It reaches over the end of a block; then it began anew; then nothing for long.
            block(
                disk(),
                &[(59_000, &[3_000, 15_000]), (70_000, &[0, 0]), (80_000, &[100, 0])],
            ),
        ];
        let check = |name: &str, function, expected: [Option<f64>; 3]| {
            assert_eq!(ask(name, function, &blocks), expected, "{name} {function:?}");
        };
        check(
            "disk_read_bytes",
            Function::Highest,
            [Some(100.0), Some(10.0), None],
        );
        check("disk_read_bytes", Function::Lowest, [Some(0.0), Some(10.0), None]);
        check(
            "disk_read_bytes",
            Function::Mean,
            [Some(3_000.0 / 59.0), Some(10.0), None],
        );
        check("disk_busy_ms", Function::Highest, [Some(0.5), Some(0.0), None]);
        check(
            "disk_read_bytes",
            Function::Percentile(50),
            [Some(0.0), Some(10.0), None],
        );
        check(
            "disk_read_bytes",
            Function::Percentile(99),
            [Some(100.0), Some(10.0), None],
        );
    }

    #[test]
    fn shares_and_gauges() {
        let host = group(
            Scope::Host,
            "",
            &[
                Metric::CPU_USER,
                Metric::CPU_SYSTEM,
                Metric::CPU_STEAL,
                Metric::CPU_IOWAIT,
                Metric::CPU_IDLE,
                Metric::MEMORY_TOTAL,
                Metric::MEMORY_AVAILABLE,
                Metric::LOAD_1,
            ],
        );
        let blocks = [block(
            host,
            &[
                (0, &[0, 0, 0, 0, 0, 100, 75, 150]),
                (10_000, &[2_000, 1_000, 0, 1_000, 8_000, 100, 25, 50]),
            ],
        )];
        assert_eq!(ask("cpu", Function::Mean, &blocks), [Some(0.25), None, None]);
        assert_eq!(
            ask("memory", Function::Highest, &blocks),
            [Some(75.0), None, None]
        );
        assert_eq!(
            ask("memory_share", Function::Mean, &blocks),
            [Some(0.5), None, None]
        );
        assert_eq!(ask("load_1", Function::Last, &blocks), [Some(0.5), None, None]);
        assert_eq!(Measure::named("nonsense"), None);
    }

    #[test]
    fn the_highest_survives_coarsening() {
        let points: Vec<(i64, [i64; 1])> = (0..12).map(|n| (n * 5_000, [n * 100])).collect();
        let points: Vec<(i64, &[i64])> = points
            .iter()
            .map(|(at, values)| (*at, values.as_slice()))
            .collect();
        let fine = block(group(Scope::Host, "", &[Metric::LOAD_1]), &points);
        let coarse = [fine.coarser(0, 60_000, 60_000).unwrap()];
        assert_eq!(
            ask("load_1", Function::Highest, &coarse),
            [Some(11.0), None, None]
        );
        assert_eq!(ask("load_1", Function::Mean, &coarse), [Some(5.5), None, None]);
    }
}
