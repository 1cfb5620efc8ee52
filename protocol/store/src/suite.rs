//! The conformance suite: what every backend must do, as data-free functions over a fresh store.
//!
//! ```ignore
//! store_suite!(mem, async || Fixture::new(MemStore::new));
//! ```
//! makes a module `mem` with one test per function below. The calling crate needs tokio with `macros` and `rt`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failed expectation is a failed test"
)]

use std::{any::Any, sync::Arc, time::Duration};

use windflow_kit::{Clock, task::spawn_scoped};

use crate::{Expect, Key, MAX_OPS, MAX_VALUE, Prefix, SharedStore, Store, StoreError, Txn};

mod atomic;
mod leases;
mod scans;

pub use self::{
    atomic::{
        atomic_failure_changes_nothing, closed_store_says_so, conflicts_name_both_versions, empty_is_empty,
        limits_are_held, one_winner_of_many, put_get_delete, versions_rise_and_are_never_reused,
        waiting_transactions_all_count,
    },
    leases::{lease_expires_by_the_clock, lease_keeps_others_out, lost_lease_is_noticed},
    scans::{
        prefixes_are_isolated, scan_back_gives_the_same_in_reverse, scan_pages_cover_everything_once,
        scan_starts_after_the_cursor, scan_stops_at_bytes, watch_coalesces, watch_ends_with_the_store,
        watch_wakes_only_its_prefix,
    },
};

/// A fresh store, and what must live as long.
#[derive(Debug)]
pub struct Fixture {
    /// The store.
    pub store: SharedStore,
    /// Its clock, a manual one.
    pub clock: Clock,
    _keep: Box<dyn Any + Send>,
}

impl Fixture {
    /// Makes a store with a manual clock at 2026-11-21T12:35:11Z.
    pub fn new<S: Store>(make: impl FnOnce(Clock) -> S) -> Self {
        Self::keeping((), make)
    }

    /// As [`Fixture::new`], keeping something (a temporary directory) until the store is dropped.
    pub fn keeping<S: Store>(keep: impl Any + Send, make: impl FnOnce(Clock) -> S) -> Self {
        let clock = Clock::manual(1_795_264_511_000);
        Self {
            store: Arc::new(make(clock.clone())),
            clock,
            _keep: Box::new(keep),
        }
    }
}

/// Runs the suite as a module of tests; the second argument is an async closure which makes a [`Fixture`].
#[macro_export]
macro_rules! store_suite {
    ($name:ident, $make:expr) => {
        mod $name {
            use super::*;

            $crate::store_suite!(@tests $make;
                empty_is_empty, put_get_delete, versions_rise_and_are_never_reused, conflicts_name_both_versions,
                atomic_failure_changes_nothing, one_winner_of_many, waiting_transactions_all_count, limits_are_held,
                closed_store_says_so, prefixes_are_isolated, scan_pages_cover_everything_once,
                scan_starts_after_the_cursor, scan_back_gives_the_same_in_reverse, scan_stops_at_bytes,
                watch_wakes_only_its_prefix, watch_coalesces,
                watch_ends_with_the_store, lease_keeps_others_out, lease_expires_by_the_clock, lost_lease_is_noticed,
            );
        }
    };
    (@tests $make:expr; $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::suite::$test(($make)().await).await;
            }
        )+
    };
}

fn key(name: &str) -> Key {
    Key::new(["org", "thing", name])
}

/// Most time any wait of the suite may take.
const BOUND: Duration = Duration::from_secs(20);
