//! The command line as people and scripts use it: tables, JSON, messages and exit codes.

use serde_json::Value;
use windflow_tests::{Fleet, Target, fleet::CommandLine};

const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const REFUSED: i32 = 3;
const NOT_FOUND: i32 = 4;
const UNREACHABLE: i32 = 5;

const COMPOSE: &str = "services:\n  web:\n    image: example/web:1\n    environment: { V: '1' }\n";

/// Runs a command and looks at its exit code, and for words in its data and in what it says beside.
pub(crate) async fn check(
    line: &CommandLine,
    command: &str,
    code: i32,
    data: &[&str],
    beside: &[&str],
) -> String {
    let args: Vec<_> = command.split_whitespace().collect();
    let done = line.run(&args).await;
    let all = format!("windflow {command}\n--\n{}--\n{}", done.stdout, done.stderr);
    assert_eq!(done.code, code, "{all}");
    for word in data {
        assert!(done.stdout.contains(word), "{word:?} is not in the data of {all}");
    }
    for word in beside {
        assert!(done.stderr.contains(word), "{word:?} is not said beside {all}");
    }
    done.stdout
}

async fn json(line: &CommandLine, command: &str) -> Value {
    let text = check(line, &format!("{command} -o json"), OK, &[], &[]).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command}: {error}: {text}"))
}

/// The entries of a list, whichever way it is wrapped.
fn items(list: &Value) -> &Vec<Value> {
    list.as_array()
        .or_else(|| list["items"].as_array())
        .unwrap_or_else(|| panic!("no list: {list}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_the_command_line() {
    let fleet = Fleet::start().await;
    let line = fleet.command_line().await;
    check(&line, "whoami", OK, &["admin at https://"], &[]).await;
    check(&line, "agent list", OK, &["NAME"], &["no hosts yet"]).await;
    check(&line, "stack list", OK, &["NAME"], &["no stacks yet"]).await;
    check(
        &line,
        "agent token create --note door",
        OK,
        &["sudo sh", "wfj_"],
        &[],
    )
    .await;
    check(&line, "agent token list", OK, &["door", "open ("], &[]).await;
    let token = json(&line, "agent token create").await;
    let id = token["id"].as_str().unwrap();
    check(&line, &format!("agent token revoke {id}"), OK, &[], &["revoked"]).await;

    let mut host = fleet.host("web1", Target::Fake).await;
    check(&line, "agent list", OK, &["web1", "connected ("], &[]).await;
    check(&line, "agent label web1 site=lab", OK, &["site=lab"], &[]).await;
    check(&line, "agent show web1", OK, &["connected from", "proved"], &[]).await;

    let file = fleet.scratch().join("compose.yaml");
    let save = |text: &str| fs_err::write(&file, text).unwrap();
    save(COMPOSE);
    let spec = format!("-f {}", file.display());
    check(&line, &format!("stack validate {spec}"), OK, &["web"], &[]).await;
    let deploy = format!("stack deploy shop {spec} --on-label site=lab --timeout 60s");
    // A stack that does not exist yet is planned, and just that plan is carried out.
    let plan = format!("stack plan shop {spec}");
    check(&line, &plan, OK, &["web1: ", "to create", "no interruption"], &[]).await;
    let planned = fleet.scratch().join("plan.json");
    fs_err::write(&planned, json(&line, &plan).await.to_string()).unwrap();
    let pinned = format!("{deploy} --plan {}", planned.display());
    check(&line, &pinned, OK, &["shop", "succeeded"], &["web1: succeeded"]).await;
    check(&line, &plan, OK, &["web1: nothing to do"], &[]).await;
    save(&COMPOSE.replace("'1'", "'2'"));
    check(&line, &plan, OK, &["recreate", "environment", "interrup"], &[]).await;
    check(
        &line,
        &format!("{plan} --detailed-exitcode"),
        FAILED,
        &["to change"],
        &["there are changes"],
    )
    .await;
    check(&line, &deploy, OK, &["succeeded"], &[]).await;
    // A revision that never gets healthy makes way for the one before, and the command says so.
    save(&COMPOSE.replace("example/web:1", "fake/unhealthy:1"));
    let told = [
        "rolled back to revision 2",
        "web-1 is unhealthy",
        "its health check `true` ended with exit code 1 and said: not today",
        "its last output:",
        "hint: Look at the container's last log lines",
    ];
    check(
        &line,
        &format!("{deploy} --watch 1s --order start-first"),
        FAILED,
        &["rolled back to revision 2"],
        &told,
    )
    .await;
    let failed = json(&line, "deployment list --stack shop").await;
    let failed = items(&failed)[0]["id"].as_str().unwrap().to_owned();
    let show = format!("deployment show {failed}");
    check(&line, &show, OK, &["Reason:", "not today", "remove", "done"], &[]).await;
    let again = format!("deployment watch {failed}");
    check(&line, &again, FAILED, &["rolled back"], &told).await;
    let shown = json(&line, &show).await;
    assert_eq!(shown["state"]["to"], 2, "{shown}");
    assert_eq!(shown["state"]["failure"]["check"]["kind"], "health", "{shown}");
    let stack = json(&line, "stack show shop").await;
    let policy = &stack["stack"]["spec"]["policy"];
    assert_eq!(
        (&policy["order"], &policy["rollback"]["watch_s"]),
        (&"start_first".into(), &1.into())
    );
    check(
        &line,
        "stack rollback shop --to 2 --timeout 60s",
        OK,
        &["succeeded"],
        &[],
    )
    .await;
    check(
        &line,
        "stack rollback shop --timeout 60s",
        OK,
        &["succeeded"],
        &[],
    )
    .await;
    check(
        &line,
        "stack history shop",
        OK,
        &["rollback to 2", "rollback to 1"],
        &[],
    )
    .await;
    check(&line, "stack show shop", OK, &["Revision  5", "web1 (seen"], &[]).await;
    check(&line, "stack list", OK, &["shop"], &[]).await;

    let list = json(&line, "deployment list --stack shop").await;
    let newest = items(&list)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(items(&list).len(), 5);
    check(
        &line,
        &format!("deployment show {newest}"),
        OK,
        &["succeeded", "STEP"],
        &[],
    )
    .await;
    check(
        &line,
        &format!("deployment watch {newest}"),
        OK,
        &["succeeded"],
        &[],
    )
    .await;
    check(
        &line,
        &format!("deployment cancel {newest}"),
        FAILED,
        &[],
        &["too late", "hint: Deploy"],
    )
    .await;

    // A host that is away: the deployment waits, is shown, and can be taken back.
    host.agent.stop(std::time::Duration::from_secs(30)).await;
    fleet.offline(&host, std::time::Duration::from_secs(30)).await;
    check(&line, "agent list", OK, &["offline (for"], &[]).await;
    let wait = deploy.replace("60s", "1s");
    check(
        &line,
        &wait,
        FAILED,
        &[],
        &["queued", "not ended after 1 s", "--state active"],
    )
    .await;
    let active = json(&line, "deployment list --state active").await;
    let waiting = items(&active)[0]["id"].as_str().unwrap().to_owned();
    check(
        &line,
        &format!("deployment cancel {waiting}"),
        OK,
        &["cancelled"],
        &[],
    )
    .await;
    check(&line, "logs shop", FAILED, &[], &["is not connected"]).await;
    check(
        &line,
        "stack plan shop",
        FAILED,
        &["WF-3001"],
        &["not every host could plan"],
    )
    .await;
    check(
        &line,
        "stack remove shop --yes --detach",
        OK,
        &["(remove)", "queued"],
        &[],
    )
    .await;
    host.start();
    fleet.connected(&host).await;
    check(
        &line,
        "stack remove shop --yes --forget --timeout 60s",
        OK,
        &[],
        &["forgot shop"],
    )
    .await;
    check(&line, "agent remove web1 --yes", OK, &[], &["removed web1"]).await;
    check(&line, "agent list", OK, &[], &["no hosts yet"]).await;
    check(&line, "logout", OK, &[], &["signed out"]).await;
    check(
        &line,
        "whoami",
        REFUSED,
        &[],
        &["not signed in", "windflow login"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_is_shown_and_verified() {
    let fleet = Fleet::start().await;
    let line = fleet.command_line().await;
    let host = fleet.host("web1", Target::Fake).await;
    let file = fleet.scratch().join("compose.yaml");
    fs_err::write(&file, COMPOSE).unwrap();
    let deploy = format!("stack deploy shop -f {} --timeout 60s", file.display());
    check(&line, &deploy, OK, &["succeeded"], &[]).await;
    let heading = ["TIME", "WHO", "WHAT", "OBJECT", "DETAIL"];
    check(&line, "audit list", OK, &heading, &[]).await;
    let made = json(&line, "audit list --actor admin --action stack").await;
    assert_eq!(items(&made).len(), 1, "{made}");
    assert_eq!(items(&made)[0]["action"], "stack_create");
    let stack = items(&made)[0]["object"].as_str().unwrap().to_owned();
    let about = format!("audit list --object {stack}");
    check(&line, &about, OK, &["stack_create", "deployment_create"], &[]).await;
    // What the host said, under its name.
    let said = ["web1", "deployment_report", "→ succeeded"];
    check(&line, "audit list --agent web1", OK, &said, &[]).await;
    let newest = json(&line, "audit list --limit 1").await;
    assert_eq!(items(&newest).len(), 1, "{newest}");
    let none = "audit list --until 2020-01-01";
    check(&line, none, OK, &["TIME"], &["no such records"]).await;
    let backwards = "audit list --since 2026-01-02 --until 2026-01-01";
    check(&line, backwards, USAGE, &[], &["is not before"]).await;
    check(&line, "audit list --agent nobody", NOT_FOUND, &[], &["nobody"]).await;
    check(&line, "audit verify", OK, &["Sealed", "Head", "whole"], &[]).await;
    let verdict = json(&line, "audit verify").await;
    assert_eq!(verdict["problems"], serde_json::json!([]), "{verdict}");
    drop(host);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_and_messages() {
    let mut fleet = Fleet::start().await;
    let line = fleet.command_line().await;
    check(
        &line,
        "stack show nothing",
        NOT_FOUND,
        &[],
        &["there is no stack `nothing`"],
    )
    .await;
    check(
        &line,
        "agent show nothing",
        NOT_FOUND,
        &[],
        &["hint: `windflow agent list`"],
    )
    .await;
    let nobody = "dep_00000000000000000000000000";
    check(
        &line,
        &format!("deployment show {nobody}"),
        NOT_FOUND,
        &[],
        &["WF-1004"],
    )
    .await;
    check(&line, "deployment show dep_x", USAGE, &[], &["not a valid id"]).await;
    check(
        &line,
        "deployment list --state done",
        USAGE,
        &[],
        &["there are active, queued"],
    )
    .await;
    check(&line, "agent token create --ttl 5s", USAGE, &[], &["1m to 24h"]).await;
    check(&line, "stack remove", USAGE, &[], &["Usage"]).await;
    check(
        &line,
        "stack deploy x -f /nowhere/compose.yaml",
        USAGE,
        &[],
        &["/nowhere/compose.yaml"],
    )
    .await;
    let file = fleet.scratch().join("bad.yaml");
    fs_err::write(&file, "services:\n  web:\n    imag: x\n").unwrap();
    let bad = format!("stack deploy x -f {}", file.display());
    check(
        &line,
        &bad,
        USAGE,
        &[],
        &["bad.yaml:3:5", "imag", "nothing was changed"],
    )
    .await;
    fs_err::write(&file, COMPOSE).unwrap();
    check(
        &line,
        &bad,
        FAILED,
        &[],
        &["no host to deploy to", "token create"],
    )
    .await;
    check(&line, "completions bash", OK, &["_windflow"], &[]).await;
    check(&line, "--version", OK, &["windflow "], &[]).await;
    let _host = fleet.host("one", Target::Fake).await;
    check(&line, "agent remove one", USAGE, &[], &["--yes"]).await;
    check(&line, "agent show ona", NOT_FOUND, &[], &["Did you mean `one`?"]).await;

    // A token that is no longer good, a controller that is away.
    let config = fleet.scratch().join("cli.toml");
    let saved = fs_err::read_to_string(&config).unwrap();
    let spoilt = saved.replace("token = \"wft_", "token = \"wft_x");
    fs_err::write(&config, spoilt).unwrap();
    check(
        &line,
        "stack list",
        REFUSED,
        &[],
        &["WF-1002", "hint: Sign in again"],
    )
    .await;
    let other = saved.replace(
        fleet.pin().trim_start_matches("sha256:"),
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    );
    fs_err::write(&config, other).unwrap();
    check(
        &line,
        "stack list",
        UNREACHABLE,
        &[],
        &["not the controller that is trusted"],
    )
    .await;
    fs_err::write(&config, saved).unwrap();
    fleet.controller.kill().await;
    check(
        &line,
        "stack list",
        UNREACHABLE,
        &[],
        &["cannot reach https://", "Connection refused", "hint: "],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_tokens_outlive_a_controller_that_is_killed() {
    let mut fleet = Fleet::start().await;
    let line = fleet.command_line().await;
    let token = json(&line, "agent token create").await;
    // Each start says its number, which hosts compare: it rises, however the last life ended.
    let epochs = |fleet: &Fleet| {
        let said = fleet.controller.said();
        let parts = said.split("\"epoch\":").skip(1);
        let numbers = parts.filter_map(|rest| rest.split([',', '}']).next()?.parse::<u64>().ok());
        numbers.collect::<Vec<_>>()
    };
    for starts in 2..=3 {
        fleet.controller.kill().await;
        fleet.restart_controller().await;
        // It answers a moment before it says so.
        let soon = std::time::Duration::from_secs(30);
        let all = windflow_tests::wait::until("it says its number", soon, async || {
            let all = epochs(&fleet);
            (all.len() == starts).then_some(all)
        });
        let all = all.await;
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    }
    check(&line, "whoami", OK, &["admin"], &[]).await;
    // The token from before the crash still lets one host in.
    let host = windflow_tests::Host::new("late", Target::Fake);
    let _said = host
        .enrol(fleet.quic(), fleet.pin(), token["secret"].as_str().unwrap())
        .await
        .ok();
    check(&line, "agent list", OK, &["late", "never connected"], &[]).await;
    assert!(
        !fleet.data_dir().join("setup-code").exists(),
        "the setup code is used up"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_are_set_at_the_same_time_all_hold() {
    let fleet = Fleet::start().await;
    let host = fleet.host("one", Target::Fake).await;
    let line = fleet.command_line().await;
    let label = async |key: &str| check(&line, &format!("agent label one {key}=x"), OK, &[], &[]).await;
    tokio::join!(label("a"), label("b"), label("c"), label("d"), label("e"));
    let shown = json(&line, "agent show one").await;
    let labels = shown["agent"]["labels"]
        .as_object()
        .unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
    drop(host);
}
