//! Leases.

use super::*;

const TTL: Duration = Duration::from_secs(10);

/// One holder at a time; the same holder may take it again; giving it back frees it.
pub async fn lease_keeps_others_out(f: Fixture) {
    let lease = f.store.lease(&key("l"), "one", TTL).await.unwrap();
    let error = f.store.lease(&key("l"), "two", TTL).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Held { holder, left, .. } if holder == "one" && *left == TTL),
        "{error}"
    );
    assert!(error.retryable());
    let again = f.store.lease(&key("l"), "one", TTL).await.unwrap();
    assert!(again.version() > lease.version());
    f.store.lease_release(again).await.unwrap();
    f.store.lease(&key("l"), "two", TTL).await.unwrap();
}

/// It lasts to the millisecond, and renewing counts from now.
pub async fn lease_expires_by_the_clock(f: Fixture) {
    let mut lease = f.store.lease(&key("l"), "one", TTL).await.unwrap();
    f.clock.advance(TTL / 2);
    f.store.lease_renew(&mut lease, TTL).await.unwrap();
    f.clock.advance(TTL - Duration::from_millis(1));
    assert!(f.store.lease(&key("l"), "two", TTL).await.is_err());
    f.clock.advance(Duration::from_millis(1));
    f.store.lease(&key("l"), "two", TTL).await.unwrap();
}

/// Who was too late cannot renew, cannot pass the fence, and does no harm by releasing.
pub async fn lost_lease_is_noticed(f: Fixture) {
    let mut lost = f.store.lease(&key("l"), "one", TTL).await.unwrap();
    f.clock.advance(TTL);
    let held = f.store.lease(&key("l"), "two", TTL).await.unwrap();
    assert!(
        f.store
            .lease_renew(&mut lost, TTL)
            .await
            .unwrap_err()
            .is_conflict()
    );
    let fenced = Txn::new()
        .expect(key("l"), Expect::Version(lost.version()))
        .put(key("work"), "by one");
    assert!(f.store.txn(fenced).await.unwrap_err().is_conflict());
    f.store.lease_release(lost).await.unwrap();
    let fenced = Txn::new()
        .expect(key("l"), Expect::Version(held.version()))
        .put(key("work"), "by two");
    f.store.txn(fenced).await.unwrap();
}
