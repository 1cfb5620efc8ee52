//! Containers come and go. Both may have been asked for before, by a life of the agent that was killed while the
//! request was on its way: the engine carries such a request out all the same.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    DockerTarget,
    error::refused,
    execute::{self, short},
    files, inspect, spec, wire,
};
use crate::{
    plan::labels,
    targets::{ContainerCreate, Evidence, TargetError, TargetErrorKind},
};

/// Longest wait for a removal that somebody else has begun.
const REMOVAL: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(100);

/// Create, and connect what one create cannot carry. A container that cannot be finished is removed again.
pub(super) async fn create(target: &DockerTarget, create: &ContainerCreate) -> Result<Evidence, TargetError> {
    let api = target.api().await?;
    let (id, warnings) = match make(target, create).await {
        Err(error) if error.kind == TargetErrorKind::NameTaken => match stray(target, create).await? {
            Some(Stray::Same(id)) => (id, Vec::new()),
            Some(Stray::Other(id)) => {
                remove(target, &id, false).await?;
                make(target, create).await?
            }
            None => return Err(error),
        },
        made => made?,
    };
    for (network, body) in spec::network::further(api, create, &id) {
        if let Err(error) = execute::connect(target, &network, body, &create.final_name).await {
            // What it could not be is the failure; what is left of it, the plan finds again.
            let _ = remove(target, &id, true).await;
            return Err(error);
        }
    }
    if let Err(error) = files::upload(target, &id, &create.project, &create.service).await {
        let _ = remove(target, &id, true).await;
        return Err(error);
    }
    Ok(Evidence {
        id: Some(id),
        warnings,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
    warnings: Option<Vec<String>>,
}

async fn make(target: &DockerTarget, create: &ContainerCreate) -> Result<(String, Vec<String>), TargetError> {
    let inherited = match &create.inherits {
        Some(old) => spec::mounts::anonymous(target, old, create).await?,
        None => Vec::new(),
    };
    let proxies = target.client_config().await.proxies(&target.address.to_string());
    let built = spec::container(target.api().await?, create, inherited, &proxies)?;
    let mut query = vec![("name", create.name.as_str())];
    query.extend(built.platform.as_deref().map(|platform| ("platform", platform)));
    let path = format!("/containers/create{}", wire::query(query));
    let what = format!("create container {}", create.final_name);
    // Past the client library: it knows less than the file may say, and always names a platform.
    let (status, answer) = wire::post(target, &path, &built.body, &what).await?;
    if status.is_success() {
        let made: Made = serde_json::from_slice(&answer)
            .map_err(|error| TargetError::caused(TargetErrorKind::Engine, format!("cannot {what}"), error))?;
        let told = made.warnings.unwrap_or_default();
        let warnings = built.warnings.into_iter().chain(told).collect();
        return Ok((made.id, warnings));
    }
    let error = refused(&what, status.as_u16(), &answer);
    let kind = match error.kind {
        TargetErrorKind::NotFound if error.what.to_lowercase().contains("no such image") => {
            TargetErrorKind::ImagePull
        }
        TargetErrorKind::NotFound => TargetErrorKind::Engine,
        kind => kind,
    };
    Err(TargetError { kind, ..error })
}

/// A container of this stack that came after the look, and has never been started.
enum Stray {
    /// The very one that is wanted.
    Same(String),
    /// One of an earlier operation.
    Other(String),
}

async fn stray(target: &DockerTarget, create: &ContainerCreate) -> Result<Option<Stray>, TargetError> {
    let Some(found) = inspect::container(target, &create.name).await? else {
        return Ok(None);
    };
    let has = found.config.labels.unwrap_or_default();
    let own = has.get(labels::WF_STACK) == create.labels.get(labels::WF_STACK)
        && has.contains_key(labels::WF_STACK)
        && found.state.status == "created";
    if !own {
        return Ok(None);
    }
    let id = found.id;
    // Labels carry operation, number and hash of the configuration. The image adds its own.
    let same = create
        .labels
        .iter()
        .all(|(name, value)| has.get(name) == Some(value));
    Ok(Some(if same { Stray::Same(id) } else { Stray::Other(id) }))
}

/// Whether the container has this name already.
pub(super) async fn has_name(target: &DockerTarget, id: &str, name: &str) -> bool {
    let found = inspect::container(target, id).await.ok().flatten();
    found.is_some_and(|found| found.name.trim_start_matches('/') == name)
}

/// Whether the container is there and was never started, as the engine sees it.
pub(super) async fn never_ran(target: &DockerTarget, id: &str) -> Result<bool, TargetError> {
    let found = inspect::container(target, id).await?;
    Ok(found.is_some_and(|found| found.state.status == "created"))
}

/// Removes a container, running or not, and returns when it is gone.
pub(super) async fn remove(target: &DockerTarget, id: &str, volumes: bool) -> Result<(), TargetError> {
    let since = Instant::now();
    let path = format!("/containers/{id}?force=true&v={volumes}");
    let what = format!("remove container {}", short(id));
    loop {
        let sent = wire::send(target, Method::DELETE, &path, "", &what).await?;
        if sent.is_missing() {
            return Ok(());
        }
        // Somebody removes it right now. Its name and its networks are free when it is done.
        if !sent.is_already() || since.elapsed() >= REMOVAL {
            return sent.done(&what).map(drop);
        }
        tokio::time::sleep(LOOK).await;
    }
}
