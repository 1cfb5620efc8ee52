//! From a service to a create request.

mod devices;
mod host;
pub(super) mod mounts;
pub(super) mod network;

use bollard::models::{ContainerCreateBody, HealthConfig, NetworkingConfig};
use windflow_compose::model::{Healthcheck, Mount, Service};

use super::api::Api;
use crate::targets::{ContainerCreate, TargetError, TargetErrorKind};

/// A request with what goes into its query.
pub(super) struct Built {
    pub(super) body: ContainerCreateBody,
    pub(super) platform: String,
}

/// `inherited` are mounts of anonymous volumes taken over from the container it replaces.
pub(super) fn container(
    api: Api,
    create: &ContainerCreate,
    inherited: Vec<Mount>,
) -> Result<Built, TargetError> {
    let service = create.project.services.get(&create.service).ok_or_else(|| {
        let text = format!("service {} is not in the project", create.service);
        TargetError::new(TargetErrorKind::Host, text)
    })?;
    gates(api, &create.service, service)?;
    let mut host = host::config(api, create, service)?;
    let mounted = mounts::of(api, create, service, inherited)?;
    host.binds = some(mounted.binds);
    host.mounts = some(mounted.mounts);
    let endpoints = network::endpoints(api, create, service)?;
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
        entrypoint: service.entrypoint.clone().map(|words| {
            if words.is_empty() {
                vec![String::new()]
            } else {
                words
            }
        }),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service
            .stop_grace_period
            .map(|span| i64::try_from(span.to_std().as_secs()).unwrap_or(i64::MAX)),
        env: some(environment(service)),
        exposed_ports: some(host::exposed(service)),
        labels: Some(create.labels.clone().into_iter().collect()),
        healthcheck: service.healthcheck.as_ref().map(health),
        network_disabled: (service.network_mode.as_deref() == Some("disabled")).then_some(true),
        volumes: some(mounted.anonymous),
        networking_config: endpoints.map(|endpoints| NetworkingConfig {
            endpoints_config: Some(endpoints),
        }),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    Ok(Built {
        body,
        platform: service.platform.clone().unwrap_or_default(),
    })
}

pub(super) fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    if items.is_empty() { None } else { Some(items) }
}

/// `KEY=value`; a key alone takes the variable away from the image.
fn environment(service: &Service) -> Vec<String> {
    let items = service.environment.iter();
    items
        .map(|(key, value)| {
            value
                .as_ref()
                .map_or_else(|| key.clone(), |value| format!("{key}={value}"))
        })
        .collect()
}

fn health(check: &Healthcheck) -> HealthConfig {
    if check.disable {
        return HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        };
    }
    HealthConfig {
        test: check.test.clone(),
        interval: check.interval.map(|span| span.0),
        timeout: check.timeout.map(|span| span.0),
        retries: check.retries.and_then(|count| i64::try_from(count).ok()),
        start_period: check.start_period.map(|span| span.0),
        start_interval: check.start_interval.map(|span| span.0),
    }
}

fn gates(api: Api, name: &str, service: &Service) -> Result<(), TargetError> {
    let starts = service
        .healthcheck
        .as_ref()
        .is_some_and(|check| check.start_interval.is_some());
    let attached = || service.networks.values().flatten();
    for (used, least, key) in [
        (starts, 44, "healthcheck.start_interval"),
        (service.mac_address.is_some(), 44, "mac_address"),
        (
            attached().any(|network| network.mac_address.is_some()),
            44,
            "networks.mac_address",
        ),
        (
            attached().any(|network| network.gw_priority != 0),
            48,
            "networks.gw_priority",
        ),
        (
            attached().any(|network| network.interface_name.is_some()),
            49,
            "networks.interface_name",
        ),
        (!service.annotations.is_empty(), 43, "annotations"),
    ] {
        if used {
            api.need(least, name, key)?;
        }
    }
    Ok(())
}
