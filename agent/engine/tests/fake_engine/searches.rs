//! Searches whose readers do not read.

use std::{fmt::Write as _, time::Duration};

use futures_util::StreamExt as _;
use windflow_model::{LogEvent, LogQuery, LogSearch, LogSearched, SearchBound};

use crate::bench::Bench;

const LINES: u32 = 4000;

/// A search in the log of `web`, in which every line matches.
fn query(limit: u32) -> LogQuery {
    let search = LogSearch {
        texts: vec!["needle".into()],
        limit,
        ..LogSearch::default()
    };
    LogQuery {
        stack: Some("web".into()),
        search: Some(search),
        ..LogQuery::default()
    }
}

async fn read(bench: &Bench, query: LogQuery) -> (usize, LogSearched) {
    let mut events = bench.handle.logs(query).await.unwrap();
    let (mut lines, mut searched) = (0, None);
    while let Some(event) = events.next().await {
        match event {
            LogEvent::Line { .. } => lines += 1,
            LogEvent::Searched(summary) => searched = Some(summary),
            LogEvent::End { .. } => {}
            LogEvent::Gap { reason, .. } => panic!("{reason}"),
        }
    }
    (lines, searched.unwrap())
}

/// A host makes two searches at a time: readers that take nothing may not keep others from theirs for longer than one may take.
#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_keeps_nobody_from_searching() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::with_host_in(folder.path()).await;
    bench.deployed("web", 1, "services: {one: {image: x}}").await;
    let name = bench.names("web").await.pop().unwrap();
    let mut log = String::new();
    for n in 0..LINES {
        let time = format!("2026-11-21T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60);
        writeln!(
            log,
            r#"{{"log":"needle {n}\n","stream":"stdout","time":"{time}"}}"#
        )
        .unwrap();
    }
    fs_err::create_dir(folder.path().join("logs")).unwrap();
    fs_err::write(folder.path().join(format!("logs/{name}-json.log")), log).unwrap();
    let mut stalled = Vec::new();
    for _ in 0..2 {
        stalled.push(bench.handle.logs(query(10_000)).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    let (lines, searched) = read(&bench, query(100)).await;
    assert_eq!((lines, searched.stopped_by), (100, Some(SearchBound::Matches)));
    // What a stalled reader finds when it goes on: what fitted, and that it is not all.
    for mut events in stalled {
        let mut last = None;
        while let Some(event) = events.next().await {
            if let LogEvent::Searched(searched) = event {
                last = Some(searched);
            }
        }
        let searched = last.unwrap();
        assert_eq!(searched.stopped_by, Some(SearchBound::Time), "{searched:?}");
        assert!(searched.complete_from.is_some());
    }
    bench.end().await;
}
