//! Disks: what was read and written, and how long they were busy.

use std::path::PathBuf;

use windflow_model::metrics::{Group, Metric, Scope, Subject};

use super::{
    Fit, SamplerOptions,
    file::{Buffer, Kept},
    parse::{lines, numbers, word},
};

/// Diskstats counts in sectors of this size, whatever the disk's own are.
const SECTOR: i64 = 512;
/// More disks than this are left out.
const MOST: usize = 32;

const METRICS: [Metric; 5] = [
    Metric::DISK_READ,
    Metric::DISK_WRITTEN,
    Metric::DISK_READS,
    Metric::DISK_WRITES,
    Metric::DISK_BUSY,
];

#[derive(Debug)]
pub(super) struct Disks {
    stats: Kept,
    block: PathBuf,
    /// Every line of the file, and whether it is one of a real disk.
    lines: Vec<(Vec<u8>, bool)>,
}

impl Disks {
    pub(super) fn new(options: &SamplerOptions) -> Self {
        Self {
            stats: Kept::new(options.proc.join("diskstats")),
            block: options.sys.join("block"),
            lines: Vec::new(),
        }
    }

    pub(super) fn lay_out(&mut self, buffer: &mut Buffer, groups: &mut Vec<Group>) {
        self.lines.clear();
        let mut disks = 0;
        for (name, _) in lines(self.stats.read(buffer).unwrap_or_default()).map(device) {
            let text = String::from_utf8_lossy(name).into_owned();
            // Partitions, loops and what is put together from other disks would be counted twice: only what has a
            // device behind it. A slash in a name is an exclamation mark there.
            let real = disks < MOST && self.block.join(text.replace('/', "!")).join("device").exists();
            if real {
                disks += 1;
                groups.push(Group {
                    scope: Scope::Disk,
                    subject: Subject::plain(text),
                    metrics: METRICS.to_vec(),
                });
            }
            self.lines.push((name.to_vec(), real));
        }
    }

    pub(super) fn read(&mut self, buffer: &mut Buffer, values: &mut Vec<i64>) -> Fit {
        let mut known = self.lines.iter();
        for (name, rest) in lines(self.stats.read(buffer).unwrap_or_default()).map(device) {
            match known.next() {
                Some((expected, real)) if expected == name => {
                    if *real {
                        values.extend(figures(rest));
                    }
                }
                _ => return Fit::Changed,
            }
        }
        match known.next() {
            None => Fit::Fits,
            Some(_) => Fit::Changed,
        }
    }
}

/// The name of a line of diskstats, and what follows it.
fn device(line: &[u8]) -> (&[u8], &[u8]) {
    let (_major, rest) = word(line);
    let (_minor, rest) = word(rest);
    word(rest)
}

/// Bytes read and written, reads, writes, busy milliseconds.
fn figures(rest: &[u8]) -> [i64; 5] {
    let mut found = [0; 10];
    numbers(rest, &mut found);
    let [reads, _, read, _, writes, _, written, _, _, busy] = found;
    [
        read.saturating_mul(SECTOR),
        written.saturating_mul(SECTOR),
        reads,
        writes,
        busy,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_kernels() {
        let check = |line: &str, name: &str, expected: [i64; 5]| {
            let (found, rest) = device(line.as_bytes());
            assert_eq!((found, figures(rest)), (name.as_bytes(), expected), "{line}");
        };
        // 6.1 with discards and flushes, 4.4 without, and one that was never used.
        check(
            " 254       0 vda 2771113 161683 217550762 9974333 7416153 414502 887266208 6030474 0 1029328 16404976 1585472 386 804400480 343820 1076039 56348",
            "vda",
            [111_385_990_144, 454_280_298_496, 2_771_113, 7_416_153, 1_029_328],
        );
        check(
            "   8       0 sda 10 1 20 3 40 5 60 7 8 90 100",
            "sda",
            [10_240, 30_720, 10, 40, 90],
        );
        check("   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0", "loop0", [0; 5]);
        check("", "", [0; 5]);
    }
}
