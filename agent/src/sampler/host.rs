//! Processors, load, memory, swap, pressure.

use windflow_model::metrics::{Group, Metric, Scope, Subject};

use super::{
    SamplerOptions,
    file::{Buffer, Kept},
    parse::{after, keyed, lines, number, numbers, only},
};

/// Milliseconds of a tick: USER_HZ is 100 on every architecture that Linux still runs on for us.
const TICK_MS: i64 = 10;
const KIB: i64 = 1024;
/// The first line of stat is all that is asked of it, and it is never longer.
const FIRST_LINE: usize = 256;

const ALWAYS: [Metric; 14] = [
    Metric::CPU_USER,
    Metric::CPU_SYSTEM,
    Metric::CPU_IOWAIT,
    Metric::CPU_STEAL,
    Metric::CPU_IDLE,
    Metric::LOAD_1,
    Metric::LOAD_5,
    Metric::LOAD_15,
    Metric::TASKS,
    Metric::MEMORY_TOTAL,
    Metric::MEMORY_AVAILABLE,
    Metric::MEMORY_CACHED,
    Metric::SWAP_TOTAL,
    Metric::SWAP_FREE,
];

/// Kernels tell of pressure from 4.20 on, if they were built and booted so.
const PRESSURE: [(&str, Metric, Option<Metric>); 3] = [
    ("pressure/cpu", Metric::PRESSURE_CPU, None),
    (
        "pressure/memory",
        Metric::PRESSURE_MEMORY,
        Some(Metric::PRESSURE_MEMORY_FULL),
    ),
    ("pressure/io", Metric::PRESSURE_IO, Some(Metric::PRESSURE_IO_FULL)),
];

#[derive(Debug)]
pub(super) struct Host {
    stat: Kept,
    load: Kept,
    memory: Kept,
    pressure: Vec<(Kept, Metric, Option<Metric>)>,
}

impl Host {
    pub(super) fn open(options: &SamplerOptions) -> Self {
        let file = |name: &str| Kept::new(options.proc.join(name));
        let mut buffer = Buffer::default();
        let pressure = PRESSURE.map(|(name, some, full)| (file(name), some, full));
        let pressure = pressure.into_iter().filter_map(|(mut file, some, full)| {
            let told = file.read(&mut buffer)?;
            (!told.is_empty()).then_some((file, some, full))
        });
        Self {
            stat: file("stat"),
            load: file("loadavg"),
            memory: file("meminfo"),
            pressure: pressure.collect(),
        }
    }

    pub(super) fn lay_out(&self, groups: &mut Vec<Group>) {
        let mut metrics = ALWAYS.to_vec();
        for (_, some, full) in &self.pressure {
            metrics.push(*some);
            metrics.extend(*full);
        }
        groups.push(Group {
            scope: Scope::Host,
            subject: Subject::default(),
            metrics,
        });
    }

    pub(super) fn read(&mut self, buffer: &mut Buffer, values: &mut Vec<i64>) {
        let read = self.stat.read_to(buffer, FIRST_LINE);
        values.extend(read.map_or([0; 5], processors));
        values.extend(self.load.read(buffer).map_or([0; 4], load));
        values.extend(self.memory.read(buffer).map_or([0; 5], memory));
        for (file, _, full) in &mut self.pressure {
            let (some, all) = file.read(buffer).map_or((0, 0), pressure);
            values.push(some);
            values.extend(full.map(|_| all));
        }
    }
}

/// User, system, waiting, stolen and idle milliseconds of proc(5)'s stat.
fn processors(stat: &[u8]) -> [i64; 5] {
    let mut ticks = [0; 8];
    let line = stat.strip_prefix(b"cpu ").unwrap_or_default();
    numbers(line, &mut ticks);
    let [user, nice, system, idle, waiting, irq, soft, stolen] = ticks;
    [user + nice, system + irq + soft, waiting, stolen, idle].map(|ticks| ticks * TICK_MS)
}

/// Load of 1, 5 and 15 minutes in hundredths, and tasks, of `0.20 0.18 0.12 1/80 11206`.
fn load(text: &[u8]) -> [i64; 4] {
    let mut found = [0; 4];
    let mut rest = text;
    for slot in found.iter_mut().take(3) {
        let Some((whole, behind)) = number(rest) else {
            return found;
        };
        let Some((cents, behind)) = behind.strip_prefix(b".").and_then(number) else {
            return found;
        };
        *slot = whole * 100 + cents;
        rest = behind;
    }
    let tasks = number(rest).and_then(|(_, rest)| only(rest.strip_prefix(b"/")?));
    found[3] = tasks.unwrap_or(0);
    found
}

/// Total, available, cached, swap and free swap in bytes.
fn memory(text: &[u8]) -> [i64; 5] {
    let of = |key: &[u8]| keyed(text, key).unwrap_or(0).saturating_mul(KIB);
    let cached = of(b"Cached") + of(b"Buffers") + of(b"SReclaimable");
    [
        of(b"MemTotal"),
        of(b"MemAvailable"),
        cached,
        of(b"SwapTotal"),
        of(b"SwapFree"),
    ]
}

/// Microseconds in which some and all tasks waited.
fn pressure(text: &[u8]) -> (i64, i64) {
    let of = |kind: &[u8]| {
        let line = lines(text).find(|line| line.starts_with(kind));
        line.and_then(|line| after(line, b"total=")).unwrap_or(0)
    };
    (of(b"some"), of(b"full"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_files_of_kernels() {
        // 6.1, two processors.
        assert_eq!(
            processors(b"cpu  1237338 548821 367722 422212 33867 0 11808 5653 0 0\ncpu0 602276 1\n"),
            [17_861_590, 3_795_300, 338_670, 56_530, 4_222_120]
        );
        // 2.6.32: no guest columns; and no file of that name at all.
        assert_eq!(processors(b"cpu  1 2 3 4 5 6 7 8\n"), [30, 160, 50, 80, 40]);
        assert_eq!(processors(b""), [0; 5]);
        assert_eq!(load(b"4.48 4.50 13.69 6/126 10375\n"), [448, 450, 1_369, 126]);
        assert_eq!(load(b"0.00 0.01 0.05"), [0, 1, 5, 0]);
        assert_eq!(load(b"nonsense"), [0; 4]);
        let meminfo = b"MemTotal:       24684084 kB\nMemFree:        21824796 kB\nMemAvailable:   23270932 kB\n\
            Buffers:            3620 kB\nCached:          1382560 kB\nSwapCached:            0 kB\nSwapTotal:       1000 kB\n\
            SwapFree:         400 kB\nSReclaimable:      20 kB\n";
        assert_eq!(
            memory(meminfo),
            [24_684_084, 23_270_932, 1_386_200, 1_000, 400].map(|kib| kib * 1024)
        );
        assert_eq!(
            pressure(b"some avg10=4.66 avg60=6.36 avg300=8.60 total=585679871\nfull avg10=0.09 avg60=1.31 avg300=2.30 total=198145545\n"),
            (585_679_871, 198_145_545)
        );
        // Before 5.13 nothing was said of all tasks and processors.
        assert_eq!(
            pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"),
            (9, 0)
        );
    }
}
