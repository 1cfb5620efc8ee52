//! Leases: a record with an expiry, held by compare-and-swap.
//!
//! A lease is a hint that keeps two workers apart, not a proof: a holder that was paused past the expiry does not know
//! it. What must never happen twice carries [`Lease::version`] as a fencing token in its own transaction's
//! expectations.

use std::time::Duration;

use crate::{
    error::StoreError,
    key::Key,
    record::{Record, Version},
    store::Store,
    txn::{Expect, Txn},
};

/// A lease that is held.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    key: Key,
    holder: String,
    version: Version,
    expires_ms: i64,
}

impl Lease {
    /// The key it is held on.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Version of the lease record: expect it in transactions that only the holder may make. Changes with each renewal.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// When it expires, in milliseconds since 1970.
    #[must_use]
    pub const fn expires_ms(&self) -> i64 {
        self.expires_ms
    }
}

/// 8 bytes expiry, little-endian, then the holder.
fn encode(expires_ms: i64, holder: &str) -> Vec<u8> {
    [&expires_ms.to_le_bytes(), holder.as_bytes()].concat()
}

fn decode(record: &Record) -> (i64, String) {
    // A record of another form counts as expired: it cannot name a holder.
    let (expiry, holder) = record.value.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    (
        i64::from_le_bytes(*expiry),
        String::from_utf8_lossy(holder).into_owned(),
    )
}

fn expiry(now_ms: i64, ttl: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}

pub(crate) async fn acquire(
    store: &dyn Store,
    key: &Key,
    holder: &str,
    ttl: Duration,
) -> Result<Lease, StoreError> {
    loop {
        let found = store.get(key).await?;
        let now = store.clock().now_ms();
        if let Some((expires_ms, other)) = found.as_ref().map(decode)
            && expires_ms > now
            && other != holder
        {
            let left = Duration::from_millis(u64::try_from(expires_ms.saturating_sub(now)).unwrap_or(0));
            return Err(StoreError::Held {
                key: key.clone(),
                holder: other,
                left,
            });
        }
        let expires_ms = expiry(now, ttl);
        let txn = Txn::new()
            .expect(key.clone(), Expect::as_read(found.as_ref()))
            .put(key.clone(), encode(expires_ms, holder));
        match store.txn(txn).await {
            Ok(done) => {
                return Ok(Lease {
                    key: key.clone(),
                    holder: holder.to_owned(),
                    version: done.version,
                    expires_ms,
                });
            }
            // Somebody was faster; each round somebody gets it, so this ends in `Held`.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) async fn renew(store: &dyn Store, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError> {
    let expires_ms = expiry(store.clock().now_ms(), ttl);
    let txn = Txn::new().update(
        lease.key.clone(),
        lease.version,
        encode(expires_ms, &lease.holder),
    );
    lease.version = store.txn(txn).await?.version;
    lease.expires_ms = expires_ms;
    Ok(())
}

pub(crate) async fn release(store: &dyn Store, lease: Lease) -> Result<(), StoreError> {
    let txn = Txn::new()
        .expect(lease.key.clone(), Expect::Version(lease.version))
        .delete(lease.key);
    match store.txn(txn).await {
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
