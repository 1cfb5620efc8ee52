//! What two samples say for people: shares and rates.

use serde::{Deserialize, Serialize};

use super::{Group, Metric, Sample, Scope};
use crate::time::Timestamp;

/// A host and its containers, as they were between two samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Usage {
    /// When the newer sample was taken, by the host's clock.
    pub at: Timestamp,
    /// The time between the two in seconds; 0 if there was only one, and no rates.
    pub over_s: f64,
    /// The host.
    pub host: HostUsage,
    /// Its disks.
    pub disks: Vec<DiskUsage>,
    /// Its file systems.
    pub filesystems: Vec<FilesystemUsage>,
    /// Its interfaces.
    pub networks: Vec<NetworkUsage>,
    /// Its thermometers.
    pub temperatures: Vec<TemperatureUsage>,
    /// Its running containers.
    pub containers: Vec<ContainerUsage>,
}

/// The host as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HostUsage {
    /// Share of all processors that was busy, 0 to 1.
    pub cpu: f64,
    /// Share in which a disk was waited for.
    pub cpu_iowait: f64,
    /// Share that the hypervisor gave to others.
    pub cpu_steal: f64,
    /// Mean of runnable and waiting tasks over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Processes and threads.
    pub tasks: u64,
    /// Memory in bytes.
    pub memory_total: u64,
    /// Memory that programs could not have without swapping, in bytes.
    pub memory_used: u64,
    /// Memory that holds files and can be given back, in bytes.
    pub memory_cached: u64,
    /// Swap space in bytes.
    pub swap_total: u64,
    /// Used swap space in bytes.
    pub swap_used: u64,
    /// Share of the time in which some task waited for a processor, if the kernel tells.
    pub pressure_cpu: Option<f64>,
    /// The same for memory.
    pub pressure_memory: Option<f64>,
    /// The same for disks.
    pub pressure_io: Option<f64>,
    /// Bytes read from all disks in a second.
    pub disk_read: f64,
    /// Bytes written to all disks in a second.
    pub disk_written: f64,
    /// Bytes received by all interfaces in a second.
    pub network_received: f64,
    /// Bytes sent by all interfaces in a second.
    pub network_sent: f64,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DiskUsage {
    /// Device.
    pub device: String,
    /// Bytes read in a second.
    pub read: f64,
    /// Bytes written in a second.
    pub written: f64,
    /// Share of the time in which it had work.
    pub busy: f64,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FilesystemUsage {
    /// Where it is mounted.
    pub mount: String,
    /// Size in bytes.
    pub total: u64,
    /// Bytes that programs may still write.
    pub available: u64,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NetworkUsage {
    /// Its name.
    pub interface: String,
    /// Bytes received in a second.
    pub received: f64,
    /// Bytes sent in a second.
    pub sent: f64,
}

/// A thermometer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TemperatureUsage {
    /// Its name.
    pub sensor: String,
    /// Degrees Celsius.
    pub celsius: f64,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContainerUsage {
    /// First 12 digits of its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its Compose project; empty without one.
    pub stack: String,
    /// Its Compose service; empty without one.
    pub service: String,
    /// Processors that it kept busy: 1 is one of them.
    pub cpu: f64,
    /// Share of the time in which a limit held it back.
    pub throttled: f64,
    /// Memory in bytes.
    pub memory: u64,
    /// The most it may have in bytes; 0 without a limit.
    pub memory_limit: u64,
    /// Bytes read from disks in a second.
    pub read: f64,
    /// Bytes written to disks in a second.
    pub written: f64,
    /// Bytes received in a second; `None` in the host's network.
    pub received: Option<f64>,
    /// Bytes sent in a second; `None` in the host's network.
    pub sent: Option<f64>,
    /// Processes and threads.
    pub tasks: u64,
}

/// A group in both samples.
struct Pair<'a> {
    group: &'a Group,
    now: &'a [i64],
    before: Option<(&'a Group, &'a [i64])>,
    seconds: f64,
}

impl Pair<'_> {
    fn gauge(&self, metric: Metric) -> Option<i64> {
        let column = self.group.metrics.iter().position(|one| *one == metric)?;
        self.now.get(column).copied()
    }

    fn amount(&self, metric: Metric) -> u64 {
        self.gauge(metric)
            .and_then(|value| u64::try_from(value).ok())
            .unwrap_or(0)
    }

    /// How much a counter rose, in its base unit and a second. One that fell began anew.
    fn rate(&self, metric: Metric) -> Option<f64> {
        let now = self.gauge(metric)?;
        let risen = self.before.and_then(|(group, values)| {
            let column = group.metrics.iter().position(|one| *one == metric)?;
            now.checked_sub(*values.get(column)?)
        });
        let risen = risen
            .filter(|risen| *risen >= 0 && self.seconds > 0.0)
            .unwrap_or(0);
        let unit = metric.known().map_or(1.0, |known| known.unit.per_base());
        Some(risen as f64 / unit / self.seconds.max(f64::MIN_POSITIVE))
    }

    fn per_second(&self, metric: Metric) -> f64 {
        self.rate(metric).unwrap_or(0.0)
    }
}

impl Usage {
    /// What happened between two samples; without an older one there are no rates.
    #[must_use]
    pub fn between(before: Option<&Sample>, now: &Sample) -> Self {
        let over_ms = before
            .map_or(0, |before| now.at_ms.saturating_sub(before.at_ms))
            .max(0);
        let seconds = over_ms as f64 / 1_000.0;
        let mut usage = Self {
            at: Timestamp::from_millis(now.at_ms),
            over_s: seconds,
            ..Self::default()
        };
        for (index, (at, group)) in now.layout.placed().enumerate() {
            let pair = Pair {
                group,
                now: now.of(at, group),
                before: before.and_then(|before| same(before, group, index)),
                seconds,
            };
            usage.add(&pair);
        }
        usage
    }

    fn add(&mut self, pair: &Pair<'_>) {
        let key = || pair.group.subject.key.clone();
        match pair.group.scope {
            Scope::Host => self.host = host(pair),
            Scope::Disk => {
                let disk = DiskUsage {
                    device: key(),
                    read: pair.per_second(Metric::DISK_READ),
                    written: pair.per_second(Metric::DISK_WRITTEN),
                    busy: pair.per_second(Metric::DISK_BUSY).min(1.0),
                };
                self.host.disk_read += disk.read;
                self.host.disk_written += disk.written;
                self.disks.push(disk);
            }
            Scope::Filesystem => self.filesystems.push(FilesystemUsage {
                mount: key(),
                total: pair.amount(Metric::FILESYSTEM_TOTAL),
                available: pair.amount(Metric::FILESYSTEM_AVAILABLE),
            }),
            Scope::Network => {
                let network = NetworkUsage {
                    interface: key(),
                    received: pair.per_second(Metric::NETWORK_RECEIVED),
                    sent: pair.per_second(Metric::NETWORK_SENT),
                };
                self.host.network_received += network.received;
                self.host.network_sent += network.sent;
                self.networks.push(network);
            }
            Scope::Temperature => self.temperatures.push(TemperatureUsage {
                sensor: key(),
                celsius: pair.gauge(Metric::TEMPERATURE).unwrap_or(0) as f64 / 1_000.0,
            }),
            Scope::Container => self.containers.push(container(pair)),
            Scope::Other(_) => {}
        }
    }
}

/// The same group in the older sample: mostly in the same place.
fn same<'a>(before: &'a Sample, group: &Group, index: usize) -> Option<(&'a Group, &'a [i64])> {
    let alike = |one: &Group| one.scope == group.scope && one.subject.key == group.subject.key;
    let mut placed = before.layout.placed().enumerate();
    let here = placed.find(|(place, (_, one))| *place == index && alike(one));
    let found = here.or_else(|| {
        before
            .layout
            .placed()
            .enumerate()
            .find(|(_, (_, one))| alike(one))
    });
    found.map(|(_, (at, group))| (group, before.of(at, group)))
}

fn host(pair: &Pair<'_>) -> HostUsage {
    let [user, system, wait, steal, idle] = [
        Metric::CPU_USER,
        Metric::CPU_SYSTEM,
        Metric::CPU_IOWAIT,
        Metric::CPU_STEAL,
        Metric::CPU_IDLE,
    ]
    .map(|metric| pair.per_second(metric));
    let all = user + system + wait + steal + idle;
    let share = |part: f64| if all > 0.0 { part / all } else { 0.0 };
    let load = |metric| pair.gauge(metric).unwrap_or(0) as f64 / 100.0;
    let pressure = |metric| pair.rate(metric).map(|share| share.min(1.0));
    let less = |whole: u64, part: u64| whole.saturating_sub(part);
    let (memory, swap) = (pair.amount(Metric::MEMORY_TOTAL), pair.amount(Metric::SWAP_TOTAL));
    HostUsage {
        cpu: share(user + system + steal),
        cpu_iowait: share(wait),
        cpu_steal: share(steal),
        load: [load(Metric::LOAD_1), load(Metric::LOAD_5), load(Metric::LOAD_15)],
        tasks: pair.amount(Metric::TASKS),
        memory_total: memory,
        memory_used: less(memory, pair.amount(Metric::MEMORY_AVAILABLE)),
        memory_cached: pair.amount(Metric::MEMORY_CACHED),
        swap_total: swap,
        swap_used: less(swap, pair.amount(Metric::SWAP_FREE)),
        pressure_cpu: pressure(Metric::PRESSURE_CPU),
        pressure_memory: pressure(Metric::PRESSURE_MEMORY),
        pressure_io: pressure(Metric::PRESSURE_IO),
        ..HostUsage::default()
    }
}

fn container(pair: &Pair<'_>) -> ContainerUsage {
    let subject = &pair.group.subject;
    ContainerUsage {
        id: subject.key.clone(),
        name: subject.name.clone(),
        stack: subject.stack.clone(),
        service: subject.service.clone(),
        cpu: pair.per_second(Metric::CONTAINER_CPU),
        throttled: pair.per_second(Metric::CONTAINER_THROTTLED),
        memory: pair.amount(Metric::CONTAINER_MEMORY),
        memory_limit: pair.amount(Metric::CONTAINER_MEMORY_LIMIT),
        read: pair.per_second(Metric::CONTAINER_READ),
        written: pair.per_second(Metric::CONTAINER_WRITTEN),
        received: pair.rate(Metric::CONTAINER_RECEIVED),
        sent: pair.rate(Metric::CONTAINER_SENT),
        tasks: pair.amount(Metric::CONTAINER_TASKS),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::{Layout, Subject};

    type Columns<'a> = (Scope, &'a str, &'a [(Metric, i64)]);

    fn sample(at_ms: i64, groups: &[Columns<'_>]) -> Sample {
        let values = groups
            .iter()
            .flat_map(|(_, _, columns)| columns.iter().map(|(_, value)| *value));
        let values = values.collect();
        let groups = groups.iter().map(|(scope, key, columns)| Group {
            scope: *scope,
            subject: Subject::plain(*key),
            metrics: columns.iter().map(|(metric, _)| *metric).collect(),
        });
        Sample {
            seq: 1,
            at_ms,
            layout: Arc::new(Layout {
                groups: groups.collect(),
            }),
            values,
        }
    }

    #[test]
    fn shares_and_rates() {
        let cpu = |user, idle| {
            [
                (Metric::CPU_USER, user),
                (Metric::CPU_IDLE, idle),
                (Metric::MEMORY_TOTAL, 100),
                (Metric::MEMORY_AVAILABLE, 30),
            ]
        };
        let box_of = |used| [(Metric::CONTAINER_CPU, used), (Metric::CONTAINER_MEMORY, 7)];
        let before = sample(
            0,
            &[
                (Scope::Host, "", &cpu(1_000, 1_000)),
                (Scope::Disk, "sda", &[(Metric::DISK_READ, 500)]),
                (Scope::Container, "a", &box_of(9_000_000)),
                (Scope::Container, "b", &box_of(0)),
            ],
        );
        // A disk has gone, so the containers have moved; one of them began anew.
        let now = sample(
            10_000,
            &[
                (Scope::Host, "", &cpu(6_000, 16_000)),
                (Scope::Container, "a", &box_of(10)),
                (Scope::Container, "b", &box_of(15_000_000)),
            ],
        );
        let usage = Usage::between(Some(&before), &now);
        assert_eq!(
            (usage.over_s, usage.host.cpu, usage.host.memory_used),
            (10.0, 0.25, 70)
        );
        let cpus: Vec<_> = usage.containers.iter().map(|one| one.cpu).collect();
        assert_eq!(cpus, [0.0, 1.5]);
        assert_eq!(
            (usage.containers[1].memory, usage.containers[1].received),
            (7, None)
        );
        assert_eq!(usage.host.pressure_io, None);
        // Alone, and with a clock that went back: no rates, but everything else.
        for before in [None, Some(&sample(20_000, &[(Scope::Host, "", &cpu(0, 0))]))] {
            let usage = Usage::between(before, &now);
            assert_eq!(
                (usage.over_s, usage.host.cpu, usage.host.memory_used),
                (0.0, 0.0, 70)
            );
        }
    }
}
