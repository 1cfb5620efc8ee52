//! From a service to a create request.

mod devices;
mod host;
pub(super) mod mounts;
pub(super) mod network;
pub(super) mod platform;

use std::collections::BTreeMap;

use bollard_stubs::models::{ContainerCreateBody, HealthConfig, NetworkingConfig};
use serde_json::Value;
use windflow_compose::model::{Healthcheck, Mount, Service};

use super::api::Api;
use crate::targets::{ContainerCreate, TargetError, TargetErrorKind};

/// A request with what goes into its query.
pub(super) struct Built {
    pub(super) body: Value,
    pub(super) platform: Option<String>,
    /// What of the file has no effect here.
    pub(super) warnings: Vec<String>,
}

/// `inherited` are mounts of anonymous volumes taken over from the container it replaces, `proxies` the variables that
/// the user's Docker configuration gives to every container.
pub(super) fn container(
    api: Api,
    create: &ContainerCreate,
    inherited: Vec<Mount>,
    proxies: &BTreeMap<String, String>,
) -> Result<Built, TargetError> {
    let service = create.project.services.get(&create.service).ok_or_else(|| {
        let text = format!("service {} is not in the project", create.service);
        TargetError::new(TargetErrorKind::Host, text)
    })?;
    let mut warnings = Vec::new();
    gates(api, &create.service, service, &mut warnings)?;
    let mut host = host::config(create, service)?;
    let mounted = mounts::of(api, create, service, inherited, &mut warnings)?;
    host.binds = some(mounted.binds);
    host.mounts = some(mounted.mounts);
    let mac = network::mac(api, &create.service, service, &mut warnings)?;
    let body = ContainerCreateBody {
        image: Some(create.image.clone()),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        user: service.user.clone(),
        tty: Some(service.tty),
        open_stdin: Some(service.stdin_open),
        attach_stdin: create.one_off.as_ref().map(|once| once.stdin),
        stdin_once: create
            .one_off
            .as_ref()
            .map(|once| once.stdin && service.stdin_open),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        working_dir: service.working_dir.clone(),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service
            .stop_grace_period
            .map(|span| i64::try_from(span.to_std().as_secs()).unwrap_or(i64::MAX)),
        env: some(environment(service, proxies)),
        exposed_ports: some(host::exposed(service)),
        labels: Some(create.labels.clone().into_iter().collect()),
        healthcheck: service.healthcheck.as_ref().map(health),
        network_disabled: (service.network_mode.as_deref() == Some("disabled")).then_some(true),
        networking_config: network::endpoints(api, create, service).map(|endpoints| NetworkingConfig {
            endpoints_config: Some(endpoints),
        }),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    let broken = |error| {
        let text = format!(
            "the request for container {} cannot be written",
            create.final_name
        );
        TargetError::caused(TargetErrorKind::Host, text, error)
    };
    let mut body = serde_json::to_value(body).map_err(broken)?;
    if let Some(fields) = body.as_object_mut() {
        fields.extend(mac.map(|mac| ("MacAddress".to_owned(), Value::from(mac))));
        if let Some(Value::Object(host)) = fields.get_mut("HostConfig") {
            host::words(service, host);
        }
    }
    let platform = service.platform.as_deref().filter(|text| !text.is_empty());
    Ok(Built {
        body,
        platform: platform.map(platform::normal),
        warnings,
    })
}

pub(super) fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    if items.is_empty() { None } else { Some(items) }
}

/// `KEY=value`; a key alone takes the variable away from the image.
fn environment(service: &Service, proxies: &BTreeMap<String, String>) -> Vec<String> {
    let given = proxies
        .iter()
        .filter(|(key, _)| !service.environment.contains_key(*key))
        .map(|(key, value)| format!("{key}={value}"));
    let own = service.environment.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    });
    given.chain(own).collect()
}

fn health(check: &Healthcheck) -> HealthConfig {
    HealthConfig {
        test: if check.disable {
            Some(vec!["NONE".to_owned()])
        } else {
            check.test.clone()
        },
        interval: check.interval.map(|span| span.0),
        timeout: check.timeout.map(|span| span.0),
        retries: check.retries.and_then(|count| i64::try_from(count).ok()),
        start_period: check.start_period.map(|span| span.0),
        start_interval: check.start_interval.map(|span| span.0),
    }
}

/// What this engine does not know is refused here. An engine ignores what it does not know: the container would run,
/// and not as it was asked for.
fn gates(api: Api, name: &str, service: &Service, warnings: &mut Vec<String>) -> Result<(), TargetError> {
    let check = service.healthcheck.as_ref();
    if let Some(check) = check.filter(|check| check.start_interval.is_some()) {
        api.need(44, name, "healthcheck.start_interval")?;
        if check.start_period.is_none() {
            let text = format!("services.{name}.healthcheck.start_interval needs start_period beside it");
            return Err(TargetError::new(TargetErrorKind::Unsupported, text));
        }
    }
    for (key, attachment) in &service.networks {
        let Some(attachment) = attachment else { continue };
        if attachment.gw_priority != 0 {
            api.need(48, name, &format!("networks.{key}.gw_priority"))?;
        }
        if attachment.interface_name.is_some() {
            api.need(49, name, &format!("networks.{key}.interface_name"))?;
        }
    }
    // Notes for other programs: the container does the same without them.
    if !service.annotations.is_empty() && api < Api(43) {
        warnings.push(format!(
            "services.{name}.annotations are left out: they need engine API 1.43, this engine has {api}"
        ));
    }
    Ok(())
}
