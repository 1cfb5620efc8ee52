//! Flipped, cut and foreign files: never a wrong value, never a panic that reaches the caller.

use proptest::prelude::*;

use super::*;
use crate::{Integrity, Prefix, Store};

const RECORDS: u64 = 200;

fn value(number: u64) -> Vec<u8> {
    format!("value of record {number} ").repeat(5).into_bytes()
}

fn at(number: u64) -> Key {
    Key::new(["org", "n"]).push_u64(number)
}

/// A file with known records, and its bytes.
fn filled() -> (TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let store = redb(dir.path());
    block_on(async {
        for chunk in (0..RECORDS).collect::<Vec<_>>().chunks(50) {
            store
                .txn(chunk.iter().fold(Txn::new(), |txn, n| txn.put(at(*n), value(*n))))
                .await
                .unwrap();
        }
        store.close().await;
    });
    let bytes = fs_err::read(store.path()).unwrap();
    (dir, bytes)
}

fn open_unchecked(dir: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(
        dir,
        RedbOptions {
            check_on_open: false,
            ..RedbOptions::default()
        },
    )
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes
        .windows(text.len())
        .rposition(|window| window == text)
        .unwrap()
}

#[test]
fn a_flipped_value_is_corrupt_and_its_neighbours_live() {
    let (dir, mut bytes) = filled();
    let flip = find(&bytes, b"value of record 77 ") + 3;
    bytes[flip] ^= 0x10;
    fs_err::write(dir.path().join("store.redb"), &bytes).unwrap();
    block_on(async {
        let store = open_unchecked(dir.path()).unwrap();
        let error = store.get(&at(77)).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Corrupt { key } if *key == at(77)),
            "{error}"
        );
        assert!(error.to_string().contains("org/n/000000000000004d"), "{error}");
        assert_eq!(store.get(&at(76)).await.unwrap().unwrap().value, value(76));
        assert!(matches!(
            store.scan(&Prefix::all(), None, 1_000).await,
            Err(StoreError::Corrupt { .. })
        ));
        // Not overwritten by accident, but repaired on purpose.
        let blind = Txn::new().update(at(77), 2, "x");
        assert!(matches!(store.txn(blind).await, Err(StoreError::Corrupt { .. })));
        store
            .txn(Txn::new().delete(at(77)).put(at(78), "still works"))
            .await
            .unwrap();
        assert_eq!(store.get(&at(77)).await.unwrap(), None);
    });
}

#[test]
fn the_check_finds_a_flipped_value() {
    let (dir, mut bytes) = filled();
    let flip = find(&bytes, b"value of record 77 ") + 3;
    bytes[flip] ^= 0x10;
    fs_err::write(dir.path().join("store.redb"), &bytes).unwrap();
    let error = RedbStore::open(dir.path(), RedbOptions::default()).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("store.redb is damaged; restore it from a backup"),
        "{error}"
    );
    let found = block_on(async { open_unchecked(dir.path()).unwrap().integrity().await });
    let noticed = match &found {
        Ok(Integrity {
            corrupt, repaired, ..
        }) => *repaired || *corrupt == [at(77)],
        Err(error) => matches!(error, StoreError::Damaged { .. }),
    };
    assert!(noticed, "{found:?}");
}

#[test]
fn a_file_that_is_no_store_is_named() {
    for content in ["this is a text file".repeat(500), "short".to_owned()] {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("store.redb"), &content).unwrap();
        let error = RedbStore::open(dir.path(), RedbOptions::default()).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { .. }), "{error:?}");
        assert_eq!(
            fs_err::read(dir.path().join("store.redb")).unwrap(),
            content.as_bytes(),
            "left alone"
        );
    }
}

#[test]
fn a_folder_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir(dir.path().join("store.redb")).unwrap();
    let error = RedbStore::open(dir.path(), RedbOptions::default()).unwrap_err();
    assert!(matches!(&error, StoreError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
}

/// Every record reads as written or as an error; none is absent.
async fn check_no_wrong_value(store: &RedbStore) {
    for number in 0..RECORDS {
        match store.get(&at(number)).await {
            Ok(Some(record)) => assert_eq!(record.value, value(number)),
            Ok(None) => panic!("record {number} vanished"),
            Err(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    // With the check at open, as every program opens its store. Without it redb trusts a file that was shut down cleanly,
    // and says that it may then panic; a flipped bit of its free list, rare as it is, can even abort or hang it.
    #[test]
    fn no_damage_gives_a_wrong_value(place: prop::sample::Index, bit in 0_u8..8, cut: bool) {
        static FILLED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bytes = FILLED.get_or_init(|| filled().1).clone();
        // The records lie in the first part of the file; the rest is free.
        let place = place.index(bytes.len().min(256 << 10));
        if cut { bytes.truncate(place.max(1)) } else { bytes[place] ^= 1 << bit }
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("store.redb"), &bytes).unwrap();
        if let Ok(store) = RedbStore::open(dir.path(), RedbOptions::default()) {
            block_on(check_no_wrong_value(&store));
        }
    }
}
