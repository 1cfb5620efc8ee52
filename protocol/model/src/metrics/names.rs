//! The metrics by number and name.

use super::Scope;

/// What is measured, by its number on wire and disk. Numbers are append-only; one that this build does not know is kept
/// and passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric(pub u16);

/// How its values behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever rises, until whatever counts begins anew.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// What its values count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths of a second.
    Microseconds,
    /// Hundredths of one.
    Hundredths,
    /// Thousandths of a degree Celsius.
    Millidegrees,
}

impl Unit {
    /// How many of it make one of the base unit: bytes, seconds, degrees, ones.
    #[must_use]
    pub const fn per_base(self) -> f64 {
        match self {
            Self::Count | Self::Bytes => 1.0,
            Self::Hundredths => 100.0,
            Self::Milliseconds | Self::Millidegrees => 1_000.0,
            Self::Microseconds => 1_000_000.0,
        }
    }
}

/// A metric that this build knows.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its number.
    pub metric: Metric,
    /// Its name, with its unit.
    pub name: &'static str,
    /// About what.
    pub scope: Scope,
    /// How it behaves.
    pub kind: Kind,
    /// What it counts.
    pub unit: Unit,
    /// In a sentence.
    pub help: &'static str,
}

impl Metric {
    /// `cpu_user_ms`.
    pub const CPU_USER: Self = Self(1);
    /// `cpu_system_ms`.
    pub const CPU_SYSTEM: Self = Self(2);
    /// `cpu_iowait_ms`.
    pub const CPU_IOWAIT: Self = Self(3);
    /// `cpu_steal_ms`.
    pub const CPU_STEAL: Self = Self(4);
    /// `cpu_idle_ms`.
    pub const CPU_IDLE: Self = Self(5);
    /// `load_1`.
    pub const LOAD_1: Self = Self(6);
    /// `load_5`.
    pub const LOAD_5: Self = Self(7);
    /// `load_15`.
    pub const LOAD_15: Self = Self(8);
    /// `tasks`.
    pub const TASKS: Self = Self(9);
    /// `memory_total_bytes`.
    pub const MEMORY_TOTAL: Self = Self(10);
    /// `memory_available_bytes`.
    pub const MEMORY_AVAILABLE: Self = Self(11);
    /// `memory_cached_bytes`.
    pub const MEMORY_CACHED: Self = Self(12);
    /// `swap_total_bytes`.
    pub const SWAP_TOTAL: Self = Self(13);
    /// `swap_free_bytes`.
    pub const SWAP_FREE: Self = Self(14);
    /// `pressure_cpu_some_us`.
    pub const PRESSURE_CPU: Self = Self(15);
    /// `pressure_memory_some_us`.
    pub const PRESSURE_MEMORY: Self = Self(16);
    /// `pressure_memory_full_us`.
    pub const PRESSURE_MEMORY_FULL: Self = Self(17);
    /// `pressure_io_some_us`.
    pub const PRESSURE_IO: Self = Self(18);
    /// `pressure_io_full_us`.
    pub const PRESSURE_IO_FULL: Self = Self(19);
    /// `disk_read_bytes`.
    pub const DISK_READ: Self = Self(30);
    /// `disk_written_bytes`.
    pub const DISK_WRITTEN: Self = Self(31);
    /// `disk_reads`.
    pub const DISK_READS: Self = Self(32);
    /// `disk_writes`.
    pub const DISK_WRITES: Self = Self(33);
    /// `disk_busy_ms`.
    pub const DISK_BUSY: Self = Self(34);
    /// `filesystem_total_bytes`.
    pub const FILESYSTEM_TOTAL: Self = Self(40);
    /// `filesystem_available_bytes`.
    pub const FILESYSTEM_AVAILABLE: Self = Self(41);
    /// `filesystem_files_free`.
    pub const FILESYSTEM_FILES_FREE: Self = Self(42);
    /// `network_received_bytes`.
    pub const NETWORK_RECEIVED: Self = Self(50);
    /// `network_sent_bytes`.
    pub const NETWORK_SENT: Self = Self(51);
    /// `network_receive_lost`.
    pub const NETWORK_RECEIVE_LOST: Self = Self(52);
    /// `network_send_lost`.
    pub const NETWORK_SEND_LOST: Self = Self(53);
    /// `temperature_millidegrees`.
    pub const TEMPERATURE: Self = Self(60);
    /// `container_cpu_us`.
    pub const CONTAINER_CPU: Self = Self(65);
    /// `container_throttled_us`.
    pub const CONTAINER_THROTTLED: Self = Self(66);
    /// `container_memory_bytes`.
    pub const CONTAINER_MEMORY: Self = Self(67);
    /// `container_memory_limit_bytes`.
    pub const CONTAINER_MEMORY_LIMIT: Self = Self(68);
    /// `container_read_bytes`.
    pub const CONTAINER_READ: Self = Self(69);
    /// `container_written_bytes`.
    pub const CONTAINER_WRITTEN: Self = Self(70);
    /// `container_tasks`.
    pub const CONTAINER_TASKS: Self = Self(71);
    /// `container_received_bytes`.
    pub const CONTAINER_RECEIVED: Self = Self(72);
    /// `container_sent_bytes`.
    pub const CONTAINER_SENT: Self = Self(73);

    /// The metric with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = KNOWN.iter().find(|known| known.name == name);
        found.map(|known| known.metric)
    }

    /// What this build knows of it.
    #[must_use]
    pub fn known(self) -> Option<&'static Known> {
        let found = KNOWN.binary_search_by_key(&self, |known| known.metric);
        KNOWN.get(found.ok()?)
    }

    /// Whether it only ever rises. An unknown one is taken for a gauge: shown as it is.
    #[must_use]
    pub fn is_counter(self) -> bool {
        self.known().is_some_and(|known| known.kind == Kind::Counter)
    }
}

const fn row(
    metric: Metric,
    name: &'static str,
    (scope, kind, unit): (Scope, Kind, Unit),
    help: &'static str,
) -> Known {
    Known {
        metric,
        name,
        scope,
        kind,
        unit,
        help,
    }
}

/// All of them, by number.
pub const KNOWN: &[Known] = &[
    row(
        Metric::CPU_USER,
        "cpu_user_ms",
        (Scope::Host, Kind::Counter, Unit::Milliseconds),
        "Time that all processors spent in programs, niced ones included.",
    ),
    row(
        Metric::CPU_SYSTEM,
        "cpu_system_ms",
        (Scope::Host, Kind::Counter, Unit::Milliseconds),
        "Time in the kernel, interrupts included.",
    ),
    row(
        Metric::CPU_IOWAIT,
        "cpu_iowait_ms",
        (Scope::Host, Kind::Counter, Unit::Milliseconds),
        "Time without work while a disk was waited for.",
    ),
    row(
        Metric::CPU_STEAL,
        "cpu_steal_ms",
        (Scope::Host, Kind::Counter, Unit::Milliseconds),
        "Time that the hypervisor gave to others.",
    ),
    row(
        Metric::CPU_IDLE,
        "cpu_idle_ms",
        (Scope::Host, Kind::Counter, Unit::Milliseconds),
        "Time without work.",
    ),
    row(
        Metric::LOAD_1,
        "load_1",
        (Scope::Host, Kind::Gauge, Unit::Hundredths),
        "Runnable and waiting tasks, mean of one minute.",
    ),
    row(
        Metric::LOAD_5,
        "load_5",
        (Scope::Host, Kind::Gauge, Unit::Hundredths),
        "The same over five minutes.",
    ),
    row(
        Metric::LOAD_15,
        "load_15",
        (Scope::Host, Kind::Gauge, Unit::Hundredths),
        "The same over fifteen minutes.",
    ),
    row(
        Metric::TASKS,
        "tasks",
        (Scope::Host, Kind::Gauge, Unit::Count),
        "Processes and threads.",
    ),
    row(
        Metric::MEMORY_TOTAL,
        "memory_total_bytes",
        (Scope::Host, Kind::Gauge, Unit::Bytes),
        "Memory.",
    ),
    row(
        Metric::MEMORY_AVAILABLE,
        "memory_available_bytes",
        (Scope::Host, Kind::Gauge, Unit::Bytes),
        "Memory that programs could have without swapping.",
    ),
    row(
        Metric::MEMORY_CACHED,
        "memory_cached_bytes",
        (Scope::Host, Kind::Gauge, Unit::Bytes),
        "Memory that holds files and can be given back.",
    ),
    row(
        Metric::SWAP_TOTAL,
        "swap_total_bytes",
        (Scope::Host, Kind::Gauge, Unit::Bytes),
        "Swap space.",
    ),
    row(
        Metric::SWAP_FREE,
        "swap_free_bytes",
        (Scope::Host, Kind::Gauge, Unit::Bytes),
        "Swap space that is not used.",
    ),
    row(
        Metric::PRESSURE_CPU,
        "pressure_cpu_some_us",
        (Scope::Host, Kind::Counter, Unit::Microseconds),
        "Time in which some task waited for a processor.",
    ),
    row(
        Metric::PRESSURE_MEMORY,
        "pressure_memory_some_us",
        (Scope::Host, Kind::Counter, Unit::Microseconds),
        "Time in which some task waited for memory.",
    ),
    row(
        Metric::PRESSURE_MEMORY_FULL,
        "pressure_memory_full_us",
        (Scope::Host, Kind::Counter, Unit::Microseconds),
        "Time in which all tasks waited for memory.",
    ),
    row(
        Metric::PRESSURE_IO,
        "pressure_io_some_us",
        (Scope::Host, Kind::Counter, Unit::Microseconds),
        "Time in which some task waited for a disk.",
    ),
    row(
        Metric::PRESSURE_IO_FULL,
        "pressure_io_full_us",
        (Scope::Host, Kind::Counter, Unit::Microseconds),
        "Time in which all tasks waited for a disk.",
    ),
    row(
        Metric::DISK_READ,
        "disk_read_bytes",
        (Scope::Disk, Kind::Counter, Unit::Bytes),
        "Read from the disk.",
    ),
    row(
        Metric::DISK_WRITTEN,
        "disk_written_bytes",
        (Scope::Disk, Kind::Counter, Unit::Bytes),
        "Written to the disk.",
    ),
    row(
        Metric::DISK_READS,
        "disk_reads",
        (Scope::Disk, Kind::Counter, Unit::Count),
        "Reads that were completed.",
    ),
    row(
        Metric::DISK_WRITES,
        "disk_writes",
        (Scope::Disk, Kind::Counter, Unit::Count),
        "Writes that were completed.",
    ),
    row(
        Metric::DISK_BUSY,
        "disk_busy_ms",
        (Scope::Disk, Kind::Counter, Unit::Milliseconds),
        "Time in which the disk had work.",
    ),
    row(
        Metric::FILESYSTEM_TOTAL,
        "filesystem_total_bytes",
        (Scope::Filesystem, Kind::Gauge, Unit::Bytes),
        "Size of the file system.",
    ),
    row(
        Metric::FILESYSTEM_AVAILABLE,
        "filesystem_available_bytes",
        (Scope::Filesystem, Kind::Gauge, Unit::Bytes),
        "What programs may still write.",
    ),
    row(
        Metric::FILESYSTEM_FILES_FREE,
        "filesystem_files_free",
        (Scope::Filesystem, Kind::Gauge, Unit::Count),
        "Files that can still be made.",
    ),
    row(
        Metric::NETWORK_RECEIVED,
        "network_received_bytes",
        (Scope::Network, Kind::Counter, Unit::Bytes),
        "Received by the interface.",
    ),
    row(
        Metric::NETWORK_SENT,
        "network_sent_bytes",
        (Scope::Network, Kind::Counter, Unit::Bytes),
        "Sent by the interface.",
    ),
    row(
        Metric::NETWORK_RECEIVE_LOST,
        "network_receive_lost",
        (Scope::Network, Kind::Counter, Unit::Count),
        "Packets with errors or dropped on their way in.",
    ),
    row(
        Metric::NETWORK_SEND_LOST,
        "network_send_lost",
        (Scope::Network, Kind::Counter, Unit::Count),
        "Packets with errors or dropped on their way out.",
    ),
    row(
        Metric::TEMPERATURE,
        "temperature_millidegrees",
        (Scope::Temperature, Kind::Gauge, Unit::Millidegrees),
        "Temperature in thousandths of a degree Celsius.",
    ),
    row(
        Metric::CONTAINER_CPU,
        "container_cpu_us",
        (Scope::Container, Kind::Counter, Unit::Microseconds),
        "Processor time.",
    ),
    row(
        Metric::CONTAINER_THROTTLED,
        "container_throttled_us",
        (Scope::Container, Kind::Counter, Unit::Microseconds),
        "Time in which a limit held it back.",
    ),
    row(
        Metric::CONTAINER_MEMORY,
        "container_memory_bytes",
        (Scope::Container, Kind::Gauge, Unit::Bytes),
        "Memory without files that can be given back.",
    ),
    row(
        Metric::CONTAINER_MEMORY_LIMIT,
        "container_memory_limit_bytes",
        (Scope::Container, Kind::Gauge, Unit::Bytes),
        "The most it may have; 0 without a limit.",
    ),
    row(
        Metric::CONTAINER_READ,
        "container_read_bytes",
        (Scope::Container, Kind::Counter, Unit::Bytes),
        "Read from disks.",
    ),
    row(
        Metric::CONTAINER_WRITTEN,
        "container_written_bytes",
        (Scope::Container, Kind::Counter, Unit::Bytes),
        "Written to disks.",
    ),
    row(
        Metric::CONTAINER_TASKS,
        "container_tasks",
        (Scope::Container, Kind::Gauge, Unit::Count),
        "Processes and threads.",
    ),
    row(
        Metric::CONTAINER_RECEIVED,
        "container_received_bytes",
        (Scope::Container, Kind::Counter, Unit::Bytes),
        "Received by its interfaces; absent where it shares the host's.",
    ),
    row(
        Metric::CONTAINER_SENT,
        "container_sent_bytes",
        (Scope::Container, Kind::Counter, Unit::Bytes),
        "Sent by its interfaces; absent where it shares the host's.",
    ),
];
