//! Rules about metrics, over what a host measures.

use std::sync::Arc;

use serde_json::{Value, json};
use windflow_model::metrics::{Group, Layout, Metric, Sample, Scope, Subject};

use super::Watched;

/// What a host measures: the counters of its processors, and a disk.
struct Meter {
    layout: Arc<Layout>,
    seq: u64,
    busy: i64,
    idle: i64,
    free: i64,
}

impl Meter {
    fn new() -> Self {
        let group = |scope, subject, metrics: &[Metric]| Group {
            scope,
            subject,
            metrics: metrics.to_vec(),
        };
        let groups = vec![
            group(
                Scope::Host,
                Subject::default(),
                &[
                    Metric::CPU_USER,
                    Metric::CPU_SYSTEM,
                    Metric::CPU_STEAL,
                    Metric::CPU_IOWAIT,
                    Metric::CPU_IDLE,
                ],
            ),
            group(
                Scope::Filesystem,
                Subject::plain("/var"),
                &[Metric::FILESYSTEM_TOTAL, Metric::FILESYSTEM_AVAILABLE],
            ),
        ];
        Self {
            layout: Arc::new(Layout { groups }),
            seq: 0,
            busy: 0,
            idle: 0,
            free: 1_000_000,
        }
    }

    /// Time goes on for so many seconds with the processors so busy (in hundredths), and the disk filling by `fills` a second.
    async fn measures(&mut self, it: &mut Watched, seconds: u64, busy: i64, fills: i64) {
        for _ in 0..seconds / 10 {
            it.world.clock.advance(std::time::Duration::from_secs(10));
            self.busy += busy;
            self.idle += 100 - busy;
            self.free -= fills * 10;
            let sample = Sample {
                seq: self.seq,
                at_ms: it.world.clock.now_ms(),
                layout: Arc::clone(&self.layout),
                values: vec![self.busy, 0, 0, 0, self.idle, 1_000_000, self.free],
            };
            self.seq += 1;
            it.world.app.telemetry().push(it.there, vec![sample]);
        }
        it.after(0).await;
    }
}

fn rule(name: &str, condition: Value) -> Value {
    json!({"name": name, "condition": condition, "severity": "info"})
}

#[tokio::test]
async fn a_value_beyond_its_threshold_fires_and_ends_beyond_the_other_one() {
    let mut it = Watched::new().await;
    // The other host is away all the time.
    let firing = format!("?state=firing&agent={}", it.there);
    let cpu = json!({"on": "metric", "metric": "cpu", "window_s": 60, "compare": "above", "threshold": 0.9, "clear": 0.5});
    let full = json!({"on": "disk_full", "window_s": 600, "within_s": 3_600});
    for (name, condition) in [("Busy", cpu.clone()), ("Full", full)] {
        it.world
            .ok("POST", "/api/v1/alert-rules", Some(rule(name, condition)))
            .await;
    }
    let mut meter = Meter::new();
    meter.measures(&mut it, 600, 20, 0).await;
    assert_eq!(it.alerts(&firing).await.len(), 0);
    meter.measures(&mut it, 120, 97, 0).await;
    let preview = json!({"spec": rule("", cpu)});
    let preview = it
        .world
        .ok("POST", "/api/v1/alert-rules/preview", Some(preview))
        .await;
    assert_eq!(
        (&preview["holds"], &preview["clear"]),
        (&json!(1), &json!(0)),
        "{preview}"
    );
    let open = it.world.ok("GET", &format!("/api/v1/alerts{firing}"), None).await;
    let (busy, agent) = (&open["items"][0], it.there.to_string());
    assert_eq!(
        busy["summary"], "cpu is 97 % (mean of 1 min), above 90 %",
        "{open}"
    );
    assert_eq!(
        (&busy["host"], &busy["subject"]["agent"]),
        (&json!("box"), &json!(agent))
    );
    // Between the two thresholds it goes on.
    meter.measures(&mut it, 120, 60, 0).await;
    assert_eq!(it.alerts(&firing).await, ["Busy firing"]);
    meter.measures(&mut it, 120, 40, 0).await;
    assert_eq!(it.alerts(&firing).await, Vec::<String>::new());
    meter.measures(&mut it, 120, 60, 0).await;
    assert_eq!(
        it.alerts(&firing).await,
        Vec::<String>::new(),
        "not above the first one"
    );

    // A million bytes, 300 of them a second: full within the hour.
    meter.measures(&mut it, 600, 10, 300).await;
    let open = it.world.ok("GET", &format!("/api/v1/alerts{firing}"), None).await;
    assert_eq!(
        (
            &open["items"][0]["rule_name"],
            &open["items"][0]["subject"]["part"]
        ),
        (&json!("Full"), &json!("/var"))
    );
    let summary = open["items"][0]["summary"].as_str().unwrap();
    assert!(summary.contains(" KiB are free, full in 4"), "{summary}");
    meter.measures(&mut it, 600, 10, 0).await;
    assert_eq!(it.alerts(&firing).await, Vec::<String>::new());

    // Nothing is measured any more, and the host is away: what fires goes on.
    meter.measures(&mut it, 120, 99, 0).await;
    assert_eq!(it.alerts(&firing).await, ["Busy firing"]);
    it.world.hosts.connected.lock().unwrap().clear();
    it.after(3_600).await;
    assert!(it.alerts(&firing).await.contains(&"Busy firing".to_owned()));
}
