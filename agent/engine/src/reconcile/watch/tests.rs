//! What becomes of an engine's events.

use std::path::PathBuf;

use futures_util::stream;
use tokio::time::sleep;
use windflow_kit::{Clock, Random};
use windflow_store::MemStore;

use super::*;
use crate::{
    EngineOptions, FakeOptions, FakeTarget,
    journal::Journal,
    targets::{ContainerCreate, Operation, Target, Ticker},
    view::View,
};

/// Somebody makes a container.
async fn make(host: &FakeTarget, name: &str) {
    let files = windflow_compose::MemoryFiles(
        [(
            "/compose.yaml".to_owned(),
            "services: { a: { image: x } }".to_owned(),
        )]
        .into(),
    );
    let request = windflow_compose::LoadRequest {
        files: vec![windflow_compose::Source {
            path: "/compose.yaml".into(),
            text: None,
        }],
        name: Some("web".into()),
        ..windflow_compose::LoadRequest::default()
    };
    let project = Arc::new(windflow_compose::load(&request, &files).unwrap().project);
    let pull = Operation::Pull {
        image: "x".into(),
        platform: None,
    };
    let create = ContainerCreate {
        image: "x".into(),
        project,
        service: "a".into(),
        number: 1,
        name: name.into(),
        final_name: name.into(),
        labels: BTreeMap::new(),
        containers: BTreeMap::new(),
        linked: BTreeMap::new(),
        inherits: None,
        one_off: None,
    };
    for operation in [pull, Operation::Create(Box::new(create))] {
        host.execute(&operation, Ticker::none()).await.unwrap();
    }
}

async fn shared(target: Arc<dyn Target>) -> Arc<Shared> {
    let (clock, random) = (Clock::manual(0), Random::seeded(1));
    let store = Arc::new(MemStore::new(clock.clone()));
    let options = EngineOptions::new(store, PathBuf::from("/nowhere"), clock.clone(), random.clone());
    let view = Arc::new(View::default());
    let journal = Journal::open(Arc::clone(&options.store), Arc::clone(&view), clock, &random).await;
    Arc::new(Shared::new(options, Arc::new(journal.unwrap()), view, target))
}

/// Feeds events at these milliseconds; gives the signals with the milliseconds they came at, and whom they call killed.
async fn signals(events: &[(u64, TargetEventKind)]) -> Vec<(u128, Vec<String>)> {
    let target: Arc<dyn Target> = Arc::new(FakeTarget::open(FakeOptions::default()).unwrap());
    let shared = shared(target).await;
    let (sender, mut receiver) = mpsc::channel(16);
    let begin = Instant::now();
    let feed = stream::iter(events.to_vec()).then(move |(at, kind)| async move {
        tokio::time::sleep_until(begin + Duration::from_millis(at)).await;
        TargetEvent {
            kind,
            container: "a".into(),
            project: Some("web".into()),
        }
    });
    let over = stream::once(sleep(Duration::from_secs(100))).filter_map(|()| std::future::ready(None));
    let mut watch = Watch {
        shared: &shared,
        signals: &sender,
        dead: BTreeMap::new(),
        stopped: BTreeSet::new(),
    };
    let collect = async {
        let mut out = Vec::new();
        while let Ok(Some(signal)) = tokio::time::timeout(Duration::from_secs(50), receiver.recv()).await {
            assert_eq!(signal.project, "web");
            out.push((begin.elapsed().as_millis(), signal.killed.into_iter().collect()));
        }
        out
    };
    tokio::join!(watch.follow(feed.chain(over).boxed()), collect).1
}

/// Whoever stops a container says so, before or after the word that it died; what died without counts as killed.
#[tokio::test(start_paused = true)]
async fn what_was_stopped_is_not_killed() {
    use TargetEventKind::{Changed, Died, Removed, Started, Stopped};
    let killed = |at: u128| (at, vec!["a".to_owned()]);
    for (events, expected) in [
        (vec![(0, Died)], vec![killed(2_000)]),
        (vec![(0, Died), (1_999, Stopped)], vec![]),
        (vec![(0, Died), (2_100, Stopped)], vec![killed(2_000)]),
        (vec![(0, Stopped), (1_000, Died)], vec![]),
        // That word was for the first end.
        (vec![(0, Stopped), (10, Died), (5_000, Died)], vec![killed(7_000)]),
        (vec![(0, Died), (10, Stopped), (5_000, Died)], vec![killed(7_000)]),
        (vec![(0, Died), (500, Started)], vec![]),
        (
            vec![(0, Stopped), (500, Started), (1_000, Died)],
            vec![killed(3_000)],
        ),
        (
            vec![(0, Died), (1_000, Started), (1_500, Died)],
            vec![killed(3_500)],
        ),
        (vec![(0, Died), (500, Removed)], vec![(500, vec![])]),
        (vec![(0, Changed)], vec![]),
    ] {
        assert_eq!(signals(&events).await, expected, "{events:?}");
    }
}

/// Events close together make one new list; without any there is one now and then.
#[tokio::test(start_paused = true)]
async fn the_list_is_fresh_and_not_asked_for_at_every_event() {
    let host = Arc::new(FakeTarget::open(FakeOptions::default()).unwrap());
    let shared = shared(Arc::clone(&host) as Arc<dyn Target>).await;
    let (sender, _receiver) = mpsc::channel(16);
    let (tell, mut told) = mpsc::channel(16);
    let feed = stream::poll_fn(move |context| told.poll_recv(context));
    let mut lists = shared.view.containers.subscribe();
    let mut watch = Watch {
        shared: &shared,
        signals: &sender,
        dead: BTreeMap::new(),
        stopped: BTreeSet::new(),
    };
    let event = || TargetEvent {
        kind: TargetEventKind::Changed,
        container: "a".into(),
        project: None,
    };
    let act = async {
        sleep(Duration::from_millis(10)).await;
        let begin = Instant::now();
        make(&host, "web-a-1").await;
        for _ in 0..5 {
            tell.send(event()).await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        lists.changed().await.unwrap();
        assert_eq!(begin.elapsed(), COALESCE);
        // Nobody says anything.
        make(&host, "web-b-1").await;
        lists.changed().await.unwrap();
        assert_eq!(begin.elapsed(), COALESCE + REFRESH);
        assert_eq!(lists.borrow().containers.len(), 2);
        // Nothing new is no news.
        tell.send(event()).await.unwrap();
        sleep(REFRESH).await;
        assert!(!lists.has_changed().unwrap());
        drop(tell);
    };
    tokio::join!(watch.follow(feed.boxed()), act);
}
