//! What a host measures, from the files of its kernel to the history, through a restart of the controller.

use std::time::Duration;

use fs_err as fs;
use windflow_api::{HostMetrics, MetricsHistoryQuery, MetricsQuery};
use windflow_client::live::MetricsFeed;
use windflow_model::{AgentId, Timestamp};
use windflow_tests::{Fleet, Target};

/// Longest time between two samples of a watched host on a busy machine.
const SOON: Duration = Duration::from_secs(30);
const SAMPLES: usize = 4;

/// Bytes of memory, as the kernel says it.
pub(super) fn memory_total() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

pub(super) async fn watched(fleet: &Fleet) -> MetricsFeed {
    let query = MetricsQuery {
        every_ms: Some(1000),
        ..MetricsQuery::default()
    };
    fleet.client().metrics_live(&query).await.unwrap()
}

/// The next samples of a host, each newer than the one before.
pub(super) async fn next(feed: &mut MetricsFeed, host: AgentId, after: i64) -> Vec<HostMetrics> {
    let (mut found, mut newest) = (Vec::new(), after);
    while found.len() < SAMPLES {
        let told = tokio::time::timeout(SOON, feed.next()).await;
        let told = told.expect("a sample in time").expect("the feed goes on");
        for one in told.into_iter().filter(|one| one.agent == host) {
            let at = one.usage.at.as_millis();
            assert!(at >= newest, "samples come in their order");
            if at > newest {
                newest = at;
                found.push(one);
            }
        }
    }
    found
}

/// Values of the history between two moments, one a second.
pub(super) async fn kept(fleet: &Fleet, from: i64, to: i64) -> Vec<f64> {
    let query = MetricsHistoryQuery {
        metric: "memory_total_bytes".to_owned(),
        function: Some("last".to_owned()),
        from: Some(Timestamp::from_millis(from)),
        to: Some(Timestamp::from_millis(to)),
        step_s: Some(1),
        ..MetricsHistoryQuery::default()
    };
    let answer = fleet.client().metrics_query(&query).await.unwrap();
    assert!(answer.series.len() <= 1, "one host: {:?}", answer.series);
    answer
        .series
        .into_iter()
        .flat_map(|series| series.values.into_iter().flatten())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_measures_is_seen_at_once_and_outlives_the_controller() {
    let mut fleet = Fleet::start().await;
    let host = fleet.host("h0", Target::Fake).await;
    let truth = memory_total();

    let mut feed = watched(&fleet).await;
    let before = next(&mut feed, host.id(), 0).await;
    for one in &before {
        let measured = &one.usage.host;
        assert_eq!((one.name.as_str(), measured.memory_total), ("h0", truth));
        assert!(
            measured.memory_used > 0 && measured.memory_used < truth,
            "{measured:?}"
        );
        assert!((0.0..=1.0).contains(&measured.cpu), "{measured:?}");
        assert!(one.fresh && one.lost == 0, "{one:?}");
    }
    let (first, last) = (&before[1], &before[SAMPLES - 1]);
    let took = last.usage.at.as_millis() - first.usage.at.as_millis();
    assert!(took <= 10_000, "watched, so not every ten seconds: {took} ms");
    let line = fleet.command_line().await;
    let shown = line.run(&["top", "--no-stream"]).await.ok();
    assert!(shown.contains("h0"), "{shown}");
    let none = line.run(&["top", "--no-stream", "--on", "nobody"]).await;
    assert!(
        none.code == 4 && none.stderr.contains("nobody"),
        "{}",
        none.stderr
    );

    drop(feed);
    let stopped = fleet.controller.stop(SOON).await;
    assert!(
        stopped.is_some_and(|status| status.success()),
        "it stops in order"
    );
    fleet.restart_controller().await;
    fleet.connected(&host).await;
    let mut feed = watched(&fleet).await;
    let after = next(&mut feed, host.id(), last.usage.at.as_millis()).await;
    assert_eq!(after[SAMPLES - 1].lost, 0);
    let from = first.usage.at.as_millis() - 1000;
    let values = kept(&fleet, from, last.usage.at.as_millis() + 1000).await;
    assert!(values.len() >= SAMPLES - 1, "from before the restart: {values:?}");
    let values = kept(&fleet, from, after[SAMPLES - 1].usage.at.as_millis() + 1000).await;
    assert!(values.len() >= 2 * SAMPLES - 2, "with those after it: {values:?}");
    assert!(
        values.iter().all(|value| *value == truth as f64),
        "{values:?} is not {truth}"
    );
}
