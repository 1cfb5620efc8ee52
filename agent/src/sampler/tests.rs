//! Whole samples: of a host that is made of files here, and of the one that the tests run on.

use std::path::Path;

use windflow_model::{
    ContainerState, Health, Timestamp,
    metrics::{Metric, Scope},
};

use super::*;

const ID: &str = "4f3c2b1a0f9e4f3c2b1a0f9e4f3c2b1a0f9e4f3c2b1a0f9e4f3c2b1a0f9e4f3c";

struct Box {
    dir: tempfile::TempDir,
}

impl Box {
    fn new() -> Self {
        let made = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        made.put("proc/stat", "cpu  100 0 50 800 7 1 2 3 0 0\ncpu0 1\n");
        made.put("proc/loadavg", "0.50 0.25 0.10 1/80 99\n");
        made.put(
            "proc/meminfo",
            "MemTotal: 1000 kB\nMemAvailable: 600 kB\nCached: 100 kB\nSwapTotal: 0 kB\n",
        );
        made.put(
            "proc/pressure/io",
            "some avg10=0 total=11\nfull avg10=0 total=5\n",
        );
        made.put(
            "proc/diskstats",
            " 8 0 sda 1 0 2 0 3 0 4 0 0 5 6\n 8 1 sda1 1 0 2 0 3 0 4 0 0 5 6\n",
        );
        made.put("sys/block/sda/device/model", "x\n");
        made.put(
            "proc/net/dev",
            "a|b\n c|d\n lo: 1\neth0: 7 0 0 0 0 0 0 0 8 0 0 0\n",
        );
        made.put("sys/class/thermal/thermal_zone0/type", "board\n");
        made.put("sys/class/thermal/thermal_zone0/temp", "41500\n");
        made
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        // In place: the sampler keeps the file open.
        fs_err::write(path, text).unwrap();
    }

    fn v2(&self, dir: &str, cpu: u64) {
        self.put("sys/fs/cgroup/cgroup.controllers", "cpu memory io pids\n");
        let put = |name: &str, text: &str| self.put(&format!("sys/fs/cgroup/{dir}/{name}"), text);
        put("cpu.stat", &format!("usage_usec {cpu}\nthrottled_usec 0\n"));
        put("memory.current", "5000\n");
        put("memory.stat", "anon 1\ninactive_file 1000\n");
        put("memory.max", "max\n");
        put("io.stat", "");
        put("pids.current", "3\n");
        put("cgroup.procs", "77\n");
    }

    fn v1(&self, dir: &str) {
        let put = |name: &str, text: &str| self.put(&format!("sys/fs/cgroup/{name}"), text);
        put(&format!("cpuacct/{dir}/cpuacct.usage"), "9000000\n");
        put(&format!("memory/{dir}/memory.usage_in_bytes"), "5000\n");
        put(
            &format!("memory/{dir}/memory.stat"),
            "inactive_file 1\ntotal_inactive_file 1000\n",
        );
    }

    fn sampler(&self) -> Sampler {
        let options = SamplerOptions {
            proc: self.dir.path().join("proc"),
            sys: self.dir.path().join("sys"),
            clock: Clock::manual(1_000),
        };
        options.build()
    }
}

fn container(state: ContainerState) -> ContainerSummary {
    ContainerSummary {
        id: ID.to_owned(),
        name: "shop-web-1".to_owned(),
        project: Some("shop".to_owned()),
        service: Some("web".to_owned()),
        rev: None,
        image: "x".to_owned(),
        state,
        health: Health::None,
        exit_code: None,
        status: String::new(),
        ports: Vec::new(),
        created_at: Timestamp::from_millis(0),
    }
}

#[test]
fn a_host_of_files() {
    let host = Box::new();
    let mut sampler = host.sampler();
    let sample = sampler.sample();
    let check = |scope, key: &str, metric: Metric, expected: Option<i64>| {
        assert_eq!(sample.value(scope, key, metric), expected, "{key} {metric:?}");
    };
    check(Scope::Host, "", Metric::CPU_USER, Some(1_000));
    check(Scope::Host, "", Metric::CPU_SYSTEM, Some(530));
    check(Scope::Host, "", Metric::LOAD_1, Some(50));
    check(Scope::Host, "", Metric::MEMORY_AVAILABLE, Some(600 * 1024));
    check(Scope::Host, "", Metric::PRESSURE_IO_FULL, Some(5));
    // Not told by this host.
    check(Scope::Host, "", Metric::PRESSURE_CPU, None);
    check(Scope::Disk, "sda", Metric::DISK_WRITTEN, Some(2_048));
    check(Scope::Disk, "sda1", Metric::DISK_WRITTEN, None);
    check(Scope::Network, "eth0", Metric::NETWORK_SENT, Some(8));
    check(Scope::Network, "lo", Metric::NETWORK_SENT, None);
    check(Scope::Temperature, "board", Metric::TEMPERATURE, Some(41_500));
    assert_eq!((sample.seq, sample.at_ms), (1, 1_000));
    // The same columns, new numbers, and the files were read again.
    host.put("proc/loadavg", "7.00 0.25 0.10 1/80 99\n");
    let next = sampler.sample();
    assert!(Arc::ptr_eq(&next.layout, &sample.layout));
    assert_eq!(next.value(Scope::Host, "", Metric::LOAD_1), Some(700));
    // A disk comes: other columns at once.
    host.put("sys/block/sdb/device/model", "x\n");
    host.put(
        "proc/diskstats",
        " 8 0 sda 1 0 2 0 3 0 4 0 0 5 6\n 8 16 sdb 1 0 2 0 3 0 4 0 0 5 6\n",
    );
    let more = sampler.sample();
    assert_eq!(more.value(Scope::Disk, "sdb", Metric::DISK_READ), Some(1_024));
    assert_eq!(more.seq, 3);
}

#[test]
fn containers_in_both_versions_and_in_odd_places() {
    let check = |dir: &str, unified: bool| {
        let host = Box::new();
        if unified {
            host.v2(dir, 9_000);
        } else {
            host.v1(dir);
        }
        let mut sampler = host.sampler();
        sampler.watch_containers(&[container(ContainerState::Running)]);
        let sample = sampler.sample();
        let value = |metric| sample.value(Scope::Container, &ID[..12], metric);
        assert_eq!(value(Metric::CONTAINER_CPU), Some(9_000), "{dir}");
        assert_eq!(value(Metric::CONTAINER_MEMORY), Some(4_000), "{dir}");
        let group = sample.layout.groups.last().unwrap();
        assert_eq!(
            (group.subject.stack.as_str(), group.subject.service.as_str()),
            ("shop", "web")
        );
    };
    check(&format!("system.slice/docker-{ID}.scope"), true);
    check(&format!("docker/{ID}"), true);
    check(&format!("docker/{ID}"), false);
    check(&format!("machine.slice/libpod-{ID}.scope"), true);
    let rootless =
        format!("user.slice/user-1000.slice/user@1000.service/app.slice/docker.service/docker-{ID}.scope");
    check(&rootless, true);
    check(&format!("kubepods/besteffort/pod1/{ID}"), false);
}

#[test]
fn a_container_that_ends_and_one_that_comes_back() {
    let host = Box::new();
    let dir = format!("docker/{ID}");
    host.v2(&dir, 1);
    let mut sampler = host.sampler();
    sampler.watch_containers(&[container(ContainerState::Running)]);
    let cpu = |sample: &Sample| sample.value(Scope::Container, &ID[..12], Metric::CONTAINER_CPU);
    let first = sampler.sample();
    assert_eq!(cpu(&first), Some(1));
    // Told as ended: no columns of it any more.
    sampler.watch_containers(&[container(ContainerState::Exited)]);
    assert_eq!(cpu(&sampler.sample()), None);
    // Told as running before its group is there.
    fs_err::remove_dir_all(host.dir.path().join("sys/fs/cgroup").join(&dir)).unwrap();
    sampler.watch_containers(&[container(ContainerState::Running)]);
    let none = sampler.sample();
    assert_eq!(cpu(&none), None);
    assert!(none.value(Scope::Host, "", Metric::LOAD_1).is_some());
}

#[test]
fn this_host() {
    let mut sampler = SamplerOptions::of_this_host(Clock::system()).build();
    let (first, second) = (sampler.sample(), sampler.sample());
    assert!(Arc::ptr_eq(&first.layout, &second.layout));
    assert_eq!(first.values.len(), first.layout.width());
    assert!(first.value(Scope::Host, "", Metric::MEMORY_TOTAL).unwrap() > 1 << 20);
    assert!(first.value(Scope::Host, "", Metric::CPU_USER).unwrap() > 0);
    assert!(Path::new("/proc/stat").exists());
}

#[tokio::test(start_paused = true)]
async fn faster_while_somebody_watches() {
    let host = Box::new();
    let (task, handle) = host.sampler().into_task();
    let stop = Stop::new();
    let (_containers, list) = watch::channel(Arc::default());
    let (ended, mut newest) = (stop.clone(), handle.newest());
    let work = async {
        let seq = |newest: &mut watch::Receiver<Option<Arc<Sample>>>| {
            newest.borrow_and_update().as_ref().unwrap().seq
        };
        newest.changed().await.unwrap();
        let begin = Instant::now();
        assert_eq!(seq(&mut newest), 1);
        newest.changed().await.unwrap();
        assert_eq!(begin.elapsed(), USUAL);
        handle.watch(Duration::from_secs(1), Duration::from_secs(5));
        assert!(handle.is_watched());
        let begin = Instant::now();
        for _ in 0..5 {
            newest.changed().await.unwrap();
        }
        assert!(begin.elapsed() <= Duration::from_secs(6), "{:?}", begin.elapsed());
        // Nobody asked again: back to the usual pace.
        newest.changed().await.unwrap();
        let begin = Instant::now();
        newest.changed().await.unwrap();
        assert_eq!(begin.elapsed(), USUAL);
        assert!(!handle.is_watched());
        let (waiting, all) = handle.waiting(3);
        assert_eq!(
            (waiting.len(), waiting[0].seq, all),
            (3, 1, usize::try_from(seq(&mut newest)).unwrap())
        );
        handle.taken(2);
        assert_eq!(handle.waiting(1).0[0].seq, 3);
        ended.trigger();
    };
    tokio::join!(task.run(list, stop), work);
}
