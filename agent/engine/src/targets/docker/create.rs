//! Containers come and go. Both may have been asked for before, by a life of the agent that was killed while the
//! request was on its way: the engine carries such a request out all the same.

use std::time::Duration;

use bollard::{
    models::{ContainerCreateResponse, ContainerInspectResponse, ContainerStateStatusEnum},
    query_parameters::{InspectContainerOptions, RemoveContainerOptions},
};
use tokio::time::Instant;

use super::{
    DockerTarget,
    error::{failed, is_already, is_missing, refused},
    execute::short,
    files, spec, wire,
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
        match target.docker()?.connect_network(&network, body).await {
            Ok(()) => {}
            Err(error) if error.to_string().contains("already exists in network") => {}
            Err(error) => {
                let error = failed(
                    target,
                    &format!("connect {} to network {network}", create.final_name),
                    error,
                );
                // What it could not be is the failure; what is left of it, the plan finds again.
                let _ = remove(target, &id, true).await;
                return Err(error);
            }
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
        let made: ContainerCreateResponse = serde_json::from_slice(&answer)
            .map_err(|error| TargetError::caused(TargetErrorKind::Engine, format!("cannot {what}"), error))?;
        let warnings = built.warnings.into_iter().chain(made.warnings).collect();
        return Ok((made.id, warnings));
    }
    let error = refused(target, &what, status.as_u16(), &answer);
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
    let Some(found) = inspect(target, &create.name).await? else {
        return Ok(None);
    };
    let state = found.state.as_ref().and_then(|state| state.status);
    let has = found.config.and_then(|config| config.labels).unwrap_or_default();
    let own = has.get(labels::WF_STACK) == create.labels.get(labels::WF_STACK)
        && has.contains_key(labels::WF_STACK)
        && state == Some(ContainerStateStatusEnum::CREATED);
    let Some(id) = found.id.filter(|_| own) else {
        return Ok(None);
    };
    // Labels carry operation, number and hash of the configuration. The image adds its own.
    let same = create
        .labels
        .iter()
        .all(|(name, value)| has.get(name) == Some(value));
    Ok(Some(if same { Stray::Same(id) } else { Stray::Other(id) }))
}

async fn inspect(target: &DockerTarget, id: &str) -> Result<Option<ContainerInspectResponse>, TargetError> {
    match target
        .docker()?
        .inspect_container(id, None::<InspectContainerOptions>)
        .await
    {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failed(target, &format!("look at container {}", short(id)), error)),
    }
}

/// Whether the container has this name already.
pub(super) async fn has_name(target: &DockerTarget, id: &str, name: &str) -> bool {
    let found = inspect(target, id).await.ok().flatten();
    found
        .and_then(|found| found.name)
        .is_some_and(|has| has.trim_start_matches('/') == name)
}

/// Removes a container, running or not, and returns when it is gone.
pub(super) async fn remove(target: &DockerTarget, id: &str, volumes: bool) -> Result<(), TargetError> {
    let since = Instant::now();
    loop {
        let options = RemoveContainerOptions {
            v: volumes,
            force: true,
            link: false,
        };
        match target.docker()?.remove_container(id, Some(options)).await {
            Ok(()) => return Ok(()),
            Err(error) if is_missing(&error) => return Ok(()),
            // Somebody removes it right now. Its name and its networks are free when it is done.
            Err(error) if is_already(&error) && since.elapsed() < REMOVAL => {}
            Err(error) => return Err(failed(target, &format!("remove container {}", short(id)), error)),
        }
        tokio::time::sleep(LOOK).await;
    }
}
