//! Reopening, locking and kill -9.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use windflow_kit::Random;

use super::*;
use crate::Prefix;

/// Tells a re-executed test that it is the child, and where to write.
const CHILD_DIR: &str = "WINDFLOW_STORE_TEST_DIR";

async fn check_reopen(open: fn(&Path) -> SharedStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let done = store
        .txn(Txn::new().put(key("a"), "1").put(key("b"), "2"))
        .await
        .unwrap();
    store.txn(Txn::new().delete(key("b"))).await.unwrap();
    // Once by closing, once by dropping.
    store.close().await;
    drop(open(dir.path()));
    let store = open(dir.path());
    let record = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(
        (record.value.as_slice(), record.version),
        (&b"1"[..], done.version)
    );
    assert_eq!(store.get(&key("b")).await.unwrap(), None);
    assert_eq!(
        store.txn(Txn::new().put(key("c"), "3")).await.unwrap().version,
        done.version + 2
    );
}

#[tokio::test]
async fn redb_keeps_records_and_the_counter() {
    check_reopen(shared_redb).await;
}

#[cfg(feature = "sled")]
#[tokio::test]
async fn sled_keeps_records_and_the_counter() {
    check_reopen(shared_sled).await;
}

#[test]
fn a_second_process_is_refused_and_the_remedy_named() {
    let dir = tempfile::tempdir().unwrap();
    let held = redb(dir.path());
    let error = RedbStore::open(dir.path(), RedbOptions::default()).unwrap_err();
    let expected = format!(
        "data directory {} is in use by process {}; stop it or choose another with --data-dir",
        dir.path().display(),
        std::process::id()
    );
    assert_eq!(windflow_kit::Chain(&error).to_string(), expected);
    drop(held);
    redb(dir.path());
}

#[test]
fn a_file_held_by_another_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(redb(dir.path()));
    let held = ::redb::Database::open(dir.path().join("store.redb")).unwrap();
    let error = RedbStore::open(dir.path(), RedbOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("is in use by another process"),
        "{error}"
    );
    drop(held);
}

#[test]
fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = redb(dir.path());
    assert_eq!(
        fs_err::metadata(store.path()).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// The child: writes forever and says on stdout what was acknowledged. Each transaction writes a record of its own and
/// two that must stay equal.
fn write_until_killed(open: fn(&Path) -> SharedStore, dir: &str) {
    block_on(async {
        let store = open(Path::new(dir));
        let found = store.get(&key("left")).await.unwrap();
        let mut number = found.map_or(0, |record| {
            String::from_utf8(record.value).unwrap().parse::<u64>().unwrap()
        });
        loop {
            number += 1;
            let at = Key::new(["org", "n"]).push_u64(number);
            let text = number.to_string();
            let txn = Txn::new()
                .create(at, text.clone())
                .put(key("left"), text.clone())
                .put(key("right"), text);
            store.txn(txn).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nack {number}").unwrap();
            out.flush().unwrap();
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "the test starts itself to be killed")]
fn check_kill(test: &str, open: fn(&Path) -> SharedStore) {
    if let Ok(dir) = std::env::var(CHILD_DIR) {
        return write_until_killed(open, &dir);
    }
    let (dir, random) = (tempfile::tempdir().unwrap(), Random::system());
    let mut total = 0;
    for round in 0..30 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut acknowledged: Option<u64> = None;
        // Killed after some acknowledgements, at whatever instant that is for the commit under way.
        for _ in 0..=random.up_to(30) {
            acknowledged = lines
                .find_map(|line| line.strip_prefix("ack ")?.parse().ok())
                .or(acknowledged);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = lines
            .filter_map(|line| line.strip_prefix("ack ")?.parse().ok())
            .last();
        let last = rest
            .or(acknowledged)
            .unwrap_or_else(|| panic!("round {round}: the child wrote nothing"));
        block_on(async {
            let store = open(dir.path());
            let left = store.get(&key("left")).await.unwrap().unwrap();
            assert_eq!(
                Some(&left),
                store.get(&key("right")).await.unwrap().as_ref(),
                "round {round}: torn"
            );
            let newest: u64 = String::from_utf8(left.value).unwrap().parse().unwrap();
            assert!(
                newest >= last,
                "round {round}: {last} was acknowledged, {newest} is there"
            );
            for number in total + 1..=newest {
                let at = Key::new(["org", "n"]).push_u64(number);
                assert!(
                    store.get(&at).await.unwrap().is_some(),
                    "round {round}: {number} is lost"
                );
            }
            assert!(newest > total, "round {round}: no traffic");
            total = newest;
            let integrity = store.integrity().await.unwrap();
            assert!(
                integrity.is_clean() && integrity.records == newest + 2,
                "round {round}: {integrity:?}"
            );
            store.close().await;
        });
    }
}

#[test]
fn redb_loses_nothing_acknowledged_when_killed() {
    check_kill(
        "tests::durable::redb_loses_nothing_acknowledged_when_killed",
        shared_redb,
    );
}

#[cfg(feature = "sled")]
#[test]
fn sled_loses_nothing_acknowledged_when_killed() {
    check_kill(
        "tests::durable::sled_loses_nothing_acknowledged_when_killed",
        shared_sled,
    );
}

#[tokio::test]
async fn transactions_that_wait_share_a_commit() {
    let dir: TempDir = tempfile::tempdir().unwrap();
    let store = shared_redb(dir.path());
    let mut watch = store.watch(&Prefix::all());
    let all = (0..500).map(|n| store.txn(Txn::new().put(key(&n.to_string()), vec![0; 100])));
    let done = futures_util::future::join_all(all).await;
    let mut versions: Vec<_> = done.into_iter().map(|done| done.unwrap().version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=500).collect::<Vec<_>>(), "each its own version");
    assert_eq!(watch.changed().await, Some(500));
}
