//! Networks: their creation, and a container's place in them.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
    VolumeCreateRequest,
};
use windflow_compose::model::{Network, NetworkAttachment, Project, Service, Volume};

use super::{host, some};
use crate::targets::{ContainerCreate, TargetError, docker::api::Api};

/// From this API on one create carries all networks.
const MANY_ENDPOINTS: Api = Api(44);

pub(in crate::targets::docker) fn create(
    network: &Network,
    labels: &BTreeMap<String, String>,
) -> NetworkCreateRequest {
    let ipam = &network.ipam;
    let pools = ipam.config.iter().map(|pool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: host::map(&pool.aux_addresses),
    });
    let pools: Vec<IpamConfig> = pools.collect();
    let given = ipam.driver.is_some() || !pools.is_empty() || !ipam.options.is_empty();
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone(),
        options: host::map(&network.driver_opts),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        labels: Some(labels.clone().into_iter().collect()),
        ipam: given.then(|| Ipam {
            driver: ipam.driver.clone(),
            config: some(pools),
            options: host::map(&ipam.options),
        }),
        ..NetworkCreateRequest::default()
    }
}

pub(in crate::targets::docker) fn volume(
    volume: &Volume,
    labels: &BTreeMap<String, String>,
) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(volume.name.clone()),
        driver: volume.driver.clone(),
        driver_opts: host::map(&volume.driver_opts),
        labels: Some(labels.clone().into_iter().collect()),
        ..VolumeCreateRequest::default()
    }
}

/// `NetworkMode`: its own, or the name of the first network.
pub(super) fn mode(create: &ContainerCreate, service: &Service) -> Result<String, TargetError> {
    if let Some(mode) = host::namespace(create, service.network_mode.as_deref())? {
        return Ok(mode);
    }
    let first = service
        .networks_by_priority()
        .into_iter()
        .find_map(|key| create.project.networks.get(key));
    Ok(first.map_or_else(|| "none".to_owned(), |network| network.name.clone()))
}

/// The endpoints of the create request.
pub(super) fn endpoints(
    api: Api,
    create: &ContainerCreate,
    service: &Service,
) -> Result<Option<HashMap<String, EndpointSettings>>, TargetError> {
    if service.network_mode.is_some() {
        return Ok(None);
    }
    let most = if api >= MANY_ENDPOINTS { usize::MAX } else { 1 };
    let mut out = HashMap::new();
    for (index, key) in service.networks_by_priority().into_iter().enumerate().take(most) {
        if let Some(network) = create.project.networks.get(key) {
            let mut settings = endpoint(
                api,
                &create.project,
                service,
                &create.service,
                key,
                &create.final_name,
            );
            if index == 0 && settings.mac_address.is_none() {
                settings.mac_address.clone_from(&service.mac_address);
            }
            out.insert(network.name.clone(), settings);
        }
    }
    Ok(if out.is_empty() { None } else { Some(out) })
}

/// What older engines need beyond the create: the other networks, one call each, before the start.
pub(in crate::targets::docker) fn further(
    api: Api,
    create: &ContainerCreate,
    id: &str,
) -> Result<Vec<(String, NetworkConnectRequest)>, TargetError> {
    let Some(service) = create.project.services.get(&create.service) else {
        return Ok(Vec::new());
    };
    if api >= MANY_ENDPOINTS || service.network_mode.is_some() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for key in service.networks_by_priority().into_iter().skip(1) {
        if let Some(network) = create.project.networks.get(key) {
            let body = connect(api, &create.project, &create.service, key, id, &create.final_name)?;
            out.push((network.name.clone(), body));
        }
    }
    Ok(out)
}

pub(in crate::targets::docker) fn connect(
    api: Api,
    project: &Project,
    name: &str,
    key: &str,
    id: &str,
    final_name: &str,
) -> Result<NetworkConnectRequest, TargetError> {
    let endpoint = project
        .services
        .get(name)
        .map(|service| endpoint(api, project, service, name, key, final_name));
    Ok(NetworkConnectRequest {
        container: id.to_owned(),
        endpoint_config: endpoint,
    })
}

/// Aliases: the container's name, the service, its own ones.
fn endpoint(
    api: Api,
    project: &Project,
    service: &Service,
    name: &str,
    key: &str,
    final_name: &str,
) -> EndpointSettings {
    let none = NetworkAttachment::default();
    let attachment = service
        .networks
        .get(key)
        .and_then(Option::as_ref)
        .unwrap_or(&none);
    let mut aliases = vec![final_name.to_owned(), name.to_owned()];
    aliases.extend(attachment.aliases.iter().cloned());
    let mut options = attachment.driver_opts.clone();
    if let Some(interface) = &attachment.interface_name {
        options.insert("com.docker.network.endpoint.ifname".to_owned(), interface.clone());
    }
    let addressed = attachment.ipv4_address.is_some()
        || attachment.ipv6_address.is_some()
        || !attachment.link_local_ips.is_empty();
    EndpointSettings {
        aliases: Some(aliases),
        links: some(links(project, service)),
        mac_address: attachment.mac_address.clone(),
        driver_opts: host::map(&options),
        gw_priority: (api >= Api(48))
            .then_some(attachment.gw_priority)
            .filter(|priority| *priority != 0),
        ipam_config: addressed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: some(attachment.link_local_ips.clone()),
        }),
        ..EndpointSettings::default()
    }
}

/// Three aliases for every container of a linked service, as compose gives them.
fn links(project: &Project, service: &Service) -> Vec<String> {
    let mut out = Vec::new();
    for link in &service.links {
        let (target, alias) = link.split_once(':').unwrap_or((link, link));
        let Some(spec) = project.services.get(target) else {
            continue;
        };
        for number in 1..=spec.replicas() {
            let name = spec
                .container_name
                .clone()
                .unwrap_or_else(|| format!("{}-{target}-{number}", project.name));
            let short = format!("{target}-{number}");
            out.extend([alias, short.as_str(), name.as_str()].map(|alias| format!("{name}:{alias}")));
        }
    }
    out
}
