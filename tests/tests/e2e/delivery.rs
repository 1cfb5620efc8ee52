//! Deployments reach their hosts: at once, later, once.

use std::time::Duration;

use windflow_model::DeploymentState;
use windflow_tests::{Fleet, Target};

const SOON: Duration = Duration::from_secs(30);
const WEB: &str = "services:\n  web:\n    image: example/web:1\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_deployed_by_the_way_of_a_user() {
    let fleet = Fleet::start().await;
    let host = fleet.host("web1", Target::Fake).await;
    let deployed = fleet.deploy("shop", WEB, &[&host]).await;
    let ended = fleet.ended(deployed[0].deployment.id, SOON).await;
    assert_eq!(ended.deployment.state, DeploymentState::Succeeded);
    let line = fleet.command_line().await;
    let shown = line.run(&["stack", "show", "shop"]).await.ok();
    assert!(shown.contains("web1"), "{shown}");
}
