//! Terminals on the host itself, through controller, agent, its privileged part and the command line. As the user who runs
//! the tests; other users are the business of `agent/tests/host_terminal.rs`.

use std::{os::unix::fs::MetadataExt as _, time::Duration};

use windflow_api::{AuditQuery, TerminalCreate, TerminalView};
use windflow_client::terminal::Terminal;
use windflow_model::{AgentId, TerminalCause, TerminalSize};
use windflow_tests::{Fleet, Host, Target, fleet::CommandLine, proxy::UdpProxy, wait::until};

use super::terminal::{ends, shows};

const WITHIN: Duration = Duration::from_secs(60);

/// The name of the user who runs this.
fn own_name() -> String {
    let uid = fs_err::metadata("/proc/self").unwrap().uid().to_string();
    let users = fs_err::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(&uid));
    line.unwrap().split(':').next().unwrap().to_owned()
}

struct World {
    fleet: Fleet,
    host: Host,
    line: CommandLine,
    user: String,
    proxy: UdpProxy,
}

impl World {
    async fn start(name: &str) -> Self {
        Self::start_with(name, &[]).await
    }

    async fn start_with(name: &str, env: &[(&str, &str)]) -> Self {
        let fleet = Fleet::start_with(env).await;
        let proxy = UdpProxy::start(fleet.quic()).await;
        let mut host = fleet.enrol_by(name, Target::Fake, proxy.address()).await;
        let policy = host.scratch().join("policy.toml");
        host.set_env("WINDFLOW_POLICY_FILE", &policy.display().to_string());
        host.start();
        fleet.connected(&host).await;
        Self {
            line: fleet.command_line().await,
            user: own_name(),
            fleet,
            host,
            proxy,
        }
    }

    fn allow(&self, users: &str) {
        let line = format!("host_terminal_users = {users}\n");
        fs_err::write(self.host.scratch().join("policy.toml"), line).unwrap();
    }

    async fn exec(&self, user: &str, command: &[&str], input: &str) -> (i32, String, String) {
        let how = ["exec", "--host", "--on", self.host.name(), "--user", user, "--"];
        let args = [&how[..], command].concat();
        let (code, out, err) = self.line.launch(&args).finish_given(input.as_bytes()).await;
        (code, String::from_utf8_lossy(&out).into_owned(), err)
    }

    fn request(&self, agent: AgentId, command: &[&str]) -> TerminalCreate {
        TerminalCreate {
            agent,
            stack: None,
            service: None,
            number: None,
            container: None,
            host: true,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            user: None,
            working_dir: None,
            env: Vec::new(),
            tty: true,
            stdin: true,
            size: Some(TerminalSize {
                columns: 100,
                rows: 30,
            }),
            grace_s: 60,
        }
    }

    async fn open(&self, command: &[&str]) -> (TerminalView, Terminal) {
        let request = self.request(self.host.id(), command);
        let view = self.fleet.client().terminal_create(&request).await.unwrap();
        let terminal = Terminal::new(self.fleet.client().clone(), view.id, WITHIN);
        (view, terminal)
    }

    async fn audited(&self, action: &str) -> Vec<String> {
        let query = AuditQuery {
            action: Some(action.to_owned()),
            ..AuditQuery::default()
        };
        let page = self.fleet.client().audit_page(&query).await.unwrap();
        page.items.into_iter().map(|entry| entry.detail).collect()
    }
}

fn alive(pid: &str) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// What is shown until a shell has told a number as `pid=NUMBER.`, and the number.
async fn pid_shown(terminal: &mut Terminal) -> (String, String) {
    let mut text = String::new();
    loop {
        text += &shows(terminal, "").await.unwrap();
        let told = text
            .rsplit_once("pid=")
            .and_then(|(_, rest)| rest.split_once('.'));
        if let Some((pid, _)) = told {
            return (pid.to_owned(), text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_the_host_decides() {
    let world = World::start("hostrules").await;
    let user = world.user.clone();
    // Off, unless the owner says otherwise.
    let (code, _, err) = world.exec(&user, &["true"], "").await;
    assert_eq!(code, 3, "{err}");
    assert!(
        err.contains("WF-2009") && err.contains("host_terminal_users names nobody"),
        "{err}"
    );
    assert!(
        err.contains(&format!("host_terminal_users = [\"{user}\"]")),
        "{err}"
    );
    let refused = world.audited("terminal_refuse").await;
    assert!(
        matches!(refused.as_slice(), [one] if one.starts_with("the host hostrules itself: [\"true\"]") && one.contains("names nobody")),
        "{refused:?}"
    );

    // It is read anew for every terminal; only the one that it names may be.
    world.allow(&format!("[\"{user}\", \"nobody-of-this-host\"]"));
    let (code, _, err) = world.exec("somebody", &["true"], "").await;
    assert!(code == 3 && err.contains("as \"somebody\""), "{code} {err}");
    let (code, _, err) = world.exec("nobody-of-this-host", &["true"], "").await;
    assert!(code == 4 && err.contains("no user"), "{code} {err}");
    let script = "echo out; echo err >&2; cat; exit 7";
    let (code, out, err) = world.exec(&user, &["sh", "-c", script], "h\u{e9}llo").await;
    assert_eq!((code, out.as_str()), (7, "out\nh\u{e9}llo"), "{err}");
    assert!(err.contains("err\n"), "{err}");
    let several = world.request(world.host.id(), &[]);
    let error = world.fleet.client().terminal_create(&several).await.unwrap_err();
    assert!(error.to_string().contains("needs the name of a user"), "{error}");

    // Either the host or a container.
    let both = TerminalCreate {
        container: Some("web".to_owned()),
        ..several
    };
    let error = world.fleet.client().terminal_create(&both).await.unwrap_err();
    assert!(error.to_string().contains("give host alone"), "{error}");
    let opened = world.audited("terminal_open").await;
    assert!(
        opened
            .iter()
            .any(|one| one.starts_with("the host hostrules itself: [\"sh\"")
                && one.ends_with(&format!("as {user:?}"))),
        "{opened:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_on_the_host_outlives_its_link() {
    let world = World::start("hostlink").await;
    world.allow(&format!("[\"{}\"]", world.user));
    // The only one that the policy names, without being asked for.
    let (view, mut terminal) = world.open(&[]).await;
    assert_eq!(view.host_user.as_deref(), Some(world.user.as_str()));
    assert_eq!(view.container, "");
    terminal.input(b"PS1='$ '; stty size; tty; echo pi''d=$$.\n");
    let (pid, text) = pid_shown(&mut terminal).await;
    assert!(text.contains("30 100") && text.contains("/dev/pts/"), "{text}");
    terminal.resize(TerminalSize {
        columns: 120,
        rows: 40,
    });
    terminal.input(b"sleep 0.2; stty size\n");
    shows(&mut terminal, "40 120").await.unwrap();

    // Somebody watches, the link goes and comes back: both go on where they were.
    let mut watcher = Terminal::new(world.fleet.client().clone(), view.id, WITHIN).watching();
    shows(&mut watcher, "40 120").await.unwrap();
    world.proxy.blackhole();
    world.fleet.offline(&world.host, WITHIN).await;
    assert!(alive(&pid));
    terminal.input(b"echo aft''er the cut\n");
    world.proxy.heal();
    shows(&mut terminal, "after the cut").await.unwrap();
    shows(&mut watcher, "after the cut").await.unwrap();
    let list = world.fleet.client().terminal_list().await.unwrap();
    assert!(
        matches!(list.as_slice(), [one] if one.id == view.id && one.host_user.is_some()),
        "{list:?}"
    );

    // Closed: the shell and what it began are gone.
    terminal.input(b"sleep 1000 & echo pi''d=$!.\n");
    let (job, _) = pid_shown(&mut terminal).await;
    terminal.close().await.unwrap();
    until("the processes have ended", WITHIN, async || {
        (!alive(&pid) && !alive(&job)).then_some(())
    })
    .await;
    let end = ends(&mut watcher).await;
    assert_eq!(end.cause, TerminalCause::Closed, "{end:?}");
    let closed = world.audited("terminal_close").await;
    assert!(
        matches!(closed.as_slice(), [one] if one.starts_with("closed after")),
        "{closed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_leaves_no_process_on_the_host() {
    let mut world = World::start("hostkill").await;
    world.allow(&format!("[\"{}\"]", world.user));
    let (_, mut terminal) = world
        .open(&["sh", "-c", "trap '' HUP; echo pid=$$.; sleep 1000; true"])
        .await;
    let (pid, _) = pid_shown(&mut terminal).await;
    assert!(alive(&pid));
    world.host.agent.kill().await;
    until("the process has ended", WITHIN, async || {
        (!alive(&pid)).then_some(())
    })
    .await;
}

/// The output in a recording, and the sizes.
fn played(cast: &str) -> (String, Vec<String>) {
    let (mut text, mut sizes) = (String::new(), Vec::new());
    for line in cast.lines().skip(1) {
        let (_, kind, what): (f64, String, String) = serde_json::from_str(line).unwrap();
        match kind.as_str() {
            "o" => text += &what,
            "r" => sizes.push(what),
            other => panic!("an event of kind {other}: {what}"),
        }
    }
    (text, sizes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_shows_what_was_seen() {
    let world = World::start_with("hostrec", &[("WINDFLOW_TERMINAL_RECORDING", "host")]).await;
    world.allow(&format!("[\"{}\"]", world.user));
    let (view, mut terminal) = world
        .open(&[
            "sh",
            "-c",
            "read a; echo h\u{e9}llo $a; stty size; read b; exit 5",
        ])
        .await;
    assert!(view.recorded);
    terminal.input(b"secret\n");
    let mut seen = shows(&mut terminal, "30 100").await.unwrap();
    // The browser goes away; the recorder stays.
    drop(terminal);
    let mut terminal = Terminal::new(world.fleet.client().clone(), view.id, WITHIN);
    terminal.resize(TerminalSize {
        columns: 120,
        rows: 40,
    });
    shows(&mut terminal, "30 100").await.unwrap();
    terminal.input(b"x\n");
    let end = loop {
        match terminal.next().await.unwrap() {
            windflow_client::terminal::Seen::Output { bytes, .. } => seen += &String::from_utf8_lossy(&bytes),
            windflow_client::terminal::Seen::Ended(end) => break end,
            _ => {}
        }
    };
    assert_eq!(end.exit_code, Some(5));
    let closed = world.audited("terminal_close").await;
    assert!(
        matches!(closed.as_slice(), [one] if one.contains(", recording SHA-256 ")),
        "{closed:?}"
    );

    let cast = world
        .line
        .run(&["recording", "save", &view.id.to_string()])
        .await
        .ok();
    assert!(
        cast.starts_with("{\"version\":2,\"width\":100,\"height\":30,"),
        "{cast}"
    );
    let (text, sizes) = played(&cast);
    assert!(
        text.starts_with(&seen) || seen.starts_with(&text),
        "{text:?} {seen:?}"
    );
    assert!(text.contains("h\u{e9}llo secret\r\n30 100\r\n"), "{text:?}");
    assert_eq!(sizes.last().map(String::as_str), Some("120x40"));
    let shown = world
        .line
        .run(&["recording", "show", &view.id.to_string(), "-o", "json"])
        .await
        .ok();
    assert!(
        shown.contains("\"verdict\": \"matches\"") && shown.contains("\"complete\": true"),
        "{shown}"
    );
    assert_eq!(world.audited("recording_read").await.len(), 1);

    // Encrypted where it lies; changed there, it is said.
    let dir = world.fleet.data_dir().join("recordings");
    let org = fs_err::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let file = org.join(format!("{}.rec", view.id));
    let mut bytes = fs_err::read(&file).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"secret"));
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&file, bytes).unwrap();
    let changed = world.fleet.client().recording_view(view.id).await.unwrap();
    assert_eq!(changed.verdict, Some(windflow_api::RecordingVerdict::Differs));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controller_leaves_a_recording_that_plays() {
    let mut world = World::start_with("hostrecskill", &[("WINDFLOW_TERMINAL_RECORDING", "all")]).await;
    world.allow(&format!("[\"{}\"]", world.user));
    let (view, mut terminal) = world.open(&["sh", "-c", "echo before the kill; read a"]).await;
    shows(&mut terminal, "before the kill").await.unwrap();
    let begun = world.fleet.client().recording_view(view.id).await.unwrap().bytes;
    let client = world.fleet.client().clone();
    until("a chunk is written", WITHIN, async || {
        let now = client.recording_view(view.id).await.unwrap();
        (now.bytes > begun).then_some(())
    })
    .await;
    world.fleet.controller.kill().await;
    world.fleet.restart_controller().await;
    let left = world.fleet.client().recording_view(view.id).await.unwrap();
    assert_eq!(left.state, windflow_api::RecordingState::NotEnded);
    assert!(!left.complete && left.verdict == Some(windflow_api::RecordingVerdict::Unknown));
    let cast = world
        .line
        .run(&["recording", "save", &view.id.to_string()])
        .await
        .ok();
    assert!(played(&cast).0.contains("before the kill"), "{cast}");
}
