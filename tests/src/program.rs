//! One process of ours: started with an argument vector and a clean environment, its output in a file, ended with its
//! owner.

use std::{
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

/// Longest time a command that is waited for may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(120);
/// Lines of a log that are shown when a test fails.
const TAIL: usize = 60;

/// Where the binaries are: `WINDFLOW_BIN`, else the folder above the test's own.
///
/// # Panics
/// If `name` was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("WINDFLOW_BIN").map_or_else(beside_the_tests, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not there: build the programs first (`cargo build`, or `scripts/test unit` which does it), or name their folder in WINDFLOW_BIN",
        path.display()
    );
    path
}

fn beside_the_tests() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let deps = own.parent().expect("a test lies in a folder");
    deps.parent().expect("target/PROFILE").to_path_buf()
}

/// Memory of a process that is its own and not mapped from a file (KiB); `None` once it has gone.
#[must_use]
pub fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How a process is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables beside `PATH`; nothing is inherited.
    pub env: Vec<(String, OsString)>,
    /// Another user than this test's.
    pub user: Option<u32>,
}

/// The user `nobody` of Debian.
const NOBODY: u32 = 65_534;

impl Launch {
    /// One of our programs.
    #[must_use]
    pub fn ours<S: Into<OsString>>(name: &str, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            program: binary(name),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            user: None,
        }
    }

    /// Runs it as a user without rights, from a copy of the program in `folder`, which that user can read. Whoever is
    /// not root has no rights to give up: then nothing changes.
    ///
    /// # Panics
    /// If the program cannot be copied.
    #[must_use]
    pub fn without_rights(mut self, folder: &Path) -> Self {
        if !rustix::process::geteuid().is_root() {
            return self;
        }
        let copy = folder.join(self.program.file_name().expect("a program has a name"));
        if !copy.exists() {
            fs::copy(&self.program, &copy).expect("a copy");
        }
        fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("readable");
        self.program = copy;
        self.user = Some(NOBODY);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of the harness that starts programs; every one is killed with its owner"
    )]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// As [`Launch::finish`], with this on its standard input; what it printed comes as bytes.
    ///
    /// # Panics
    /// If it cannot be started or takes longer than two minutes.
    pub async fn finish_given(&self, input: &[u8]) -> (i32, Vec<u8>, String) {
        let mut command = self.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let feed = async {
            // A program that ends early reads no more.
            let _ended = stdin.write_all(input).await;
            drop(stdin);
        };
        let both = async { tokio::join!(child.wait_with_output(), feed).0 };
        let output = tokio::time::timeout(COMMAND_WITHIN, both);
        let output = output.await.expect("the command ends in time").expect("it runs");
        let code = output.status.code().unwrap_or(-1);
        (
            code,
            output.stdout,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started or takes longer than two minutes.
    pub async fn finish(&self) -> Finished {
        let output = tokio::time::timeout(COMMAND_WITHIN, self.command().output());
        let output = output
            .await
            .expect("the command ends in time")
            .expect("it starts");
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Finished {
    /// Its output.
    ///
    /// # Panics
    /// If it failed.
    #[must_use]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// A process that goes on until it is told to stop, or dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    log: PathBuf,
    child: Option<Child>,
}

impl Program {
    /// Not running yet; what it says goes into `log`.
    #[must_use]
    pub fn new(name: &str, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            log,
            child: None,
        }
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it runs already or cannot be started.
    pub fn start(&mut self, launch: &Launch) {
        assert!(!self.is_running(), "{} runs already", self.name);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("the log opens");
        let out: std::fs::File = log.into();
        let err = out.try_clone().expect("a second handle");
        let mut command = launch.command();
        self.child = Some(
            command
                .stdout(out)
                .stderr(err)
                .spawn()
                .expect("the program starts"),
        );
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// `kill -9`: gone when this returns.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("a child can be killed");
        }
    }

    /// Sends a signal, if it runs.
    pub fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // It may have ended at this moment.
            let _ended = kill_process(pid, signal);
        }
    }

    /// SIGTERM, then its end within `bound`.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn stop(&mut self, bound: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let ended = self.ended(bound).await;
        assert!(
            ended.is_some() || self.child.is_none(),
            "{} does not end",
            self.name
        );
        ended
    }

    /// Waits for its end by itself.
    pub async fn ended(&mut self, bound: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        let status = tokio::time::timeout(bound, child.wait()).await.ok()?;
        self.child = None;
        status.ok()
    }

    /// Everything it said so far, over all its lives.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The file it talks into.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let said = self.said();
        let lines: Vec<_> = said.lines().collect();
        eprintln!("== the last lines of {}", self.name);
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
            eprintln!("{line}");
        }
    }
}
