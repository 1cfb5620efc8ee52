//! Whatever is done to the trail is found; nothing is found that was not done.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use windflow_api::{AuditProblemKind, AuditQuery};
use windflow_kit::{Clock, Random, Stop, TaskSet};
use windflow_model::Timestamp;
use windflow_store::{MemStore, SharedStore};

use super::*;
use crate::{app::AppOptions, egress::EgressOptions};

fn app() -> App {
    let (clock, random) = (Clock::manual(1_000), Random::seeded(1));
    let store: SharedStore = Arc::new(MemStore::new(clock.clone()));
    AppOptions {
        store,
        clock,
        tasks: TaskSet::new(Stop::new(), random.clone()),
        random,
        epoch: 1,
        egress: EgressOptions::default().build().unwrap(),
        vault: crate::vault::Vault::passing(Random::system()).unwrap(),
    }
    .build()
}

/// 200 acts, sealed but for the last; then `spoil` one of the sealed: what a check says.
async fn check(spoil: impl AsyncFnOnce(&App, Key), expected: &[&str]) {
    let (app, op) = (app(), OpContext::system("test"));
    for object in 0..199 {
        app.audit(&op, "act", object, "").await.unwrap();
    }
    assert_eq!(app.audit_seal().await.unwrap(), 199);
    let some = app.keys_below("test", &keys::audits(op.org)).await.unwrap();
    app.audit(&op, "act", 199, "").await.unwrap();
    let before = app.audit_verify(&op).await.unwrap();
    assert_eq!((before.sealed, before.open), (199, 1));
    assert_eq!(before.problems, []);
    spoil(&app, some[100].clone()).await;
    app.audit_seal().await.unwrap();
    let found = app.audit_verify(&op).await.unwrap().problems;
    let found: Vec<_> = found.into_iter().map(|found| found.message).collect();
    for one in expected {
        assert!(found.iter().any(|found| found.contains(one)), "{one}: {found:?}");
    }
    for found in &found {
        assert!(expected.iter().any(|one| found.contains(one)), "{found}");
    }
}

#[tokio::test]
async fn whatever_is_done_to_a_record_is_found() {
    let org = OpContext::system("").org;
    let commit = async |app: &App, txn: Txn| {
        app.commit("test", txn).await.unwrap();
    };
    check(async |_, _| (), &[]).await;
    check(
        async |app, key| commit(app, Txn::new().delete(key)).await,
        &["is missing"],
    )
    .await;
    check(
        async |app, key| commit(app, Txn::new().put(key, b"other".to_vec())).await,
        &["was changed"],
    )
    .await;
    check(
        async |app, _| commit(app, Txn::new().put(keys::audit(org, "0"), Vec::new())).await,
        &["without a seal"],
    )
    .await;
    // One that was not sealed yet, before the seal came.
    check(
        async |app, _| {
            let open = app.keys_below("test", &keys::audits_open(org)).await.unwrap();
            commit(app, Txn::new().delete(keys::audit(org, &open[0].last()))).await;
        },
        &["is missing"],
    )
    .await;
    // A seal with all that it covers.
    check(
        async |app, _| commit(app, Txn::new().delete(keys::audit_seal(org, 2))).await,
        &["seal 2 is missing", "does not follow", "without a seal"],
    )
    .await;
    check(
        async |app, _| commit(app, Txn::new().put(keys::audit_seal(org, 2), b"no seal".to_vec())).await,
        &["seal 2 cannot be read", "does not follow", "without a seal"],
    )
    .await;
    // The end of the chain.
    check(
        async |app, _| commit(app, Txn::new().delete(keys::audit_seal(org, 3))).await,
        &["seal 3 is missing", "does not follow", "without a seal"],
    )
    .await;
}

/// The end of the chain, before anything more is sealed.
#[tokio::test]
async fn a_spoilt_end_is_found() {
    let org = OpContext::system("").org;
    let check = async |spoil: Txn, expected: &[AuditProblemKind]| {
        let (app, op) = (app(), OpContext::system("test"));
        for object in 0..=CHAIN_PER_SEAL {
            app.audit(&op, "act", object, "").await.unwrap();
        }
        app.audit_seal().await.unwrap();
        app.commit("test", spoil).await.unwrap();
        let found = app.audit_verify(&op).await.unwrap().problems;
        let found: Vec<_> = found.into_iter().map(|one| one.kind).collect();
        assert_eq!(found, expected);
    };
    check(Txn::new(), &[]).await;
    let head = keys::audit_head(org);
    check(Txn::new().delete(head.clone()), &[AuditProblemKind::HeadWrong]).await;
    check(
        Txn::new().put(head.clone(), b"no head".to_vec()),
        &[AuditProblemKind::HeadWrong],
    )
    .await;
    let other = SealHead {
        number: 2,
        hash: "other".to_owned(),
    };
    check(
        Txn::new().put_doc(head, &other).unwrap(),
        &[AuditProblemKind::HeadWrong],
    )
    .await;
    check(
        Txn::new().delete(keys::audit_seal(org, 2)),
        &[AuditProblemKind::HeadWrong, AuditProblemKind::RecordUnsealed],
    )
    .await;
}

/// The trail is checked while it is written and sealed: what comes in meanwhile is no problem.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_in_the_middle_of_writing_finds_nothing() {
    let (app, op) = (app(), OpContext::system("test"));
    let (writer, by, ended) = (app.clone(), op.clone(), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&ended);
    // On another thread, as the jobs and the handlers are.
    let writing = app.owned("writing", async move {
        for object in 0..600 {
            writer.audit(&by, "act", object, "").await?;
            if object % 7 == 0 {
                writer.audit_seal().await?;
            }
            tokio::task::yield_now().await;
        }
        told.store(true, Ordering::Release);
        Ok(())
    });
    let mut checks = 0;
    let checking = async {
        while !ended.load(Ordering::Acquire) {
            assert_eq!(app.audit_verify(&op).await.unwrap().problems, []);
            checks += 1;
            tokio::task::yield_now().await;
        }
    };
    let (written, ()) = futures_util::future::join(writing, checking).await;
    written.unwrap();
    app.audit_seal().await.unwrap();
    let verdict = app.audit_verify(&op).await.unwrap();
    assert_eq!((verdict.sealed, verdict.open), (600, 0));
    assert!(checks > 1, "no check met the writer");
}

/// One record that says nothing does not hide the others, nor does one with an id that is none of ours.
#[tokio::test]
async fn what_was_put_in_does_not_end_the_list() {
    let (app, op) = (app(), OpContext::system("test"));
    for object in 0..5 {
        app.audit(&op, "act", object, "").await.unwrap();
    }
    let some = app.keys_below("test", &keys::audits(op.org)).await.unwrap();
    let txn = Txn::new()
        .put(some[2].clone(), b"other".to_vec())
        .put(keys::audit(op.org, "zzz"), b"other".to_vec());
    app.commit("test", txn).await.unwrap();
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = AuditQuery {
            from: Some(Timestamp::from_millis(1)),
            limit: Some(1),
            cursor,
            ..AuditQuery::default()
        };
        let page = app.audit_list(&op, &query).await.unwrap();
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let readable = found.iter().filter(|entry| !entry.unreadable).count();
    assert_eq!((readable, found.len()), (4, 6));
    assert_eq!(found.first().unwrap().id, "zzz");
}
