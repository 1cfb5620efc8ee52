//! Waiting for what a service depends on.

use std::{sync::Arc, time::Duration};

use windflow_compose::model::Condition;
use windflow_model::{Code, ContainerState, ContainerSummary, Failure, Health};

use super::{Lifecycle, order::Graph};
use crate::targets::Target;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

enum Verdict {
    Good,
    NotYet,
    Bad(String),
}

/// Waits until all conditions of a service are met.
pub(super) async fn dependencies(
    target: &Arc<dyn Target>,
    order: &Lifecycle,
    graph: &Graph,
    service: &str,
) -> Result<(), Failure> {
    for (name, dependency) in graph.dependencies(service) {
        if dependency.condition == Condition::Started {
            continue;
        }
        loop {
            let list = target.containers().await?;
            let mine: Vec<&ContainerSummary> = list
                .iter()
                .filter(|c| c.project.as_deref() == Some(order.stack.as_str()))
                .filter(|c| c.service.as_deref() == Some(name))
                .collect();
            let verdicts: Vec<Verdict> = mine
                .iter()
                .map(|container| judge(container, dependency.condition))
                .collect();
            let bad = verdicts.iter().find_map(|verdict| match verdict {
                Verdict::Bad(text) => Some(text.clone()),
                _ => None,
            });
            match bad {
                Some(text) if dependency.required => {
                    return Err(Failure::new(
                        Code::Unhealthy,
                        format!("dependency {name} of service {service}: {text}"),
                    ));
                }
                Some(_) => break,
                None if verdicts.iter().all(|verdict| matches!(verdict, Verdict::Good)) => break,
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }
    Ok(())
}

fn judge(container: &ContainerSummary, condition: Condition) -> Verdict {
    let ended = matches!(container.state, ContainerState::Exited | ContainerState::Dead);
    let code = container.exit_code.unwrap_or(-1);
    match (condition, container.health) {
        (Condition::CompletedSuccessfully, _) if ended && code == 0 => Verdict::Good,
        (_, _) if ended => Verdict::Bad(format!(
            "container {} ended with exit code {code}",
            container.name
        )),
        (Condition::Healthy, Health::Healthy) => Verdict::Good,
        (Condition::Healthy, Health::Unhealthy) => {
            Verdict::Bad(format!("container {} is unhealthy", container.name))
        }
        (Condition::Healthy, Health::None) if container.state == ContainerState::Running => {
            Verdict::Bad(format!("container {} has no health check", container.name))
        }
        _ => Verdict::NotYet,
    }
}
