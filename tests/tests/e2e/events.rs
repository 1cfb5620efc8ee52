//! What happens on hosts with the real engine: told in order, once, over kills of the agent and of the controller.

use std::time::Duration;

use rustix::process::Signal;
use windflow_api::EventParams;
use windflow_model::{
    ContainerAction, DeploymentState, FleetEvent, FleetEventKind, HostEventKind, Presence, ResourceAction,
};
use windflow_tests::{Fleet, Host, Project, Target, dockerd::Dockerd, wait::until};

const WITHIN: Duration = Duration::from_secs(60);
const COMPOSE: &str = "services:\n  web:\n    image: windflow-test/busybox:1\n    init: true\n    command: [sh, -c, 'test -e /tmp/again || { touch /tmp/again; exit 7; }; sleep 600']\n    restart: on-failure\n    stop_grace_period: 1s\n    healthcheck: { test: [CMD, 'true'], interval: 1s }\n";

async fn list(fleet: &Fleet, kind: &str) -> Vec<FleetEvent> {
    let params = EventParams {
        kind: Some(kind.to_owned()),
        ..EventParams::default()
    };
    let page = fleet.client().event_list(&params).await.unwrap();
    page.items.into_iter().rev().collect()
}

/// Volumes whose making or removal is told, in order.
async fn volumes(fleet: &Fleet, prefix: &str) -> Vec<String> {
    let events = list(fleet, "volume").await;
    let told = events.iter().filter_map(|event| match &event.kind {
        FleetEventKind::Host { event, .. } => match &event.kind {
            HostEventKind::Volume { action, volume } => {
                let sign = match action {
                    ResourceAction::Created => '+',
                    _ => '-',
                };
                Some(format!("{sign}{}", volume.strip_prefix(prefix)?))
            }
            _ => None,
        },
        _ => None,
    });
    told.collect()
}

async fn make(project: &Project, name: &str) {
    let options = bollard::models::VolumeCreateRequest {
        name: Some(name.to_owned()),
        labels: Some([("com.docker.compose.project".to_owned(), project.name().to_owned())].into()),
        ..Default::default()
    };
    project.docker().create_volume(options).await.unwrap();
}

async fn remove(project: &Project, name: &str) {
    let none = None::<bollard::query_parameters::RemoveVolumeOptions>;
    project.docker().remove_volume(name, none).await.unwrap();
}

async fn start(name: &str) -> Option<(Fleet, Host, Project)> {
    let project = Project::claim(name).await?;
    let fleet = Fleet::start().await;
    let mut host = fleet.enrol(name, Target::Docker).await;
    host.start();
    fleet.connected(&host).await;
    Some((fleet, host, project))
}

#[tokio::test]
async fn docker_events_of_containers_are_told_with_their_stack_and_the_engine_proves_itself() {
    let Some((fleet, mut host, project)) = start("evt-told").await else {
        return;
    };
    let deployed = fleet.deploy(project.name(), COMPOSE, &[&host]).await;
    let ended = fleet.ended(deployed.first().unwrap().deployment.id, WITHIN).await;
    assert_eq!(ended.deployment.state, DeploymentState::Succeeded);
    let wanted = [
        (ContainerAction::Created, None),
        (ContainerAction::Started, None),
        (ContainerAction::Died, Some(7)),
        (ContainerAction::Started, None),
        (ContainerAction::Healthy, None),
    ];
    let told = async || {
        let params = EventParams {
            stack: Some(project.name().to_owned()),
            kind: Some("container".to_owned()),
            agent: Some(host.id().to_string()),
            ..EventParams::default()
        };
        let page = fleet.client().event_list(&params).await.unwrap();
        let told = page.items.iter().rev().filter_map(|event| match &event.kind {
            FleetEventKind::Host { event, agent, .. } if *agent == host.id() => match &event.kind {
                HostEventKind::Container {
                    action,
                    container,
                    exit_code,
                } => {
                    assert_eq!(container.service.as_deref(), Some("web"));
                    assert_eq!(container.image, "windflow-test/busybox:1");
                    Some((*action, *exit_code))
                }
                _ => None,
            },
            _ => None,
        });
        let told: Vec<_> = told.collect();
        // Each in its order; a restart may say more between them.
        let mut rest = told.iter();
        wanted
            .iter()
            .all(|one| rest.any(|told| told == one))
            .then_some(())
    };
    until("all of it is told", WITHIN, told).await;
    until("the engine has proven itself", WITHIN, async || {
        match fleet.presence(host.id()).await {
            Presence::Connected {
                engine: Some(proof), ..
            } => {
                assert_eq!(proof.problem, None);
                assert!(proof.took_us > 0 && proof.took_us < 10_000_000);
                Some(())
            }
            _ => None,
        }
    })
    .await;
    let line = fleet.command_line().await;
    let shown = line
        .run(&["events", "--stack", project.name(), "--kind", "container.died"])
        .await;
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(
        shown.stdout.contains("container.died") && shown.stdout.contains("exit code 7"),
        "{}",
        shown.stdout
    );
    // An agent that runs would put back what is removed.
    host.agent.kill().await;
    project.sweep().await;
}

#[tokio::test]
async fn docker_events_are_told_once_over_kills_of_agent_and_controller() {
    let Some((mut fleet, mut host, project)) = start("evt-kills").await else {
        return;
    };
    let prefix = format!("{}-", project.name());
    let name = |n: u32| format!("{prefix}{n}");
    let mut expected = Vec::new();
    let come = async |fleet: &Fleet, expected: &[String]| {
        until("exactly these are told", WITHIN, async || {
            let told = volumes(fleet, &prefix).await;
            eprintln!("told {told:?}");
            assert!(told.len() <= expected.len(), "{told:?} beyond {expected:?}");
            (told == expected).then_some(())
        })
        .await;
    };
    let mut n = 0;
    for round in 0..3 {
        for _ in 0..5 {
            make(&project, &name(n)).await;
            expected.push(format!("+{n}"));
            n += 1;
        }
        if round == 0 {
            come(&fleet, &expected).await;
        }
        // In the middle of it, not at rest.
        host.agent.kill().await;
        for gone in 0..5 {
            remove(&project, &name(n - 5 + gone)).await;
            expected.push(format!("-{}", n - 5 + gone));
        }
        host.start();
        make(&project, &name(n)).await;
        expected.push(format!("+{n}"));
        fleet.controller.kill().await;
        fleet.restart_controller().await;
        remove(&project, &name(n)).await;
        expected.push(format!("-{n}"));
        n += 1;
        fleet.connected(&host).await;
        come(&fleet, &expected).await;
    }
    // A reader from the begin reads the same, over all runs of the controller.
    let since = EventParams {
        since: Some(windflow_model::Timestamp::from_millis(0)),
        kind: Some("volume".to_owned()),
        ..EventParams::default()
    };
    let mut feed = fleet.client().event_live(&since).await.unwrap();
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let event = tokio::time::timeout(WITHIN, feed.next()).await.unwrap().unwrap();
        if let FleetEventKind::Host { event, .. } = &event.kind
            && let HostEventKind::Volume { volume, .. } = &event.kind
            && let Some(number) = volume.strip_prefix(&prefix)
        {
            read.push(number.to_owned());
        }
    }
    let numbers: Vec<_> = expected.iter().map(|one| one[1..].to_owned()).collect();
    assert_eq!(read, numbers);
    project.sweep().await;
}

#[tokio::test]
async fn docker_events_say_that_the_engine_is_silent_and_what_happened_when_it_is_back() {
    let Some(mut dockerd) = Dockerd::start(false).await else {
        return;
    };
    let fleet = Fleet::start().await;
    let mut host = fleet.enrol("evt-engine", Target::Docker).await;
    host.set_env("DOCKER_HOST", &dockerd.host());
    host.start();
    fleet.connected(&host).await;
    let proof = async |problem: bool| {
        until("the proof says so", WITHIN, async || {
            match fleet.presence(host.id()).await {
                Presence::Connected {
                    engine: Some(proof), ..
                } => (proof.problem.is_some() == problem).then_some(()),
                _ => None,
            }
        })
        .await;
    };
    proof(false).await;
    dockerd.strike(Signal::KILL).await;
    proof(true).await;
    dockerd.go(false).await;
    proof(false).await;
    let named = async |wanted: &[&str]| {
        until("it is told in this order", WITHIN, async || {
            let told = list(&fleet, "engine,volume").await;
            let told: Vec<_> = told.iter().map(|event| event.kind.name()).collect();
            eprintln!("told {told:?}");
            (told == wanted).then_some(())
        })
        .await;
    };
    named(&["engine.silent", "engine.answers"]).await;
    let options = bollard::models::VolumeCreateRequest {
        name: Some("after".to_owned()),
        ..Default::default()
    };
    dockerd.docker().create_volume(options).await.unwrap();
    named(&["engine.silent", "engine.answers", "volume.created"]).await;
}
