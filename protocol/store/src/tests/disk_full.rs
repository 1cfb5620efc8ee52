//! A full disk: clear errors, reads go on, and writes again without a restart.

use std::process::Command;

use super::*;
use crate::Store;

const CHILD_DIR: &str = "WINDFLOW_STORE_FULL_DIR";

/// Runs itself in a mount namespace with a small tmpfs, so that nothing is left behind whatever happens.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts itself inside a private mount namespace"
)]
fn a_full_disk_is_named_and_left_behind_when_there_is_space_again() {
    if let Ok(dir) = std::env::var(CHILD_DIR) {
        return block_on(fill_and_recover(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=6m tmpfs \"$WINDFLOW_STORE_FULL_DIR\" && exec \"$@\"";
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "tests::disk_full::a_full_disk_is_named_and_left_behind_when_there_is_space_again",
            "--exact",
            "--nocapture",
        ])
        .env(CHILD_DIR, dir.path())
        .status()
        .unwrap();
    assert!(status.success(), "the child failed (user namespaces are needed)");
}

async fn fill_and_recover(dir: &Path) {
    let ballast = dir.join("ballast");
    fs_err::write(&ballast, vec![0; 1 << 20]).unwrap();
    let store = redb(&dir.join("data"));
    let mut acknowledged = 0_u64;
    let at = |number: u64| Key::new(["org", "n"]).push_u64(number);
    let error = loop {
        match store.txn(Txn::new().put(at(acknowledged), vec![3; 20_000])).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "the disk never fills");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.retryable());
    assert!(acknowledged > 50, "only {acknowledged} fitted");

    // Still full: the same clear answer each time, and everything acknowledged can be read.
    for _ in 0..5 {
        let error = store
            .txn(Txn::new().put(key("more"), vec![3; 1 << 20]))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    }
    for number in 0..acknowledged {
        assert_eq!(
            store.get(&at(number)).await.unwrap().unwrap().value.len(),
            20_000,
            "record {number}"
        );
    }
    assert_eq!(
        store.get(&at(acknowledged)).await.unwrap(),
        None,
        "the refused one is not there"
    );

    // A restart while it is still full: the store opens, without the check that ends with a write.
    store.close().await;
    let store = redb(&dir.join("data"));
    let last = store.get(&at(acknowledged - 1)).await.unwrap();
    assert_eq!(last.unwrap().value.len(), 20_000);

    fs_err::remove_file(&ballast).unwrap();
    store
        .txn(Txn::new().put(at(acknowledged), "fits again"))
        .await
        .unwrap();
    store.close().await;
    let store = redb(&dir.join("data"));
    let integrity = store.integrity().await.unwrap();
    assert!(
        integrity.is_clean() && integrity.records == acknowledged + 1,
        "{integrity:?}"
    );
}
