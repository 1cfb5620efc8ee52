//! `windflow-agent doctor`: looks at everything the agent needs and says what to do about what is wrong.

use std::{io::Write as _, path::Path};

use windflow_kit::{Chain, Clock, DirLock, LockError};

use crate::{config::Config, failure::CommandError, tasks};

/// Before this time no WindFlow was built: such a clock is wrong. 2026-01-01T00:00:00Z.
const EARLIEST_MS: i64 = 1_767_225_600_000;

/// One check: what was looked at, and what is wrong with it.
struct Finding {
    what: &'static str,
    result: Result<String, CommandError>,
}

/// Runs every check and prints one line each.
///
/// # Errors
/// Exit 1 if any check fails.
pub async fn command(config: &Config, clock: &Clock) -> Result<(), CommandError> {
    let findings = [
        Finding {
            what: "state directory",
            result: state_dir(&config.state_dir),
        },
        Finding {
            what: "engine",
            result: engine(config).await,
        },
        Finding {
            what: "clock",
            result: check_clock(clock.now_ms()),
        },
    ];
    let mut out = std::io::stdout().lock();
    for finding in &findings {
        let text = match &finding.result {
            Ok(fine) => format!("ok    {}: {fine}", finding.what),
            Err(error) if error.hint.is_empty() => format!("FAIL  {}: {error}", finding.what),
            Err(error) => format!("FAIL  {}: {error}\n      {}", finding.what, error.hint),
        };
        // A stdout that is gone leaves the exit code.
        let _ = writeln!(out, "{text}");
    }
    let wrong = findings.iter().filter(|finding| finding.result.is_err()).count();
    if wrong == 0 {
        return Ok(());
    }
    Err(CommandError::failed(format!(
        "{wrong} of {} checks failed",
        findings.len()
    )))
}

fn state_dir(dir: &Path) -> Result<String, CommandError> {
    if !dir.exists() {
        return Ok(format!(
            "{} does not exist yet; it is made at the first start",
            dir.display()
        ));
    }
    match DirLock::acquire(dir) {
        Ok(_) => Ok(format!("{} is free and writable", dir.display())),
        Err(LockError::InUse { pid: Some(pid), .. }) => {
            Ok(format!("{} is held by process {pid}", dir.display()))
        }
        Err(LockError::InUse { pid: None, .. }) => {
            Ok(format!("{} is held by a running agent", dir.display()))
        }
        Err(error) => Err(CommandError::failed(
            Chain(&error).to_string().replace("--data-dir", "--state-dir"),
        )),
    }
}

async fn engine(config: &Config) -> Result<String, CommandError> {
    let target = tasks::target(config)?;
    let info = target
        .info()
        .await
        .map_err(|error| CommandError::from(windflow_model::Failure::from(error)))?;
    Ok(format!(
        "{:?} {} (API {})",
        info.kind, info.version, info.api_version
    ))
}

fn check_clock(now_ms: i64) -> Result<String, CommandError> {
    if now_ms < EARLIEST_MS {
        return Err(
            CommandError::failed("the clock stands before 2026: certificates cannot be checked")
                .hint("Set the clock, for example with NTP."),
        );
    }
    Ok(format!("{}", windflow_model::Timestamp::from_millis(now_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_from_the_past_is_found() {
        assert!(check_clock(EARLIEST_MS).is_ok());
        assert!(check_clock(0).unwrap_err().hint.contains("NTP"));
    }

    #[test]
    fn a_held_directory_is_fine_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert!(state_dir(dir.path()).unwrap().ends_with("is free and writable"));
        let _held = DirLock::acquire(dir.path()).unwrap();
        assert!(state_dir(dir.path()).unwrap().contains("is held by process"));
        fs_err::write(dir.path().join("x"), "").unwrap();
        assert!(
            state_dir(&dir.path().join("x"))
                .unwrap_err()
                .message
                .contains("--state-dir")
        );
    }
}
