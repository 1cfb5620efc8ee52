//! Random histories against a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Expect, Op, Prefix, Record, Version};

#[derive(Debug, Clone)]
enum Step {
    Txn(Txn),
    Get(Key),
    Scan(Prefix, Option<Key>, usize),
}

/// Few keys, so that histories meet themselves; some share beginnings.
fn any_key() -> impl Strategy<Value = Key> {
    prop::sample::select(vec!["a", "a/b", "ab", "b", "b%", "", "ü"]).prop_flat_map(|name| {
        prop::sample::select(vec!["o1", "o10"]).prop_map(move |org| Key::new([org, name]))
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let expect = prop_oneof![
        2 => Just(Expect::Absent),
        2 => Just(Expect::Present),
        3 => (0_u64..12).prop_map(Expect::Version),
    ];
    let op = prop_oneof![
        3 => (any_key(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(key, value)| Op::Put { key, value }),
        1 => any_key().prop_map(|key| Op::Delete { key }),
    ];
    let txn = (
        prop::collection::vec((any_key(), expect), 0..2),
        prop::collection::vec(op, 0..4),
    )
        .prop_map(|(expects, ops)| Step::Txn(Txn { expects, ops }));
    let prefix = prop_oneof![
        Just(Prefix::all()),
        Just(Prefix::of(["o1"])),
        Just(Prefix::of(["o10"]))
    ];
    prop_oneof![
        5 => txn,
        2 => any_key().prop_map(Step::Get),
        2 => (prefix, prop::option::of(any_key()), 0_usize..6).prop_map(|(p, a, l)| Step::Scan(p, a, l)),
    ]
}

#[derive(Default)]
struct Model {
    records: BTreeMap<Key, Record>,
    version: Version,
}

impl Model {
    /// `None`: refused.
    fn txn(&mut self, txn: &Txn) -> Option<Version> {
        let mut keys: Vec<_> = txn.ops.iter().map(Op::key).collect();
        keys.sort();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        for (key, expect) in &txn.expects {
            let found = self.records.get(key).map(|record| record.version);
            let holds = match expect {
                Expect::Absent => found.is_none(),
                Expect::Present => found.is_some(),
                Expect::Version(version) => found == Some(*version),
            };
            if !holds {
                return None;
            }
        }
        self.version += u64::from(!txn.ops.is_empty());
        for op in &txn.ops {
            match op {
                Op::Put { key, value } => {
                    let record = Record {
                        value: value.clone(),
                        version: self.version,
                    };
                    self.records.insert(key.clone(), record);
                }
                Op::Delete { key } => drop(self.records.remove(key)),
            }
        }
        Some(self.version)
    }

    fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Vec<(Key, Record)> {
        let below = self
            .records
            .iter()
            .filter(|(key, _)| prefix.holds(key) && after.is_none_or(|after| *key > after));
        below
            .take(limit.max(1))
            .map(|(key, record)| (key.clone(), record.clone()))
            .collect()
    }
}

/// Runs a history; `reopen` gives the store again at every tenth step, or the same one.
async fn check(steps: Vec<Step>, mut store: SharedStore, reopen: Option<&dyn Fn() -> SharedStore>) {
    let mut model = Model::default();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Txn(txn) => {
                let expected = model.txn(&txn);
                let got = store.txn(txn.clone()).await;
                assert_eq!(
                    got.as_ref().ok().map(|done| done.version),
                    expected,
                    "step {number} {txn:?}: {got:?}"
                );
            }
            Step::Get(key) => {
                assert_eq!(
                    store.get(&key).await.unwrap().as_ref(),
                    model.records.get(&key),
                    "step {number} {key}"
                );
            }
            Step::Scan(prefix, after, limit) => {
                let page = store.scan(&prefix, after.as_ref(), limit).await.unwrap();
                assert_eq!(
                    page.records,
                    model.scan(&prefix, after.as_ref(), limit),
                    "step {number}"
                );
            }
        }
        if let Some(reopen) = reopen
            && number % 10 == 9
        {
            store.close().await;
            store = reopen();
        }
    }
    let integrity = store.integrity().await.unwrap();
    assert!(integrity.is_clean(), "{integrity:?}");
    assert_eq!(integrity.records, u64::try_from(model.records.len()).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn mem_agrees_with_a_map(steps in prop::collection::vec(any_step(), 1..60)) {
        block_on(check(steps, Arc::new(MemStore::default()), None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn redb_agrees_with_a_map_across_reopens(steps in prop::collection::vec(any_step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        block_on(check(steps, shared_redb(dir.path()), Some(&|| shared_redb(dir.path()))));
    }

    #[cfg(feature = "sled")]
    #[test]
    fn sled_agrees_with_a_map_across_reopens(steps in prop::collection::vec(any_step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        block_on(check(steps, shared_sled(dir.path()), Some(&|| shared_sled(dir.path()))));
    }
}
