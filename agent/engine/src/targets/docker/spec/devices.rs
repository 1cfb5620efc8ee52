//! Limits, devices, GPUs.

use bollard_stubs::models::{
    DeviceMapping, DeviceRequest, HostConfig, ResourcesBlkioWeightDevice, ResourcesUlimits, ThrottleDevice,
};
use windflow_compose::model::{DeviceRequest as Wanted, Service, ThrottleDevice as Throttle, Ulimit};

use super::{
    host::{bytes, nonzero},
    some,
};

pub(super) fn resources(service: &Service, host: &mut HostConfig) {
    host.cpu_shares = nonzero(service.cpu_shares);
    host.cpu_period = nonzero(service.cpu_period);
    host.cpu_quota = nonzero(service.cpu_quota);
    host.cpu_realtime_period = nonzero(service.cpu_rt_period);
    host.cpu_realtime_runtime = nonzero(service.cpu_rt_runtime);
    host.cpuset_cpus.clone_from(&service.cpuset);
    host.nano_cpus = nano(service.cpus);
    host.memory = bytes(service.mem_limit);
    host.memory_swap = bytes(service.memswap_limit);
    host.memory_swappiness = bytes(service.mem_swappiness);
    host.memory_reservation = bytes(service.mem_reservation);
    host.pids_limit = nonzero(service.pids_limit);
    host.oom_kill_disable = Some(service.oom_kill_disable);
    host.cgroup_parent.clone_from(&service.cgroup_parent);
    host.device_cgroup_rules = some(service.device_cgroup_rules.clone());
    host.ulimits = some(
        service
            .ulimits
            .iter()
            .map(|(name, limit)| ulimit(name, *limit))
            .collect(),
    );
    host.cpu_count = nonzero(service.cpu_count);
    host.cpu_percent = hundredths(service.cpu_percent);
    let mut requests = Vec::new();
    if let Some(resources) = service.deploy.as_ref().map(|deploy| &deploy.resources) {
        if let Some(limits) = &resources.limits {
            host.nano_cpus = nano(limits.cpus).or(host.nano_cpus);
            host.memory = bytes(limits.memory).or(host.memory);
            host.pids_limit = (limits.pids > 0).then_some(limits.pids).or(host.pids_limit);
        }
        // Reserved processors are for Swarm only.
        if let Some(reservations) = &resources.reservations {
            host.memory_reservation = bytes(reservations.memory).or(host.memory_reservation);
            requests.extend(reservations.devices.iter().map(|device| request(device, false)));
        }
    }
    let (mut devices, mut names) = (Vec::new(), Vec::new());
    for device in &service.devices {
        let target = device.target.as_ref().unwrap_or(&device.source);
        if is_cdi(&device.source) && *target == device.source {
            names.push(device.source.clone());
            continue;
        }
        devices.push(DeviceMapping {
            path_on_host: Some(device.source.clone()),
            path_in_container: Some(target.clone()),
            cgroup_permissions: Some(device.permissions.clone().unwrap_or_else(|| "rwm".to_owned())),
        });
    }
    if !names.is_empty() {
        requests.push(DeviceRequest {
            driver: Some("cdi".to_owned()),
            device_ids: Some(names),
            ..DeviceRequest::default()
        });
    }
    requests.extend(service.gpus.iter().map(|gpu| request(gpu, true)));
    host.devices = some(devices);
    host.device_requests = some(requests);
    if let Some(blkio) = &service.blkio_config {
        host.blkio_weight = (blkio.weight != 0).then_some(blkio.weight);
        let weights = blkio
            .weight_device
            .iter()
            .map(|device| ResourcesBlkioWeightDevice {
                path: Some(device.path.clone()),
                weight: Some(usize::from(device.weight)),
            });
        host.blkio_weight_device = some(weights.collect());
        host.blkio_device_read_bps = throttle(&blkio.device_read_bps);
        host.blkio_device_write_bps = throttle(&blkio.device_write_bps);
        host.blkio_device_read_iops = throttle(&blkio.device_read_iops);
        host.blkio_device_write_iops = throttle(&blkio.device_write_iops);
    }
}

/// In the precision of docker compose, so that both ask for the same number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "billionths of a processor: a limit of 2^63 of them is no limit"
)]
fn nano(cpus: f64) -> Option<i64> {
    nonzero((cpus as f32 * 1e9) as i64)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "hundredths of a percent of a processor"
)]
fn hundredths(percent: f64) -> Option<i64> {
    nonzero((percent as f32 * 100.0) as i64)
}

/// A name of the Container Device Interface: `vendor.com/class=name`, not a path.
fn is_cdi(text: &str) -> bool {
    let Some((kind, name)) = text.split_once('=') else {
        return false;
    };
    let Some((vendor, class)) = kind.split_once('/') else {
        return false;
    };
    let word = |text: &str, more: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
    };
    word(vendor, "_-.") && word(class, "_-.") && word(name, "_-.:")
}

fn throttle(devices: &[Throttle]) -> Option<Vec<ThrottleDevice>> {
    let one = |device: &Throttle| ThrottleDevice {
        path: Some(device.path.clone()),
        rate: Some(device.rate.0),
    };
    some(devices.iter().map(one).collect())
}

fn ulimit(name: &str, limit: Ulimit) -> ResourcesUlimits {
    let (soft, hard) = match limit {
        Ulimit::Single(both) => (both, both),
        Ulimit::Range { soft, hard } => (soft, hard),
    };
    ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(soft),
        hard: Some(hard),
    }
}

fn request(wanted: &Wanted, gpu: bool) -> DeviceRequest {
    let mut capabilities = wanted.capabilities.clone();
    if gpu {
        capabilities.push("gpu".to_owned());
    }
    DeviceRequest {
        driver: wanted.driver.clone(),
        count: nonzero(wanted.count),
        device_ids: some(wanted.device_ids.clone()),
        capabilities: Some(vec![capabilities]),
        options: super::host::map(&wanted.options),
    }
}
