//! `docker kill` and `docker rm -f` of any container of the project at a random instant of an `up`; then another `up`.

use std::time::Duration;

use bollard::{
    Docker,
    query_parameters::{KillContainerOptions, RemoveContainerOptions},
};
use tokio::time::Instant;

use super::{Local, Sum, Variant, look, some_way_in, under_way};
use crate::world;

/// An `up` that lost a container under its hands has ended by then.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// True if there was something to strike.
async fn strike(docker: &Docker, id: &str, remove: bool) -> bool {
    if remove {
        let options = RemoveContainerOptions {
            force: true,
            ..RemoveContainerOptions::default()
        };
        docker.remove_container(id, Some(options)).await.is_ok()
    } else {
        let options = KillContainerOptions {
            signal: "KILL".to_owned(),
        };
        docker.kill_container(id, Some(options)).await.is_ok()
    }
}

/// `WINDFLOW_TEST_ROUNDS` and `WINDFLOW_TEST_SEED` choose others.
pub(super) async fn rounds(default: u64) {
    let Some(mut local) = Local::start("foreign hand mid-up").await else {
        return;
    };
    let docker = local.dockerd.docker();
    let mut sum = Sum::new(
        "foreign hand mid-up",
        world::number("WINDFLOW_TEST_ROUNDS", default),
    );
    let mut variant = Variant::Two;
    let (mut felt, mut removed) = (0, 0);
    while sum.goes_on() {
        let before = look(&docker).await.unwrap();
        variant = variant.other();
        local.begin(variant);
        some_way_in(&docker, &before, &local.random, local.length).await;
        let now: Vec<_> = look(&docker).await.unwrap().into_iter().collect();
        let any = usize::try_from(local.random.up_to(now.len() as u64 - 1)).unwrap();
        let remove = sum.tries.is_multiple_of(2);
        let hit = strike(&docker, &now[any].id, remove).await && local.up.is_running();
        let counts = hit && under_way(&before, &now.iter().cloned().collect(), variant, 0);
        let ended = local.up.ended(ENDS_WITHIN).await;
        let context = format!("strike {} at {}, removed: {remove}", sum.tries, now[any].name);
        let Some(ended) = ended else {
            sum.complain(format!("{context}: the up does not end"));
            local.up.kill().await;
            continue;
        };
        let began = Instant::now();
        let next = local.whole(variant).await;
        if next.code != 0 {
            sum.complain(format!("{context}: {}{}", next.stdout, next.stderr));
        }
        if counts {
            felt += u64::from(!ended.success());
            removed += u64::from(remove);
            sum.settle(&docker, variant, 0, began, &context).await;
        }
    }
    println!(
        "of these, {removed} containers were removed and the others killed; {felt} times the up itself failed for it"
    );
    sum.end();
}
