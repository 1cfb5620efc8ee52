//! Readers that stay, that are slow, and that come back, with and without a disk.

use std::path::Path;

use windflow_kit::{Random, Stop, TaskHandle, TaskSet, task::spawn_scoped};
use windflow_model::{HostEventKind, ResourceAction, StackId};
use windflow_store::{MemStore, SharedStore};

use super::*;
use crate::{app::AppOptions, egress::EgressOptions, event_log::EventRetention};

/// A controller's run, with its events in a folder if there is one.
struct Run {
    app: App,
    stop: Stop,
    task: Option<TaskHandle<()>>,
}

impl Run {
    fn start(epoch: u64, dir: Option<&Path>, clock: &Clock) -> Self {
        let (random, stop) = (Random::seeded(1), Stop::new());
        let store: SharedStore = Arc::new(MemStore::new(clock.clone()));
        let app = AppOptions {
            store,
            clock: clock.clone(),
            tasks: TaskSet::new(stop.clone(), random.clone()),
            random,
            epoch,
            egress: EgressOptions::default().build().unwrap(),
            vault: crate::vault::Vault::passing(Random::system()).unwrap(),
        }
        .build();
        let task = dir.map(|dir| {
            let retention = EventRetention {
                days: 30,
                bytes: 8 << 20,
            };
            let (log, known) = EventLog::open(dir.to_owned(), retention).unwrap();
            app.keep_events(log.clone(), known);
            spawn_scoped("event-log", log.run(stop.clone()))
        });
        Self { app, stop, task }
    }

    fn publish(&self, count: usize) {
        for _ in 0..count {
            self.app.publish(FleetEventKind::StackChanged { stack: stack() });
        }
    }

    async fn end(self) {
        self.stop.trigger();
        if let Some(task) = self.task {
            task.await.unwrap();
        }
    }
}

fn stack() -> StackId {
    "stk_01jd4x2m8v7f3k9q0zt5n6r1wc".parse().unwrap()
}

fn agent() -> AgentId {
    "agt_01jd4x2m8v7f3k9q0zt5n6r1wc".parse().unwrap()
}

fn id(run: u64, seq: u64) -> EventId {
    EventId { run, seq }
}

fn volume(seq: u64) -> HostEvent {
    HostEvent {
        seq,
        at: Timestamp::from_millis(5),
        kind: HostEventKind::Volume {
            action: ResourceAction::Created,
            volume: format!("v{seq}"),
        },
    }
}

fn is_gap(event: &FleetEvent) -> bool {
    matches!(event.kind, FleetEventKind::Gap { .. })
}

async fn ids(reader: &mut EventReader, count: usize) -> Vec<EventId> {
    let mut found = Vec::new();
    for _ in 0..count {
        let event = reader.next().await.unwrap();
        assert!(!is_gap(&event), "{event:?} behind {found:?}");
        found.push(event.id);
    }
    found
}

fn all(run: u64, from: u64, to: u64) -> Vec<EventId> {
    (from..=to).map(|seq| id(run, seq)).collect()
}

#[tokio::test]
async fn without_a_disk_a_reader_misses_nothing_of_the_ring_or_is_told() {
    let run = Run::start(7, None, &Clock::manual(0));
    run.publish(10);
    let mut reader = run.app.events(EventFilter::default(), From::After(id(7, 8)));
    assert_eq!(ids(&mut reader, 2).await, all(7, 9, 10));
    run.publish(1);
    assert_eq!(ids(&mut reader, 1).await, [id(7, 11)]);
    for before in [id(6, 8), EventId::default()] {
        let mut reader = run.app.events(EventFilter::default(), From::After(before));
        assert!(is_gap(&reader.next().await.unwrap()), "{before}");
        assert_eq!(ids(&mut reader, 11).await, all(7, 1, 11));
    }
}

#[tokio::test]
async fn a_slow_reader_gets_a_gap_and_goes_on() {
    let run = Run::start(1, None, &Clock::manual(0));
    let mut reader = run.app.events(EventFilter::default(), From::Now);
    run.publish(2_000);
    let first = reader.next().await.unwrap();
    assert!(
        matches!(first.kind, FleetEventKind::Gap { lost } if lost >= 976),
        "{first:?}"
    );
    assert_eq!(reader.next().await.unwrap().id.seq, 977);
}

#[tokio::test]
async fn a_reader_comes_back_over_restarts_and_misses_nothing() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let first = Run::start(1, Some(dir.path()), &clock);
    first.publish(3_000);
    first.end().await;
    let second = Run::start(2, Some(dir.path()), &clock);
    second.publish(1_500);
    let mut reader = second.app.events(EventFilter::default(), From::After(id(1, 10)));
    assert_eq!(ids(&mut reader, 2_990).await, all(1, 11, 3_000));
    // More comes while it reads.
    second.publish(700);
    assert_eq!(ids(&mut reader, 2_200).await, all(2, 1, 2_200));
    second.publish(1);
    assert_eq!(ids(&mut reader, 1).await, [id(2, 2_201)]);
    // What the ring has needs no disk.
    let mut near = second
        .app
        .events(EventFilter::default(), From::After(id(2, 2_190)));
    assert_eq!(ids(&mut near, 11).await, all(2, 2_191, 2_201));
    // A page, and the next.
    let (page, next) = second
        .app
        .event_page(EventFilter::default(), None, 500)
        .await
        .unwrap();
    assert_eq!(
        (page[0].id, page.len(), next),
        (id(2, 2_201), 500, Some(id(2, 1_702)))
    );
    let (page, next) = second
        .app
        .event_page(EventFilter::default(), Some(id(1, 3)), 500)
        .await
        .unwrap();
    let found: Vec<_> = page.iter().map(|event| event.id).collect();
    assert_eq!((found, next), (vec![id(1, 2), id(1, 1)], None));
    second.end().await;
}

#[tokio::test]
async fn events_of_hosts_are_kept_once_and_then_acknowledged() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let kept = async |run: &Run| {
        let kinds = ["volume".to_owned()].into();
        let filter = EventFilter {
            kinds,
            ..EventFilter::default()
        };
        let (page, _) = run.app.event_page(filter, None, 500).await.unwrap();
        let mut seqs: Vec<_> = page
            .iter()
            .map(|event| match &event.kind {
                FleetEventKind::Host { life, event, .. } => (*life, event.seq),
                other => panic!("{other:?}"),
            })
            .collect();
        seqs.reverse();
        seqs
    };
    let first = Run::start(1, Some(dir.path()), &clock);
    assert_eq!(
        first
            .app
            .agent_events(agent(), 4, vec![volume(1), volume(2)])
            .await,
        2
    );
    // Its acknowledgement was lost.
    assert_eq!(
        first
            .app
            .agent_events(agent(), 4, vec![volume(1), volume(2), volume(3)])
            .await,
        3
    );
    assert_eq!(kept(&first).await, [(4, 1), (4, 2), (4, 3)]);
    first.end().await;
    let second = Run::start(2, Some(dir.path()), &clock);
    assert_eq!(
        second
            .app
            .agent_events(agent(), 4, vec![volume(3), volume(4)])
            .await,
        4
    );
    // Another run of the agent: its engine told what that one could not know to be here.
    let again = |seq, was| HostEvent { seq, ..volume(was) };
    let told = vec![again(1, 3), again(2, 4), again(3, 5)];
    assert_eq!(second.app.agent_events(agent(), 5, told).await, 3);
    assert_eq!(kept(&second).await, [(4, 1), (4, 2), (4, 3), (4, 4), (5, 3)]);
    assert_eq!(second.app.agent_events(agent(), 5, Vec::new()).await, 0);
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_not_acknowledged() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_000));
    let run = Run::start(1, Some(dir.path()), &clock);
    // A folder where the file is to be: no rights needed for it to fail.
    fs_err::create_dir(dir.path().join("1-1.log")).unwrap();
    assert_eq!(run.app.agent_events(agent(), 4, vec![volume(1)]).await, 0);
    fs_err::remove_dir(dir.path().join("1-1.log")).unwrap();
    assert_eq!(
        run.app.agent_events(agent(), 4, vec![volume(1)]).await,
        1,
        "told again, and kept once"
    );
    let (page, _) = run.app.event_page(EventFilter::default(), None, 5).await.unwrap();
    assert_eq!(page.len(), 1);
    run.end().await;
}
