//! `HostConfig`: ports, limits, namespaces, restart.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use bollard_stubs::models::{HostConfig, HostConfigLogConfig, PortBinding, PortMap};
use serde_json::{Value, json};
use windflow_compose::model::{Bytes, Service};

use super::{devices, network, some};
use crate::targets::{ContainerCreate, TargetError, TargetErrorKind};

pub(super) fn config(create: &ContainerCreate, service: &Service) -> Result<HostConfig, TargetError> {
    let (security_opt, unmasked) = security(&create.project.working_dir, service)?;
    let mut host = HostConfig {
        network_mode: Some(network::mode(create, service)?),
        port_bindings: Some(bindings(service)).filter(|ports| !ports.is_empty()),
        auto_remove: create
            .one_off
            .as_ref()
            .and_then(|once| once.auto_remove.then_some(true)),
        init: service.init,
        ipc_mode: namespace(create, service.ipc.as_deref())?,
        pid_mode: namespace(create, service.pid.as_deref())?,
        uts_mode: namespace(create, service.uts.as_deref())?,
        userns_mode: service.userns_mode.clone(),
        privileged: Some(service.privileged),
        readonly_rootfs: Some(service.read_only),
        runtime: service.runtime.clone(),
        annotations: map(&service.annotations),
        cap_add: some(capabilities(&service.cap_add)),
        cap_drop: some(capabilities(&service.cap_drop)),
        group_add: some(service.group_add.clone()),
        security_opt: some(security_opt),
        masked_paths: unmasked.then(Vec::new),
        readonly_paths: unmasked.then(Vec::new),
        sysctls: map(&service.sysctls),
        storage_opt: map(&service.storage_opt),
        shm_size: bytes(service.shm_size),
        tmpfs: tmpfs(service),
        volumes_from: some(volumes_from(create, service)?),
        dns: some(service.dns.clone()),
        dns_options: some(service.dns_opt.clone()),
        dns_search: some(service.dns_search.clone()),
        extra_hosts: some(
            service
                .extra_hosts
                .iter()
                .map(|entry| entry.replacen('=', ":", 1))
                .collect(),
        ),
        links: some(network::links(create, service)),
        log_config: service.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: logging.driver.clone(),
            config: map(&logging.options),
        }),
        oom_score_adj: nonzero(service.oom_score_adj),
        ..HostConfig::default()
    };
    devices::resources(service, &mut host);
    Ok(host)
}

pub(super) fn map(values: &windflow_compose::model::Values) -> Option<HashMap<String, String>> {
    if values.is_empty() {
        None
    } else {
        Some(values.clone().into_iter().collect())
    }
}

pub(super) fn bytes(value: Bytes) -> Option<i64> {
    nonzero(value.0)
}

pub(super) fn nonzero(value: i64) -> Option<i64> {
    (value != 0).then_some(value)
}

/// `host`, `service:NAME` (that service's first container), `container:NAME`, …
pub(super) fn namespace(create: &ContainerCreate, mode: Option<&str>) -> Result<Option<String>, TargetError> {
    let Some(mode) = mode else { return Ok(None) };
    match mode.strip_prefix("service:") {
        Some(service) => Ok(Some(format!("container:{}", container_of(create, service)?))),
        None => Ok(Some(mode.to_owned())),
    }
}

fn container_of<'c>(create: &'c ContainerCreate, service: &str) -> Result<&'c str, TargetError> {
    let found = create.containers.get(service).and_then(|ids| ids.first());
    found.map(String::as_str).ok_or_else(|| {
        let text = format!(
            "service {} refers to service {service}, which has no container",
            create.service
        );
        TargetError::new(TargetErrorKind::NotFound, text)
    })
}

fn volumes_from(create: &ContainerCreate, service: &Service) -> Result<Vec<String>, TargetError> {
    let one = |from: &String| {
        if let Some(rest) = from.strip_prefix("container:") {
            return Ok(rest.strip_suffix(":rw").unwrap_or(rest).to_owned());
        }
        let (name, mode) = from.split_once(':').unwrap_or((from, ""));
        let id = container_of(create, name)?;
        Ok(match mode {
            "" | "rw" => id.to_owned(),
            mode => format!("{id}:{mode}"),
        })
    };
    service.volumes_from.iter().map(one).collect()
}

/// Everything published, as `PORT/PROTOCOL`, and everything exposed, as it was written: the engine understands both.
pub(super) fn exposed(service: &Service) -> Vec<String> {
    let published = service.ports.iter().map(|port| {
        let protocol = port.protocol.as_deref().unwrap_or("tcp");
        format!("{}/{protocol}", port.target)
    });
    let out: BTreeSet<String> = published.chain(service.expose.iter().cloned()).collect();
    out.into_iter().collect()
}

fn bindings(service: &Service) -> PortMap {
    let mut ports = PortMap::new();
    for port in &service.ports {
        let key = format!("{}/{}", port.target, port.protocol.as_deref().unwrap_or("tcp"));
        let binding = PortBinding {
            host_ip: Some(port.host_ip.clone().unwrap_or_default()),
            host_port: Some(port.published.clone().unwrap_or_default()),
        };
        ports
            .entry(key)
            .or_insert_with(|| Some(Vec::new()))
            .get_or_insert_default()
            .push(binding);
    }
    ports
}

/// What the client library has closed sets of words for. The words of the file go to the engine as they are: it knows
/// which of them it understands.
pub(super) fn words(service: &Service, host: &mut serde_json::Map<String, Value>) {
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            host.insert(key.to_owned(), value);
        }
    };
    set("RestartPolicy", restart(service));
    set("CgroupnsMode", service.cgroup.as_ref().map(|mode| json!(mode)));
    set("Isolation", service.isolation.as_ref().map(|mode| json!(mode)));
}

/// `restart`, overridden by `deploy.restart_policy`; neither leaves it to the engine, which then restarts nothing.
fn restart(service: &Service) -> Option<Value> {
    let deployed = service
        .deploy
        .as_ref()
        .and_then(|deploy| deploy.restart_policy.as_ref());
    let (word, count) = match deployed {
        Some(policy) => (
            policy.condition.as_deref().unwrap_or_default(),
            policy.max_attempts,
        ),
        None => {
            let text = service.restart.as_deref().filter(|text| !text.is_empty())?;
            let (word, count) = text.split_once(':').unwrap_or((text, ""));
            (word, count.parse().ok())
        }
    };
    let name = match word {
        "none" => "no",
        "any" => "always",
        other => other,
    };
    Some(json!({ "Name": name, "MaximumRetryCount": count.unwrap_or(0) }))
}

fn tmpfs(service: &Service) -> Option<HashMap<String, String>> {
    let items = service.tmpfs.iter().map(|entry| {
        let (path, options) = entry.split_once(':').unwrap_or((entry, ""));
        (path.to_owned(), options.to_owned())
    });
    let map: HashMap<String, String> = items.collect();
    if map.is_empty() { None } else { Some(map) }
}

/// In the kernel's words: `CAP_` in front, upper case, each once.
fn capabilities(given: &[String]) -> Vec<String> {
    let whole = |word: &String| {
        let word = word.trim().to_uppercase();
        if word == "ALL" || word.starts_with("CAP_") {
            word
        } else {
            format!("CAP_{word}")
        }
    };
    let words: BTreeSet<String> = given.iter().map(whole).collect();
    if words.contains("ALL") {
        return vec!["ALL".to_owned()];
    }
    words.into_iter().collect()
}

/// Seccomp profiles are read here: the engine wants their content.
fn security(directory: &str, service: &Service) -> Result<(Vec<String>, bool), TargetError> {
    let (mut out, mut unmasked) = (Vec::new(), false);
    for option in &service.security_opt {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (key, value) {
            ("systempaths", "unconfined") => unmasked = true,
            ("seccomp", value) if value != "unconfined" && value != "builtin" => {
                let what = format!("read the seccomp profile {value}");
                let profile = fs_err::read_to_string(Path::new(directory).join(value)).map_err(|error| {
                    TargetError::caused(TargetErrorKind::Host, format!("cannot {what}"), error)
                })?;
                let profile: serde_json::Value = serde_json::from_str(&profile).map_err(|error| {
                    TargetError::caused(TargetErrorKind::Host, format!("cannot {what}"), error)
                })?;
                out.push(format!("seccomp={profile}"));
            }
            _ => out.push(option.clone()),
        }
    }
    Ok((out, unmasked))
}
