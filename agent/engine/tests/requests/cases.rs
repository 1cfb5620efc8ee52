//! Every case, on an engine of today and on the oldest.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use windflow_engine::{
    ApplyOptions, DockerOptions, DockerTarget, EngineOptions, Order, PullMode, Source, Target,
};
use windflow_kit::{Clock, OnFailure, Random, Stop, TaskSet};
use windflow_model::{OpId, Rev, StackSpec, Want};
use windflow_store::MemStore;
use windflow_tests::engine::{EngineOptions as Recording, SimulatedEngine};

use crate::normal;

const APIS: [&str; 2] = ["1.51", "1.41"];
/// Name of the project in all goldens.
const PROJECT: &str = "case";
/// Cases at the same time.
const PARALLEL: usize = 4;

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests/cases");
    let mut cases: Vec<PathBuf> = fs_err::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 30, "the cases are gone: {cases:?}");
    cases
}

/// An engine that writes down what it is asked to change.
fn engine(dir: &Path, api: &str) -> SimulatedEngine {
    let options = Recording {
        api: api.to_owned(),
        record: true,
        ..Recording::default()
    };
    SimulatedEngine::start(dir, options)
}

/// What our engine asks for; a refusal is `{"refused": why}`.
async fn ours(case: &Path, api: &str) -> Value {
    let scratch = tempfile::tempdir().unwrap();
    let fake = engine(scratch.path(), api);
    let docker = DockerOptions {
        host: Some(fake.host()),
        ..DockerOptions::default()
    };
    let target: Arc<dyn Target> = Arc::new(DockerTarget::connect(docker).unwrap());
    let (clock, random) = (Clock::system(), Random::system());
    let options = EngineOptions::new(
        Arc::new(MemStore::new(clock.clone())),
        scratch.path().join("stacks"),
        clock.clone(),
        random.clone(),
    );
    let (engine, handle) = options.build(target).await.unwrap();
    let tasks = TaskSet::new(Stop::new(), random.clone());
    tasks.spawn("engine", OnFailure::Log, engine.run(tasks.stop().clone()));
    let spec = StackSpec::default();
    let order = Order {
        stack: PROJECT.parse().unwrap(),
        owner: None,
        deployment: None,
        rev: Rev(1),
        op: OpId::from_uuid(random.uuid_v7(&clock).unwrap()),
        want: Want::Present,
        digest: spec.digest(),
        spec,
        source: Source::Directory {
            project_directory: case.to_path_buf(),
            config_files: vec![case.join("compose.yaml")],
            env_files: Vec::new(),
            environment: BTreeMap::from([("HOME".to_owned(), "/home/case".to_owned())]),
        },
        options: ApplyOptions {
            pull: Some(PullMode::Never),
            no_build: true,
            no_wait: true,
            ..ApplyOptions::default()
        },
    };
    let op = order.op;
    handle.apply(order).await.unwrap();
    let ended = async {
        loop {
            let held = handle.held().into_iter().find(|held| held.op == op);
            if let Some(held) = held.filter(|held| held.state.is_terminal()) {
                return held.state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let state = tokio::time::timeout(Duration::from_secs(60), ended).await;
    let state =
        state.unwrap_or_else(|_| panic!("{} at {api} does not end: {:?}", case.display(), handle.held()));
    let drained = tasks.drain(Duration::from_secs(30)).await;
    assert!(drained.unfinished.is_empty(), "{:?}", drained.unfinished);
    match state.failure() {
        Some(failure) => json!({ "refused": failure.message }),
        None => json!({ "requests": normal::of(&fake.recorded(), case) }),
    }
}

/// What docker compose asks for.
async fn theirs(compose: &str, case: &Path, api: &str) -> Value {
    let scratch = tempfile::tempdir().unwrap();
    let fake = engine(scratch.path(), api);
    #[expect(
        clippy::disallowed_methods,
        reason = "the counterpart of the test is a program"
    )]
    let output = tokio::process::Command::new(compose)
        .args([
            "-f",
            "compose.yaml",
            "-p",
            PROJECT,
            "up",
            "-d",
            "--no-build",
            "--pull",
            "never",
        ])
        .current_dir(case)
        .env_clear()
        .env("HOME", "/home/case")
        .env("DOCKER_HOST", fake.host())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    if output.status.success() {
        return json!({ "requests": normal::of(&fake.recorded(), case) });
    }
    let said = String::from_utf8_lossy(&output.stderr);
    json!({ "refused": said.lines().last().unwrap_or_default() })
}

async fn check(case: &Path, api: &str) -> Option<String> {
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    let (deliberate, golden) = (
        case.join(format!("deliberate-{api}.json")),
        case.join(format!("requests-{api}.json")),
    );
    let file = if deliberate.exists() { deliberate } else { golden };
    let want: Value = serde_json::from_str(&fs_err::read_to_string(&file).unwrap()).unwrap();
    let got = ours(case, api).await;
    let same = match (want.get("refused"), got.get("refused")) {
        // The words are each tool's own, but for a difference that is meant: there a part of ours is written down.
        (Some(_), Some(got)) => {
            want.get("why").is_none() || got.as_str()?.contains(want["refused"].as_str()?)
        }
        _ => want.get("requests") == got.get("requests"),
    };
    let mut differences = Vec::new();
    differ("", &want, &got, &mut differences);
    (!same).then(|| format!("{name} at API {api}:\n{}", differences.join("\n")))
}

/// The places in which two values differ: a line each, for a person.
fn differ(at: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                differ(&format!("{at}/{key}"), &want[key], &got[key], out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (want, got)) in a.iter().zip(b).enumerate() {
                differ(&format!("{at}/{index}"), want, got, out);
            }
        }
        _ if want == got => {}
        _ => out.push(format!("  {at}: wanted {want}, got {got}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_those_of_docker_compose() {
    let all: Vec<(PathBuf, &str)> = cases()
        .into_iter()
        .flat_map(|case| APIS.map(|api| (case.clone(), api)))
        .collect();
    let checks = stream::iter(all).map(|(case, api)| async move { check(&case, api).await });
    let wrong: Vec<String> = checks
        .buffer_unordered(PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Not a check: writes the goldens with the real tool.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "records with the docker compose that WINDFLOW_COMPOSE names"]
async fn record() {
    let compose = std::env::var("WINDFLOW_COMPOSE").expect("WINDFLOW_COMPOSE names docker compose 2.40.3");
    for case in cases() {
        for api in APIS {
            let mut text = serde_json::to_string_pretty(&theirs(&compose, &case, api).await).unwrap();
            text.push('\n');
            fs_err::write(case.join(format!("requests-{api}.json")), text).unwrap();
        }
    }
}
