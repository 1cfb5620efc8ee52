//! The controller killed under many simulated hosts, again and again: everybody is back in time, and a stack that is then
//! deployed to all of them reaches all of them.

use std::time::Duration;

use serde_json::Value;
use windflow_api::DeploymentQuery;
use windflow_tests::{
    Fleet,
    fleet::memory,
    program::Program,
    wait::{percentile, until},
};

use crate::world;

/// A round ends by itself before that.
const ENDS_WITHIN: Duration = Duration::from_secs(600);
/// The contract's bounds: from the kill until 99 of 100 hosts are back (ms), and the controller's memory (MB).
const BACK: u64 = 20_000;
const MEMORY: u64 = 512;

/// What a run of the load tool says: `(name, unit)` and the figure.
struct Rows(Vec<Value>);

impl Rows {
    /// They are all that follows the last line of talk.
    fn of(said: &str) -> Self {
        let from = said.rfind("\n[").map_or(0, |at| at + 1);
        Self(serde_json::from_str(&said[from..]).unwrap_or_else(|error| panic!("{error}: {said}")))
    }

    fn figure(&self, bench: &str, name: &str) -> u64 {
        let row = self
            .0
            .iter()
            .find(|row| row["bench"] == bench && row["name"] == name);
        let figure = row.and_then(|row| row["ours"].as_f64());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "milliseconds and megabytes"
        )]
        let figure = figure
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
            .round() as u64;
        figure
    }

    /// Hosts that are missing somewhere, each kind with its number.
    fn missing(&self) -> Vec<String> {
        let named = |row: &&Value| {
            row["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("hosts "))
        };
        self.0.iter().filter(named).map(Value::to_string).collect()
    }
}

/// `WINDFLOW_TEST_ROUNDS` and `WINDFLOW_TEST_HOSTS` choose others.
async fn rounds(default: u64, hosts: u64) -> (Vec<u64>, u64) {
    let rounds = world::number("WINDFLOW_TEST_ROUNDS", default);
    let hosts = world::number("WINDFLOW_TEST_HOSTS", hosts).to_string();
    // The pace of joining is another test's business.
    let mut fleet = Fleet::start_in(&memory(), &[("WINDFLOW_LINK_JOINS_PER_S", "10000")]).await;
    let line = fleet.command_line().await;
    let kept = fleet.scratch().join("hosts.json").display().to_string();
    let pid = fleet.scratch().join("controller.pid").display().to_string();
    let (mut back, mut memory) = (Vec::new(), 0);
    for round in 1..=rounds {
        let controller = fleet.controller.pid().unwrap().to_string();
        fs_err::write(&pid, controller).unwrap();
        let mut tool = Program::new("bench", fleet.scratch().join(format!("bench-{round}.log")));
        tool.start(&line.launch(&[
            "bench",
            "fleet",
            "--agents",
            &hosts,
            "--keep",
            &kept,
            "--controller-pid",
            &pid,
            "--profile",
            "reconnect-storm,deploy-wave",
            "--await-restart",
            "--apply",
            "1s",
            "-o",
            "json",
        ]));
        until("all hosts are connected", ENDS_WITHIN, async || {
            assert!(tool.is_running(), "{}", tool.said());
            tool.said().contains("restart the controller now").then_some(())
        })
        .await;
        fleet.controller.kill().await;
        fleet.restart_controller().await;
        fs_err::write(&pid, fleet.controller.pid().unwrap().to_string()).unwrap();
        let ended = tool.ended(ENDS_WITHIN).await;
        assert!(
            ended.is_some_and(|status| status.success()),
            "round {round}: {}",
            tool.said()
        );
        let rows = Rows::of(&tool.said());
        let missing = rows.missing();
        assert!(missing.is_empty(), "round {round}: {missing:?}");
        back.push(rows.figure("reconnect-storm", "back, p99"));
        memory = memory.max(rows.figure("reconnect-storm", "controller's memory, highest"));
        let open = DeploymentQuery {
            state: Some("active".to_owned()),
            ..DeploymentQuery::default()
        };
        // The tool has seen every host end; the reports of the last ones may be on their way.
        until("no deployment is open", ENDS_WITHIN, async || {
            let open = fleet.client().deployment_list(&open).await.ok()?;
            open.is_empty().then_some(())
        })
        .await;
    }
    back.sort_unstable();
    println!(
        "controller killed under {hosts} hosts {rounds} times: 0 hosts and 0 deployments lost; 99 % back after p50 {} ms, \
         longest {} ms; memory at most {memory} MB",
        percentile(&back, 50),
        back.last().unwrap()
    );
    (back, memory)
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_storm() {
    rounds(2, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_storm() {
    let (back, memory) = rounds(20, 1_000).await;
    assert!(back.iter().all(|took| *took <= BACK), "{back:?}");
    assert!(memory <= MEMORY, "{memory} MB");
}
