//! Commands and terminals in containers of the real engine, through controller, agent and command line.

use std::time::Duration;

use windflow_api::{TerminalCreate, TerminalView};
use windflow_client::terminal::{Seen, Terminal};
use windflow_model::{DeploymentState, TerminalCause, TerminalEnd, TerminalSize};
use windflow_tests::{Fleet, Host, Project, Target, fleet::CommandLine, proxy::UdpProxy, wait::until};

const WITHIN: Duration = Duration::from_secs(60);
const COMPOSE: &str = "services:\n  web:\n    image: windflow-test/busybox:1\n    init: true\n    command: [sleep, '600']\n    stop_grace_period: 1s\n    environment: { FROM: compose }\n";

/// A stack that runs on one host.
struct World {
    fleet: Fleet,
    host: Host,
    project: Project,
    line: CommandLine,
}

impl World {
    async fn start(name: &str) -> Option<Self> {
        let project = Project::claim(name).await?;
        let fleet = Fleet::start().await;
        let mut host = fleet.enrol(name, Target::Docker).await;
        host.set_env(
            "WINDFLOW_POLICY_FILE",
            &host.scratch().join("policy.toml").display().to_string(),
        );
        Some(Self::run(fleet, host, project).await)
    }

    async fn run(fleet: Fleet, mut host: Host, project: Project) -> Self {
        host.start();
        fleet.connected(&host).await;
        let deployed = fleet.deploy(project.name(), COMPOSE, &[&host]).await;
        let ended = fleet.ended(deployed.first().unwrap().deployment.id, WITHIN).await;
        assert_eq!(ended.deployment.state, DeploymentState::Succeeded);
        let line = fleet.command_line().await;
        Self {
            fleet,
            host,
            project,
            line,
        }
    }

    async fn exec(&self, how: &[&str], command: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
        let place = format!("{}/web", self.project.name());
        let args = [&["exec"], how, &[&place, "--"], command].concat();
        self.line.launch(&args).finish_given(input).await
    }

    /// Exit code, standard output and standard error of a command.
    async fn check(&self, how: &[&str], command: &[&str], input: &str, expected: (i32, &str, &str)) {
        let (code, out, err) = self.exec(how, command, input.as_bytes()).await;
        let out = String::from_utf8_lossy(&out).into_owned();
        assert_eq!(
            (code, out.as_str()),
            (expected.0, expected.1),
            "{command:?}: {err}"
        );
        assert!(err.contains(expected.2), "{command:?}: {err}");
    }

    async fn create(&self, command: &[&str], tty: bool, grace_s: u32) -> TerminalView {
        let stacks = self.fleet.client().stack_list().await.unwrap();
        let request = TerminalCreate {
            agent: self.host.id(),
            stack: stacks.first().map(|view| view.stack.id),
            service: Some("web".to_owned()),
            number: None,
            container: None,
            host: false,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            user: None,
            working_dir: None,
            env: Vec::new(),
            tty,
            stdin: true,
            size: tty.then_some(TerminalSize {
                columns: 100,
                rows: 30,
            }),
            grace_s,
        };
        self.fleet.client().terminal_create(&request).await.unwrap()
    }

    fn attach(&self, view: &TerminalView, grace: Duration) -> Terminal {
        Terminal::new(self.fleet.client().clone(), view.id, grace)
    }

    /// Processes of the container with this word in their command line.
    async fn processes(&self, word: &str) -> usize {
        let (code, out, err) = self.exec(&["-n"], &["ps"], b"").await;
        assert_eq!(code, 0, "{err}");
        let out = String::from_utf8_lossy(&out).into_owned();
        out.lines().filter(|line| line.contains(word)).count()
    }

    async fn audited(&self, action: &str) -> Vec<String> {
        let query = windflow_api::AuditQuery {
            action: Some(action.to_owned()),
            ..windflow_api::AuditQuery::default()
        };
        let page = self.fleet.client().audit_page(&query).await.unwrap();
        page.items.into_iter().map(|entry| entry.detail).collect()
    }
}

/// Output until it holds `word`; the end, if it comes before.
pub(crate) async fn shows(terminal: &mut Terminal, word: &str) -> Result<String, TerminalEnd> {
    let mut text = Vec::new();
    let reading = async {
        loop {
            match terminal.next().await.unwrap() {
                Seen::Output { bytes, .. } => text.extend(bytes),
                Seen::Ended(end) => return Err(end),
                Seen::Missing(_) | Seen::Lost | Seen::Back | Seen::Ready => {}
            }
            let shown = String::from_utf8_lossy(&text).into_owned();
            if shown.contains(word) {
                return Ok(shown);
            }
        }
    };
    match tokio::time::timeout(WITHIN, reading).await {
        Ok(shown) => shown,
        Err(_) => panic!("{word:?} is not shown: {:?}", String::from_utf8_lossy(&text)),
    }
}

pub(crate) async fn ends(terminal: &mut Terminal) -> TerminalEnd {
    shows(terminal, "\u{0}never").await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_commands_between_pipes() {
    let Some(world) = World::start("exec").await else {
        return;
    };
    world
        .check(&[], &["echo", "héllo  $FROM"], "", (0, "héllo  $FROM\n", ""))
        .await;
    world
        .check(
            &[],
            &["sh", "-c", "echo out; echo err >&2; exit 7"],
            "",
            (7, "out\n", "err\n"),
        )
        .await;
    world.check(&[], &["cat"], "a\nb", (0, "a\nb", "")).await;
    world.check(&["-n"], &["cat"], "a", (0, "", "")).await;
    world
        .check(
            &["-e", "A=b c", "-w", "/tmp", "-u", "7"],
            &["sh", "-c", "echo $FROM:$A:$PWD:$(id -u)"],
            "",
            (0, "compose:b c:/tmp:7\n", ""),
        )
        .await;
    world
        .check(&["--on", "exec", "--index", "1"], &["true"], "", (0, "", ""))
        .await;
    world
        .check(&["--index", "2"], &["true"], "", (4, "", "no container number 2"))
        .await;
    world
        .check(
            &["--on", "nobody"],
            &["true"],
            "",
            (4, "", "there is no host `nobody`"),
        )
        .await;
    let (code, _, _) = world.exec(&[], &["/no/such/program"], b"").await;
    assert!(code == 126 || code == 127, "{code}");

    // What a command writes grows tenfold, and it is told to go on behind input that it does not read meanwhile.
    let lines = "0123456789abcdef".repeat(6) + "\n";
    let (code, out, err) = world
        .exec(&[], &["sed", "s/.*/&&&&&&&&&&/"], lines.repeat(10_000).as_bytes())
        .await;
    assert_eq!((code, out.len()), (0, 10_000 * 961), "{err}");

    // Large, binary, both ways: every byte, in order.
    let big: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let (code, out, err) = world.exec(&[], &["cat"], &big).await;
    assert_eq!(code, 0, "{err}");
    assert!(
        out == big,
        "{} of {} bytes came back as they were",
        out.len(),
        big.len()
    );

    let opened = world.audited("terminal_open").await;
    assert!(
        opened
            .iter()
            .any(|detail| detail.contains("/web on exec: [\"cat\"]")),
        "{opened:?}"
    );
    assert!(
        opened
            .iter()
            .any(|detail| detail.contains("as \"7\", with A") && !detail.contains("b c")),
        "{opened:?}"
    );
    let closed = world.audited("terminal_close").await;
    assert!(
        closed
            .iter()
            .any(|detail| detail.starts_with("ended with exit code 7 after ")),
        "{closed:?}"
    );
    assert!(
        closed
            .iter()
            .any(|detail| detail.contains("3000000 bytes typed, 3000000 bytes shown")),
        "{closed:?}"
    );
    assert_eq!(
        opened.len() - 1,
        closed.len() + world.audited("terminal_refuse").await.len() - 1,
        "{opened:?} {closed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_a_terminal_is_one() {
    let Some(world) = World::start("terminal").await else {
        return;
    };
    // A shell that was found, with its size from the start, resized while it runs.
    let view = world.create(&[], true, 60).await;
    assert_eq!(view.command, ["/bin/sh"]);
    let mut terminal = world.attach(&view, WITHIN);
    shows(&mut terminal, "# ").await.unwrap();
    until("the terminal has its size", WITHIN, async || {
        terminal.input(b"stty size; tty; echo 'do'ne\n");
        let shown = shows(&mut terminal, "done").await.unwrap();
        (shown.contains("30 100") && shown.contains("/dev/pts/")).then_some(())
    })
    .await;
    terminal.resize(TerminalSize {
        columns: 133,
        rows: 41,
    });
    until("the terminal has its new size", WITHIN, async || {
        terminal.input(b"stty size; echo 'do'ne\n");
        shows(&mut terminal, "done")
            .await
            .unwrap()
            .contains("41 133")
            .then_some(())
    })
    .await;
    // A character that comes in two pieces stays one.
    let mut typed = "echo [é]\n".as_bytes().to_vec();
    let rest = typed.split_off(7);
    terminal.input(&typed);
    terminal.input(&rest);
    let shown = shows(&mut terminal, "\n[é]\r\n").await;
    assert!(shown.is_ok(), "{shown:?}");
    // A program that takes the whole screen, and gives it back.
    terminal.input(b"vi /tmp/x\n");
    shows(&mut terminal, "/tmp/x").await.unwrap();
    terminal.input(b"ifull screen");
    shows(&mut terminal, "full screen").await.unwrap();
    terminal.input(b"\x1b");
    shows(&mut terminal, "- /tmp/x").await.unwrap();
    terminal.input(b":wq\n");
    shows(&mut terminal, "# ").await.unwrap();
    terminal.input(b"cat /tmp/x; exit 3\n");
    let end = shows(&mut terminal, "\u{0}never").await.unwrap_err();
    assert_eq!((end.cause, end.exit_code), (TerminalCause::Exited, Some(3)));

    // Closed on request, and left alone: neither leaves a process behind.
    let view = world.create(&["sleep", "4711"], true, 60).await;
    let mut terminal = world.attach(&view, WITHIN);
    until("it runs", WITHIN, async || {
        (world.processes("sleep 4711").await == 1).then_some(())
    })
    .await;
    terminal.close().await.unwrap();
    until("it is gone", WITHIN, async || {
        (world.processes("sleep 4711").await == 0).then_some(())
    })
    .await;
    let view = world
        .create(&["sh", "-c", "trap '' HUP; sleep 4712; sleep 4712"], false, 1)
        .await;
    let mut terminal = world.attach(&view, WITHIN);
    let _nothing_yet = tokio::time::timeout(Duration::from_millis(500), terminal.next()).await;
    assert!(world.processes("sleep 4712").await > 0);
    drop(terminal);
    until("what was left is gone", WITHIN, async || {
        (world.processes("sleep 4712").await == 0).then_some(())
    })
    .await;
    until("both ends are in the trail", WITHIN, async || {
        let closed = world.audited("terminal_close").await;
        let left = closed.iter().any(|detail| detail.contains("its reader was lost"));
        (left && closed.iter().any(|detail| detail.starts_with("closed after"))).then_some(())
    })
    .await;
    let gone = world.attach(&view, WITHIN).next().await.unwrap_err();
    assert_eq!(gone.exit, windflow_client::Exit::NotFound, "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_the_end_of_a_terminal() {
    let Some(world) = World::start("ends").await else {
        return;
    };
    // The reader hears no more when it ends, as if its connection had been lost without a word: whoever comes back hears
    // the last output, and how it ended.
    let command = "echo ready; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo last; exit 5";
    let view = world.create(&["sh", "-c", command], false, 60).await;
    let mut deaf = world.attach(&view, WITHIN);
    shows(&mut deaf, "ready").await.unwrap();
    let position = deaf.position();
    world.check(&["-n"], &["touch", "/tmp/go"], "", (0, "", "")).await;
    until("the end is in the trail", WITHIN, async || {
        let closed = world.audited("terminal_close").await;
        closed
            .iter()
            .any(|detail| detail.starts_with("ended with exit code 5"))
            .then_some(())
    })
    .await;
    let mut terminal = world.attach(&view, WITHIN);
    terminal.start_at(position);
    assert_eq!(shows(&mut terminal, "last").await.unwrap(), "last\n");
    let end = ends(&mut terminal).await;
    assert_eq!((end.cause, end.exit_code), (TerminalCause::Exited, Some(5)));
    drop(deaf);
    until("it was heard, and is kept no longer", WITHIN, async || {
        let again = world.attach(&view, WITHIN).next().await;
        again
            .is_err_and(|error| error.exit == windflow_client::Exit::NotFound)
            .then_some(())
    })
    .await;

    // Ended by somebody else: gone when the answer comes, and the trail says so.
    let view = world.create(&["sleep", "4714"], true, 600).await;
    let mut terminal = world.attach(&view, WITHIN);
    assert_eq!(terminal.next().await.unwrap(), Seen::Ready);
    world.fleet.client().terminal_delete(view.id).await.unwrap();
    assert_eq!(world.processes("sleep 4714").await, 0);
    assert_eq!(ends(&mut terminal).await.cause, TerminalCause::TakenOver);
    assert!(world.fleet.client().terminal_list().await.unwrap().is_empty());
    let closed = world.audited("terminal_close").await;
    assert!(
        closed.iter().any(|detail| detail.starts_with("closed after")),
        "{closed:?}"
    );

    // What ignores the hang-up goes with its group, although the leader has gone.
    let view = world
        .create(
            &["sh", "-c", "(trap '' HUP; exec sleep 4716) & echo begun; wait"],
            false,
            60,
        )
        .await;
    let mut terminal = world.attach(&view, WITHIN);
    shows(&mut terminal, "begun").await.unwrap();
    until("it runs", WITHIN, async || {
        (world.processes("sleep 4716").await > 0).then_some(())
    })
    .await;
    terminal.close().await.unwrap();
    until("it is gone", WITHIN, async || {
        (world.processes("sleep 4716").await == 0).then_some(())
    })
    .await;
}

/// Numbered lines from `from` on; gives the last complete number.
fn in_order(text: &str, mut last: u64) -> u64 {
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let number: u64 = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("a cut line: {line:?}"));
        assert_eq!(number, last + 1);
        last = number;
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_lost_links_lose_nothing() {
    let Some(project) = Project::claim("reattach").await else {
        return;
    };
    let fleet = Fleet::start().await;
    let proxy = UdpProxy::start(fleet.quic()).await;
    let host = fleet.enrol_by("reattach", Target::Docker, proxy.address()).await;
    let world = World::run(fleet, host, project).await;

    // Between pipes, both ways, while the link goes again and again: `cat` gives back every byte once.
    let view = world.create(&["cat"], false, 60).await;
    let mut terminal = world.attach(&view, WITHIN);
    let total = 2_000_000_usize;
    let byte = |at: usize| u8::try_from(at * 31 % 251).unwrap();
    let (mut sent, mut seen, mut cuts) = (0, 0, 0);
    let carry = async {
        while seen < total {
            while sent < total && terminal.takes_input() {
                let until = (sent + 10_000).min(total);
                let piece: Vec<u8> = (sent..until).map(byte).collect();
                terminal.input(&piece);
                sent = until;
            }
            if seen > total * (cuts + 1) / 4 {
                cuts += 1;
                proxy.blackhole();
                world.fleet.offline(&world.host, Duration::from_secs(60)).await;
                proxy.heal();
            }
            match terminal.next().await.unwrap() {
                Seen::Output { bytes, stderr } => {
                    assert!(!stderr);
                    for got in bytes {
                        assert_eq!(got, byte(seen), "byte {seen}");
                        seen += 1;
                    }
                }
                Seen::Missing(lost) => panic!("{lost} bytes are missing"),
                Seen::Lost | Seen::Back | Seen::Ready => {}
                Seen::Ended(end) => panic!("{end:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(200), carry)
        .await
        .expect("all comes back in time");
    assert_eq!(cuts, 3);
    terminal.end_of_input();
    let end = ends(&mut terminal).await;
    assert_eq!((end.cause, end.exit_code), (TerminalCause::Exited, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_another_browser_goes_on() {
    let Some(world) = World::start("watchers").await else {
        return;
    };
    // The reader is lost, another one comes and goes on where the first one was.
    let view = world
        .create(
            &[
                "sh",
                "-c",
                "stty -onlcr; read go; n=0; while [ $n -lt 3000 ]; do n=$((n+1)); echo $n; done; read end",
            ],
            true,
            60,
        )
        .await;
    let mut first = world.attach(&view, WITHIN);
    let mut slow = world.attach(&view, WITHIN).watching();
    assert_eq!(slow.next().await.unwrap(), Seen::Ready);
    first.input(b"go\n");
    shows(&mut first, "\n1\n2\n3\n").await.unwrap();
    let position = first.position();
    drop(first);
    let mut second = world.attach(&view, WITHIN);
    second.start_at(position);
    let shown = shows(&mut second, "\n3000\n").await.unwrap();
    // Whatever the cut was in the middle of: from the first whole line on all are there.
    let (head, rest) = shown.split_once('\n').unwrap();
    let start: u64 = rest.lines().next().unwrap().parse().unwrap();
    assert!(start > 3 && start < 3000, "{head:?} {start}");
    assert_eq!(in_order(rest, start - 1), 3000);
    // Two who type: the newer one stays.
    let mut third = world.attach(&view, WITHIN);
    shows(&mut third, "\n3000\n").await.unwrap();
    assert_eq!(ends(&mut second).await.cause, TerminalCause::TakenOver);
    third.input(b"\n");
    assert_eq!(ends(&mut third).await.exit_code, Some(0));
    // The watcher, who read nothing so far, has seen all of it, too; typing is not theirs.
    slow.input(b"x");
    let shown = shows(&mut slow, "\n3000\n").await.unwrap();
    assert!(shown.contains("\n1\n2\n3\n"), "{shown}");

    // A watcher that never reads does not hold up the one who types: 40 MB pass, far more than is kept anywhere.
    let view = world
        .create(
            &["sh", "-c", "head -c 40000000 /dev/zero | tr '\\0' x; echo end"],
            true,
            60,
        )
        .await;
    let mut stalled = world.attach(&view, WITHIN).watching();
    let mut reader = world.attach(&view, WITHIN);
    assert_eq!(stalled.next().await.unwrap(), Seen::Ready);
    let mut count = 0;
    let end = loop {
        match reader.next().await.unwrap() {
            Seen::Output { bytes, .. } => count += bytes.len(),
            Seen::Ended(end) => break end,
            Seen::Ready => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((end.exit_code, count), (Some(0), 40_000_005));
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_the_owner_of_the_host_decides() {
    let Some(world) = World::start("policy").await else {
        return;
    };
    let file = world.host.scratch().join("policy.toml");
    let check = async |policy: &str, expected: (i32, &str, &str)| {
        fs_err::write(&file, policy).unwrap();
        world.check(&[], &["echo", "yes"], "", expected).await;
    };
    check("", (0, "yes\n", "")).await;
    check("container_exec = false\n", (3, "", "container_exec = false")).await;
    check(
        "container_exec_stacks = [\"other\"]\n",
        (3, "", "container_exec_stacks names other"),
    )
    .await;
    let own = format!("container_exec_stacks = [\"{}\"]\n", world.project.name());
    check(&own, (0, "yes\n", "")).await;
    check("container_exec = maybe\n", (3, "", "nothing is allowed")).await;
    check(
        "container_exec_stacks = []\n",
        (3, "", "container_exec_stacks names none"),
    )
    .await;
    // Too old for its host; one that only closed its outputs is no older.
    fs_err::write(&file, "terminal_longest_s = 1\n").unwrap();
    world
        .check(&["-n"], &["sleep", "600"], "", (1, "", "terminal_longest_s"))
        .await;
    world
        .check(
            &["-n"],
            &["sh", "-c", "exec >&- 2>&-; exec sleep 4713"],
            "",
            (1, "", "terminal_longest_s"),
        )
        .await;
    let view = world.create(&["sleep", "4713"], true, 60).await;
    assert_eq!(
        ends(&mut world.attach(&view, WITHIN)).await.cause,
        TerminalCause::TooLong
    );
    fs_err::write(&file, "terminal_idle_s = 1\n").unwrap();
    let view = world.create(&["sleep", "4713"], true, 60).await;
    assert_eq!(
        ends(&mut world.attach(&view, WITHIN)).await.cause,
        TerminalCause::Idle
    );
    until("it is gone", WITHIN, async || {
        fs_err::write(&file, "").unwrap();
        (world.processes("sleep 4713").await == 0).then_some(())
    })
    .await;
    let refused = world.audited("terminal_refuse").await;
    assert!(
        refused
            .iter()
            .any(|detail| detail.contains("container_exec = false")),
        "{refused:?}"
    );
}
