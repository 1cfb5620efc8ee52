//! What a process has on disk: its store is copied while the process is dead or stopped, and the copy is read.
//!
//! The page cache of a dead process is what its next life finds. Of a power cut it is too lenient: there the copy is
//! taken of the disk below.

#![expect(clippy::indexing_slicing, reason = "JSON: what is not there is null")]

use std::path::Path;

use fs_err as fs;
use serde_json::Value;
use windflow_model::OrgId;
use windflow_store::{Key, Prefix, RedbOptions, RedbStore, Store as _, StoreError};

use crate::history::What;

/// Name of the store in a data directory.
pub const STORE: &str = "store.redb";
/// Records that are read at once.
const PAGE: usize = 500;

/// A copy of a store that nobody has open.
#[derive(Debug)]
pub struct Copy(tempfile::TempDir);

/// A copy of a store, open.
#[derive(Debug)]
pub struct Evidence {
    store: RedbStore,
    // After the store: it is in there.
    _dir: tempfile::TempDir,
}

impl Copy {
    /// Copies the store in `data`.
    ///
    /// # Panics
    /// If there is no store, or no room for a copy.
    #[must_use]
    pub fn take(data: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::copy(data.join(STORE), dir.path().join(STORE)).expect("a copy");
        Self(dir)
    }

    /// Opens it.
    ///
    /// # Errors
    /// A store that does not open.
    pub fn open(self) -> Result<Evidence, StoreError> {
        self.opened(false)
    }

    /// Opens it as our programs do: every page is checked.
    ///
    /// # Errors
    /// As [`Copy::open`].
    pub fn open_checked(self) -> Result<Evidence, StoreError> {
        self.opened(true)
    }

    fn opened(self, check_on_open: bool) -> Result<Evidence, StoreError> {
        let options = RedbOptions {
            check_on_open,
            cache_bytes: 4 << 20,
            ..RedbOptions::default()
        };
        let store = RedbStore::open(self.0.path(), options)?;
        Ok(Evidence { store, _dir: self.0 })
    }
}

impl Evidence {
    /// The store.
    #[must_use]
    pub const fn store(&self) -> &RedbStore {
        &self.store
    }

    /// What is below these segments of the organisation, at most `most` records, in the order of their keys.
    ///
    /// # Panics
    /// If a record cannot be read.
    pub async fn below(&self, segments: &[&str], most: usize) -> Vec<(Key, Vec<u8>)> {
        let org = OrgId::DEFAULT.to_string();
        let prefix = Prefix::of(std::iter::once(org.as_str()).chain(segments.iter().copied()));
        let (mut out, mut after) = (Vec::new(), None);
        while out.len() < most {
            let page = self.store.scan(&prefix, after.as_ref(), PAGE).await;
            let page = page.expect("the records are whole");
            out.extend(page.records.into_iter().map(|(key, record)| (key, record.value)));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        out.truncate(most);
        out
    }

    /// What an agent has in its journal: what it still has to tell, how former revisions ended, and what it holds.
    pub async fn journal(&self) -> Vec<What> {
        let mut out = Vec::new();
        for kind in ["outbox", "history"] {
            let found = self.below(&["engine", kind], usize::MAX).await;
            out.extend(found.iter().filter_map(|(key, value)| of_record(key, value)));
        }
        for (key, value) in self.below(&["engine", "stack"], usize::MAX).await {
            let record: Value = serde_json::from_slice(&value).expect("a record");
            let before = &record["before"];
            if before.is_object() {
                out.push(told(&record["stack"], before, &before["state"]["phase"]));
            }
            out.extend(of_record(&key, &value));
        }
        out
    }

    /// The newest deployments that a controller has on disk.
    pub async fn deployments(&self, most: usize) -> Vec<What> {
        let found = self.below(&["dep"], most).await;
        found
            .iter()
            .filter_map(|(key, value)| of_record(key, value))
            .collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn told(stack: &Value, of: &Value, state: &Value) -> What {
    What::Told {
        stack: text(stack),
        rev: of["rev"].as_u64().unwrap_or_default(),
        op: text(&of["op"]),
        state: text(state),
    }
}

/// What a record of a store says, if it is of interest to the checker.
#[must_use]
pub fn of_record(key: &Key, value: &[u8]) -> Option<What> {
    let segments: Vec<String> = key.segments().collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.get(1..)? {
        ["dep", _] => {
            // Two bytes of schema, then the document.
            let held: Value = serde_json::from_slice(value.get(2..)?).ok()?;
            Some(What::Stored {
                deployment: text(&held["id"]),
                stack: text(&held["stack_name"]),
                agent: text(&held["agent"]),
                rev: held["rev"].as_u64().unwrap_or_default(),
                op: text(&held["op"]),
                state: text(&held["state"]["phase"]),
            })
        }
        ["agent-key", agent] => {
            let held: Value = serde_json::from_slice(value.get(2..)?).ok()?;
            let epoch = held["session_epoch"].as_u64().filter(|epoch| *epoch > 0)?;
            Some(What::Session {
                agent: (*agent).to_owned(),
                epoch,
            })
        }
        ["epoch"] => {
            let held: Value = serde_json::from_slice(value.get(2..)?).ok()?;
            Some(What::Epoch {
                epoch: held["epoch"].as_u64().unwrap_or_default(),
            })
        }
        ["engine", "outbox", _] => {
            let report: Value = serde_json::from_slice(value).ok()?;
            Some(told(&report["stack"], &report, &report["event"]["event"]))
        }
        ["engine", "history", stack, _] => {
            let entry: Value = serde_json::from_slice(value).ok()?;
            Some(told(&Value::from(*stack), &entry, &entry["state"]["phase"]))
        }
        ["engine", "stack", _] => {
            let record: Value = serde_json::from_slice(value).ok()?;
            Some(What::Journal {
                stack: text(&record["stack"]),
                rev: record["rev"].as_u64().unwrap_or_default(),
                op: text(&record["op"]),
                state: text(&record["state"]["phase"]),
            })
        }
        ["engine", "step", stack, op, n] => {
            let record: Value = serde_json::from_slice(value).ok()?;
            Some(What::Step {
                stack: (*stack).to_owned(),
                op: (*op).to_owned(),
                n: (*n).to_owned(),
                text: text(&record["what"]),
                done: !record["done"].is_null(),
            })
        }
        _ => None,
    }
}
