//! kill -9 of an `up` at a random instant; then another `up`, of the same file or of the one before.

use tokio::time::Instant;

use super::{Local, Sum, Variant, look, some_way_in, under_way};
use crate::world;

/// `WINDFLOW_TEST_ROUNDS` and `WINDFLOW_TEST_SEED` choose others.
pub(super) async fn rounds(default: u64) {
    let Some(mut local) = Local::start("agent killed mid-up").await else {
        return;
    };
    let docker = local.dockerd.docker();
    let mut sum = Sum::new(
        "agent killed mid-up",
        world::number("WINDFLOW_TEST_ROUNDS", default),
    );
    let mut variant = Variant::Two;
    while sum.goes_on() {
        let before = look(&docker).await.unwrap();
        variant = variant.other();
        local.begin(variant);
        some_way_in(&docker, &before, &local.random, local.length).await;
        let alive = local.up.is_running();
        local.up.kill().await;
        let after = look(&docker).await.unwrap();
        let counts = alive && under_way(&before, &after, variant, 0);
        // Somebody tries again, or thinks better of it.
        if local.random.up_to(1) == 0 {
            variant = variant.other();
        }
        let began = Instant::now();
        let next = local.whole(variant).await;
        let context = format!("strike {}: then up of {variant:?}", sum.tries);
        if next.code != 0 {
            sum.complain(format!("{context}: {}{}", next.stdout, next.stderr));
        }
        if counts {
            sum.settle(&docker, variant, 0, began, &context).await;
        }
    }
    sum.end();
}
