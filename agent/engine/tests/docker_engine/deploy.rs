//! Deploy, update, remove, on a real engine.

use windflow_model::{ContainerState, DeploymentState, Want};

use crate::bench::{self, Bench, name};

const TWO: &str = r#"
services:
  web:
    image: windflow-test/busybox:1
    command: ["sh", "-c", "echo hello from web; exec httpd -f -p 8080 -h /data"]
    environment: { GREETING: one }
    stop_grace_period: 0s
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]
      interval: 300ms
      retries: 20
    depends_on: { db: { condition: service_started } }
    restart: unless-stopped
    networks: { default: { aliases: [front] }, back: {} }
  db:
    image: windflow-test/busybox:1
    command: ["sleep", "3600"]
    stop_grace_period: 0s
    networks: [back]
volumes: { data: {} }
networks: { back: {} }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn docker_two_services_from_deploy_to_removal() {
    let Some(mut bench) = Bench::start("two").await else {
        return;
    };
    // The health check needs something to serve.
    let yaml = TWO.replace("exec httpd", "echo ok > /data/index.html; exec httpd");
    assert_eq!(bench.apply(&yaml).await, DeploymentState::Succeeded);
    let first = bench.ids().await;
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        ["wft-engine-two-db-1", "wft-engine-two-web-1"]
    );
    let mut networks = bench::networks(&bench.docker, bench.stack.as_str()).await;
    networks.sort();
    assert_eq!(networks, ["wft-engine-two_back", "wft-engine-two_default"]);

    // The same again: nothing is touched.
    assert_eq!(bench.apply(&yaml).await, DeploymentState::Succeeded);
    assert_eq!(bench.ids().await, first);

    // One service changes: only that one is replaced, under its own name.
    let changed = yaml.replace("GREETING: one", "GREETING: two");
    assert_eq!(bench.apply(&changed).await, DeploymentState::Succeeded);
    let second = bench.ids().await;
    assert_eq!(
        second.keys().collect::<Vec<_>>(),
        first.keys().collect::<Vec<_>>()
    );
    assert_eq!(second["wft-engine-two-db-1"], first["wft-engine-two-db-1"]);
    assert_ne!(second["wft-engine-two-web-1"], first["wft-engine-two-web-1"]);

    // An image that does not exist: what runs stays.
    let broken = changed.replacen("busybox:1", "nothing-of-the-kind:9", 1);
    let state = bench.apply(&broken).await;
    let failure = state.failure().unwrap_or_else(|| panic!("{state:?}"));
    assert_eq!(failure.code, "WF-2002", "{failure}");
    assert_eq!(bench.ids().await, second);

    // A start that fails: the old one is put back and runs.
    let failing = changed.replace("exec httpd", "exit 7; exec httpd");
    let state = bench.apply(&failing).await;
    let failure = state.failure().unwrap_or_else(|| panic!("{state:?}"));
    assert_eq!(failure.code, "WF-2008", "{failure}");
    assert_eq!(bench.ids().await, second);
    let up = bench
        .containers()
        .await
        .into_iter()
        .all(|container| container.status.unwrap_or_default().starts_with("Up"));
    assert!(up);

    // Removal keeps the volume, then takes it.
    let order = bench.order(&yaml, Want::Absent);
    assert_eq!(bench.run(order).await, DeploymentState::Succeeded);
    assert!(bench.containers().await.is_empty());
    assert!(
        bench::networks(&bench.docker, bench.stack.as_str())
            .await
            .is_empty()
    );
    assert_eq!(
        bench::volumes(&bench.docker, bench.stack.as_str()).await,
        ["wft-engine-two_data"]
    );
    let order = bench.order(&yaml, Want::AbsentWithVolumes);
    assert_eq!(bench.run(order).await, DeploymentState::Succeeded);
    assert!(
        bench::volumes(&bench.docker, bench.stack.as_str())
            .await
            .is_empty()
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_image_change_scale_orphans() {
    let Some(mut bench) = Bench::start("scale").await else {
        return;
    };
    let yaml = |image: &str, scale: u32, more: &str| {
        format!(
            "services:\n  a:\n    image: windflow-test/busybox:{image}\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n    scale: {scale}\n{more}"
        )
    };
    let b =
        "  b:\n    image: windflow-test/busybox:1\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n";
    assert_eq!(bench.apply(&yaml("1", 3, b)).await, DeploymentState::Succeeded);
    assert_eq!(bench.ids().await.len(), 4);
    let before = bench.ids().await;
    assert_eq!(bench.apply(&yaml("1", 2, b)).await, DeploymentState::Succeeded);
    let after = bench.ids().await;
    assert_eq!(after.len(), 3);
    assert!(
        after.iter().all(|(name, id)| before.get(name) == Some(id)),
        "scaling down replaces nothing"
    );
    assert_eq!(bench.apply(&yaml("2", 2, "")).await, DeploymentState::Succeeded);
    let names: Vec<String> = bench.containers().await.iter().map(name).collect();
    assert_eq!(
        names,
        ["wft-engine-scale-a-1", "wft-engine-scale-a-2"],
        "b was an orphan"
    );
    assert!(
        bench
            .containers()
            .await
            .iter()
            .all(|c| c.image.as_deref() == Some("windflow-test/busybox:2"))
    );
    let plan = {
        let order = bench.order(&yaml("2", 2, ""), Want::Present);
        bench.handle.plan(order).await.unwrap()
    };
    assert!(plan.is_empty(), "{plan:#?}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_drift_is_repaired_and_a_stop_is_respected() {
    let Some(mut bench) = Bench::start("drift").await else {
        return;
    };
    let yaml = "services:\n  a:\n    image: windflow-test/busybox:1\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n    restart: always\n  b:\n    image: windflow-test/busybox:1\n    command: [sleep, '3600']\n    stop_grace_period: 0s\n    restart: always\n";
    assert_eq!(bench.apply(yaml).await, DeploymentState::Succeeded);
    let before = bench.ids().await;
    let a = before["wft-engine-drift-a-1"].clone();
    let b = before["wft-engine-drift-b-1"].clone();
    // b is stopped on request, a is removed by force.
    bench.docker.stop_container(&b, None).await.unwrap();
    let options = bollard::query_parameters::RemoveContainerOptions {
        force: true,
        v: false,
        link: false,
    };
    bench.docker.remove_container(&a, Some(options)).await.unwrap();
    let mut list = bench.handle.containers();
    let back = list.wait_for(|list| {
        list.containers
            .iter()
            .any(|c| c.name == "wft-engine-drift-a-1" && c.id != a && c.state == ContainerState::Running)
    });
    tokio::time::timeout(std::time::Duration::from_secs(20), back)
        .await
        .expect("a comes back")
        .unwrap();
    // Killed by force: it runs again.
    let now = bench.ids().await["wft-engine-drift-a-1"].clone();
    bench.docker.kill_container(&now, None).await.unwrap();
    let down = list.wait_for(|list| {
        list.containers
            .iter()
            .any(|c| c.id == now && c.state == ContainerState::Exited)
    });
    tokio::time::timeout(std::time::Duration::from_secs(20), down)
        .await
        .expect("a is down")
        .unwrap();
    let back = list.wait_for(|list| {
        list.containers
            .iter()
            .any(|c| c.id == now && c.state == ContainerState::Running)
    });
    tokio::time::timeout(std::time::Duration::from_secs(20), back)
        .await
        .expect("a runs again")
        .unwrap();
    let b_now = list
        .borrow()
        .containers
        .iter()
        .find(|c| c.id == b)
        .map(|c| c.state);
    assert_eq!(
        b_now,
        Some(ContainerState::Exited),
        "what somebody stopped stays stopped"
    );
    bench.end().await;
}
