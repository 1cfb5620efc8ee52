use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::Chain;

const SHORT: Duration = Duration::from_millis(50);

fn set() -> TaskSet {
    TaskSet::new(Stop::new(), Random::seeded(1))
}

fn bang(text: String) {
    panic!("{text}");
}

#[derive(Debug, thiserror::Error)]
#[error("broken")]
struct Broken;

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_stops_the_others_and_is_reported() {
    let set = set();
    let stop = set.stop().clone();
    set.spawn("waits", OnFailure::Exit, async move { stop.stopped().await });
    set.spawn("breaks", OnFailure::Exit, async { Err::<(), _>(Broken) });
    set.stop().stopped().await;
    let drained = set.drain(SHORT).await;
    assert_eq!(drained.unfinished, Vec::<&str>::new());
    assert_eq!(
        Chain(&drained.failure.unwrap()).to_string(),
        "task breaks failed: broken"
    );
    assert_eq!(set.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_counts_as_failure_and_log_lets_the_rest_run() {
    let set = set();
    set.spawn("logged", OnFailure::Log, async { bang(format!("one {}", 1)) });
    set.inner
        .running
        .subscribe()
        .wait_for(|count| *count == 0)
        .await
        .unwrap();
    assert!(!set.stop().is_stopped());
    set.spawn("fatal", OnFailure::Exit, async { bang("two".to_owned()) });
    set.stop().stopped().await;
    let failure = set.drain(SHORT).await.failure.unwrap();
    assert_eq!(Chain(&failure).to_string(), "task fatal failed: panicked: two");
}

#[tokio::test(start_paused = true)]
async fn drain_names_those_that_do_not_end() {
    let set = set();
    set.spawn("stubborn", OnFailure::Log, std::future::pending::<()>());
    set.spawn("deaf", OnFailure::Log, std::future::pending::<()>());
    assert_eq!(format!("{set:?}"), r#"{"stubborn", "deaf"}"#);
    assert_eq!(set.drain(SHORT).await.unfinished, ["deaf", "stubborn"]);
    // Aborted tasks leave the set as well.
    set.inner
        .running
        .subscribe()
        .wait_for(|count| *count == 0)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn restarts_until_it_works_and_gives_up_waiting_at_stop() {
    let set = set();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    set.spawn_restarting("third time", BackoffOptions::default(), move || {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move { if run < 2 { Err(Broken) } else { Ok(()) } }
    });
    set.inner
        .running
        .subscribe()
        .wait_for(|count| *count == 0)
        .await
        .unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 3);

    let hour = Duration::from_secs(3_600);
    set.spawn_restarting("never", BackoffOptions::between(hour, hour), || async {
        Err::<(), _>(Broken)
    });
    tokio::task::yield_now().await;
    assert_eq!(set.drain(SHORT).await.unfinished, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_scoped_task_ends_with_its_handle() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
    let handle = spawn_scoped("held", async move {
        let _held = sender;
        std::future::pending::<()>().await;
    });
    assert!(!handle.is_finished());
    drop(handle);
    assert_eq!(receiver.recv().await, None);
    assert_eq!(spawn_scoped("value", async { 7 }).await.unwrap(), 7);
    let failure = spawn_scoped("bad", async { bang("no".to_owned()) })
        .await
        .unwrap_err();
    assert_eq!(Chain(&failure).to_string(), "task bad failed: panicked: no");
    let aborted = spawn_scoped("gone", std::future::pending::<()>());
    aborted.abort();
    assert_eq!(
        Chain(&aborted.await.unwrap_err()).to_string(),
        "task gone failed: ended before it was done"
    );
}
