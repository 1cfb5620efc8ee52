//! Where the control groups of a container are, and what their files say, in both versions.

use std::path::{Path, PathBuf};

use windflow_model::metrics::Metric;

use super::{
    file::{Buffer, Kept},
    parse::{after, keyed, lines, only, word},
};

/// Directories that are looked into for a container in no usual place.
const LOOKED_INTO: usize = 4_096;
/// How deep: rootless engines are seven levels down.
const DEPTH: usize = 8;
/// A limit this high is none.
const NO_LIMIT: i64 = 1 << 60;

/// What a file, or two of them, tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// `cpuacct.usage`.
    CpuV1,
    /// `cpu.stat` of version 1.
    ThrottledV1,
    /// `cpu.stat` of version 2.
    CpuV2,
    /// What is used, and of that what could be given back.
    Memory(&'static [u8]),
    /// The most memory.
    Limit,
    /// `blkio.throttle.io_service_bytes`.
    IoV1,
    /// `io.stat`.
    IoV2,
    /// `pids.current`.
    Tasks,
}

impl What {
    const fn metrics(self) -> &'static [Metric] {
        match self {
            Self::CpuV1 => &[Metric::CONTAINER_CPU],
            Self::ThrottledV1 => &[Metric::CONTAINER_THROTTLED],
            Self::CpuV2 => &[Metric::CONTAINER_CPU, Metric::CONTAINER_THROTTLED],
            Self::Memory(_) => &[Metric::CONTAINER_MEMORY],
            Self::Limit => &[Metric::CONTAINER_MEMORY_LIMIT],
            Self::IoV1 | Self::IoV2 => &[Metric::CONTAINER_READ, Metric::CONTAINER_WRITTEN],
            Self::Tasks => &[Metric::CONTAINER_TASKS],
        }
    }

    /// The values in a file; the first one is used up to the length of the metrics.
    fn values(self, text: &[u8]) -> [i64; 2] {
        match self {
            Self::CpuV1 => [only(text).unwrap_or(0) / 1_000, 0],
            Self::ThrottledV1 => [keyed(text, b"throttled_time").unwrap_or(0) / 1_000, 0],
            Self::CpuV2 => [
                keyed(text, b"usage_usec").unwrap_or(0),
                keyed(text, b"throttled_usec").unwrap_or(0),
            ],
            Self::Memory(_) | Self::Tasks => [only(text).unwrap_or(0), 0],
            Self::Limit => [only(text).filter(|limit| *limit < NO_LIMIT).unwrap_or(0), 0],
            Self::IoV1 => io_v1(text),
            Self::IoV2 => io_v2(text),
        }
    }
}

fn io_v1(text: &[u8]) -> [i64; 2] {
    let mut found = [0; 2];
    for line in lines(text) {
        let (_device, rest) = word(line);
        let (kind, rest) = word(rest);
        let slot = match kind {
            b"Read" => 0,
            b"Write" => 1,
            _ => continue,
        };
        if let Some(slot) = found.get_mut(slot) {
            *slot += only(rest).unwrap_or(0);
        }
    }
    found
}

fn io_v2(text: &[u8]) -> [i64; 2] {
    let sum = |key: &[u8]| lines(text).filter_map(|line| after(line, key)).sum();
    [sum(b" rbytes="), sum(b" wbytes=")]
}

/// A file that tells something.
#[derive(Debug)]
pub(super) struct Source {
    what: What,
    file: Kept,
    /// Of memory: where the part is that could be given back.
    stat: Option<Kept>,
}

impl Source {
    pub(super) const fn metrics(&self) -> &'static [Metric] {
        self.what.metrics()
    }

    /// Appends its values; `None` if it is gone.
    pub(super) fn read(&mut self, buffer: &mut Buffer, values: &mut Vec<i64>) -> Option<()> {
        let mut found = self.what.values(self.file.read(buffer)?);
        if let (What::Memory(key), Some(stat)) = (self.what, &mut self.stat) {
            let files = keyed(stat.read(buffer)?, key).unwrap_or(0);
            found[0] = (found[0] - files).max(0);
        }
        values.extend(found.iter().take(self.metrics().len()));
        Some(())
    }
}

/// The control groups of this host.
#[derive(Debug)]
pub(super) struct Cgroups {
    root: PathBuf,
    unified: bool,
}

impl Cgroups {
    pub(super) fn new(sys: &Path) -> Self {
        let root = sys.join("fs/cgroup");
        let unified = root.join("cgroup.controllers").exists();
        Self { root, unified }
    }

    /// The path of a container below the root of each hierarchy.
    pub(super) fn find(&self, id: &str) -> Option<PathBuf> {
        let tree = if self.unified {
            self.root.clone()
        } else {
            // Every engine makes one here, whatever its limits.
            self.root.join("cpuacct")
        };
        let usual = [
            format!("system.slice/docker-{id}.scope"),
            format!("docker/{id}"),
            format!("machine.slice/libpod-{id}.scope"),
            format!("libpod_parent/libpod-{id}"),
        ];
        let found = usual
            .into_iter()
            .map(PathBuf::from)
            .find(|path| tree.join(path).is_dir());
        found.or_else(|| search(&tree, id))
    }

    /// Its sources. `keep`: whether their files may stay open.
    pub(super) fn sources(&self, path: &Path, keep: bool) -> Vec<Source> {
        let source = |controller: &str, file: &str, what: What| {
            let dir = if self.unified {
                self.root.join(path)
            } else {
                self.root.join(controller).join(path)
            };
            let open = |name: &str| {
                let file = dir.join(name);
                if keep {
                    Kept::new(file)
                } else {
                    Kept::briefly(file)
                }
            };
            Source {
                what,
                file: open(file),
                stat: matches!(what, What::Memory(_)).then(|| open("memory.stat")),
            }
        };
        if self.unified {
            vec![
                source("", "cpu.stat", What::CpuV2),
                source("", "memory.current", What::Memory(b"inactive_file")),
                source("", "memory.max", What::Limit),
                source("", "io.stat", What::IoV2),
                source("", "pids.current", What::Tasks),
            ]
        } else {
            vec![
                source("cpuacct", "cpuacct.usage", What::CpuV1),
                source("cpu", "cpu.stat", What::ThrottledV1),
                source(
                    "memory",
                    "memory.usage_in_bytes",
                    What::Memory(b"total_inactive_file"),
                ),
                source("memory", "memory.limit_in_bytes", What::Limit),
                source("blkio", "blkio.throttle.io_service_bytes_recursive", What::IoV1),
                source("pids", "pids.current", What::Tasks),
            ]
        }
    }

    /// A process of the container: for its interfaces.
    pub(super) fn process(&self, path: &Path) -> Option<String> {
        let tree = if self.unified {
            self.root.clone()
        } else {
            self.root.join("cpuacct")
        };
        let dir = tree.join(path);
        first_process(&dir.join("cgroup.procs")).or_else(|| {
            // One that manages groups of its own has its processes below.
            let below = fs_err::read_dir(&dir).ok()?.flatten();
            below
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .find_map(|entry| first_process(&entry.path().join("cgroup.procs")))
        })
    }
}

fn first_process(procs: &Path) -> Option<String> {
    let text = fs_err::read_to_string(procs).ok()?;
    text.lines().next().map(str::to_owned)
}

/// Looks for a directory whose name has the id in it, the shallow ones first.
fn search(tree: &Path, id: &str) -> Option<PathBuf> {
    let mut level = vec![tree.to_path_buf()];
    let mut looked = 0;
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for dir in &level {
            looked += 1;
            if looked > LOOKED_INTO {
                return None;
            }
            for entry in fs_err::read_dir(dir).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if entry.file_name().to_string_lossy().contains(id) {
                    return entry.path().strip_prefix(tree).ok().map(Path::to_path_buf);
                }
                next.push(entry.path());
            }
        }
        level = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_both_versions() {
        let check = |what: What, text: &str, expected: [i64; 2]| {
            assert_eq!(what.values(text.as_bytes()), expected, "{what:?} {text}");
        };
        check(What::CpuV1, "123456789\n", [123_456, 0]);
        check(
            What::ThrottledV1,
            "nr_periods 5\nnr_throttled 1\nthrottled_time 7000000\n",
            [7_000, 0],
        );
        check(
            What::CpuV2,
            "usage_usec 99\nuser_usec 60\nsystem_usec 39\nnr_periods 0\nnr_throttled 0\nthrottled_usec 5\n",
            [99, 5],
        );
        check(What::CpuV2, "usage_usec 99\n", [99, 0]);
        check(What::Limit, "max\n", [0, 0]);
        check(What::Limit, "9223372036854771712\n", [0, 0]);
        check(What::Limit, "67108864\n", [67_108_864, 0]);
        check(
            What::IoV1,
            "8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n8:0 Total 30\n8:16 Read 1\nTotal 31\n",
            [11, 20],
        );
        check(What::IoV1, "Total 0\n", [0, 0]);
        check(
            What::IoV2,
            "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=5 wbytes=6 rios=1 wios=1\n",
            [15, 26],
        );
        check(What::IoV2, "", [0, 0]);
        check(What::Tasks, "17\n", [17, 0]);
    }
}
