//! `windflow-agent doctor`: looks at everything the agent needs and says what to do about what is wrong.

#[cfg(feature = "link")]
mod linked;

use std::{io::Write as _, path::Path, sync::Arc};

use windflow_kit::{Chain, Clock, DirLock, LockError};
use windflow_store::{RedbOptions, RedbStore, Store as _, StoreError};

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
    let (state_dir, store) = disk(&config.state_dir, clock).await;
    let mut findings = vec![
        Finding {
            what: "state directory",
            result: state_dir,
        },
        Finding {
            what: "store",
            result: store,
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
    #[cfg(feature = "link")]
    findings.extend(linked::findings(&config.state_dir, clock).await);
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

/// The directory, and the store in it as far as no running agent holds it.
async fn disk(dir: &Path, clock: &Clock) -> (Result<String, CommandError>, Result<String, CommandError>) {
    if !dir.exists() {
        let text = format!(
            "{} does not exist yet; it is made at the first start",
            dir.display()
        );
        return (Ok(text), Ok("there is none yet".to_owned()));
    }
    match DirLock::acquire(dir) {
        Ok(lock) => (
            Ok(format!("{} is free and writable", dir.display())),
            store(lock, clock).await,
        ),
        Err(LockError::InUse { pid, .. }) => {
            let holder = pid.map_or_else(|| "a running agent".to_owned(), |pid| format!("process {pid}"));
            (
                Ok(format!("{} is held by {holder}", dir.display())),
                Ok("in use; it was checked when that process started".to_owned()),
            )
        }
        Err(error) => {
            let text = Chain(&error).to_string().replace("--data-dir", "--state-dir");
            let unknown = Err(CommandError::failed("not looked at: see above"));
            (Err(CommandError::failed(text)), unknown)
        }
    }
}

/// Reads every page and every record.
async fn store(lock: DirLock, clock: &Clock) -> Result<String, CommandError> {
    let failed = |error: &StoreError| {
        CommandError::failed(Chain(error).to_string().replace("--data-dir", "--state-dir")).hint(
            "The journal can be made anew: move store.redb away and start the agent; it adopts what runs. \
             Reports that were not delivered are lost with it.",
        )
    };
    if !lock.dir().join("store.redb").exists() {
        return Ok("there is none yet".to_owned());
    }
    let options = RedbOptions {
        clock: clock.clone(),
        ..RedbOptions::default()
    };
    let store = RedbStore::open_locked(Arc::new(lock), options).map_err(|error| failed(&error))?;
    let found = store.integrity().await;
    store.close().await;
    let found = found.map_err(|error| failed(&error))?;
    if let Some(key) = found.corrupt.first() {
        let error = StoreError::Corrupt { key: key.clone() };
        return Err(failed(&error));
    }
    Ok(match found.repaired {
        true => format!(
            "{} records, all whole; the file around them was repaired",
            found.records
        ),
        false => format!("{} records, all whole", found.records),
    })
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

    #[tokio::test]
    async fn a_directory_may_be_free_held_or_no_directory() {
        let clock = Clock::manual(EARLIEST_MS);
        let dir = tempfile::tempdir().unwrap();
        let (found, records) = disk(dir.path(), &clock).await;
        assert!(found.unwrap().ends_with("is free and writable"));
        assert_eq!(records.unwrap(), "there is none yet");
        let held = DirLock::acquire(dir.path()).unwrap();
        let (found, records) = disk(dir.path(), &clock).await;
        assert!(found.unwrap().contains("is held by process"));
        assert!(records.unwrap().starts_with("in use"));
        drop(held);
        fs_err::write(dir.path().join("x"), "").unwrap();
        let (found, _) = disk(&dir.path().join("x"), &clock).await;
        assert!(found.unwrap_err().message.contains("--state-dir"));
    }

    #[tokio::test]
    async fn a_store_is_read_whole_and_a_damaged_one_named() {
        let clock = Clock::manual(EARLIEST_MS);
        let dir = tempfile::tempdir().unwrap();
        let store = RedbStore::open(dir.path(), RedbOptions::default()).unwrap();
        let key = windflow_store::Key::new(["x"]);
        store
            .txn(windflow_store::Txn::new().create(key, vec![7; 300]))
            .await
            .unwrap();
        store.close().await;
        assert_eq!(disk(dir.path(), &clock).await.1.unwrap(), "1 records, all whole");
        let file = dir.path().join("store.redb");
        let mut bytes = fs_err::read(&file).unwrap();
        for at in (0..bytes.len())
            .filter(|at| bytes.get(*at..at + 100) == Some(&[7; 100]))
            .collect::<Vec<_>>()
        {
            bytes[at] ^= 1;
        }
        fs_err::write(&file, bytes).unwrap();
        let error = disk(dir.path(), &clock).await.1.unwrap_err();
        assert!(error.message.contains("damaged"), "{error}");
        assert!(error.hint.contains("move store.redb away"), "{}", error.hint);
    }
}
