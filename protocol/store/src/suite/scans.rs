//! Scans and watches.

use tokio::time::timeout;

use super::*;

/// Neighbours with a longer name, and other organisations, stay out.
pub async fn prefixes_are_isolated(f: Fixture) {
    let keys = [
        ["org_1", "a"],
        ["org_10", "a"],
        ["org_1%", "a"],
        ["org_1/", "a"],
        ["org_0", "z"],
        ["org_2", ""],
    ];
    let all = keys
        .iter()
        .fold(Txn::new(), |txn, key| txn.put(Key::new(key), "x"));
    f.store.txn(all.put(Key::new(["org_1"]), "itself")).await.unwrap();
    for [org, rest] in keys {
        let page = f.store.scan(&Prefix::of([org]), None, 100).await.unwrap();
        let found: Vec<_> = page.records.into_iter().map(|(key, _)| key).collect();
        assert_eq!(found, [Key::new([org, rest])]);
    }
    assert_eq!(
        f.store
            .scan(&Prefix::all(), None, 100)
            .await
            .unwrap()
            .records
            .len(),
        7
    );
}

/// Any page size gives the same records in the order of the keys, each once.
pub async fn scan_pages_cover_everything_once(f: Fixture) {
    let names: Vec<String> = (0..95_u32)
        .map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761)))
        .collect();
    for chunk in names.chunks(50) {
        f.store
            .txn(
                chunk
                    .iter()
                    .fold(Txn::new(), |txn, name| txn.put(key(name), name.as_str())),
            )
            .await
            .unwrap();
    }
    let mut expected: Vec<Key> = names.iter().map(|name| key(name)).collect();
    expected.sort();
    let prefix = Prefix::of(["org", "thing"]);
    for limit in [0, 1, 7, 94, 95, 96, 100_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = f.store.scan(&prefix, after.as_ref(), limit).await.unwrap();
            assert!(page.records.len() <= limit.max(1));
            for (key, record) in page.records {
                assert_eq!(key.last().as_bytes(), record.value);
                found.push(key);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "limit {limit}");
    }
}

/// The cursor need not exist, and may lie outside the prefix.
pub async fn scan_starts_after_the_cursor(f: Fixture) {
    let names = ["b", "d", "f"];
    f.store
        .txn(names.iter().fold(Txn::new(), |txn, name| txn.put(key(name), "x")))
        .await
        .unwrap();
    let cases: [(Key, &[&str]); 6] = [
        (key("a"), &["b", "d", "f"]),
        (key("b"), &["d", "f"]),
        (key("c"), &["d", "f"]),
        (key("f"), &[]),
        (Key::new(["aaa"]), &["b", "d", "f"]),
        (Key::new(["zzz"]), &[]),
    ];
    for (after, expected) in cases {
        let page = f
            .store
            .scan(&Prefix::of(["org", "thing"]), Some(&after), 10)
            .await
            .unwrap();
        let found: Vec<_> = page.records.iter().map(|(key, _)| key.last()).collect();
        assert_eq!(found, expected, "after {after}");
    }
}

/// From the end: what a scan gives, the other way round, whatever the page size, with its neighbours left out.
pub async fn scan_back_gives_the_same_in_reverse(f: Fixture) {
    let neighbours = [
        Key::new(["org", "thin"]),
        Key::new(["org", "thing"]),
        Key::new(["org", "thingy", "x"]),
        Key::new(["orh"]),
    ];
    let names: Vec<String> = (0..40_u64).map(|n| format!("{n:02}")).collect();
    let all = names.iter().fold(Txn::new(), |txn, name| txn.put(key(name), "x"));
    let all = neighbours.into_iter().fold(all, |txn, key| txn.put(key, "x"));
    f.store.txn(all).await.unwrap();
    let back = async |prefix: &Prefix, before: Option<Key>, limit: usize| {
        let (mut found, mut before) = (Vec::new(), before);
        loop {
            let page = f.store.scan_back(prefix, before.as_ref(), limit).await.unwrap();
            assert!(page.records.len() <= limit.max(1));
            found.extend(page.records.into_iter().map(|(key, _)| key));
            before = page.next;
            if before.is_none() {
                return found;
            }
        }
    };
    for prefix in [Prefix::of(["org", "thing"]), Prefix::all(), Prefix::of(["none"])] {
        let page = f.store.scan(&prefix, None, 100).await.unwrap();
        let expected: Vec<Key> = page.records.into_iter().rev().map(|(key, _)| key).collect();
        for limit in [0, 1, 7, 39, 40, 41, 100_000] {
            assert_eq!(
                back(&prefix, None, limit).await,
                expected,
                "{prefix:?}, limit {limit}"
            );
        }
    }
    // The cursor need not exist, and may lie outside the prefix.
    let cases = [
        (key("zz"), 40),
        (key("39"), 39),
        (key("38x"), 39),
        (key("01"), 1),
        (key("00"), 0),
        (Key::new(["aaa"]), 0),
        (Key::new(["zzz"]), 40),
    ];
    for (before, expected) in cases {
        let found = back(&Prefix::of(["org", "thing"]), Some(before.clone()), 7).await;
        assert_eq!(found.len(), expected, "before {before}");
    }
}

/// A page of large values ends early and says where to go on.
pub async fn scan_stops_at_bytes(f: Fixture) {
    for n in 0..10_u64 {
        let at = Key::new(["org", "big"]).push_u64(n);
        f.store.txn(Txn::new().put(at, vec![1; MAX_VALUE])).await.unwrap();
    }
    let prefix = Prefix::of(["org", "big"]);
    let page = f.store.scan(&prefix, None, 100).await.unwrap();
    assert_eq!(page.records.len(), 8);
    let rest = f.store.scan(&prefix, page.next.as_ref(), 100).await.unwrap();
    assert_eq!((rest.records.len(), rest.next), (2, None));
}

/// A commit below the prefix wakes; others, refused ones and such without changes do not.
pub async fn watch_wakes_only_its_prefix(f: Fixture) {
    let mut watch = f.store.watch(&Prefix::of(["org", "thing"]));
    let mut other = f.store.watch(&Prefix::of(["org", "thingy"]));
    let done = f.store.txn(Txn::new().put(key("a"), "1")).await.unwrap();
    assert_eq!(timeout(BOUND, watch.changed()).await.unwrap(), Some(done.version));

    let refused = Txn::new().create(key("a"), "2");
    assert!(f.store.txn(refused).await.is_err());
    f.store
        .txn(Txn::new().expect(key("a"), Expect::Present))
        .await
        .unwrap();
    let gone = f.store.txn(Txn::new().delete(key("a"))).await.unwrap();
    assert_eq!(
        timeout(BOUND, watch.changed()).await.unwrap(),
        Some(gone.version),
        "only the delete"
    );

    let elsewhere = f
        .store
        .txn(Txn::new().put(Key::new(["org", "thingy", "x"]), "1"))
        .await
        .unwrap();
    assert_eq!(
        timeout(BOUND, other.changed()).await.unwrap(),
        Some(elsewhere.version)
    );
}

/// A hundred commits before the watcher looks are one wake-up with the newest version.
pub async fn watch_coalesces(f: Fixture) {
    let mut watch = f.store.watch(&Prefix::all());
    let mut last = 0;
    for n in 0..100 {
        last = f
            .store
            .txn(Txn::new().put(key("a"), n.to_string()))
            .await
            .unwrap()
            .version;
    }
    assert_eq!(timeout(BOUND, watch.changed()).await.unwrap(), Some(last));
    assert!(
        timeout(Duration::from_millis(20), watch.changed()).await.is_err(),
        "woken for nothing"
    );
}

/// Watches end when the store does, also those made after.
pub async fn watch_ends_with_the_store(f: Fixture) {
    let mut watch = f.store.watch(&Prefix::all());
    f.store.close().await;
    assert_eq!(timeout(BOUND, watch.changed()).await.unwrap(), None);
    assert_eq!(
        timeout(BOUND, f.store.watch(&Prefix::all()).changed())
            .await
            .unwrap(),
        None
    );
}
