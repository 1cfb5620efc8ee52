//! One snapshot of one project.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{ContainerSummary as Listed, Network, Volume};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;

use super::{DockerTarget, connect::READ_TIMEOUT, containers, wire};
use crate::{
    plan::{Settings, labels},
    targets::{
        Endpoint, ImageKey, ObserveQuery, Observed, ObservedContainer, ObservedImage, ObservedMount,
        ObservedNetwork, ObservedPort, ObservedVolume, TargetError,
    },
};
use windflow_compose::collect::IntoMap as _;

/// Questions at the same time.
const PARALLEL: usize = 8;

pub(super) async fn observe(target: &DockerTarget, query: &ObserveQuery) -> Result<Observed, TargetError> {
    let all = async {
        let (containers, networks, volumes, images) = tokio::try_join!(
            containers::listed(target),
            networks(target, query),
            volumes(target, query),
            images(target, &query.images),
        )?;
        let mut observed = Observed {
            networks,
            volumes,
            images,
            ..Observed::default()
        };
        for listed in containers {
            let own = listed
                .labels
                .as_ref()
                .and_then(|labels| labels.get(labels::PROJECT))
                == Some(&query.project);
            if own {
                observed.containers.push(container(listed));
                continue;
            }
            let id = listed.id.clone().unwrap_or_default();
            observed.ports.extend(held_ports(&listed));
            for name in listed
                .names
                .iter()
                .flatten()
                .map(|name| name.trim_start_matches('/'))
            {
                if query.names.iter().any(|wanted| wanted == name) {
                    observed.names.insert(name.to_owned(), id.clone());
                }
            }
        }
        Ok(observed)
    };
    match tokio::time::timeout(READ_TIMEOUT, all).await {
        Ok(observed) => observed,
        Err(late) => Err(target.unreachable(late)),
    }
}

/// The host ports of a container; the list has them for running ones only.
fn held_ports(listed: &Listed) -> Vec<ObservedPort> {
    let container = containers::name(listed.names.as_deref());
    let ports = containers::ports(listed.ports.clone().unwrap_or_default()).into_iter();
    ports
        .map(|port| ObservedPort {
            host_ip: port.host_ip,
            port: port.host_port,
            protocol: port.protocol,
            container: container.clone(),
        })
        .collect()
}

fn container(listed: Listed) -> ObservedContainer {
    let status = listed.status.unwrap_or_default();
    let networks = listed
        .network_settings
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    let mounts = listed.mounts.unwrap_or_default().into_iter().map(|mount| {
        let kind = mount.typ.unwrap_or_default();
        let source = if kind == "volume" {
            mount.name
        } else {
            mount.source
        };
        ObservedMount {
            source: source.unwrap_or_default(),
            target: mount.destination.unwrap_or_default(),
            kind,
        }
    });
    ObservedContainer {
        name: containers::name(listed.names.as_deref()),
        labels: listed.labels.unwrap_or_default().into_iter().into_map(),
        image: listed.image.unwrap_or_default(),
        image_id: listed.image_id.unwrap_or_default(),
        state: containers::state(listed.state),
        health: containers::health(&status),
        exit_code: containers::exit_code(&status),
        created: listed.created.unwrap_or(0),
        networks: networks
            .into_iter()
            .map(|(name, endpoint)| {
                (
                    name,
                    Endpoint {
                        network_id: endpoint.network_id.unwrap_or_default(),
                    },
                )
            })
            .into_map(),
        mounts: mounts.collect(),
        settings: None,
        id: listed.id.unwrap_or_default(),
    }
}

fn is_of(labels: Option<&HashMap<String, String>>, project: &str) -> bool {
    labels
        .and_then(|labels| labels.get(labels::PROJECT))
        .is_some_and(|name| name == project)
}

async fn networks(target: &DockerTarget, query: &ObserveQuery) -> Result<Vec<ObservedNetwork>, TargetError> {
    let listed: Option<Vec<Network>> = wire::json(target, "/networks", "list networks").await?;
    let wanted = listed.into_iter().flatten().filter(|network| {
        let name = network.name.as_deref().unwrap_or_default();
        is_of(network.labels.as_ref(), &query.project) || query.networks.iter().any(|wanted| wanted == name)
    });
    Ok(wanted
        .map(|network| ObservedNetwork {
            settings: network_settings(&network),
            id: network.id.unwrap_or_default(),
            name: network.name.unwrap_or_default(),
            labels: network.labels.unwrap_or_default().into_iter().into_map(),
            driver: network.driver.unwrap_or_default(),
        })
        .collect())
}

/// By Compose key, as far as the engine's list tells.
fn network_settings(network: &Network) -> Settings {
    let pools = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let pools = pools.into_iter().flatten().map(|pool| {
        let parts = [
            ("subnet", &pool.subnet),
            ("gateway", &pool.gateway),
            ("ip_range", &pool.ip_range),
        ];
        let set = parts
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.as_ref()?)));
        json!(set.collect::<BTreeMap<_, _>>())
    });
    BTreeMap::from([
        ("driver".to_owned(), json!(network.driver)),
        ("driver_opts".to_owned(), json!(network.options)),
        ("internal".to_owned(), json!(network.internal)),
        ("attachable".to_owned(), json!(network.attachable)),
        ("enable_ipv6".to_owned(), json!(network.enable_ipv6)),
        ("labels".to_owned(), json!(network.labels)),
        ("ipam".to_owned(), json!({"config": pools.collect::<Vec<_>>()})),
    ])
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volumes {
    volumes: Option<Vec<Volume>>,
}

async fn volumes(target: &DockerTarget, query: &ObserveQuery) -> Result<Vec<ObservedVolume>, TargetError> {
    let wanted = all_volumes(target)
        .await?
        .into_iter()
        .filter(|volume| is_of(Some(&volume.labels), &query.project) || query.volumes.contains(&volume.name));
    Ok(wanted.map(observed_volume).collect())
}

pub(super) async fn all_volumes(target: &DockerTarget) -> Result<Vec<Volume>, TargetError> {
    let listed: Option<Volumes> = wire::json(target, "/volumes", "list volumes").await?;
    Ok(listed.and_then(|listed| listed.volumes).unwrap_or_default())
}

/// A volume; `None` if there is none of this name.
pub(super) async fn volume(target: &DockerTarget, name: &str) -> Result<Option<Volume>, TargetError> {
    let path = format!("/volumes/{}", wire::segment(name));
    wire::json(target, &path, &format!("look at volume {name}")).await
}

pub(super) fn observed_volume(volume: Volume) -> ObservedVolume {
    ObservedVolume {
        settings: BTreeMap::from([
            ("driver".to_owned(), json!(volume.driver)),
            ("driver_opts".to_owned(), json!(volume.options)),
            ("labels".to_owned(), json!(volume.labels)),
        ]),
        name: volume.name,
        labels: volume.labels.into_iter().into_map(),
        driver: volume.driver,
    }
}

async fn images(
    target: &DockerTarget,
    keys: &[ImageKey],
) -> Result<BTreeMap<String, ObservedImage>, TargetError> {
    stream::iter(keys.to_vec())
        .map(|ImageKey(name)| async move { Ok((name.clone(), image(target, &name).await?)) })
        .buffer_unordered(PARALLEL)
        .try_filter_map(|(name, image)| async move { Ok(image.map(|image| (name, image))) })
        .try_collect()
        .await
}

/// What an image's inspection tells that is of use here.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Image {
    id: String,
    size: u64,
    config: Option<ImageConfig>,
    metadata: Option<ImageMetadata>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ImageConfig {
    healthcheck: Option<ImageCheck>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ImageCheck {
    test: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ImageMetadata {
    last_tag_time: Option<String>,
}

pub(super) async fn image(target: &DockerTarget, name: &str) -> Result<Option<ObservedImage>, TargetError> {
    let path = format!("/images/{}/json", wire::segment(name));
    let found: Option<Image> = wire::json(target, &path, &format!("look at image {name}")).await?;
    Ok(found.map(|found| {
        let config = found.config.unwrap_or_default();
        let tagged = found.metadata.and_then(|metadata| metadata.last_tag_time);
        let test = config.healthcheck.and_then(|check| check.test);
        let env = config.env.unwrap_or_default();
        let env = env.iter().filter_map(|item| item.split_once('='));
        ObservedImage {
            id: found.id,
            tagged: tagged.and_then(|text| unix_seconds(&text)).unwrap_or(0),
            has_healthcheck: test.is_some_and(|test| !test.is_empty()),
            volumes: config.volumes.unwrap_or_default().into_keys().collect(),
            size: found.size,
            env: env
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_map(),
            labels: config.labels.unwrap_or_default(),
        }
    }))
}

fn unix_seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}
