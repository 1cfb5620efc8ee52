//! The suite over each backend, a model beside them, and what only files can suffer.

use std::{path::Path, sync::Arc};

use tempfile::TempDir;

use crate::{
    Key, MemStore, RedbOptions, RedbStore, SharedStore, StoreError, Txn, store_suite, suite::Fixture,
};

mod damage;
mod disk_full;
mod durable;
mod model;
mod table;

store_suite!(mem, async || Fixture::new(MemStore::new));

store_suite!(redb, async || {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    Fixture::keeping(dir, move |clock| {
        RedbStore::open(
            path,
            RedbOptions {
                clock,
                ..RedbOptions::default()
            },
        )
        .unwrap()
    })
});

#[cfg(feature = "sled")]
store_suite!(sled, async || {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    Fixture::keeping(dir, move |clock| {
        crate::SledStore::open(path, 16 << 20, clock).unwrap()
    })
});

fn redb(dir: &Path) -> RedbStore {
    RedbStore::open(dir, RedbOptions::default()).unwrap()
}

fn shared_redb(dir: &Path) -> SharedStore {
    Arc::new(redb(dir))
}

#[cfg(feature = "sled")]
fn shared_sled(dir: &Path) -> SharedStore {
    Arc::new(crate::SledStore::open(dir, 16 << 20, windflow_kit::Clock::system()).unwrap())
}

fn key(name: &str) -> Key {
    Key::new(["org", "thing", name])
}

/// A runtime for tests that are not async themselves.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
