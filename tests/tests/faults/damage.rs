//! Damaged files: a bit flipped, the end cut off, a run of zeros, in every file that controller and agent keep. Nobody
//! panics and nobody says something wrong: the file is named, or it does not matter.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use serde_json::Value;
use windflow_api::DeploymentQuery;
use windflow_client::Client;
use windflow_kit::Random;
use windflow_model::DeploymentState;
use windflow_tests::{
    Fleet, Host, Target,
    fleet::memory,
    program::{Launch, Program},
    wait::until,
};

use crate::world;

const SOON: Duration = Duration::from_secs(30);
/// Until an agent with a whole identity is connected.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);

/// All files below a folder that a process keeps between its lives, without sockets and locks.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() {
            out.extend(files(&entry.path()));
        } else if kind.is_file()
            && !name.contains("lock")
            && name != "fake.json"
            && entry.metadata().unwrap().len() > 0
        {
            out.push(entry.path());
        }
    }
    out.sort();
    out
}

/// Everything a folder holds, to be put back.
struct Whole(Vec<(PathBuf, Vec<u8>, std::fs::Permissions)>);

impl Whole {
    fn of(dir: &Path) -> Self {
        let kept = files(dir).into_iter().map(|path| {
            let bytes = fs::read(&path).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions();
            (path, bytes, mode)
        });
        Self(kept.collect())
    }

    fn put_back(&self) {
        for (path, bytes, mode) in &self.0 {
            fs::write(path, bytes).unwrap();
            fs::set_permissions(path, mode.clone()).unwrap();
        }
    }

    /// Damages one file; says which and how. Stores are large and hold most: every second hit goes there.
    fn damage(&self, random: &Random) -> (String, PathBuf) {
        let pick = |most: usize| usize::try_from(random.up_to(most as u64 - 1)).unwrap();
        let stores: Vec<_> = self
            .0
            .iter()
            .filter(|(path, _, _)| path.ends_with("store.redb"))
            .collect();
        let (path, bytes, _) = if random.up_to(1) == 0 {
            stores[0]
        } else {
            &self.0[pick(self.0.len())]
        };
        let mut bytes = bytes.clone();
        let at = pick(bytes.len());
        let how = match random.up_to(2) {
            0 => {
                bytes[at] ^= 1 << random.up_to(7);
                format!("one bit of byte {at}")
            }
            1 => {
                bytes.truncate(at);
                format!("cut off at {at}")
            }
            _ => {
                let end = bytes.len().min(at + 1 + pick(4_096));
                bytes[at..end].fill(0);
                format!("zeros from {at} to {end}")
            }
        };
        fs::write(path, bytes).unwrap();
        (format!("{}: {how}", path.display()), path.clone())
    }
}

/// What must not change unseen.
async fn facts(client: &Client) -> Result<Vec<Value>, windflow_client::Error> {
    let json = |value: &dyn erased::Json| value.json();
    let stacks = client.stack_list().await?;
    let deployments = client.deployment_list(&DeploymentQuery::default()).await?;
    let deployments: Vec<_> = deployments.into_iter().map(|view| view.deployment).collect();
    let agents = client.agent_list().await?;
    let agents: Vec<_> = agents
        .into_iter()
        .map(|agent| (agent.record.id, agent.record.name, agent.record.labels))
        .collect();
    let tokens = client.enrolment_token_list().await?;
    Ok(vec![
        json(&stacks),
        json(&deployments),
        json(&agents),
        json(&tokens),
    ])
}

/// Values as JSON, whatever they are.
mod erased {
    use serde_json::Value;

    pub(super) trait Json {
        fn json(&self) -> Value;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> Value {
            serde_json::to_value(self).unwrap()
        }
    }
}

/// How it went on.
#[derive(Debug, Default)]
struct Sum {
    refused: u64,
    harmless: u64,
    named: u64,
}

fn no_panic(said: &str, context: &str) {
    assert!(!said.contains("panicked"), "{context}: {said}");
}

/// It ended by itself: in order, and with the name of what is damaged.
fn refused(said: &str, path: &Path, code: Option<i32>, context: &str) {
    no_panic(said, context);
    assert!(matches!(code, Some(1 | 2)), "{context}: exit {code:?}\n{said}");
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(said.contains(&name), "{context}: {name} is not named\n{said}");
}

/// A program that starts on damaged files: `Ok` if `ready` is said, `Err` with its exit code.
async fn start(program: &mut Program, launch: &Launch, ready: &str) -> Result<(), Option<i32>> {
    if program.log().exists() {
        fs::remove_file(program.log()).unwrap();
    }
    program.start(launch);
    until("it starts or ends", SOON, async || {
        if program.said().contains(ready) {
            return Some(Ok(()));
        }
        if program.is_running() {
            return None;
        }
        let ended = program.ended(SOON).await;
        Some(Err(ended.and_then(|status| status.code())))
    })
    .await
}

async fn controller(fleet: &mut Fleet, whole: &Whole, before: &[Value], random: &Random, sum: &mut Sum) {
    whole.put_back();
    let (context, path) = whole.damage(random);
    let launch = fleet.launch();
    match start(&mut fleet.controller, &launch, "controller is ready").await {
        Err(code) => {
            refused(&fleet.controller.said(), &path, code, &context);
            sum.refused += 1;
        }
        Ok(()) => match facts(fleet.client()).await {
            Ok(after) => {
                assert_eq!(after, before, "{context}: another value without a word");
                sum.harmless += 1;
            }
            Err(error) => {
                // A controller with another key is another one, and the client says so; damaged records are named.
                let text = format!("{error} {}", fleet.controller.said());
                let named = ["damaged", "is not the controller that is trusted", "corrupt"];
                assert!(named.iter().any(|word| text.contains(word)), "{context}: {error}");
                sum.named += 1;
            }
        },
    }
    fleet.controller.kill().await;
    no_panic(&fleet.controller.said(), &context);
}

async fn agent(host: &mut Host, whole: &Whole, runs: &str, random: &Random, sum: &mut Sum) {
    whole.put_back();
    let (context, path) = whole.damage(random);
    let launch = host.launch();
    match start(&mut host.agent, &launch, "agent runs").await {
        Err(code) => {
            refused(&host.agent.said(), &path, code, &context);
            sum.refused += 1;
        }
        Ok(()) => {
            // Connected, or with a reason that a person can act on.
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let outcome = until(&context, CONNECTED_WITHIN, async || {
                if !host.agent.is_running() {
                    return Some(Err(host.agent.said()));
                }
                let status = host.command(&["status"]).finish().await;
                let told = status.code == 0 || status.stderr.contains("not connected: ");
                told.then_some(Ok(status))
            })
            .await;
            match outcome {
                Ok(status) if status.code == 0 => sum.harmless += 1,
                Ok(_) => sum.named += 1,
                Err(said) => {
                    assert!(said.contains(&name), "{context}: {name} is not named\n{said}");
                    sum.named += 1;
                }
            }
            let after = fs::read_to_string(host.state_dir().join("fake.json")).unwrap();
            assert_eq!(after, runs, "{context}: something on the host has changed");
        }
    }
    host.agent.kill().await;
    no_panic(&host.agent.said(), &context);
}

/// `WINDFLOW_TEST_ROUNDS` and `WINDFLOW_TEST_SEED` choose others.
async fn rounds(default: u64) {
    let rounds = world::number("WINDFLOW_TEST_ROUNDS", default);
    let seed = world::seed("damage");
    let random = Random::seeded(seed);
    let mut fleet = Fleet::start_in(&memory(), &[]).await;
    let mut host = fleet.host("hit", Target::Fake).await;
    for stack in ["one", "two"] {
        let made = fleet
            .deploy(stack, "services: { web: { image: example/web:1 } }\n", &[&host])
            .await;
        let ended = fleet.ended(made[0].deployment.id, SOON).await.deployment;
        assert_eq!(ended.state, DeploymentState::Succeeded);
    }
    let _unused = fleet.token().await;
    host.agent.stop(SOON).await;
    let kept = Whole::of(&host.state_dir());
    let runs = fs::read_to_string(host.state_dir().join("fake.json")).unwrap();
    let (mut here, mut there) = (Sum::default(), Sum::default());
    for _ in 0..rounds / 2 {
        agent(&mut host, &kept, &runs, &random, &mut there).await;
    }
    let before = facts(fleet.client()).await.unwrap();
    fleet.controller.stop(SOON).await;
    let whole = Whole::of(&fleet.data_dir());
    for _ in 0..rounds / 2 {
        controller(&mut fleet, &whole, &before, &random, &mut here).await;
    }
    println!(
        "damage: {rounds} files damaged; controller {here:?}, agent {there:?}; 0 panics, 0 wrong values"
    );
    assert!(
        here.refused > 0 && there.refused > 0,
        "no damage was noticed: that proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_damaged_files() {
    rounds(60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_fault_damaged_files() {
    rounds(500).await;
}
