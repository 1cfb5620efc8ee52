//! Files of every release: the programs of today open them, know what they knew, and go on with them.

use std::time::Duration;

use windflow_api::{DeployRequest, DeploymentQuery, GroupCreate, StackUpdate};
use windflow_client::Client;
use windflow_controller::ca::Ca;
use windflow_kit::{Clock, Random};
use windflow_model::{Deployment, DeploymentId, DeploymentState, Presence, Rev};
use windflow_tests::{
    Fleet, Target,
    evidence::Copy,
    fleet::{self, spec},
    release::{self, Facts, Release},
    wait::until,
};
use windflow_transport::{HostKey, identity};

const SOON: Duration = Duration::from_secs(60);
const COMPOSE: &str = "services:\n  web:\n    image: example/web:1\n    environment: { VARIANT: 'two' }\n";

/// Every deployment and its state, in the order of their ids.
async fn deployments(client: &Client) -> Vec<(String, String)> {
    let all = client.deployment_list(&DeploymentQuery::default()).await.unwrap();
    let mut all: Vec<_> = all
        .into_iter()
        .map(|view| {
            (
                view.deployment.id.to_string(),
                view.deployment.state.name().to_owned(),
            )
        })
        .collect();
    all.sort();
    all
}

async fn opens(archive: &std::path::Path) {
    let mut release = Release::unpack(archive);
    let facts = release.facts.clone();
    for folder in [release.data_dir(), release.state_dir()] {
        if let Err(error) = Copy::take(&folder).open_checked() {
            panic!("{}: {error}", archive.display());
        }
    }
    release.start_controller().await;
    let client = release.client().clone();
    let stack = client.stack_find(&facts.stack).await.expect("the stack is known");
    assert_eq!(stack.stack.spec, spec(&facts.compose));
    assert_eq!(deployments(&client).await, facts.deployments);
    let group = client.group_find(&facts.group).await;
    group.expect("the group is known");
    let verdict = client.audit_verify().await.unwrap();
    assert!(verdict.problems.is_empty(), "{verdict:?}");
    assert!(verdict.sealed >= facts.audited, "{verdict:?}");
    renew(&release);
    release.start_agent();
    let agent = until("the host is connected", SOON, async || {
        let agent = client.agent_find(&facts.agent).await.ok()?;
        matches!(agent.presence, Presence::Connected { .. }).then_some(agent)
    })
    .await;
    // What has waited for the host since then reaches it.
    for (id, _) in facts.deployments.iter().filter(|(_, state)| state == "queued") {
        let ended = ended(&client, id.parse().unwrap()).await;
        assert_eq!(ended.state, DeploymentState::Succeeded);
    }
    // It goes on from there: the next revision follows the one that the host holds.
    let update = StackUpdate {
        spec: spec(&COMPOSE.replace("two", "of today")),
    };
    let stack = client
        .stack_update(stack.stack.id, stack.version, &update)
        .await
        .unwrap();
    let request = DeployRequest {
        agents: vec![agent.record.id],
        rev: None,
        pins: Vec::new(),
    };
    let made = client.deployment_create(stack.stack.id, &request).await.unwrap();
    let made = made.first().expect("one host, one deployment");
    let ended = ended(&client, made.deployment.id).await;
    assert_eq!(ended.state, DeploymentState::Succeeded);
    assert_eq!(ended.rev, Rev(facts.rev + 1));
}

/// A certificate of today for the host's old key: one that ran out 90 days ago gets no new one, and an archive is older some
/// day.
fn renew(release: &Release) {
    let (state, random) = (release.state_dir(), Random::system());
    // The name of the installation is only for an authority that is made.
    let ca = Ca::open_or_create(release.data_dir().join("ca"), "", Clock::system(), random).unwrap();
    let key = HostKey::load(&state.join("agent.key")).unwrap();
    let old = identity::load_certificate(&state.join("agent.crt")).unwrap();
    let facts = identity::agent_facts(&old).unwrap();
    let fresh = ca.sign_agent(&key.csr().unwrap(), facts.agent, facts.generation);
    let fresh = identity::certificate_pem(&fresh.unwrap());
    identity::write_private(&state.join("agent.crt"), fresh.as_bytes()).unwrap();
}

async fn ended(client: &Client, id: DeploymentId) -> Deployment {
    let view = until("the deployment ends", SOON, async || {
        let view = client.deployment_show(id).await.ok()?;
        view.deployment.state.is_terminal().then_some(view)
    });
    view.await.deployment
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_release_are_opened_and_gone_on_with() {
    for archive in release::archives() {
        opens(&archive).await;
    }
}

/// Writes the archive of this version to the folder in `WINDFLOW_RELEASES`: once for each release.
#[tokio::test(flavor = "multi_thread")]
async fn soak_record_this_release() {
    let Some(folder) = std::env::var_os("WINDFLOW_RELEASES") else {
        println!("WINDFLOW_RELEASES names no folder: nothing is recorded");
        return;
    };
    let mut fleet = Fleet::start().await;
    let mut host = fleet.host("old", Target::Fake).await;
    for variant in ["one", "two"] {
        let made = fleet
            .deploy("shop", &COMPOSE.replace("two", variant), &[&host])
            .await;
        let ended = fleet.ended(made[0].deployment.id, SOON).await;
        assert_eq!(ended.deployment.state, DeploymentState::Succeeded);
    }
    let group = GroupCreate {
        name: "all".to_owned(),
        selector: None,
        agents: vec![host.id()],
    };
    fleet.client().group_create(&group).await.unwrap();
    host.agent.stop(SOON).await;
    fleet.offline(&host, SOON).await;
    // One waits for the host.
    fleet.deploy("later", COMPOSE, &[&host]).await;
    let sealed = until("the audit trail is sealed", SOON, async || {
        let verdict = fleet.client().audit_verify().await.ok()?;
        (verdict.open == 0).then_some(verdict.sealed)
    })
    .await;
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pin: fleet.pin().to_owned(),
        user: fleet::administrator(),
        address: fleet.quic(),
        agent: host.id().to_string(),
        stack: "shop".to_owned(),
        compose: COMPOSE.to_owned(),
        rev: 2,
        deployments: deployments(fleet.client()).await,
        group: "all".to_owned(),
        audited: sealed,
    };
    fleet.controller.stop(SOON).await;
    let to = std::path::Path::new(&folder).join(format!("{}.tar", facts.version));
    release::pack(&fleet, &host, &facts, &to);
}
