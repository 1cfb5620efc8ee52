//! Creating networks: a name is no key to the engine, two networks may have the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use windflow_compose::model::Network;

use super::{DockerTarget, error::refused, spec, wire};
use crate::targets::{Evidence, TargetError, TargetErrorKind};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
    #[serde(default)]
    warning: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    id: String,
}

/// Creates it; one of that name that somebody made meanwhile is taken as it is.
pub(super) async fn create(
    target: &DockerTarget,
    network: &Network,
    labels: &BTreeMap<String, String>,
) -> Result<Evidence, TargetError> {
    let what = format!("create network {}", network.name);
    if network.enable_ipv4 == Some(false) {
        let path = format!("networks ({}).enable_ipv4: false", network.name);
        target.api().await?.need_at(48, &path)?;
    }
    let broken = |error| TargetError::caused(TargetErrorKind::Engine, format!("cannot {what}"), error);
    let mut body = serde_json::to_value(spec::network::create(network, labels)).map_err(broken)?;
    // The library has dropped the field; engines before API 1.44 make a second network of the name without it.
    if let Some(fields) = body.as_object_mut() {
        fields.insert("CheckDuplicate".to_owned(), json!(true));
    }
    let (status, answer) = wire::post(target, "/networks/create", &body, &what).await?;
    if status.is_success() {
        let made: Made = serde_json::from_slice(&answer).map_err(broken)?;
        let mut warnings: Vec<String> = Some(made.warning)
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
        if !network.ipam.options.is_empty() {
            warnings.push(format!(
                "network {}: ipam.options have no effect, docker compose does not pass them on either",
                network.name
            ));
        }
        return Ok(Evidence {
            id: Some(made.id),
            warnings,
        });
    }
    if status == hyper::StatusCode::CONFLICT {
        let path = format!("/networks/{}", wire::segment(&network.name));
        let found: Option<Found> = wire::json(target, &path, &what).await?;
        return Ok(Evidence {
            id: found.map(|found| found.id),
            warnings: Vec::new(),
        });
    }
    Err(refused(&what, status.as_u16(), &answer))
}
