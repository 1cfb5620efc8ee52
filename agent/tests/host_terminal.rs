//! The privileged part as a program of its own, asked directly: what it starts, as whom, what it refuses, and that nothing
//! outlives its connection. Frames are written out here: the agent of another version has to speak them, too.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::{
    os::{fd::OwnedFd, unix::net},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, Command},
};

const WITHIN: Duration = Duration::from_secs(20);
/// A user that every system has as a number, with a shell and a second group in the files of the test.
const USER: u32 = 65_534;
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\ntester:x:65534:65534:Tester:/tmp:/bin/sh\nlost:x:65533:65533::/no/home:/bin/sh\n";
const GROUP: &str = "root:x:0:\ntester:x:65534:\nextra:x:4242:root,tester\nother:x:4343:root\n";

/// Users are changed by root only; elsewhere there is nothing to see.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not root: left out");
    }
    root
}

struct Part {
    stream: UnixStream,
    process: Child,
    dir: tempfile::TempDir,
    taken: usize,
    out: Vec<u8>,
    errors: Vec<u8>,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Exited(i32),
    Failed(String),
    Closed,
}

impl Part {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test, ended by its connection"
    )]
    fn start(policy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("policy.toml", policy), ("passwd", PASSWD), ("group", GROUP)] {
            fs_err::write(dir.path().join(name), text).unwrap();
        }
        let (own, other) = net::UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_windflow-agent"))
            .args(["host-terminal", "--policy"])
            .arg(dir.path().join("policy.toml"))
            .arg("--accounts")
            .arg(dir.path())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            stream: UnixStream::from_std(own).unwrap(),
            process,
            dir,
            taken: 0,
            out: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// With a process that runs.
    async fn run(user: &str, command: &[&str], tty: bool) -> Self {
        let mut part = Self::start("host_terminal_users = [\"tester\", \"root\", \"lost\"]");
        part.ask(user, command, tty).await;
        let (kind, body) = part.frame().await.unwrap();
        assert_eq!(kind, 65, "{}", String::from_utf8_lossy(&body));
        part
    }

    async fn ask(&mut self, user: &str, command: &[&str], tty: bool) {
        let request = json!({
            "user": user, "command": command, "working_dir": null, "env": ["FROM=test"], "tty": tty,
            "size": { "columns": 91, "rows": 17 },
        });
        self.send(1, request.to_string().as_bytes()).await;
    }

    async fn send(&mut self, kind: u8, body: &[u8]) {
        let mut frame = vec![kind];
        frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        frame.extend(body);
        // One that has gone is seen in what it said.
        let _sent = self.stream.write_all(&frame).await;
    }

    async fn type_in(&mut self, text: &str) {
        self.send(2, text.as_bytes()).await;
    }

    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let reading = async {
            let kind = self.stream.read_u8().await.ok()?;
            let mut body = vec![0; usize::try_from(self.stream.read_u32().await.ok()?).unwrap()];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((kind, body))
        };
        tokio::time::timeout(WITHIN, reading)
            .await
            .unwrap_or_else(|_| panic!("it says nothing behind {:?}", self.text()))
    }

    /// Reads one frame; the end, if it is that.
    async fn step(&mut self) -> Option<End> {
        let Some((kind, body)) = self.frame().await else {
            return Some(End::Closed);
        };
        let number = || body.as_slice().try_into().map(i32::from_be_bytes).unwrap();
        match kind {
            66 => {
                let failure: Value = serde_json::from_slice(&body).unwrap();
                let part = |key: &str| failure.get(key).and_then(Value::as_str).unwrap().to_owned();
                return Some(End::Failed(format!(
                    "{} {} {}",
                    part("code"),
                    part("message"),
                    part("hint")
                )));
            }
            67 => self.out.extend(body),
            68 => self.errors.extend(body),
            69 => self.taken += usize::try_from(number()).unwrap(),
            70 => return Some(End::Exited(number())),
            other => panic!("a frame of kind {other}"),
        }
        None
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    async fn shows(&mut self, word: &str) {
        while !self.text().contains(word) {
            if let Some(end) = self.step().await {
                panic!("{word:?} is not shown before {end:?}: {:?}", self.text());
            }
        }
    }

    async fn ends(&mut self) -> End {
        loop {
            if let Some(end) = self.step().await {
                return end;
            }
        }
    }

    /// Everything that a command writes, and its end.
    async fn all(user: &str, script: &str, tty: bool) -> (String, String, End) {
        let mut part = Self::run(user, &["/bin/sh", "-c", script], tty).await;
        let end = part.ends().await;
        (
            part.text(),
            String::from_utf8_lossy(&part.errors).into_owned(),
            end,
        )
    }
}

async fn until(what: &str, mut there: impl FnMut() -> bool) {
    let waiting = async {
        while !there() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(WITHIN, waiting).await.is_ok(), "{what}");
}

fn alive(pid: &str) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn it_runs_as_the_user_and_nobody_else() {
    if !is_root() {
        return;
    }
    let script = "id -u; id -G; echo $HOME:$USER:$LOGNAME:$SHELL:$PWD:$FROM:$LANG:$TERM; umask; \
        grep -E '^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs)' /proc/self/status; ls /proc/self/fd; cat /proc/1/environ; echo err >&2";
    let (out, errors, end) = Part::all("tester", script, false).await;
    assert_eq!(end, End::Exited(0), "{out}{errors}");
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("65534"));
    assert_eq!(lines.next(), Some("65534 4242"), "no group of root's is left");
    assert_eq!(
        lines.next(),
        Some("/tmp:tester:tester:/bin/sh:/tmp:test:C.UTF-8:")
    );
    assert_eq!(lines.next(), Some("0022"));
    let rest: Vec<_> = lines.map(|line| line.replace('\t', " ")).collect();
    let all = "65534 65534 65534 65534";
    for line in [
        format!("Uid: {all}"),
        format!("Gid: {all}"),
        "Groups: 4242 65534 ".to_owned(),
        "CapPrm: 0000000000000000".to_owned(),
        "CapEff: 0000000000000000".to_owned(),
        "CapAmb: 0000000000000000".to_owned(),
        "NoNewPrivs: 0".to_owned(),
    ] {
        assert!(rest.contains(&line), "{line}: {rest:?}");
    }
    // 0, 1, 2, and the folder that is read: no hold on anything of the privileged part.
    let open: Vec<_> = rest.iter().filter(|line| line.len() == 1).collect();
    assert_eq!(open, ["0", "1", "2", "3"]);
    assert!(
        errors.contains("/proc/1/environ") && errors.ends_with("err\n"),
        "{errors}"
    );

    let (out, _, _) = Part::all("lost", "pwd; id -G", false).await;
    assert_eq!(out, "/\n65533\n", "a home that is not there");
    let (out, _, _) = Part::all("root", "id -u; id -G; echo $PATH", false).await;
    assert!(out.starts_with("0\n0 4242 4343\n/usr/local/sbin:"), "{out}");
}

#[tokio::test]
async fn a_terminal_with_a_login_shell() {
    if !is_root() {
        return;
    }
    let mut part = Part::run("tester", &[], true).await;
    part.type_in("echo [$0] [$(tty)] [$TERM] [$(stat -c %u $(tty))]; stty size; stty -a | grep -o iutf8\n")
        .await;
    part.shows("[-sh] [/dev/pts/").await;
    part.shows(&format!("[xterm-256color] [{USER}]")).await;
    part.shows("\r\n17 91\r\n").await;
    part.shows("\r\niutf8\r\n").await;
    // The kernel tells the program in front of another size; the shell has job control, so /dev/tty is its own.
    part.type_in("trap 'stty size' WINCH; echo re''ady >/dev/tty\n")
        .await;
    part.shows("ready\r\n").await;
    part.send(4, &[0, 132, 0, 43]).await;
    part.type_in("\n").await;
    part.shows("\r\n43 132\r\n").await;
    // Control-C reaches the program, not the shell.
    part.type_in("sh -c 'echo go''ing; exec sleep 1000'\n").await;
    part.shows("going").await;
    part.type_in("\u{3}").await;
    part.type_in("echo co''de=$?\n").await;
    part.shows("code=130").await;
    part.type_in("exit 3\n").await;
    assert_eq!(part.ends().await, End::Exited(3));
}

#[tokio::test]
async fn every_byte_passes_a_terminal() {
    if !is_root() {
        return;
    }
    let script = "stty raw -echo; printf ready; exec cat";
    let mut part = Part::run("tester", &["/bin/sh", "-c", script], true).await;
    part.shows("ready").await;
    part.out.clear();
    // A full-screen program's start and end, a pasted text in its brackets, characters cut in the middle, and all bytes.
    let mut bytes = b"\x1b[?1049h\x1b[H\x1b[2J\x1b[200~rm -rf / # pasted\r\n\x1b[201~\x1b[?1049l".to_vec();
    bytes.extend("h\u{e9}llo \u{1f600} \u{4f60}".as_bytes());
    bytes.extend(0..=255_u8);
    for piece in bytes.chunks(7) {
        part.send(2, piece).await;
    }
    while part.out.len() < bytes.len() {
        assert_eq!(part.step().await, None, "{:?}", part.text());
    }
    assert_eq!(part.out, bytes);
    assert_eq!(part.taken, bytes.len());
}

#[tokio::test]
async fn nothing_outlives_the_connection() {
    if !is_root() {
        return;
    }
    for tty in [true, false] {
        // In the background, in a group of its own, deaf to the hang-up, stopped: all of it goes.
        let script = "set -m; sleep 1000 & a=$!; (trap '' HUP TERM INT; sleep 1001; sleep 1002) & b=$!; sleep 1003 & c=$!; \
            kill -STOP $c; trap '' HUP; echo pids $$ $a $b $c done; wait; wait";
        let mut part = Part::run("tester", &["/bin/sh", "-c", script], tty).await;
        part.shows(" done").await;
        let text = part.text();
        let pids: Vec<_> = text
            .split_whitespace()
            .filter(|word| word.parse::<u32>().is_ok())
            .map(str::to_owned)
            .collect();
        assert_eq!(pids.len(), 4, "{text}");
        assert!(pids.iter().all(|pid| alive(pid)));
        let Part {
            stream, mut process, ..
        } = part;
        drop(stream);
        until("everything has ended", || !pids.iter().any(|pid| alive(pid))).await;
        let ended = tokio::time::timeout(WITHIN, process.wait()).await;
        assert!(ended.unwrap().unwrap().success());
    }

    // Killed, the part takes the terminal with it: the kernel hangs up.
    let mut part = Part::run(
        "tester",
        &["/bin/sh", "-c", "echo pid $$ done; sleep 1000; true"],
        true,
    )
    .await;
    part.shows(" done").await;
    let text = part.text();
    let pid = text.split_whitespace().nth(1).unwrap();
    part.process.kill().await.unwrap();
    until("the shell has ended", || !alive(pid)).await;
}

#[tokio::test]
async fn exit_codes_and_pipes() {
    if !is_root() {
        return;
    }
    let check = async |script: &str, expected: i32| {
        for tty in [false, true] {
            let (out, errors, end) = Part::all("tester", script, tty).await;
            assert_eq!(end, End::Exited(expected), "{script} {tty}: {out}{errors}");
        }
    };
    check("exit 7", 7).await;
    check("kill -9 $$", 137).await;
    check("kill $$", 143).await;
    // The last output of a process that has ended is there, and who stays behind with its outputs does not hold it up.
    let (out, _, end) = Part::all("tester", "sleep 1000 & seq 1 20000; echo last", false).await;
    assert_eq!((out.lines().count(), end), (20_001, End::Exited(0)));

    let mut missing = Part::run("tester", &["no-such-program"], false).await;
    assert_eq!(missing.ends().await, End::Exited(127));
    let said = String::from_utf8_lossy(&missing.errors).into_owned();
    assert!(said.contains("no-such-program: No such file"), "{said}");

    // Large and binary, both ways, in order; told how much was taken, so that no more is under way than may be.
    let big: Vec<u8> = (0..1_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let mut part = Part::run("tester", &["cat"], false).await;
    let mut sent = 0;
    while sent < big.len() {
        while sent < big.len() && sent - part.taken < 48 << 10 {
            let piece = &big[sent..big.len().min(sent + (16 << 10))];
            part.send(2, piece).await;
            sent += piece.len();
        }
        assert_eq!(part.step().await, None);
    }
    part.send(3, b"").await;
    assert_eq!(part.ends().await, End::Exited(0));
    assert!(part.out == big, "{} bytes came back", part.out.len());
}

#[tokio::test]
async fn what_reads_nothing_holds_nothing_up() {
    if !is_root() {
        return;
    }
    let script = "stty raw -echo; trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut part = Part::run("tester", &["/bin/sh", "-c", script], true).await;
    part.shows("ready").await;
    part.send(2, &[b'a'; 15_000]).await;
    part.send(2, &[b'b'; 15_000]).await;
    part.send(4, &[0, 50, 0, 20]).await;
    part.shows("20 50").await;
    // More than may be under way is not kept: the connection ends, and with it the process.
    for _ in 0..8 {
        part.send(2, &[b'c'; 16_000]).await;
    }
    assert_eq!(part.ends().await, End::Closed);
}

#[tokio::test]
async fn it_judges_by_the_policy_itself() {
    let check = async |policy: &str, user: &str, says: &str| {
        let mut part = Part::start(policy);
        part.ask(user, &["true"], false).await;
        match part.ends().await {
            End::Failed(failure) => assert!(failure.contains(says), "{policy}: {failure}"),
            end => panic!("{policy:?} as {user}: {end:?}"),
        }
        assert_eq!(part.ends().await, End::Closed);
    };
    let tester = "host_terminal_users = [\"tester\"]";
    check("", "tester", "WF-2009").await;
    check("", "tester", "host_terminal_users names nobody").await;
    check(tester, "root", "host_terminal_users names tester").await;
    check(tester, "65534", "WF-2009").await;
    check(tester, "", "WF-2009").await;
    check(
        "host_terminal_users = [\"tester\"]\nother = 1",
        "tester",
        "unknown key `other`",
    )
    .await;
    check("host_terminal_users = [\"ghost\"]", "ghost", "no user \"ghost\"").await;
    check("host_terminal_users = [\"-x\"]", "-x", "no user \"-x\"").await;

    // A policy that others may write allows nothing.
    let mut part = Part::start(tester);
    let file = part.dir.path().join("policy.toml");
    fs_err::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    part.ask("tester", &["true"], false).await;
    assert!(matches!(part.ends().await, End::Failed(why) if why.contains("may write")));

    // What is no request starts nothing.
    for (kind, body) in [
        (2, &b"ls\n"[..]),
        (1, b"{"),
        (9, b""),
        (1, b"{\"user\":\"tester\"}"),
    ] {
        let mut part = Part::start(tester);
        part.send(kind, body).await;
        assert!(matches!(part.ends().await, End::Failed(why) if why.starts_with("WF-")));
    }
    // A second request ends the first.
    if is_root() {
        let mut part = Part::run("tester", &["sleep", "1000"], false).await;
        part.ask("root", &["true"], false).await;
        assert_eq!(part.ends().await, End::Closed);
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the program under test, waited for")]
async fn nobody_starts_it_by_hand() {
    let output = Command::new(env!("CARGO_BIN_EXE_windflow-agent"))
        .arg("host-terminal")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("started by systemd or the agent"), "{said}");
}
