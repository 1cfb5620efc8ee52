//! The hashes that docker compose puts into its labels: of a network, a volume and a service.
//!
//! WindFlow decides nothing by them. They stand in compose's label, so that `docker compose up` finds what we made to be
//! as its file says, and keeps it. SHA-256 of the JSON that compose's own types give, field by field in their order.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use windflow_compose::model::{Network, Service, Values, Volume};

/// The label of a service's containers. `containers` are those of the services it refers to, by service: compose puts
/// their ids into the references before it takes the hash.
pub(crate) fn service(spec: &Service, containers: &BTreeMap<String, Vec<String>>) -> String {
    let mut spec = spec.clone();
    let first = |name: &str| containers.get(name).and_then(|ids| ids.first());
    for mode in [&mut spec.network_mode, &mut spec.ipc, &mut spec.pid] {
        let named = mode.as_deref().and_then(|mode| mode.strip_prefix("service:"));
        if let Some(id) = named.and_then(first) {
            *mode = Some(format!("container:{id}"));
        }
    }
    for from in &mut spec.volumes_from {
        let id = match from.strip_prefix("container:") {
            Some(rest) => rest.split(':').next().map(str::to_owned),
            None => from.split(':').next().and_then(first).cloned(),
        };
        if let Some(id) = id {
            *from = id;
        }
    }
    windflow_compose::print::service_hash(&spec)
}

/// The label of a network.
pub(super) fn network(network: &Network) -> String {
    let mut out = Map::new();
    text(&mut out, "name", Some(&network.name));
    text(&mut out, "driver", network.driver.as_ref());
    map(&mut out, "driver_opts", &network.driver_opts);
    let mut ipam = Map::new();
    text(&mut ipam, "driver", network.ipam.driver.as_ref());
    let pools = network.ipam.config.iter().map(|pool| {
        let mut out = Map::new();
        text(&mut out, "subnet", pool.subnet.as_ref());
        text(&mut out, "gateway", pool.gateway.as_ref());
        text(&mut out, "ip_range", pool.ip_range.as_ref());
        map(&mut out, "aux_addresses", &pool.aux_addresses);
        Value::Object(out)
    });
    let pools: Vec<Value> = pools.collect();
    if !pools.is_empty() {
        ipam.insert("config".to_owned(), Value::Array(pools));
    }
    out.insert("ipam".to_owned(), Value::Object(ipam));
    flag(&mut out, "internal", network.internal.then_some(true));
    flag(&mut out, "attachable", network.attachable.then_some(true));
    map(&mut out, "labels", &network.labels);
    flag(&mut out, "enable_ipv4", network.enable_ipv4);
    flag(&mut out, "enable_ipv6", network.enable_ipv6);
    digest(out)
}

/// The label of a volume.
pub(super) fn volume(volume: &Volume) -> String {
    let mut out = Map::new();
    text(&mut out, "name", Some(&volume.name));
    let local = "local".to_owned();
    text(&mut out, "driver", Some(volume.driver.as_ref().unwrap_or(&local)));
    map(&mut out, "driver_opts", &volume.driver_opts);
    map(&mut out, "labels", &volume.labels);
    digest(out)
}

fn text(out: &mut Map<String, Value>, key: &str, value: Option<&String>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        out.insert(key.to_owned(), Value::from(value.as_str()));
    }
}

fn flag(out: &mut Map<String, Value>, key: &str, value: Option<bool>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), Value::from(value));
    }
}

fn map(out: &mut Map<String, Value>, key: &str, values: &Values) {
    if !values.is_empty() {
        let values = values
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        out.insert(key.to_owned(), Value::Object(values.collect()));
    }
}

/// Go writes these characters of a text as escapes, wherever they stand.
fn digest(out: Map<String, Value>) -> String {
    let text = Value::Object(out)
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use windflow_compose::model::{Ipam, IpamPool};

    use super::*;

    /// What Docker Compose 2.40.3 put on networks and volumes that it made.
    #[test]
    fn as_docker_compose_labels_them() {
        let plain = Network {
            name: "hh_default".into(),
            ..Network::default()
        };
        assert_eq!(
            network(&plain),
            "ffe70b1dc81e00a007e7d8116a8b7946e869319c3fee66dddf39c38ceea74904"
        );
        let values = |items: &[(&str, &str)]| -> Values {
            items
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let rich = Network {
            name: "hh_n".into(),
            driver: Some("bridge".into()),
            driver_opts: values(&[("com.docker.network.bridge.enable_icc", "true")]),
            ipam: Ipam {
                driver: Some("default".into()),
                config: vec![IpamPool {
                    subnet: Some("10.77.0.0/16".into()),
                    gateway: Some("10.77.0.1".into()),
                    ..IpamPool::default()
                }],
                ..Ipam::default()
            },
            internal: true,
            attachable: true,
            labels: values(&[("z", "y"), ("a", "b")]),
            enable_ipv6: Some(false),
            ..Network::default()
        };
        assert_eq!(
            network(&rich),
            "63bd776be3e9133103f5f31cc8ba9936b13ad58e22a713cdc048753c7d91f367"
        );
        let plain = Volume {
            name: "hh_vv".into(),
            ..Volume::default()
        };
        assert_eq!(
            volume(&plain),
            "52a516045468d92e79f541209e59dc3c322c611c63148a04aec36792d54a3ca4"
        );
        let rich = Volume {
            name: "hh_ww".into(),
            driver: Some("local".into()),
            driver_opts: values(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]),
            labels: values(&[("k", "l")]),
            ..Volume::default()
        };
        assert_eq!(
            volume(&rich),
            "fcb64feb47eeb7ebbc2a78c4cdc82c08950e5256daec97e4ada4f7be6e1fbafe"
        );
    }
}
