//! Samples of a host and of its containers: numbers in columns.
//!
//! A sample is a time and one integer per column; the [`Layout`] names the columns and seldom changes. Counters are stored
//! as the host has them, only ever rising: whoever reads makes rates of them, so a lost sample costs resolution, never
//! truth.

use std::sync::Arc;

mod names;
pub mod text;
mod usage;

pub use names::{KNOWN, Kind, Known, Metric, Unit};
pub use usage::{
    ContainerUsage, DiskUsage, FilesystemUsage, HostUsage, NetworkUsage, TemperatureUsage, Usage,
};

/// What a group of columns is about. The numbers are on wire and disk: append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The host as a whole.
    Host,
    /// A disk.
    Disk,
    /// A mounted file system.
    Filesystem,
    /// A network interface.
    Network,
    /// A thermometer.
    Temperature,
    /// A container.
    Container,
    /// Something that a newer build knows.
    Other(u8),
}

impl Scope {
    /// Its number on wire and disk.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Host => 0,
            Self::Disk => 1,
            Self::Filesystem => 2,
            Self::Network => 3,
            Self::Temperature => 4,
            Self::Container => 5,
            Self::Other(code) => code,
        }
    }

    /// The scope with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Host,
            1 => Self::Disk,
            2 => Self::Filesystem,
            3 => Self::Network,
            4 => Self::Temperature,
            5 => Self::Container,
            other => Self::Other(other),
        }
    }

    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Disk => "disk",
            Self::Filesystem => "filesystem",
            Self::Network => "network",
            Self::Temperature => "temperature",
            Self::Container => "container",
            Self::Other(_) => "other",
        }
    }
}

/// Which disk, interface, container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Subject {
    /// Device, mount point, interface, thermometer, or the first 12 digits of a container's id; empty for the host.
    pub key: String,
    /// Name of the container; else empty.
    pub name: String,
    /// Its Compose project, if it has one.
    pub stack: String,
    /// Its Compose service, if it has one.
    pub service: String,
}

impl Subject {
    /// One that is no container.
    #[must_use]
    pub fn plain(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }
}

/// Columns about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// About what kind of thing.
    pub scope: Scope,
    /// Which one.
    pub subject: Subject,
    /// The columns.
    pub metrics: Vec<Metric>,
}

/// The columns of samples.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// In the order of the values.
    pub groups: Vec<Group>,
}

impl Layout {
    /// How many columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.groups.iter().map(|group| group.metrics.len()).sum()
    }

    /// Each group with the place of its first column.
    pub fn placed(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.groups.iter().scan(0, |next, group| {
            let at = *next;
            *next += group.metrics.len();
            Some((at, group))
        })
    }
}

/// Everything at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its number since the start of the agent, without gaps: what is missing was lost.
    pub seq: u64,
    /// Milliseconds since 1970, by the host's clock.
    pub at_ms: i64,
    /// What the values are.
    pub layout: Arc<Layout>,
    /// One for each column.
    pub values: Vec<i64>,
}

impl Sample {
    /// The value of a metric of the first group in this scope with this key.
    #[must_use]
    pub fn value(&self, scope: Scope, key: &str, metric: Metric) -> Option<i64> {
        let (at, group) = self
            .layout
            .placed()
            .find(|(_, group)| group.scope == scope && group.subject.key == key)?;
        let column = group.metrics.iter().position(|one| *one == metric)?;
        self.values.get(at + column).copied()
    }

    /// The values of one group.
    #[must_use]
    pub fn of(&self, at: usize, group: &Group) -> &[i64] {
        self.values.get(at..at + group.metrics.len()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let group = |scope, key: &str, metrics: &[Metric]| Group {
            scope,
            subject: Subject::plain(key),
            metrics: metrics.to_vec(),
        };
        let layout = Layout {
            groups: vec![
                group(Scope::Host, "", &[Metric::LOAD_1, Metric::MEMORY_TOTAL]),
                group(Scope::Disk, "sda", &[Metric::DISK_READ]),
                group(Scope::Disk, "sdb", &[Metric::DISK_READ, Metric::DISK_WRITTEN]),
            ],
        };
        let sample = Sample {
            seq: 1,
            at_ms: 0,
            layout: Arc::new(layout),
            values: vec![10, 20, 30, 40, 50],
        };
        let check = |scope, key: &str, metric, expected: Option<i64>| {
            assert_eq!(sample.value(scope, key, metric), expected, "{key} {metric:?}");
        };
        check(Scope::Host, "", Metric::MEMORY_TOTAL, Some(20));
        check(Scope::Disk, "sdb", Metric::DISK_WRITTEN, Some(50));
        check(Scope::Disk, "sda", Metric::DISK_WRITTEN, None);
        check(Scope::Disk, "sdc", Metric::DISK_READ, None);
        assert_eq!(sample.layout.width(), 5);
    }

    #[test]
    fn numbers_of_scopes_and_metrics_stay() {
        for code in 0..=255 {
            assert_eq!(Scope::from_code(code).code(), code);
        }
        let mut last = 0;
        for known in KNOWN {
            assert!(
                known.metric.0 > last,
                "{}: numbers rise, none is used twice",
                known.name
            );
            last = known.metric.0;
            assert_eq!(Metric::named(known.name), Some(known.metric));
        }
        // The highest one in this build; a line that is inserted or removed moves it.
        assert_eq!((KNOWN.len(), last), (41, 73));
    }
}
