//! The end of a command in a container. The engine has no request for it: whoever closes the connection leaves the
//! process behind. So it is signalled as a process of this host; where that is not allowed, from inside the container.

use std::time::Duration;

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group, test_kill_process_group},
};
use serde_json::Value;

use super::{DockerTarget, error::refused, session, wire};
use crate::targets::{ExecRequest, TargetError, TargetErrorKind as Kind};

const WHAT: &str = "end a command";
/// Time to go after the hang-up; then it is killed.
const GO_WITHIN: Duration = Duration::from_secs(2);
/// A command that has been asked for begins within this time.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Where a command stands.
enum State {
    NotYet,
    Runs(Found),
    Over,
}

/// A command that runs, as a process of this host.
struct Found {
    pid: i32,
    container: String,
}

pub(super) async fn exec_end(target: &DockerTarget, id: &str) -> Result<(), TargetError> {
    let deadline = tokio::time::Instant::now() + BEGUN_WITHIN;
    let found = loop {
        match look(target, id).await? {
            State::Runs(found) => break found,
            State::Over => return Ok(()),
            // The engine answers before it has started the command: closed now, it would begin all the same, for nobody.
            State::NotYet if tokio::time::Instant::now() < deadline => tokio::time::sleep(LOOK).await,
            State::NotYet => return Ok(()),
        }
    };
    let Some(group) = Pid::from_raw(found.pid).filter(|_| is_ours(&found)) else {
        let text = format!("cannot {WHAT}: its process {} is none of this host", found.pid);
        return Err(TargetError::new(Kind::Unsupported, text));
    };
    // The engine makes every command the leader of a session: with it goes what it has in the foreground, and a shell
    // hangs up on its jobs.
    match kill_process_group(group, Signal::HUP) {
        Ok(()) => {}
        Err(Errno::SRCH) => return Ok(()),
        Err(Errno::PERM) => return from_inside(target, &found).await,
        Err(error) => return Err(TargetError::caused(Kind::Host, format!("cannot {WHAT}"), error)),
    }
    let deadline = tokio::time::Instant::now() + GO_WITHIN;
    while tokio::time::Instant::now() < deadline {
        if test_kill_process_group(group).is_err() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    // Its leader may have gone. While one of the group is there, its number is given to nobody else.
    match kill_process_group(group, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(TargetError::caused(Kind::Host, format!("cannot {WHAT}"), error)),
    }
}

async fn look(target: &DockerTarget, id: &str) -> Result<State, TargetError> {
    let (status, answer) = wire::get(target, &format!("/exec/{id}/json"), WHAT).await?;
    // With its container, commands are forgotten.
    if status.as_u16() == 404 {
        return Ok(State::Over);
    }
    if !status.is_success() {
        return Err(refused(WHAT, status.as_u16(), &answer));
    }
    let found: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let pid = found.get("Pid").and_then(Value::as_i64).unwrap_or(0);
    let container = found.get("ContainerID").and_then(Value::as_str);
    let runs = found.get("Running").and_then(Value::as_bool) == Some(true);
    if !runs && found.get("ExitCode").is_some_and(Value::is_number) {
        return Ok(State::Over);
    }
    if !runs || pid <= 0 {
        return Ok(State::NotYet);
    }
    let pid = i32::try_from(pid).unwrap_or(0);
    Ok(State::Runs(Found {
        pid,
        container: container.unwrap_or_default().to_owned(),
    }))
}

/// Whether the process is one of that container: numbers are used again, and an engine may be on another host.
fn is_ours(found: &Found) -> bool {
    let groups = fs_err::read_to_string(format!("/proc/{}/cgroup", found.pid));
    !found.container.is_empty() && groups.is_ok_and(|groups| groups.contains(&found.container))
}

/// Kills the group by its number in the container, with the container's own `kill`.
async fn from_inside(target: &DockerTarget, found: &Found) -> Result<(), TargetError> {
    let status = fs_err::read_to_string(format!("/proc/{}/status", found.pid)).unwrap_or_default();
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let inner = inner
        .and_then(|pids| pids.split_whitespace().last())
        .unwrap_or("0");
    if inner == "0" {
        let text = format!(
            "cannot {WHAT}: the agent may not signal it, and its number in the container is not known"
        );
        return Err(TargetError::new(Kind::Host, text));
    }
    let request = ExecRequest {
        container: found.container.clone(),
        command: ["kill", "-KILL", &format!("-{inner}")]
            .map(str::to_owned)
            .to_vec(),
        user: Some("0".to_owned()),
        detach: true,
        ..ExecRequest::default()
    };
    session::exec(target, request).await.map(drop)
}
