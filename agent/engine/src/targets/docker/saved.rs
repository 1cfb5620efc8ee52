//! Networks that can be made again as they were, and how containers have fared. Asked for past the client library: what
//! is kept of a network must come back whole, whatever fields the library knows.

use serde_json::{Map, Value, json};

use super::{DockerTarget, error::refused, execute::short, wire};
use crate::targets::{Evidence, SavedNetwork, TargetError, TargetErrorKind, Vitals};

/// Fields of a network that its creation takes back.
const SETTINGS: [&str; 9] = [
    "Driver",
    "Internal",
    "Attachable",
    "Ingress",
    "IPAM",
    "EnableIPv4",
    "EnableIPv6",
    "Options",
    "Labels",
];
/// Fields of a container's place on a network that a connect takes back.
const PLACE: [&str; 6] = [
    "IPAMConfig",
    "Links",
    "Aliases",
    "MacAddress",
    "DriverOpts",
    "GwPriority",
];
/// Bytes kept of what a health check says.
const OUTPUT: usize = 1024;

fn picked(from: &Value, fields: &[&str]) -> Map<String, Value> {
    let there = |field: &&str| from.get(*field).filter(|value| !value.is_null()).cloned();
    let pairs = fields
        .iter()
        .filter_map(|field| there(field).map(|value| ((*field).to_owned(), value)));
    pairs.collect()
}

/// A network with the places of these containers on it.
pub(super) async fn network(
    target: &DockerTarget,
    id: &str,
    containers: &[String],
) -> Result<SavedNetwork, TargetError> {
    let what = format!("look at network {}", short(id));
    let found: Option<Value> = wire::json(target, &format!("/networks/{id}"), &what).await?;
    let found = found
        .ok_or_else(|| TargetError::new(TargetErrorKind::NotFound, format!("cannot {what}: it is gone")))?;
    let name = found
        .get("Name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let mut body = picked(&found, &SETTINGS);
    body.insert("Name".to_owned(), json!(name));
    body.insert("CheckDuplicate".to_owned(), json!(true));
    let mut places = Map::new();
    for id in containers {
        let what = format!("look at container {}", short(id));
        let path = format!("/containers/{id}/json");
        let Some(container) = wire::json::<Value>(target, &path, &what).await? else {
            continue;
        };
        let networks = container.pointer("/NetworkSettings/Networks");
        if let Some(place) = networks.and_then(|networks| networks.get(&name)) {
            places.insert(id.clone(), Value::Object(picked(place, &PLACE)));
        }
    }
    Ok(SavedNetwork(json!({ "body": body, "places": places })))
}

/// Makes it again. Containers that are gone meanwhile are left out.
pub(super) async fn restore(target: &DockerTarget, saved: &SavedNetwork) -> Result<Evidence, TargetError> {
    let body = saved.0.get("body").cloned().unwrap_or_default();
    let name = body.get("Name").and_then(Value::as_str).unwrap_or_default();
    let what = format!("create network {name}");
    let (status, answer) = wire::post(target, "/networks/create", &body, &what).await?;
    // Somebody made one of the name meanwhile, or it was never gone: it is used as it is.
    if !status.is_success() && status != hyper::StatusCode::CONFLICT {
        return Err(refused(&what, status.as_u16(), &answer));
    }
    let made: Value = serde_json::from_slice(&answer).unwrap_or_default();
    for (id, place) in saved
        .0
        .get("places")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let what = format!("connect container {} to network {name}", short(id));
        let body = json!({ "Container": id, "EndpointConfig": place });
        let path = format!("/networks/{name}/connect");
        let (status, answer) = wire::post(target, &path, &body, &what).await?;
        let text = String::from_utf8_lossy(&answer);
        let gone = text.contains("No such container") || text.contains("already exists in network");
        if !status.is_success() && !gone {
            return Err(refused(&what, status.as_u16(), &answer));
        }
    }
    Ok(Evidence {
        id: made.get("Id").and_then(Value::as_str).map(str::to_owned),
        ..Evidence::default()
    })
}

/// Restarts, and the health check's last run.
pub(super) async fn vitals(target: &DockerTarget, id: &str) -> Result<Option<Vitals>, TargetError> {
    let what = format!("look at container {}", short(id));
    let path = format!("/containers/{id}/json");
    let Some(found) = wire::json::<Value>(target, &path, &what).await? else {
        return Ok(None);
    };
    let restarts = found.get("RestartCount").and_then(Value::as_u64).unwrap_or(0);
    let test = found
        .pointer("/Config/Healthcheck/Test")
        .and_then(Value::as_array);
    let words: Vec<&str> = test.into_iter().flatten().filter_map(Value::as_str).collect();
    let command = match words.as_slice() {
        ["CMD" | "CMD-SHELL", command @ ..] => Some(command.join(" ")),
        _ => None,
    };
    let log = found.pointer("/State/Health/Log").and_then(Value::as_array);
    let run = log.and_then(|log| log.last());
    let output = run.and_then(|run| run.get("Output")).and_then(Value::as_str);
    let started = found.pointer("/State/StartedAt").and_then(Value::as_str);
    Ok(Some(Vitals {
        restarts: u32::try_from(restarts).unwrap_or(u32::MAX),
        command,
        exit_code: run.and_then(|run| run.get("ExitCode")).and_then(Value::as_i64),
        output: tail(output.unwrap_or_default().trim()).to_owned(),
        started: started.unwrap_or_default().to_owned(),
    }))
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(OUTPUT);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at));
    from.and_then(|from| text.get(from..)).unwrap_or_default()
}
