//! What is known of a host after the controller was killed.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use windflow_kit::Clock;
use windflow_model::{AgentId, Timestamp};
use windflow_store::MemStore;

use super::world::{NOW_MS, World};

fn text(at: i64) -> String {
    serde_json::to_value(Timestamp::from_millis(at))
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_killed_controller_knows_to_the_minute_when_it_last_heard_its_hosts() {
    let clock = Clock::manual(NOW_MS);
    let store = Arc::new(MemStore::new(clock.clone()));
    let mut world = World::over(store.clone(), clock.clone());
    world.sign_up().await;
    let (there, away) = (world.enrol(1).await, world.enrol(2).await);
    let path = format!("/api/v1/agents/{there}");
    let version = world.ok("GET", &path, None).await["version"].clone();
    world.hosts.connected.lock().unwrap().push(there);
    let mut last = 0;
    for _ in 0..3 {
        clock.advance(Duration::from_secs(60));
        last = clock.now_ms() - 4_000;
        world.hosts.proven_at_ms.store(last, Ordering::Relaxed);
        assert_eq!(world.app.note_heard().await.unwrap(), 1);
        assert_eq!(world.app.note_heard().await.unwrap(), 0, "nothing new");
    }
    assert_eq!(
        world.ok("GET", &path, None).await["version"],
        version,
        "what a person changes at the same time is not disturbed"
    );
    // Killed: no goodbye of anybody. The next start, and the one after it, which hear nobody.
    for start in 1..=2 {
        clock.advance(Duration::from_secs(3_600));
        let mut next = World::over(store.clone(), clock.clone());
        next.token.clone_from(&world.token);
        assert_eq!(next.app.note_heard().await.unwrap(), 0, "start {start}");
        let seen = next.ok("GET", &path, None).await["presence"].clone();
        assert_eq!(seen["presence"], "offline", "start {start}");
        assert_eq!(seen["cause"], "not_since_start", "start {start}");
        assert_eq!(seen["since"], text(last), "start {start}");
        let never = next.ok("GET", &format!("/api/v1/agents/{away}"), None).await;
        assert_eq!(never["presence"]["cause"], "never_connected", "start {start}");
    }
}

#[tokio::test]
async fn a_large_fleet_costs_a_bounded_number_of_writes() {
    let world = World::new().await;
    let hosts = (0..5_000).map(|n| AgentId::from_uuid(uuid::Uuid::from_u128(n)));
    world.hosts.connected.lock().unwrap().extend(hosts);
    assert_eq!(world.app.note_heard().await.unwrap(), 64);
}
