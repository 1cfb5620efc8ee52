//! The end of a session: everything that belongs to it is hung up on, and what stays is killed.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

/// Time between the hang-up and the kill.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at who is left.
const LOOK: Duration = Duration::from_millis(20);

/// Processes of the session that this process leads.
pub(super) fn members(leader: Pid) -> Vec<Pid> {
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|number| {
            let stat = fs_err::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            session_of(&stat) == Some(leader.as_raw_nonzero().get())
        })
        .filter_map(Pid::from_raw)
        .collect()
}

/// The session in a line of proc(5)'s stat, of a process that is not dead yet. The name before it may hold anything.
fn session_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // state, parent, group, session
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(2)?.parse().ok()
}

/// Hangs up on all of it, and kills what has not gone within two seconds.
pub(super) async fn end(leader: Pid) {
    // One that is stopped hears nothing until it is continued.
    for signal in [Signal::HUP, Signal::CONT] {
        tell(&members(leader), signal);
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let left = members(leader);
        if left.is_empty() {
            return;
        }
        if Instant::now() >= until {
            tell(&left, Signal::KILL);
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn tell(processes: &[Pid], signal: Signal) {
    for process in processes {
        // One that has ended meanwhile needs no signal.
        let _gone = kill_process(*process, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_processes() {
        assert_eq!(session_of("12 (sh) S 1 12 11 34816 12 0"), Some(11));
        assert_eq!(session_of("12 (a) b ) S 9) R 1 12 7 0"), Some(7));
        assert_eq!(session_of("12 (sh) Z 1 12 11 0"), None);
        assert_eq!(session_of("12 (sh"), None);
        assert_eq!(session_of(""), None);
    }
}
