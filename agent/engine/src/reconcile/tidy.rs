//! After an end that is neither good nor the way back: one container for each place.
//!
//! Where a replacement was cut short by a newer revision that then failed with nothing to go back to, the old container
//! and the new one are both there. One stays: the one that runs, with the name it shall have. A stack of which no
//! revision stands is not brought anywhere else; its next revision finds one container and goes on from that.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use windflow_model::ContainerState;

use super::{
    context::{Early, Run},
    prepare::{label_query, settled, stops_ended},
    restore::execute,
};
use crate::{
    plan::{labels, lasting_name},
    targets::{ObservedContainer, Operation},
};

/// Removes what is there twice.
pub(super) async fn run(run: &Arc<Run>) -> Result<(), Early> {
    stops_ended(&run.shared, &run.order).await?;
    let there = settled(&run.shared, &label_query(&run.order)).await?;
    let mut places: BTreeMap<(&str, u32), Vec<&ObservedContainer>> = BTreeMap::new();
    for container in &there.containers {
        let ours = container.label(labels::WF_STACK).is_some() && !container.is_oneoff();
        if let Some(service) = container.service().filter(|_| ours) {
            let place = places.entry((service, container.number())).or_default();
            place.push(container);
        }
    }
    for mut containers in places.into_values().filter(|containers| containers.len() > 1) {
        containers.sort_by_key(|one| {
            let lasting = lasting_name(&one.name).is_none();
            Reverse((one.is_up(), lasting, one.created, one.id.clone()))
        });
        let Some((stays, rest)) = containers.split_first() else {
            continue;
        };
        for one in rest {
            tracing::info!(stack = %run.stack(), container = %one.name, stays = %stays.name, "removing what an interrupted replacement left");
            if one.is_up() {
                let (id, timeout) = (one.id.clone(), None);
                execute(run, Operation::Stop { id, timeout }).await?;
            }
            // What never ran has put nothing into the volumes made for it.
            let volumes = one.state == ContainerState::Created;
            let id = one.id.clone();
            execute(run, Operation::Remove { id, volumes }).await?;
        }
        if let Some(name) = lasting_name(&stays.name) {
            let (id, name) = (stays.id.clone(), name.to_owned());
            execute(run, Operation::Rename { id, name }).await?;
        }
    }
    Ok(())
}
