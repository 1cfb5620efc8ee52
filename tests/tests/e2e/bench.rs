//! The load tool: every profile on a few hosts, and nothing of it stays.

use serde_json::Value;
use windflow_tests::Fleet;

const HOSTS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn every_profile_has_its_figures_and_the_hosts_are_gone_afterwards() {
    // Six that ask at once would wait for their turn.
    let fleet = Fleet::start_with(&[("WINDFLOW_LINK_JOINS_PER_S", "1000")]).await;
    let line = fleet.command_line().await;
    let (hosts, pid) = (HOSTS.to_string(), fleet.controller.pid().unwrap().to_string());
    let mut args = vec![
        "-o",
        "json",
        "bench",
        "fleet",
        "--agents",
        &hosts,
        "--controller-pid",
        &pid,
    ];
    args.extend(["--profile", "idle,deploy-wave,reconnect-storm,metrics,logs"]);
    args.extend([
        "--hold",
        "3s",
        "--apply",
        "1s",
        "--sample-every",
        "1s",
        "--samples-together",
        "1",
    ]);
    args.extend(["--viewers", "3", "--lines-per-s", "100"]);
    let rows: Vec<Value> = serde_json::from_str(&line.run(&args).await.ok()).unwrap();
    let figure = |bench: &str, name: &str, unit: &str| {
        let found = rows
            .iter()
            .find(|row| row["bench"] == bench && row["name"] == name && row["unit"] == unit);
        found
            .and_then(|row| row["ours"].as_f64())
            .unwrap_or_else(|| panic!("{bench}: {name} in {unit} is missing in {rows:#?}"))
    };
    // What a person reads the tool for: each has to be there, and cannot be nothing.
    for (bench, name, unit) in [
        ("fleet-join", "rate", "hosts/s"),
        ("fleet-connect", "connected, all", "ms"),
        ("fleet-idle", "controller's memory (RSS)", "MB"),
        ("fleet-idle", "API, p95", "ms"),
        ("deploy-wave", "deploy: accepted, all", "ms"),
        ("deploy-wave", "remove: finished, all", "ms"),
        ("reconnect-storm", "back, last", "ms"),
        ("metrics", "samples", "samples/s"),
        ("metrics", "frames on the wire", "B/sample"),
        ("logs", "behind, p50", "ms"),
        ("logs", "link", "B/line"),
    ] {
        assert!(figure(bench, name, unit) > 0.0, "{bench}: {name}");
    }
    assert_eq!(figure("logs", "lines missing", "lines"), 0.0);
    assert_eq!(figure("logs", "streams that ended", "streams"), 0.0);
    // Three hosts with a hundred lines each; one look of a viewer may fall beside the end.
    let read = figure("logs", "lines read", "lines/s");
    assert!((240.0..=330.0).contains(&read), "{read} lines a second");
    assert!(
        rows.iter()
            .all(|row| !row["name"].as_str().unwrap().starts_with("hosts ")),
        "{rows:#?}"
    );
    let left = line.run(&["agent", "list", "-o", "json"]).await.ok();
    assert_eq!(left.trim(), "[]", "hosts stay");
    let left = line.run(&["stack", "list", "-o", "json"]).await.ok();
    assert_eq!(left.trim(), "[]", "stacks stay");
}
