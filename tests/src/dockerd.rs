//! A real container engine of a test's own, which the test may kill and start again.
//!
//! ```text
//! setpriv: ends with the test ─► unshare ─► docker-init: process 1 of a room with mounts, processes and a network of its own
//!                                              └─ nsenter ─ dockerd, its containerd, shims and containers
//! ```
//! Whatever becomes of the test, the end of process 1 is the end of every process and every mount in the room.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker, body_full, query_parameters::CreateImageOptions};
use fs_err as fs;
use futures_util::TryStreamExt as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    fleet::memory,
    program::{Launch, Program},
    project::must_have_engine,
    wait::until,
};

/// Until a started engine answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Until a struck engine has ended: it gives containers 10 s to stop, and itself 15 s.
const ENDS_WITHIN: Duration = Duration::from_secs(40);
/// Until nothing of the room is left.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);
/// Seconds that a request of the test may take.
const REQUEST: u64 = 60;
/// Of these the test makes its engine and its image.
const NEEDED: [&str; 6] = [
    "dockerd",
    "docker-init",
    "busybox",
    "nsenter",
    "unshare",
    "setpriv",
];
/// What the image has beside busybox.
const APPLETS: [&str; 2] = ["sh", "sleep"];

/// The image that the engine has.
pub const IMAGE: &str = "wft-engine:1";

/// A private `dockerd` without networks; it ends, with all that it runs, when this is dropped.
#[derive(Debug)]
pub struct Dockerd {
    daemon: Program,
    /// Held: what it began ends with it.
    _room: Program,
    /// Process 1 of the room, as this machine numbers it.
    first: u32,
    cgroup: String,
    dir: TempDir,
}

fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
}

/// Why there can be no engine here.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can start a container engine".to_owned());
    }
    let missing: Vec<_> = NEEDED.into_iter().filter(|name| found(name).is_none()).collect();
    if !missing.is_empty() {
        return Some(format!(
            "not installed: {} (scripts/setup docker)",
            missing.join(", ")
        ));
    }
    let busybox = fs::read(found("busybox")?).ok()?;
    let interpreter = b"/ld-";
    let head = busybox.get(..4096.min(busybox.len())).unwrap_or_default();
    head.windows(interpreter.len())
        .any(|bytes| bytes == interpreter)
        .then(|| "busybox is not static (scripts/setup docker)".to_owned())
}

/// The only child of a process.
fn child(of: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    children.split_ascii_whitespace().next()?.parse().ok()
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended at this moment.
    let _ended = pid.map(|pid| kill_process(pid, signal));
}

fn launch<const N: usize>(program: &str, args: [&str; N]) -> Launch {
    Launch {
        program: PathBuf::from(program),
        args: args.into_iter().map(OsString::from).collect(),
        env: Vec::new(),
        user: None,
    }
}

impl Dockerd {
    /// Starts one, with [`IMAGE`]; `None`, with a line for the reader, where that cannot be.
    ///
    /// # Panics
    /// If it does not come up, and with `WINDFLOW_TEST_DOCKER=1` if it cannot be.
    pub async fn start(live_restore: bool) -> Option<Self> {
        Self::start_on(live_restore, |_data| true).await
    }

    /// The same with a data folder that `prepare` has made something of, or says that it cannot.
    ///
    /// # Panics
    /// As [`Dockerd::start`].
    pub async fn start_on(live_restore: bool, prepare: impl FnOnce(&Path) -> bool) -> Option<Self> {
        if let Some(why) = missing() {
            must_have_engine(&why);
            return None;
        }
        let dir = tempfile::Builder::new()
            .prefix("wft-dockerd-")
            .tempdir_in(memory())
            .expect("a folder");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("a folder");
        if !prepare(&data) {
            return None;
        }
        let mut room = Program::new("the engine's room", dir.path().join("room.log"));
        let enter = [
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--net",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount-proc",
            "docker-init",
            "--",
            "sleep",
            "infinity",
        ];
        room.start(&launch("setpriv", enter));
        let outer = room.pid().expect("it was started");
        let mut dockerd = Self {
            daemon: Program::new("dockerd", dir.path().join("dockerd.log")),
            _room: room,
            first: 0,
            cgroup: format!("wft-{}-{outer}", std::process::id()),
            dir,
        };
        dockerd.first = until("the room is made", ANSWERS_WITHIN, async || {
            // Only in its own namespace is it the first: before, the way in would lead nowhere.
            let first = child(outer)?;
            let name = fs::read_to_string(format!("/proc/{first}/comm")).ok()?;
            (name.trim() == "docker-init").then_some(first)
        })
        .await;
        dockerd.go(live_restore).await;
        dockerd.import().await;
        Some(dockerd)
    }

    /// For `DOCKER_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("sock").display())
    }

    /// A folder that goes away with the engine.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// A new client: one that has seen an engine die may hold its connections.
    ///
    /// # Panics
    /// If there is no socket.
    #[must_use]
    pub fn docker(&self) -> Docker {
        Docker::connect_with_unix(&self.host(), REQUEST, API_DEFAULT_VERSION).expect("a client")
    }

    /// Ends the engine with a signal and waits until it is gone. What it runs may go on.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub async fn strike(&mut self, signal: Signal) {
        let pid = self.daemon.pid().and_then(child).expect("dockerd runs");
        send(pid, signal);
        let ended = self.daemon.ended(ENDS_WITHIN).await;
        assert!(ended.is_some(), "dockerd does not end");
    }

    /// Starts it again after [`Dockerd::strike`] and waits until it answers.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn go(&mut self, live_restore: bool) {
        // Of one that was killed; its number may be somebody else's by now.
        let _none = fs::remove_file(self.dir.path().join("pid"));
        let dir = self.dir.path().display();
        let mut args = vec![
            format!("--target={}", self.first),
            "--mount".into(),
            "--pid".into(),
            "--net".into(),
            "dockerd".into(),
            format!("--host=unix://{dir}/sock"),
            format!("--data-root={dir}/data"),
            format!("--exec-root={dir}/exec"),
            format!("--pidfile={dir}/pid"),
            format!("--cgroup-parent=/{}", self.cgroup),
            "--exec-opt=native.cgroupdriver=cgroupfs".into(),
            "--bridge=none".into(),
            "--iptables=false".into(),
        ];
        if live_restore {
            args.push("--live-restore".into());
        }
        self.daemon.start(&Launch {
            args: args.into_iter().map(OsString::from).collect(),
            ..launch("nsenter", [])
        });
        until("the engine answers", ANSWERS_WITHIN, async || {
            assert!(self.daemon.is_running(), "dockerd has ended");
            let docker = Docker::connect_with_unix(&self.host(), REQUEST, API_DEFAULT_VERSION).ok()?;
            docker.ping().await.ok()
        })
        .await;
    }

    async fn import(&self) {
        let mut archive = tar::Builder::new(Vec::new());
        let busybox = found("busybox").expect("it was there");
        archive
            .append_path_with_name(busybox, "bin/busybox")
            .expect("an archive");
        for applet in APPLETS {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            archive
                .append_link(&mut header, format!("bin/{applet}"), "busybox")
                .expect("an archive");
        }
        let (repo, tag) = IMAGE.split_once(':').expect("a tag");
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
            changes: vec!["ENV PATH=/bin".to_owned()],
            ..CreateImageOptions::default()
        };
        let body = body_full(archive.into_inner().expect("an archive").into());
        let docker = self.docker();
        let imported: Result<Vec<_>, _> = docker
            .create_image(Some(options), Some(body), None)
            .try_collect()
            .await;
        imported.expect("the image is imported");
    }
}

impl Drop for Dockerd {
    #[expect(
        clippy::disallowed_methods,
        reason = "a drop cannot await; it looks again with a bound"
    )]
    fn drop(&mut self) {
        send(self.first, Signal::KILL);
        let left = || Path::new(&format!("/proc/{}", self.first)).exists() || !swept(&self.cgroup);
        let step = Duration::from_millis(20);
        let mut looks = EMPTY_WITHIN.as_millis() / step.as_millis();
        while left() {
            if looks == 0 {
                eprintln!("the engine's room (process {}) is not empty", self.first);
                return;
            }
            looks -= 1;
            std::thread::sleep(step);
        }
    }
}

/// Removes the cgroups of the containers, which outlive them; false as long as one has processes.
fn swept(name: &str) -> bool {
    let mut clean = true;
    let roots = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let roots = roots.map(|root| root.path().join(name));
    for root in roots.chain([Path::new("/sys/fs/cgroup").join(name)]) {
        let below = fs::read_dir(&root).into_iter().flatten().flatten();
        for folder in below.filter(|entry| entry.path().is_dir()) {
            clean &= fs::remove_dir(folder.path()).is_ok();
        }
        clean &= !root.exists() || fs::remove_dir(&root).is_ok();
    }
    clean
}
