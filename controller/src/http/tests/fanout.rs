//! Deploys to more hosts than one transaction holds, against each other and against a delete.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::json;
use windflow_kit::Clock;
use windflow_model::{AgentId, Deployment, OrgId, Rev};
use windflow_store::{RedbOptions, RedbStore, Table, Txn};

use super::world::{NOW_MS, World};
use crate::{
    app::{
        keys,
        records::{Fanout, Placement},
    },
    context::OpContext,
};

const HOSTS: u8 = 60;

fn org() -> OrgId {
    OpContext::system("").org
}

/// A stack deployed from everywhere at once: to all hosts, to a few of them, to one.
#[tokio::test]
async fn deploys_at_the_same_time_never_share_a_revision_on_a_host() {
    let dir = tempfile::tempdir().unwrap();
    // The store's threads make the rounds overlap.
    let store = Arc::new(RedbStore::open(dir.path(), RedbOptions::default()).unwrap());
    let mut world = World::over(store.clone(), Clock::manual(NOW_MS));
    world.sign_up().await;
    let stack = world.stack("web").await;
    let mut agents = Vec::new();
    for key in 1..=HOSTS {
        agents.push(world.enrol(key).await);
    }
    let path = format!("/api/v1/stacks/{stack}/deployments");
    for round in 0..60 {
        // Sent without a pause between them; those of the middle fall into the fan-out of the first.
        let few = |from: usize, count: usize| agents[from..from + count].to_vec();
        let wanted = [agents.clone(), few(30, 5), few(55, 1), few(20, 30), few(59, 1)];
        let deploys = wanted.map(|hosts| world.call("POST", &path, Some(json!({"agents": hosts}))));
        for (status, answer) in join_all(deploys).await {
            assert!(status.is_success(), "round {round}: {status} {answer}");
        }
    }

    let all = Table::<Deployment>::new(store.clone());
    let all = all.all(&keys::deployments(org())).await.unwrap();
    let mut had = BTreeMap::<AgentId, Vec<Rev>>::new();
    for one in &all {
        had.entry(one.value.agent).or_default().push(one.value.rev);
    }
    let places = Table::<Placement>::new(store.clone());
    let places = places
        .all(&keys::placements(org(), stack.parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(places.len(), usize::from(HOSTS));
    for place in places {
        let (agent, rev) = (place.value.agent, place.value.rev);
        let mut revs = had.remove(&agent).unwrap();
        revs.sort_unstable();
        assert!(revs.windows(2).all(|two| two[0] < two[1]), "{agent}: {revs:?}");
        assert_eq!(revs.last(), Some(&rev), "{agent}: the placement is the newest");
        let open = all
            .iter()
            .filter(|one| one.value.agent == agent && !one.value.state.is_terminal());
        let open: Vec<_> = open.map(|one| one.value.id).collect();
        assert_eq!(
            open,
            [place.value.deployment],
            "{agent}: what waits is the newest, and it alone"
        );
    }
    let lists = Table::<Fanout>::new(store)
        .all(&keys::fanouts(org()))
        .await
        .unwrap();
    assert_eq!(lists, []);
}

#[tokio::test]
async fn a_stack_is_not_deleted_while_hosts_wait_to_be_queued() {
    let world = World::new().await;
    let stack = world.stack("web").await;
    let op = world.app.new_op_id().unwrap();
    let list = Fanout {
        op,
        stack: stack.parse().unwrap(),
        rev: Rev::ZERO,
        by: OpContext::system("").user,
        at: world.app.now(),
        rest: Vec::new(),
    };
    let key = keys::fanout(org(), op);
    let txn = Txn::new().put_doc(key.clone(), &list).unwrap();
    world.app.store().txn(txn).await.unwrap();
    let path = format!("/api/v1/stacks/{stack}");
    let (status, answer) = world.call("DELETE", &path, None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    assert!(answer.to_string().contains("still being queued"), "{answer}");

    world.app.store().txn(Txn::new().delete(key)).await.unwrap();
    world.ok("DELETE", &path, None).await;
}
