//! What can be asked for: the metrics as they are measured, and what is made of several of them.

use windflow_model::metrics::{Metric, Scope, Unit};

/// What is asked for: one column, or what is made of several columns of the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    pub(super) scope: Scope,
    pub(super) plus: &'static [Metric],
    pub(super) minus: &'static [Metric],
    /// What it is a share of: the sum of these.
    pub(super) of: &'static [Metric],
}

/// Measures that are made of several columns, by name, with a sentence.
pub const MADE: &[(&str, Measure, &str)] = &[
    (
        "cpu",
        Measure {
            scope: Scope::Host,
            plus: &[Metric::CPU_USER, Metric::CPU_SYSTEM, Metric::CPU_STEAL],
            minus: &[],
            of: &[
                Metric::CPU_USER,
                Metric::CPU_SYSTEM,
                Metric::CPU_STEAL,
                Metric::CPU_IOWAIT,
                Metric::CPU_IDLE,
            ],
        },
        "Share of all processors of a host that was busy, 0 to 1.",
    ),
    (
        "memory",
        Measure {
            scope: Scope::Host,
            plus: &[Metric::MEMORY_TOTAL],
            minus: &[Metric::MEMORY_AVAILABLE],
            of: &[],
        },
        "Memory in use on a host, in bytes.",
    ),
    (
        "memory_share",
        Measure {
            scope: Scope::Host,
            plus: &[Metric::MEMORY_TOTAL],
            minus: &[Metric::MEMORY_AVAILABLE],
            of: &[Metric::MEMORY_TOTAL],
        },
        "Share of the memory of a host that is in use, 0 to 1.",
    ),
    (
        "swap",
        Measure {
            scope: Scope::Host,
            plus: &[Metric::SWAP_TOTAL],
            minus: &[Metric::SWAP_FREE],
            of: &[],
        },
        "Swap space in use on a host, in bytes.",
    ),
    (
        "filesystem_share",
        Measure {
            scope: Scope::Filesystem,
            plus: &[Metric::FILESYSTEM_TOTAL],
            minus: &[Metric::FILESYSTEM_AVAILABLE],
            of: &[Metric::FILESYSTEM_TOTAL],
        },
        "Share of a file system that is in use, 0 to 1.",
    ),
];

impl Measure {
    /// The measure with this name: one of [`MADE`], or a metric.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if let Some((_, measure, _)) = MADE.iter().find(|(known, _, _)| *known == name) {
            return Some(*measure);
        }
        let known = windflow_model::metrics::KNOWN
            .iter()
            .find(|known| known.name == name)?;
        Some(Self {
            scope: known.scope,
            plus: std::slice::from_ref(&known.metric),
            minus: &[],
            of: &[],
        })
    }

    /// Whether it is a share of something: such are averaged, not added up.
    #[must_use]
    pub const fn is_share(&self) -> bool {
        !self.of.is_empty()
    }

    pub(super) fn is_counter(&self) -> bool {
        self.plus.first().is_some_and(|metric| metric.is_counter())
    }

    /// Whether its values are so much a second.
    pub(crate) fn is_rate(&self) -> bool {
        self.is_counter() && !self.is_share()
    }

    /// What it counts.
    pub(crate) fn unit(&self) -> Unit {
        let known = self.plus.first().and_then(|metric| metric.known());
        known.map_or(Unit::Count, |known| known.unit)
    }

    pub(super) fn per_base(&self) -> f64 {
        let known = self.plus.first().and_then(|metric| metric.known());
        known.map_or(1.0, |known| known.unit.per_base())
    }
}
