//! Lists of containers, and the engine's words for their lives.

use bollard_stubs::models::{
    ContainerSummary as Listed, ContainerSummaryStateEnum as Word, PortSummary, PortSummaryTypeEnum,
};
use serde_json::Value;
use windflow_model::{ContainerState, ContainerSummary, Health, PortBinding, Rev, Timestamp};

use super::{DockerTarget, error::refused, inspect, wire};
use crate::{
    plan::labels,
    targets::{TargetError, TargetErrorKind},
};

/// All containers of the host.
///
/// Asked for past the client library: it gives the whole list up for one word it does not know, and Podman has more
/// words for a container's life than Docker.
pub(super) async fn listed(target: &DockerTarget) -> Result<Vec<Listed>, TargetError> {
    let what = "list containers";
    let (status, answer) = wire::get(target, "/containers/json?all=1", what).await?;
    if !status.is_success() {
        return Err(refused(what, status.as_u16(), &answer));
    }
    let entries: Vec<Value> = serde_json::from_slice(&answer)
        .map_err(|error| TargetError::caused(TargetErrorKind::Engine, format!("cannot {what}"), error))?;
    Ok(entries.into_iter().filter_map(entry).collect())
}

/// One that cannot be read does not hide the others.
fn entry(mut entry: Value) -> Option<Listed> {
    if let Some(state) = entry.get_mut("State") {
        let word = state.as_str().unwrap_or_default().to_lowercase();
        *state = Value::from(match word.as_str() {
            "stopped" => "exited",
            "configured" | "initialized" => "created",
            known @ ("created" | "running" | "paused" | "restarting" | "exited" | "removing" | "dead"
            | "stopping") => known,
            _ => "",
        });
    }
    match serde_json::from_value(entry) {
        Ok(listed) => Some(listed),
        Err(error) => {
            tracing::warn!(%error, "the engine lists a container that cannot be understood; it is left out");
            None
        }
    }
}

pub(super) async fn list(target: &DockerTarget) -> Result<Vec<ContainerSummary>, TargetError> {
    let mut all = listed(target).await?;
    // They are there for a moment, and nobody's.
    all.retain(|found| {
        found
            .labels
            .as_ref()
            .is_none_or(|labels| !labels.contains_key(crate::files::DOOR_LABEL))
    });
    let mut out: Vec<ContainerSummary> = all.into_iter().map(summary).collect();
    // Podman's list says nothing of health, others may say less still. Only stacks are worth a question each.
    let podman = target.is_podman().await?;
    let silent = |container: &&mut ContainerSummary| {
        container.project.is_some()
            && match container.state {
                ContainerState::Running => podman || !container.status.starts_with("Up"),
                ContainerState::Exited => container.exit_code.is_none(),
                _ => false,
            }
    };
    for container in out.iter_mut().filter(silent) {
        if let Some(found) = inspect::container(target, &container.id).await? {
            let state = found.state;
            container.health = health_of(&state);
            if container.state == ContainerState::Exited {
                container.exit_code = state.exit_code;
            }
        }
    }
    out.sort_by(|a, b| (&a.project, &a.service, &a.name).cmp(&(&b.project, &b.service, &b.name)));
    Ok(out)
}

fn health_of(state: &inspect::State) -> Health {
    match state.health.as_ref().map(|health| health.status.as_str()) {
        Some("healthy") => Health::Healthy,
        Some("unhealthy") => Health::Unhealthy,
        Some("starting") => Health::Starting,
        _ => Health::None,
    }
}

fn summary(listed: Listed) -> ContainerSummary {
    let labels = listed.labels.unwrap_or_default();
    let status = listed.status.unwrap_or_default();
    ContainerSummary {
        name: name(listed.names.as_deref()),
        project: labels.get(labels::PROJECT).cloned(),
        service: labels.get(labels::SERVICE).cloned(),
        rev: labels
            .get(labels::WF_REV)
            .and_then(|text| text.parse().ok())
            .map(Rev),
        image: listed.image.unwrap_or_default(),
        state: state(listed.state),
        health: health(&status),
        exit_code: exit_code(&status),
        status,
        ports: ports(listed.ports.unwrap_or_default()),
        created_at: Timestamp::from_millis(listed.created.unwrap_or(0).saturating_mul(1000)),
        id: listed.id.unwrap_or_default(),
    }
}

/// The published ones, sorted.
pub(super) fn ports(listed: Vec<PortSummary>) -> Vec<PortBinding> {
    let published = listed.into_iter().filter_map(|port| {
        Some(PortBinding {
            host_ip: port.ip.unwrap_or_default(),
            host_port: port.public_port?,
            container_port: port.private_port,
            protocol: match port.typ {
                Some(PortSummaryTypeEnum::UDP) => "udp",
                Some(PortSummaryTypeEnum::SCTP) => "sctp",
                _ => "tcp",
            }
            .to_owned(),
        })
    });
    let mut ports: Vec<PortBinding> = published.collect();
    ports.sort();
    ports
}

/// The container's own name: links give it more, with a slash inside.
pub(super) fn name(names: Option<&[String]>) -> String {
    let mut names = names
        .unwrap_or_default()
        .iter()
        .map(|name| name.trim_start_matches('/'));
    names
        .clone()
        .find(|name| !name.contains('/'))
        .or_else(|| names.next())
        .unwrap_or_default()
        .to_owned()
}

pub(super) const fn state(word: Option<Word>) -> ContainerState {
    match word {
        Some(Word::CREATED) => ContainerState::Created,
        Some(Word::RUNNING | Word::STOPPING) => ContainerState::Running,
        Some(Word::PAUSED) => ContainerState::Paused,
        Some(Word::RESTARTING) => ContainerState::Restarting,
        Some(Word::EXITED) => ContainerState::Exited,
        Some(Word::REMOVING) => ContainerState::Removing,
        Some(Word::DEAD) => ContainerState::Dead,
        Some(Word::EMPTY) | None => ContainerState::Unknown,
    }
}

/// From `Up 3 minutes (healthy)`: lists of engines before API 1.52 tell it nowhere else.
pub(super) fn health(status: &str) -> Health {
    if status.contains("(healthy)") {
        Health::Healthy
    } else if status.contains("(unhealthy)") {
        Health::Unhealthy
    } else if status.contains("(health: starting)") || status.contains("(starting)") {
        Health::Starting
    } else {
        Health::None
    }
}

/// From `Exited (137) 2 minutes ago`.
pub(super) fn exit_code(status: &str) -> Option<i64> {
    status.strip_prefix("Exited (")?.split(')').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        let check = |text: &str, health_is: Health, code: Option<i64>| {
            assert_eq!((health(text), exit_code(text)), (health_is, code), "{text}");
        };
        check("Up 3 minutes (healthy)", Health::Healthy, None);
        check("Up 1 second (health: starting)", Health::Starting, None);
        check("Up 1 hour (unhealthy)", Health::Unhealthy, None);
        check("Up 2 days", Health::None, None);
        check("Exited (137) 2 minutes ago", Health::None, Some(137));
        check("Created", Health::None, None);
    }

    #[test]
    fn words_of_podman() {
        let check = |word: &str, is: ContainerState| {
            let listed = entry(serde_json::json!({ "Id": "a", "State": word })).unwrap();
            assert_eq!(state(listed.state), is, "{word}");
        };
        check("stopped", ContainerState::Exited);
        check("configured", ContainerState::Created);
        check("running", ContainerState::Running);
        check("no such word", ContainerState::Unknown);
    }

    #[test]
    fn own_name_among_links() {
        let names = ["/other/alias".to_owned(), "/web".to_owned()];
        assert_eq!(name(Some(&names)), "web");
    }
}
