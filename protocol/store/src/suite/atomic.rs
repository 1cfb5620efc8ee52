//! Reads, writes, conflicts, limits.

use super::*;

/// Nothing is there, and nothing is no error.
pub async fn empty_is_empty(f: Fixture) {
    assert_eq!(f.store.get(&key("a")).await.unwrap(), None);
    assert_eq!(
        f.store.scan(&Prefix::all(), None, 10).await.unwrap(),
        crate::Page::default()
    );
    assert_eq!(f.store.txn(Txn::new()).await.unwrap().version, 0);
    let integrity = f.store.integrity().await.unwrap();
    assert!(integrity.is_clean() && integrity.records == 0, "{integrity:?}");
}

/// The plain life of records.
pub async fn put_get_delete(f: Fixture) {
    let value: Vec<u8> = (0..=255).collect();
    let first = f
        .store
        .txn(Txn::new().put(key("a"), value.clone()).put(key("b"), ""))
        .await
        .unwrap();
    let a = f.store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((a.value, a.version), (value, first.version));
    assert_eq!(f.store.get(&key("b")).await.unwrap().unwrap().value, b"");
    let second = f
        .store
        .txn(
            Txn::new()
                .put(key("a"), "new")
                .delete(key("b"))
                .delete(key("none")),
        )
        .await
        .unwrap();
    let a = f.store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((a.value.as_slice(), a.version), (&b"new"[..], second.version));
    assert_eq!(f.store.get(&key("b")).await.unwrap(), None);
    let integrity = f.store.integrity().await.unwrap();
    assert!(integrity.is_clean() && integrity.records == 1, "{integrity:?}");
}

/// A deleted and recreated record is not mistaken for the old one.
pub async fn versions_rise_and_are_never_reused(f: Fixture) {
    let mut last = 0;
    for round in 0..20 {
        let txn = if round % 3 == 2 {
            Txn::new().delete(key("a"))
        } else {
            Txn::new().put(key("a"), "same")
        };
        let version = f.store.txn(txn).await.unwrap().version;
        assert!(version > last, "{version} after {last}");
        last = version;
    }
    let read_only = Txn::new().expect(key("z"), Expect::Absent);
    assert_eq!(f.store.txn(read_only).await.unwrap().version, last);
}

/// Each expectation against each state.
pub async fn conflicts_name_both_versions(f: Fixture) {
    let there = f
        .store
        .txn(Txn::new().put(key("there"), "1"))
        .await
        .unwrap()
        .version;
    let cases = [
        ("there", Expect::Version(there), true),
        ("there", Expect::Version(there + 1), false),
        ("there", Expect::Present, true),
        ("there", Expect::Absent, false),
        ("none", Expect::Version(there), false),
        ("none", Expect::Present, false),
        ("none", Expect::Absent, true),
    ];
    for (name, expect, holds) in cases {
        let result = f.store.txn(Txn::new().expect(key(name), expect)).await;
        match result {
            Ok(_) => assert!(holds, "{name} {expect:?} was let through"),
            Err(StoreError::Conflict {
                key: at,
                expected,
                found,
            }) => {
                assert!(!holds, "{name} {expect:?} was refused");
                assert_eq!((at, expected), (key(name), expect));
                assert_eq!(found, (name == "there").then_some(there));
            }
            Err(error) => panic!("{name} {expect:?}: {error}"),
        }
    }
}

/// One failed expectation among many stops all changes, also far away ones.
pub async fn atomic_failure_changes_nothing(f: Fixture) {
    f.store
        .txn(Txn::new().put(key("a"), "old").put(key("b"), "old"))
        .await
        .unwrap();
    let before = f.store.scan(&Prefix::all(), None, 100).await.unwrap();
    let txn = Txn::new()
        .put(key("a"), "new")
        .delete(key("b"))
        .create(key("c"), "new")
        .expect(key("b"), Expect::Version(u64::MAX));
    assert!(f.store.txn(txn).await.unwrap_err().is_conflict());
    assert_eq!(f.store.scan(&Prefix::all(), None, 100).await.unwrap(), before);
}

/// 1,000 racing creations of one record: one wins, the rest get a conflict which names the winner.
pub async fn one_winner_of_many(f: Fixture) {
    let tasks: Vec<_> = (0..1_000)
        .map(|racer| {
            let store = Arc::clone(&f.store);
            spawn_scoped("racer", async move {
                (
                    racer,
                    store.txn(Txn::new().create(key("a"), format!("{racer}"))).await,
                )
            })
        })
        .collect();
    let (mut winners, mut found_by_losers) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            (racer, Ok(committed)) => winners.push((racer, committed.version)),
            (_, Err(StoreError::Conflict { found, .. })) => found_by_losers.push(found),
            (_, Err(error)) => panic!("{error}"),
        }
    }
    assert_eq!((winners.len(), found_by_losers.len()), (1, 999));
    let record = f.store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(
        (record.value, record.version),
        (winners[0].0.to_string().into_bytes(), winners[0].1)
    );
    assert!(found_by_losers.iter().all(|found| *found == Some(record.version)));
}

/// Transactions that share one commit still see one another: 300 increments of one counter, none lost.
pub async fn waiting_transactions_all_count(f: Fixture) {
    f.store.txn(Txn::new().put(key("n"), "0")).await.unwrap();
    let tasks: Vec<_> = (0..300)
        .map(|_| {
            let store = Arc::clone(&f.store);
            spawn_scoped("adder", async move {
                loop {
                    let record = store.get(&key("n")).await.unwrap().unwrap();
                    let number: u32 = String::from_utf8(record.value).unwrap().parse().unwrap();
                    let txn = Txn::new().update(key("n"), record.version, (number + 1).to_string());
                    match store.txn(txn).await {
                        Ok(_) => return,
                        Err(error) => assert!(error.is_conflict(), "{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(f.store.get(&key("n")).await.unwrap().unwrap().value, b"300");
}

/// At the limit it works, one over it is refused and changes nothing.
pub async fn limits_are_held(f: Fixture) {
    let puts = |count: usize| (0..count).fold(Txn::new(), |txn, n| txn.put(key(&n.to_string()), "x"));
    f.store.txn(puts(MAX_OPS)).await.unwrap();
    f.store
        .txn(Txn::new().put(key("big"), vec![7; MAX_VALUE]))
        .await
        .unwrap();
    assert_eq!(
        f.store.get(&key("big")).await.unwrap().unwrap().value.len(),
        MAX_VALUE
    );
    let long = |length: usize| Key::from_bytes(&vec![b'k'; length]);
    f.store
        .txn(Txn::new().put(long(crate::MAX_KEY), "x"))
        .await
        .unwrap();

    let before = f.store.txn(Txn::new()).await.unwrap();
    let heavy = (0..9).fold(Txn::new(), |txn, n| {
        txn.put(key(&format!("h{n}")), vec![0; MAX_VALUE])
    });
    let expects = (0..=MAX_OPS).fold(Txn::new(), |txn, n| {
        txn.expect(key(&format!("e{n}")), Expect::Absent)
    });
    let over = [
        puts(MAX_OPS + 1),
        Txn::new().put(key("a"), vec![0; MAX_VALUE + 1]),
        Txn::new().put(long(crate::MAX_KEY + 1), "x"),
        Txn::new().expect(long(crate::MAX_KEY + 1), Expect::Absent),
        heavy,
        expects,
    ];
    for txn in over {
        let error = f.store.txn(txn).await.unwrap_err();
        assert!(
            matches!(error, StoreError::TooLarge { size, limit, .. } if size > limit),
            "{error}"
        );
        assert!(!error.retryable());
    }
    let twice = f
        .store
        .txn(Txn::new().put(key("t"), "1").delete(key("t")))
        .await
        .unwrap_err();
    assert!(matches!(twice, StoreError::Twice { .. }), "{twice}");
    assert_eq!(f.store.txn(Txn::new()).await.unwrap(), before);
}

/// After closing, every call answers so, and closing again is nothing.
pub async fn closed_store_says_so(f: Fixture) {
    f.store.txn(Txn::new().put(key("a"), "1")).await.unwrap();
    f.store.close().await;
    f.store.close().await;
    let closed = |error: StoreError| assert!(matches!(error, StoreError::Closed), "{error}");
    closed(f.store.get(&key("a")).await.unwrap_err());
    closed(f.store.scan(&Prefix::all(), None, 1).await.unwrap_err());
    closed(f.store.txn(Txn::new().put(key("a"), "2")).await.unwrap_err());
    closed(f.store.integrity().await.unwrap_err());
}
