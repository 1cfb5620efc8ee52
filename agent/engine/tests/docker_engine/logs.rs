//! Searches in what a real engine has logged, in files that are read directly and through the engine.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use windflow_model::{
    DeploymentState, LogEvent, LogLevel, LogQuery, LogSearch, LogSearched, SearchBound, Timestamp,
};

use crate::bench::Bench;

const LINES: usize = 6_000;
/// The same lines from both: one has files that rotate and are read directly, the other's driver keeps them in another form.
const TWO: &str = r#"
services:
  files: &talk
    image: windflow-test/busybox:1
    command:
      - sh
      - -c
      - |
        i=1
        while [ $$i -le 6000 ]; do
          case $$i in
            *00) echo "{\"level\":\"error\",\"status\":503,\"n\":$$i,\"msg\":\"the Disk is <full>\"}" ;;
            *50) echo "WARN line $$i took $$((i * 2)) ms" >&2 ;;
            *) echo "INFO line $$i is a plain one without anything of interest in it" ;;
          esac
          i=$$((i+1))
        done
        echo end
        touch /tmp/end
        sleep 3600
    init: true
    network_mode: none
    stop_grace_period: 0s
    healthcheck: { test: ["CMD", "test", "-e", "/tmp/end"], interval: 300ms, retries: 100 }
    logging: { driver: json-file, options: { max-size: 200k, max-file: "9" } }
  engine:
    <<: *talk
    logging: { driver: local, options: { max-size: 10m } }
"#;

async fn search(bench: &Bench, query: LogQuery) -> (BTreeMap<String, Vec<String>>, LogSearched) {
    let query = LogQuery {
        stack: Some(bench.stack.to_string()),
        ..query
    };
    let mut events = bench.handle.logs(query).await.unwrap();
    let (mut lines, mut searched): (BTreeMap<String, Vec<String>>, _) = (BTreeMap::new(), None);
    while let Some(event) = events.next().await {
        match event {
            LogEvent::Line { service, text, .. } => lines.entry(service).or_default().push(text),
            LogEvent::Searched(summary) => searched = Some(summary),
            LogEvent::End { reason } => assert_eq!(reason, LogEvent::COMPLETE),
            LogEvent::Gap { reason, .. } => panic!("{reason}"),
        }
    }
    (lines, searched.expect("a search says what it looked at"))
}

fn text(text: &str) -> LogSearch {
    LogSearch {
        texts: vec![text.to_owned()],
        ..LogSearch::default()
    }
}

fn of(service: &str, search: LogSearch) -> LogQuery {
    LogQuery {
        services: vec![service.to_owned()],
        search: Some(search),
        ..LogQuery::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_a_search_finds_the_same_in_files_as_through_the_engine() {
    let Some(mut bench) = Bench::start("search").await else {
        return;
    };
    assert_eq!(bench.apply(TWO).await, DeploymentState::Succeeded);
    let regex = LogSearch {
        regex: Some(r"took \d{5} ms$".to_owned()),
        ..LogSearch::default()
    };
    let errors = LogSearch {
        level: Some(LogLevel::Error),
        ..LogSearch::default()
    };
    let field = LogSearch {
        fields: vec!["n>5000".parse().unwrap(), "status=503".parse().unwrap()],
        ..LogSearch::default()
    };
    let warnings = LogSearch {
        level: Some(LogLevel::Warn),
        ..LogSearch::default()
    };
    for (search, count) in [
        (text("DISK is <full>"), 60),
        (text("line 4350 "), 1),
        (text("nowhere"), 0),
        (regex, 10),
        (errors, 60),
        (warnings, 120),
        (field, 10),
        (
            LogSearch {
                limit: 7,
                ..text("plain")
            },
            7,
        ),
    ] {
        let (lines, _) = search_both(&bench, &search).await;
        assert_eq!(lines.len(), count, "{search:?}: {lines:?}");
    }

    // A time: the lines between two of them.
    let all = times(&bench, text("disk")).await;
    let (from, until) = (all[20].0, all[10].0);
    let within = |service: &str| LogQuery {
        since: Some(from),
        until: Some(until),
        ..of(service, text("disk"))
    };
    let wanted: Vec<&String> = all
        .iter()
        .filter(|(at, _)| *at >= from && *at < until)
        .map(|(_, text)| text)
        .collect();
    assert!(!wanted.is_empty());
    let (lines, _) = search(&bench, within("files")).await;
    assert_eq!(lines["files"].iter().collect::<Vec<_>>(), wanted);

    // What is found soon ends the search: far less is read than there is.
    let (_, whole) = search(&bench, of("files", text("nowhere"))).await;
    let (_, soon) = search(
        &bench,
        of(
            "files",
            LogSearch {
                limit: 5,
                ..text("plain")
            },
        ),
    )
    .await;
    assert_eq!((whole.stopped_by, whole.complete_from), (None, None));
    assert_eq!(soon.stopped_by, Some(SearchBound::Matches));
    assert!(soon.complete_from.is_some());
    println!(
        "files of {LINES} lines: {} bytes read for all, {} for the newest 5",
        whole.bytes, soon.bytes
    );
    assert!(whole.bytes > 600_000, "rotated files were read: {}", whole.bytes);

    // Followed: only what matches.
    let query = LogQuery {
        follow: true,
        ..of("files", text("end"))
    };
    let mut events = bench.handle.logs(query).await.unwrap();
    let first = tokio::time::timeout(std::time::Duration::from_secs(20), events.next()).await;
    assert!(
        matches!(&first, Ok(Some(LogEvent::Line { text, .. })) if text == "end"),
        "{first:?}"
    );
    drop(events);
    bench.end().await;
}

/// What both services have, which is the same, newest first.
async fn search_both(bench: &Bench, wanted: &LogSearch) -> (Vec<String>, LogSearched) {
    let (files, searched) = search(bench, of("files", wanted.clone())).await;
    let (engine, _) = search(bench, of("engine", wanted.clone())).await;
    let found = |mut lines: BTreeMap<String, Vec<String>>, service| lines.remove(service).unwrap_or_default();
    let (files, engine) = (found(files, "files"), found(engine, "engine"));
    // The two outputs of a container are read by two threads: their order is not the engine's promise.
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    if wanted.limit == 0 {
        assert_eq!(sorted(&files), sorted(&engine), "{wanted:?}");
    }
    (files, searched)
}

/// Times and texts, newest first.
async fn times(bench: &Bench, wanted: LogSearch) -> Vec<(Timestamp, String)> {
    let query = LogQuery {
        stack: Some(bench.stack.to_string()),
        ..of("files", wanted)
    };
    let mut events = bench.handle.logs(query).await.unwrap();
    let mut found = Vec::new();
    while let Some(event) = events.next().await {
        if let LogEvent::Line {
            at: Some(at), text, ..
        } = event
        {
            found.push((at, text));
        }
    }
    found
}

const LONG: &str = r#"
services:
  talk:
    image: windflow-test/busybox:1
    command: ["sh", "-c", "yes 0123456789abcdef | head -n 5000 | tr -d '\n'; echo; echo short; i=0; while true; do i=$$((i+1)); echo $$i; usleep 2000; done"]
    init: true
    network_mode: none
    stop_grace_period: 0s
    logging: { driver: DRIVER, options: { max-size: SIZE, max-file: "50" } }
"#;

/// Read from the files first and from the engine then, without a seam; a line of 80,000 characters is one.
#[tokio::test(flavor = "multi_thread")]
async fn docker_a_log_goes_on_where_its_files_end() {
    // Followed through the engine (20.10), a log that rotates repeats lines, or stops.
    for (driver, size) in [("json-file", "20k"), ("local", "10m")] {
        let Some(mut bench) = Bench::start("seam").await else {
            return;
        };
        assert_eq!(
            bench
                .apply(&LONG.replace("DRIVER", driver).replace("SIZE", size))
                .await,
            DeploymentState::Succeeded
        );
        for _ in 0..5 {
            let query = LogQuery {
                stack: Some(bench.stack.to_string()),
                follow: true,
                ..LogQuery::default()
            };
            let events = bench.handle.logs(query).await.unwrap();
            let lines = events.filter_map(|event| async move {
                match event {
                    LogEvent::Line { text, .. } => Some(text),
                    other => panic!("{driver}: {other:?}"),
                }
            });
            let wanted = std::time::Duration::from_secs(60);
            let read = tokio::time::timeout(wanted, lines.take(1200).collect::<Vec<_>>());
            let lines = read.await.expect("lines go on");
            let long = "0123456789abcdef".repeat(5000);
            // The driver `local` (20.10) forgets where a line of several parts ends.
            let first = match driver {
                "local" => vec![format!("{long}short")],
                _ => vec![long, "short".to_owned()],
            };
            let numbers = (1..1200).map(|number| number.to_string());
            let expected: Vec<String> = first.into_iter().chain(numbers).collect();
            let wrong = lines
                .iter()
                .zip(&expected)
                .find(|(line, expected)| line != expected);
            assert_eq!(wrong, None, "{driver}");
        }
        bench.end().await;
    }
}

/// Three that speak in turns: two whose files are read, one whose lines only the engine has.
const CHORUS: &str = r#"
services:
  first: &voice
    image: windflow-test/busybox:1
    command: [sh, -c, "i=0; while [ $$i -lt 60 ]; do echo $$i; sleep 0.03; i=$$((i+1)); done; touch /tmp/end; sleep 3600"]
    init: true
    network_mode: none
    stop_grace_period: 0s
    healthcheck: { test: ["CMD", "test", "-e", "/tmp/end"], interval: 300ms, retries: 100 }
    logging: { driver: json-file, options: { max-size: 2k, max-file: "9" } }
  second:
    <<: *voice
  third:
    <<: *voice
    logging: { driver: local, options: { max-size: 10m } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn docker_what_a_stack_has_said_comes_in_order_of_time() {
    let Some(mut bench) = Bench::start("chorus").await else {
        return;
    };
    assert_eq!(bench.apply(CHORUS).await, DeploymentState::Succeeded);
    for (follow, tail, count) in [
        (false, None, 180),
        (true, None, 180),
        (false, Some(20), 60),
        (true, Some(20), 60),
    ] {
        let query = LogQuery {
            stack: Some(bench.stack.to_string()),
            follow,
            tail,
            ..LogQuery::default()
        };
        let events = bench.handle.logs(query).await.unwrap();
        let said = events.filter_map(|event| async move {
            match event {
                LogEvent::Line { at, service, seq, .. } => {
                    Some((at.expect("the engine's time"), service, seq))
                }
                LogEvent::End { .. } => None,
                other => panic!("{other:?}"),
            }
        });
        let wanted = std::time::Duration::from_secs(30);
        let read = tokio::time::timeout(wanted, said.take(count).collect::<Vec<_>>());
        let said = read.await.expect("all lines come");
        assert_eq!(said.len(), count, "follow {follow}, tail {tail:?}");
        assert!(
            said.is_sorted_by_key(|(at, ..)| *at),
            "follow {follow}, tail {tail:?}: {said:?}"
        );
        assert!(said.iter().map(|(.., seq)| *seq).eq(0..count as u64));
        let turns = said.windows(2).filter(|two| two[0].1 != two[1].1).count();
        assert!(turns > count / 4, "they spoke in turns: {turns}");
    }
    bench.end().await;
}
