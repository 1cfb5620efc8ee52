//! Start, stop and restart of containers that exist.

use std::sync::Arc;

use windflow_model::{Code, Failure, StackName};

use super::context::Shared;
use crate::{
    command::{Act, Lifecycle},
    plan::labels,
    targets::{ObserveQuery, ObservedContainer, Operation, Ticker},
};

pub(super) fn busy(stack: &StackName) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("a deploy of {stack} is under way on this host: wait for its end"),
    )
}

pub(super) async fn run(shared: &Arc<Shared>, order: &Lifecycle) -> Result<(), Failure> {
    let query = ObserveQuery {
        project: order.stack.to_string(),
        ..ObserveQuery::default()
    };
    let observed = shared.target.observe(&query).await?;
    let mut chosen: Vec<&ObservedContainer> = observed
        .containers
        .iter()
        .filter(|container| !container.is_oneoff())
        .filter(|container| {
            let service = container.service().unwrap_or_default();
            order.services.is_empty() || order.services.iter().any(|name| name == service)
        })
        .collect();
    if chosen.is_empty() {
        let text = format!("no such container of {} is on this host", order.stack);
        return Err(Failure::new(Code::NotFound, text));
    }
    chosen.sort_by_key(|container| (depth(container, &observed.containers, 0), container.name.clone()));
    if order.act == Act::Stop {
        chosen.reverse();
    }
    for container in chosen {
        let id = container.id.clone();
        let operation = match order.act {
            Act::Start if container.is_up() && container.state != windflow_model::ContainerState::Paused => {
                continue;
            }
            Act::Start => Operation::Start { id, files: None },
            Act::Stop if !container.is_up() => continue,
            Act::Stop => Operation::Stop {
                id,
                timeout: order.timeout,
            },
            Act::Restart => Operation::Restart {
                id,
                timeout: order.timeout,
            },
        };
        shared.target.execute(&operation, Ticker::none()).await?;
    }
    Ok(())
}

/// How many dependencies stand below it, by the labels. Bounded: foreign labels may go in a circle.
fn depth(container: &ObservedContainer, all: &[ObservedContainer], level: u32) -> u32 {
    if level > 32 {
        return level;
    }
    let text = container.label(labels::DEPENDS_ON).unwrap_or_default();
    let names = text
        .split(',')
        .filter_map(|part| part.split(':').next())
        .filter(|name| !name.is_empty());
    names
        .filter_map(|name| all.iter().find(|other| other.service() == Some(name)))
        .map(|other| depth(other, all, level + 1))
        .max()
        .unwrap_or(level)
}
