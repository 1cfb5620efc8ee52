//! What an inspect tells of a container that docker compose made, in the form of [`crate::plan::settings_of`].

use std::collections::BTreeMap;

use bollard::query_parameters::InspectContainerOptions;
use serde_json::{Value, json};

use super::{
    DockerTarget,
    error::{failed, is_missing},
};
use crate::targets::TargetError;

pub(super) async fn of(
    target: &DockerTarget,
    id: &str,
) -> Result<Option<BTreeMap<String, Value>>, TargetError> {
    let found = match target
        .docker()?
        .inspect_container(id, None::<InspectContainerOptions>)
        .await
    {
        Ok(found) => found,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed(target, &format!("look at container {id}"), error)),
    };
    let config = found.config.unwrap_or_default();
    let host = found.host_config.unwrap_or_default();
    let mut out = BTreeMap::new();
    let mut set = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    set("image", json!(config.image.unwrap_or_default()));
    set("command", json!(config.cmd.unwrap_or_default()));
    set("entrypoint", json!(config.entrypoint.unwrap_or_default()));
    set("user", json!(config.user.unwrap_or_default()));
    set("working_dir", json!(config.working_dir.unwrap_or_default()));
    set("hostname", json!(config.hostname.unwrap_or_default()));
    set("privileged", json!(host.privileged.unwrap_or_default()));
    set("read_only", json!(host.readonly_rootfs.unwrap_or_default()));
    set("tty", json!(config.tty.unwrap_or_default()));
    let policy = host.restart_policy.unwrap_or_default();
    let restart = match policy.name.map(|name| name.to_string()).unwrap_or_default() {
        name if name.is_empty() => "no".to_owned(),
        name => match policy.maximum_retry_count {
            Some(count) if count > 0 => format!("{name}:{count}"),
            _ => name,
        },
    };
    set("restart", json!(restart));
    let mut ports: Vec<String> = Vec::new();
    for (target, bindings) in host.port_bindings.unwrap_or_default() {
        for binding in bindings.unwrap_or_default() {
            let ip = binding.host_ip.filter(|ip| ip != "0.0.0.0").unwrap_or_default();
            let port = binding.host_port.unwrap_or_default();
            if !port.is_empty() {
                ports.push(format!("{ip}:{port}:{target}"));
            }
        }
    }
    ports.sort();
    set("ports", json!(ports));
    let mounts = found.mounts.unwrap_or_default().into_iter().map(|mount| {
        let source = mount
            .name
            .filter(|name| !name.is_empty())
            .or(mount.source)
            .unwrap_or_default();
        format!("{source}:{}", mount.destination.unwrap_or_default())
    });
    let mut mounts: Vec<String> = mounts.collect();
    mounts.sort();
    set("volumes", json!(mounts));
    let environment: BTreeMap<String, String> = config
        .env
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    set("environment", json!(environment));
    set("labels", json!(config.labels.unwrap_or_default()));
    Ok(Some(out))
}
