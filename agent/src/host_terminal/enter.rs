//! What becomes the shell. The privileged part starts its own program once more, with one thread and nothing else in it:
//! that one takes the terminal, gives up its rights, and is then replaced by the program that was asked for.

use std::{
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
};

use rustix::{
    fs::Mode,
    process::{chdir, geteuid, ioctl_tiocsctty, setsid, umask},
    thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid, set_thread_uid},
};
use serde::{Deserialize, Serialize};

use crate::failure::CommandError;

/// Bytes before the plan on standard input: its length.
pub(super) const HEAD: usize = 4;
/// Longest plan; requests are bounded by their frame.
const LONGEST: usize = 2 << 20;

/// Exit codes as shells have them: the program is not there, or cannot be run.
const NOT_THERE: u8 = 127;
const NOT_RUN: u8 = 126;

/// What to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Found in the `PATH` of `env`, unless it has a slash.
    pub(super) program: String,
    /// Its own name for itself.
    pub(super) arg0: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    /// Where to begin; must be there.
    pub(super) working_dir: Option<String>,
    /// Where to begin otherwise, if it is there.
    pub(super) home: String,
    /// Standard output is a terminal, which becomes standard input, too.
    pub(super) tty: bool,
    /// Whom to become; `None` stays who it is.
    pub(super) identity: Option<Identity>,
}

/// A user by numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// Becomes what standard input tells. Comes back only with what stood against it.
#[must_use]
pub fn enter() -> CommandError {
    match prepare() {
        Ok(plan) => {
            let error = replace(&plan);
            let exit = if error.kind() == io::ErrorKind::NotFound {
                NOT_THERE
            } else {
                NOT_RUN
            };
            // The person in front of the terminal reads this: the last word of a program that never was.
            let _ = write!(io::stderr(), "windflow-agent: {}: {error}\r\n", plan.program);
            CommandError {
                exit,
                bare: true,
                ..CommandError::failed("")
            }
        }
        Err(error) => CommandError {
            exit: NOT_RUN,
            ..CommandError::failed(error)
        },
    }
}

fn prepare() -> Result<Plan, String> {
    let failed = |what: &'static str| move |error: rustix::io::Errno| format!("{what} failed: {error}");
    let plan = read_plan()?;
    // Users and groups are changed for one thread: there must be no other.
    if fs_err::read_dir("/proc/self/task").map_or(0, Iterator::count) != 1 {
        return Err("this process has more than one thread".to_owned());
    }
    setsid().map_err(failed("a new session"))?;
    if plan.tty {
        let terminal = rustix::stdio::stdout();
        ioctl_tiocsctty(terminal).map_err(failed("taking the terminal"))?;
        rustix::stdio::dup2_stdin(terminal).map_err(failed("reading from the terminal"))?;
    }
    if let Some(identity) = &plan.identity {
        let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
        set_thread_groups(&groups).map_err(failed("changing the groups"))?;
        set_thread_res_gid(gid, gid, gid).map_err(failed("changing the group"))?;
        set_thread_res_uid(uid, uid, uid).map_err(failed("changing the user"))?;
        let back = !uid.is_root() && set_thread_uid(Uid::ROOT).is_ok();
        if back || geteuid() != uid {
            return Err("the rights of root could not be given up".to_owned());
        }
    }
    // As the user: what root may enter is not the question.
    umask(Mode::from_raw_mode(0o022));
    match &plan.working_dir {
        Some(folder) => chdir(folder.as_str()).map_err(|error| format!("{folder}: {error}"))?,
        None => chdir(plan.home.as_str())
            .or_else(|_| chdir("/"))
            .map_err(failed("entering /"))?,
    }
    Ok(plan)
}

/// Byte for byte: what comes behind the plan is the program's to read.
fn read_plan() -> Result<Plan, String> {
    let mut head = [0; HEAD];
    fill(&mut head)?;
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err("the plan is too long".to_owned());
    }
    let mut text = vec![0; length];
    fill(&mut text)?;
    serde_json::from_slice(&text).map_err(|error| format!("the plan cannot be read: {error}"))
}

fn fill(mut rest: &mut [u8]) -> Result<(), String> {
    while !rest.is_empty() {
        match rustix::io::read(rustix::stdio::stdin(), &mut *rest) {
            Ok(0) => return Err("the plan is cut short".to_owned()),
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("reading the plan failed: {error}")),
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process becomes the program that was asked for: nothing is left to wait for it"
)]
fn replace(plan: &Plan) -> io::Error {
    std::process::Command::new(&plan.program)
        .arg0(&plan.arg0)
        .args(&plan.args)
        .env_clear()
        .envs(plan.env.iter().map(|(key, value)| (key, value)))
        .exec()
}
