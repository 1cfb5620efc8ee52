//! Memory: each program in a control group of its own, under inputs of every size. What they use stays bounded, and what the
//! kernel kills for its memory starts again and brings its work to an end.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use windflow_api::{LogParams, StackCreate, ValidateRequest};
use windflow_client::{Client, live::LogFeed};
use windflow_kit::task::spawn_scoped;
use windflow_model::{DeploymentId, DeploymentState, StackId};
use windflow_tests::{
    Fleet, Host, Target,
    engine::{EngineOptions, SimulatedEngine},
    fleet::{memory, spec},
    program::resident,
    wait::until,
};

const SOON: Duration = Duration::from_secs(60);
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(50);
/// The contract's bounds (MiB).
const AGENT: u64 = 48;
const CONTROLLER: u64 = 256;
/// Far below what either program has: the first large piece of work ends it (MiB).
const TINY: u64 = 1;
/// Lines longer than what travels in one piece.
const LINE: usize = 300 << 10;
const LINES_PER_S: u64 = 200;
/// A little below what the files of a stack may have.
const LARGEST: usize = 880 << 10;
/// A container list of some hundred KiB.
const CONTAINERS: usize = 100;
/// Readers that take nothing, and requests at once.
const AT_ONCE: usize = 8;

/// A control group with a limit of memory, of version 1 or 2.
#[derive(Debug)]
struct Group {
    dir: PathBuf,
    unified: bool,
}

impl Group {
    /// `None`, with a line for the reader, where there are none.
    fn new(name: &str, mib: u64) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let unified = root.join("cgroup.controllers").exists();
        let parent = if unified {
            root.to_path_buf()
        } else {
            root.join("memory")
        };
        let group = Self {
            dir: parent.join(format!("wft-{}-{name}", std::process::id())),
            unified,
        };
        let made = fs_err::create_dir(&group.dir).and_then(|()| {
            let file = if unified {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            };
            fs_err::write(group.dir.join(file), (mib << 20).to_string())
        });
        match made {
            Ok(()) => Some(group),
            Err(error) => {
                println!("SKIPPED: a control group for memory is needed (as root): {error}");
                None
            }
        }
    }

    fn take(&self, pid: u32) {
        fs_err::write(self.dir.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// How often the kernel has killed in it.
    fn kills(&self) -> u64 {
        let file = if self.unified {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let text = fs_err::read_to_string(self.dir.join(file)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever is still in it goes to where everybody is; then it can be removed.
        let inside = fs_err::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        let parent = self.dir.parent().map(|parent| parent.join("cgroup.procs"));
        for (pid, parent) in inside.lines().zip(std::iter::repeat(parent)) {
            let _moved = parent.map(|parent| fs_err::write(parent, pid));
        }
        let _removed = fs_err::remove_dir(&self.dir);
    }
}

/// Most memory of its own that each of two processes has had, in KiB: what is only mapped from its program is not counted.
#[derive(Debug, Clone, Default)]
struct Highest(Arc<[AtomicU64; 2]>);

impl Highest {
    async fn watch(self, pids: [u32; 2]) {
        loop {
            for (pid, most) in pids.iter().zip(self.0.iter()) {
                most.fetch_max(resident(*pid).unwrap_or(0), Ordering::Relaxed);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn mib(&self) -> [u64; 2] {
        [0, 1].map(|n: usize| self.0[n].load(Ordering::Relaxed) >> 10)
    }
}

struct World {
    // Dropped first: its socket is in the host's folder.
    engine: SimulatedEngine,
    host: Host,
    fleet: Fleet,
    groups: Option<[Group; 2]>,
}

impl World {
    /// With a limit for each, if the programs are those that are shipped: pages of a debug build's program alone are more.
    async fn start(limited: bool) -> Option<Self> {
        let groups = if limited {
            Some([Group::new("agent", AGENT)?, Group::new("controller", CONTROLLER)?])
        } else {
            None
        };
        let fleet = Fleet::start_in(&memory(), &[]).await;
        let mut host = fleet.enrol("small", Target::Docker).await;
        let options = EngineOptions {
            log_lines_per_s: LINES_PER_S,
            log_line_bytes: LINE,
            ..EngineOptions::default()
        };
        let engine = SimulatedEngine::start(host.scratch(), options);
        host.set_env("DOCKER_HOST", &engine.host());
        host.start();
        fleet.connected(&host).await;
        let world = Self {
            engine,
            host,
            fleet,
            groups,
        };
        world.limit();
        Some(world)
    }

    fn pids(&self) -> [u32; 2] {
        [
            self.host.agent.pid().unwrap(),
            self.fleet.controller.pid().unwrap(),
        ]
    }

    /// Puts both programs into their groups.
    fn limit(&self) {
        for (group, pid) in self.groups.iter().flatten().zip(self.pids()) {
            group.take(pid);
        }
    }

    async fn deploy(&self, name: &str, compose: &str) -> (StackId, DeploymentId) {
        let made = self.fleet.deploy(name, compose, &[&self.host]).await;
        (made[0].deployment.stack, made[0].deployment.id)
    }

    async fn succeeds(&self, deployment: DeploymentId) {
        let ended = self.fleet.ended(deployment, SOON).await.deployment;
        assert_eq!(ended.state, DeploymentState::Succeeded, "{}", ended.stack_name);
    }

    async fn follow(&self, stack: StackId) -> LogFeed {
        let params = LogParams {
            follow: true,
            ..LogParams::default()
        };
        let feed = self.fleet.client().stack_logs(stack, &params).await;
        let mut feed = feed.expect("the log opens");
        let first = tokio::time::timeout(SOON, feed.next()).await;
        assert!(first.expect("lines come").expect("whole").is_some());
        feed
    }
}

/// A Compose file of so many bytes.
fn long(bytes: usize, variant: u64) -> String {
    let web =
        format!("services:\n  web:\n    image: example/web:1\n    environment: {{ VARIANT: '{variant}' }}\n");
    let padding = "# what somebody has written down here, line for line\n";
    let times = bytes.saturating_sub(web.len()) / padding.len();
    web + &padding.repeat(times)
}

/// Aliases of aliases: small on the wire, immense when they are resolved.
fn laughs() -> String {
    let mut text = "x-a0: &a0 { k: lol }\n".to_owned();
    for n in 1..30 {
        let before = n - 1;
        let nine = vec![format!("*a{before}"); 9].join(", ");
        text.push_str(&format!("x-a{n}: &a{n} [{nine}]\n"));
    }
    text + "services: { web: { image: x, labels: { all: *a29 } } }\n"
}

/// Everything large at once. What it is made of has been refused by name, or done.
async fn large(world: &World) {
    let client = world.fleet.client();
    let replicas =
        format!("services:\n  web:\n    image: example/web:1\n    deploy: {{ replicas: {CONTAINERS} }}\n");
    let (_, many) = world.deploy("many", &replicas).await;
    world.succeeds(many).await;
    let (talks, id) = world.deploy("talks", &long(0, 1)).await;
    world.succeeds(id).await;
    let mut stalled = Vec::new();
    for _ in 0..AT_ONCE {
        stalled.push(world.follow(talks).await);
    }
    // As large as a stack may be, several times.
    for variant in 1..4 {
        let (_, id) = world.deploy("large", &long(LARGEST, variant)).await;
        world.succeeds(id).await;
    }
    // Larger than that, many at once.
    let too_large = (0..AT_ONCE).map(async |n| {
        let create = StackCreate {
            name: format!("huge-{n}").parse().unwrap(),
            spec: spec(&long(24 << 20, 0)),
        };
        let error = client.stack_create(&create).await.expect_err("it is too large");
        // Refused while it is still being sent, which some clients only see as a connection that breaks.
        let named = error.status == Some(413) && error.message.contains("KiB");
        assert!(named || error.status.is_none(), "{error}");
    });
    join_all(too_large).await;
    let request = ValidateRequest {
        name: None,
        spec: spec(&laughs()),
    };
    let validated = tokio::time::timeout(SOON, client.stack_validate(&request)).await;
    let validated = validated.expect("answered in time");
    assert!(
        validated.is_err() || validated.as_ref().is_ok_and(|found| !found.problems.is_empty()),
        "{validated:?}"
    );
    // Still there, and at work.
    let (_, id) = world.deploy("after", &long(0, 1)).await;
    world.succeeds(id).await;
    drop(stalled);
}

async fn bounds(limited: bool) {
    let Some(mut world) = World::start(limited).await else {
        return;
    };
    let highest = Highest::default();
    let watch = spawn_scoped("memory", highest.clone().watch(world.pids()));
    large(&world).await;
    drop(watch);
    let alive = world.host.agent.is_running() && world.fleet.controller.is_running();
    let kills: u64 = world.groups.iter().flatten().map(Group::kills).sum();
    assert!(alive && kills == 0, "the kernel has killed {kills} times");
    let [agent, controller] = highest.mib();
    println!(
        "memory: {CONTAINERS} containers, {AT_ONCE} stalled readers of {} KiB lines, specs of 880 KiB, requests of 24 MiB, \
         aliases of aliases: the agent had at most {agent} MiB of its own (bound {AGENT}), the controller {controller} MiB \
         (bound {CONTROLLER}); none was killed",
        LINE >> 10
    );
    assert!(agent <= AGENT && controller <= CONTROLLER);
}

/// Killed by the kernel in the middle of something large; started again, it ends what was asked for, once.
async fn kills(rounds: u64) {
    let Some(mut world) = World::start(false).await else {
        return;
    };
    let Some(tiny) = Group::new("tiny", TINY) else {
        return;
    };
    let client: Client = world.fleet.client().clone();
    let mut killed = [0, 0];
    for round in 1..=rounds {
        let agent = round % 2 == 1;
        let pid = if agent {
            world.host.agent.pid()
        } else {
            world.fleet.controller.pid()
        };
        let before = tiny.kills();
        let (_, id) = world.deploy("work", &long(LARGEST, round)).await;
        tiny.take(pid.unwrap());
        // Whatever it takes to be noticed.
        let mut variant = 0;
        until("the kernel kills", SOON, async || {
            variant += 1;
            let create = StackCreate {
                name: format!("r{round}-{variant}").parse().unwrap(),
                spec: spec(&long(LARGEST, variant)),
            };
            let made = client.stack_create(&create).await;
            if let (true, Ok(made)) = (agent, made) {
                let request = windflow_api::DeployRequest {
                    agents: vec![world.host.id()],
                    rev: None,
                    pins: Vec::new(),
                };
                let _asked = client.deployment_create(made.stack.id, &request).await;
            }
            (tiny.kills() > before).then_some(())
        })
        .await;
        if agent {
            until("it is gone", SOON, async || {
                (!world.host.agent.is_running()).then_some(())
            })
            .await;
            world.host.start();
        } else {
            until("it is gone", SOON, async || {
                (!world.fleet.controller.is_running()).then_some(())
            })
            .await;
            world.fleet.restart_controller().await;
        }
        killed[usize::from(!agent)] += 1;
        world.succeeds(id).await;
        until("one container for each stack", SOON, async || {
            let mut places: Vec<_> = world
                .engine
                .containers()
                .into_iter()
                .map(|one| one.name)
                .collect();
            let all = places.len();
            places.sort();
            places.dedup();
            (places.len() == all).then_some(())
        })
        .await;
    }
    println!(
        "killed by the kernel for its memory: the agent {} times, the controller {} times; each time all work ended once",
        killed[0], killed[1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_memory() {
    bounds(false).await;
    kills(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_memory() {
    bounds(true).await;
    kills(20).await;
}
