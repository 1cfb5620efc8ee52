//! Networks: their creation, and a container's place in them.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
    VolumeCreateRequest,
};
use windflow_compose::model::{Network, NetworkAttachment, Project, Service, Volume};

use super::{host, some};
use crate::targets::{ContainerCreate, TargetError, TargetErrorKind, docker::api::Api};

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
    let given = ipam.driver.is_some() || !pools.is_empty();
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
            options: None,
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

/// The MAC address of the container as a whole: engines before API 1.44 have no other.
///
/// # Errors
/// Two different addresses for the first network; an address in a network at an engine that takes none there.
pub(super) fn mac(
    api: Api,
    name: &str,
    service: &Service,
    warnings: &mut Vec<String>,
) -> Result<Option<String>, TargetError> {
    let mut attached = service.networks_by_priority().into_iter().map(|key| {
        let own = service.networks.get(key).and_then(Option::as_ref);
        (key, own.and_then(|attachment| attachment.mac_address.as_ref()))
    });
    let main = attached.next();
    if let (Some(own), Some((key, Some(of_network)))) = (&service.mac_address, main)
        && own != of_network
    {
        let text = format!(
            "services.{name}.mac_address is {own}, and {of_network} in its first network {key}: make them equal"
        );
        return Err(TargetError::new(TargetErrorKind::Unsupported, text));
    }
    if api >= MANY_ENDPOINTS {
        if service.mac_address.is_some() && main.is_none() {
            warnings.push(format!(
                "services.{name}.mac_address has no effect without a network of its own"
            ));
        }
        return Ok(None);
    }
    let own = main.filter(|(_, address)| address.is_some());
    if let Some((key, _)) = own.or_else(|| attached.find(|(_, address)| address.is_some())) {
        api.need(MANY_ENDPOINTS.0, name, &format!("networks.{key}.mac_address"))?;
    }
    Ok(service.mac_address.clone())
}

/// The endpoints of the create request.
pub(super) fn endpoints(
    api: Api,
    create: &ContainerCreate,
    service: &Service,
) -> Option<HashMap<String, EndpointSettings>> {
    if service.network_mode.is_some() {
        return None;
    }
    let most = if api >= MANY_ENDPOINTS { usize::MAX } else { 1 };
    let place = Place {
        project: &create.project,
        service,
        name: &create.service,
        container: &create.final_name,
        links: links(create, service),
        answers: create.one_off.as_ref().is_none_or(|once| once.aliases),
    };
    let mut out = HashMap::new();
    for (index, key) in service.networks_by_priority().into_iter().enumerate().take(most) {
        if let Some(network) = create.project.networks.get(key) {
            let mut settings = place.endpoint(key);
            if api >= MANY_ENDPOINTS && index == 0 && settings.mac_address.is_none() {
                settings.mac_address.clone_from(&service.mac_address);
            }
            out.insert(network.name.clone(), settings);
        }
    }
    if out.is_empty() { None } else { Some(out) }
}

/// What older engines need beyond the create: the other networks, one call each, before the start.
pub(in crate::targets::docker) fn further(
    api: Api,
    create: &ContainerCreate,
    id: &str,
) -> Vec<(String, NetworkConnectRequest)> {
    let Some(service) = create.project.services.get(&create.service) else {
        return Vec::new();
    };
    if api >= MANY_ENDPOINTS || service.network_mode.is_some() {
        return Vec::new();
    }
    let place = Place {
        project: &create.project,
        service,
        name: &create.service,
        container: &create.final_name,
        links: links(create, service),
        answers: create.one_off.as_ref().is_none_or(|once| once.aliases),
    };
    let keys = service.networks_by_priority().into_iter().skip(1);
    keys.filter_map(|key| {
        let network = place.project.networks.get(key)?;
        Some((network.name.clone(), place.connect(key, id)))
    })
    .collect()
}

/// Connects a container that exists.
pub(in crate::targets::docker) fn connect(
    project: &Project,
    name: &str,
    key: &str,
    id: &str,
    container: &str,
) -> NetworkConnectRequest {
    let Some(service) = project.services.get(name) else {
        return NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config: None,
        };
    };
    let place = Place {
        project,
        service,
        name,
        container,
        links: Vec::new(),
        answers: true,
    };
    place.connect(key, id)
}

/// A container on its way into networks.
struct Place<'p> {
    project: &'p Project,
    service: &'p Service,
    name: &'p str,
    /// Its final name.
    container: &'p str,
    links: Vec<String>,
    /// Whether it answers to the service's name.
    answers: bool,
}

impl Place<'_> {
    fn connect(&self, key: &str, id: &str) -> NetworkConnectRequest {
        NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config: Some(self.endpoint(key)),
        }
    }

    /// Aliases: the container's name, the service, its own ones.
    fn endpoint(&self, key: &str) -> EndpointSettings {
        let none = NetworkAttachment::default();
        let attachment = self
            .service
            .networks
            .get(key)
            .and_then(Option::as_ref)
            .unwrap_or(&none);
        let mut aliases = vec![self.container.to_owned()];
        if self.answers {
            aliases.push(self.name.to_owned());
            aliases.extend(attachment.aliases.iter().cloned());
        }
        let mut options = attachment.driver_opts.clone();
        if let Some(interface) = &attachment.interface_name {
            options.insert("com.docker.network.endpoint.ifname".to_owned(), interface.clone());
        }
        let addressed = attachment.ipv4_address.is_some()
            || attachment.ipv6_address.is_some()
            || !attachment.link_local_ips.is_empty();
        EndpointSettings {
            aliases: Some(aliases),
            links: some(self.links.clone()),
            mac_address: attachment.mac_address.clone(),
            driver_opts: host::map(&options),
            gw_priority: Some(attachment.gw_priority).filter(|priority| *priority != 0),
            ipam_config: addressed.then(|| EndpointIpamConfig {
                ipv4_address: attachment.ipv4_address.clone(),
                ipv6_address: attachment.ipv6_address.clone(),
                link_local_ips: some(attachment.link_local_ips.clone()),
            }),
            // The engine takes the wish from `ipam_config`; docker compose fills these two as well.
            ip_address: attachment.ipv4_address.clone(),
            ipv6_gateway: attachment.ipv6_address.clone(),
            ..EndpointSettings::default()
        }
    }
}

/// Three aliases for every container of a linked service, then the links to containers outside.
pub(super) fn links(create: &ContainerCreate, service: &Service) -> Vec<String> {
    let separator = create.project.separator();
    let mut out = Vec::new();
    for link in &service.links {
        let (target, alias) = link.split_once(':').unwrap_or((link, link));
        for name in create.linked.get(target).into_iter().flatten() {
            let number = create.number;
            let short = [target, &number.to_string()].join(separator);
            let long = [create.project.name.as_str(), &short].join(separator);
            out.extend([alias, &short, &long].map(|alias| format!("{name}:{alias}")));
        }
    }
    if create.one_off.is_some() {
        for name in create.linked.get(&create.service).into_iter().flatten() {
            let prefix = [create.project.name.as_str(), ""].join(separator);
            let short = name.strip_prefix(&prefix).unwrap_or(name);
            out.extend([create.service.as_str(), short, name].map(|alias| format!("{name}:{alias}")));
        }
    }
    out.extend(
        service
            .external_links
            .iter()
            .map(|link| match link.split_once(':') {
                Some(_) => link.clone(),
                None => format!("{link}:{link}"),
            }),
    );
    out
}
