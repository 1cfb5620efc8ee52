//! Documents.

use serde::{Deserialize, Serialize};
use windflow_model::{DocError, Document};

use super::*;
use crate::{Expect, Prefix, Table};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
}

impl Document for Note {
    const NAME: &'static str = "note";
    const SCHEMA: u16 = 2;
}

#[derive(Debug, Serialize, Deserialize)]
struct NewerNote {
    text: String,
    more: u8,
}

impl Document for NewerNote {
    const NAME: &'static str = "note";
    const SCHEMA: u16 = 3;
}

fn note(text: &str) -> Note {
    Note {
        text: text.to_owned(),
    }
}

#[tokio::test]
async fn documents_are_written_read_and_scanned_with_their_versions() {
    let store: SharedStore = Arc::new(MemStore::default());
    let table = Table::<Note>::new(Arc::clone(&store));
    assert_eq!(table.get(&key("a")).await.unwrap(), None);
    table.put(key("a"), Expect::Absent, &note("one")).await.unwrap();
    let entry = table.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(entry.value, note("one"));
    table.put(key("a"), entry.expect(), &note("two")).await.unwrap();
    assert!(
        table
            .put(key("a"), entry.expect(), &note("three"))
            .await
            .unwrap_err()
            .is_conflict()
    );

    let both = Txn::new()
        .put_doc(key("b"), &note("b"))
        .unwrap()
        .put_doc(key("c"), &note("c"))
        .unwrap();
    store.txn(both).await.unwrap();
    let page = table
        .scan(&Prefix::of(["org"]), Some(&key("a")), 1)
        .await
        .unwrap();
    assert_eq!(
        (page.entries[0].value.text.as_str(), page.next),
        ("b", Some(key("b")))
    );
    let all: Vec<_> = table
        .all(&Prefix::of(["org"]))
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.value.text)
        .collect();
    assert_eq!(all, ["two", "b", "c"]);
}

#[tokio::test]
async fn newer_and_foreign_documents_are_refused_with_the_key() {
    let store: SharedStore = Arc::new(MemStore::default());
    Table::new(Arc::clone(&store))
        .put(
            key("a"),
            Expect::Absent,
            &NewerNote {
                text: "x".into(),
                more: 1,
            },
        )
        .await
        .unwrap();
    store
        .txn(Txn::new().put(key("b"), "\x02\0[]").put(key("c"), ""))
        .await
        .unwrap();
    let table = Table::<Note>::new(store);
    for (name, newer) in [("a", true), ("b", false), ("c", false)] {
        let Err(StoreError::Document { key: at, source }) = table.get(&key(name)).await else {
            panic!("{name}")
        };
        assert_eq!(
            (
                at,
                matches!(
                    *source,
                    DocError::Newer {
                        found: 3,
                        known: 2,
                        ..
                    }
                )
            ),
            (key(name), newer)
        );
    }
}
