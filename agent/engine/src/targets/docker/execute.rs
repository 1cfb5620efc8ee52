//! One operation, carried out.

use std::time::Duration;

use bollard_stubs::models::NetworkConnectRequest;
use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    DockerTarget, build, create, files, networks, pull, saved, spec,
    wire::{self, Sent},
};
use crate::{
    order::RemoveImages,
    plan::labels,
    targets::{Evidence, Operation, TargetError, TargetErrorKind, Ticker},
};

pub(super) async fn execute(
    target: &DockerTarget,
    operation: &Operation,
    ticker: Ticker,
) -> Result<Evidence, TargetError> {
    match operation {
        Operation::Pull { image, platform } => pull::pull(target, image, platform.as_deref(), &ticker).await,
        Operation::Build {
            project,
            service,
            image,
        } => build::build(target, project, service, image, &ticker).await,
        Operation::NetworkCreate { project, key, labels } => {
            let Some(network) = project.networks.get(key) else {
                return Ok(Evidence::default());
            };
            networks::create(target, network, labels).await
        }
        Operation::NetworkRestore { saved } => saved::restore(target, saved).await,
        Operation::NetworkRemove { network } => {
            let what = format!("remove network {network}");
            let path = format!("/networks/{}", wire::segment(network));
            let sent = wire::send(target, Method::DELETE, &path, "", &what).await?;
            if sent.says("active endpoints") {
                let warning = format!("network {network} is in use by other containers and stays");
                return Ok(Evidence {
                    id: None,
                    warnings: vec![warning],
                });
            }
            unless_missing(sent, &what)
        }
        Operation::VolumeCreate { project, key, labels } => {
            let Some(volume) = project.volumes.get(key) else {
                return Ok(Evidence::default());
            };
            let what = format!("create volume {}", volume.name);
            let body = json!(spec::network::volume(volume, labels)).to_string();
            let sent = wire::send(target, Method::POST, "/volumes/create", body, &what).await?;
            sent.done(&what)?;
            Ok(Evidence {
                id: Some(volume.name.clone()),
                warnings: Vec::new(),
            })
        }
        Operation::VolumeRemove { volume } => {
            let path = format!("/volumes/{}", wire::segment(volume));
            let what = format!("remove volume {volume}");
            let sent = wire::send(target, Method::DELETE, &path, "", &what).await?;
            unless_missing(sent, &what)
        }
        Operation::Create(wanted) => create::create(target, wanted).await,
        Operation::Start { id, files } => {
            if let Some((project, service)) = files {
                files::upload(target, id, project, service).await?;
            }
            start(target, id).await
        }
        Operation::Stop { id, timeout } => {
            let what = format!("stop container {}", short(id));
            let sent = post(target, &format!("/containers/{id}/stop{}", t(*timeout)), &what).await?;
            if sent.is_already() {
                return Ok(Evidence::default());
            }
            unless_missing(sent, &what)
        }
        Operation::Remove { id, volumes } => {
            create::remove(target, id, *volumes).await?;
            Ok(Evidence::default())
        }
        Operation::Rename { id, name } => {
            let what = format!("rename container {} to {name}", short(id));
            let path = format!(
                "/containers/{id}/rename{}",
                wire::query([("name", name.as_str())])
            );
            let mut sent = post(target, &path, &what).await?;
            if sent.says("sandbox ") && sent.says(" not found") {
                // An engine that was killed can lose the network of a container that outlived it, and then refuses to
                // rename it as long as it runs. Only a restart gives it a network again.
                let again = format!("/containers/{id}/restart");
                told(target, &again, &format!("restart container {}", short(id))).await?;
                sent = post(target, &path, &what).await?;
            }
            match sent.done(&what) {
                Err(error) if error.is_unreachable() => Err(error),
                // The engine refuses to give a container the name it has.
                Err(_) if create::has_name(target, id, name).await => Ok(Evidence::default()),
                done => done.map(|_| Evidence::default()),
            }
        }
        Operation::Connect {
            id,
            name,
            project,
            service,
            key,
        } => {
            let body = spec::network::connect(project, service, key, id, name);
            let Some(network) = project.networks.get(key) else {
                return Ok(Evidence::default());
            };
            connect(target, &network.name, body, name).await
        }
        Operation::Disconnect { id, network } => {
            let what = format!("take container {} off a network", short(id));
            let body = json!({ "Container": id, "Force": true }).to_string();
            let path = format!("/networks/{}/disconnect", wire::segment(network));
            let sent = wire::send(target, Method::POST, &path, body, &what).await?;
            if sent.says("is not connected") {
                return Ok(Evidence::default());
            }
            unless_missing(sent, &what)
        }
        Operation::Restart { id, timeout } => {
            let path = format!("/containers/{id}/restart{}", t(*timeout));
            told(target, &path, &format!("restart container {}", short(id))).await
        }
        Operation::Kill { id, signal } => {
            let path = format!("/containers/{id}/kill?signal={signal}");
            told(
                target,
                &path,
                &format!("send {signal} to container {}", short(id)),
            )
            .await
        }
        Operation::Pause { id } => {
            let path = format!("/containers/{id}/pause");
            told(target, &path, &format!("pause container {}", short(id))).await
        }
        Operation::Unpause { id } => {
            let path = format!("/containers/{id}/unpause");
            told(target, &path, &format!("wake container {}", short(id))).await
        }
        Operation::ImagesRemove {
            project,
            which,
            images,
        } => images_remove(target, project, *which, images).await,
    }
}

/// Attaches a container to a network; one that is attached already stays so.
pub(super) async fn connect(
    target: &DockerTarget,
    network: &str,
    body: NetworkConnectRequest,
    name: &str,
) -> Result<Evidence, TargetError> {
    let what = format!("connect {name} to network {network}");
    let path = format!("/networks/{}/connect", wire::segment(network));
    let sent = wire::send(target, Method::POST, &path, json!(body).to_string(), &what).await?;
    if sent.says("already exists in network") {
        return Ok(Evidence::default());
    }
    sent.done(&what).map(|_| Evidence::default())
}

/// A request that says it all in its path.
async fn told(target: &DockerTarget, path: &str, what: &str) -> Result<Evidence, TargetError> {
    let sent = post(target, path, what).await?;
    sent.done(what).map(|_| Evidence::default())
}

async fn post(target: &DockerTarget, path: &str, what: &str) -> Result<Sent, TargetError> {
    wire::send(target, Method::POST, path, "", what).await
}

/// What is not there needs nothing done to it.
fn unless_missing(sent: Sent, what: &str) -> Result<Evidence, TargetError> {
    if sent.is_missing() {
        return Ok(Evidence::default());
    }
    sent.done(what).map(|_| Evidence::default())
}

/// The query for how long a container may take to end.
fn t(timeout: Option<Duration>) -> String {
    timeout.map_or_else(String::new, |timeout| format!("?t={}", timeout.as_secs()))
}

pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// How often a start is tried again that met what an engine killed in the middle of the same start has left.
const LOST_TRIES: u32 = 4;
/// Between two of them: the engine cleans up some of it in a moment.
const LOST_AGAIN: Duration = Duration::from_millis(500);

/// The engine was killed while it started this container, and what it had begun is in its own way now.
fn is_lost(sent: &wire::Sent) -> bool {
    sent.says("id already in use") || sent.says("task ") && sent.says(": already exists")
}

async fn start(target: &DockerTarget, id: &str) -> Result<Evidence, TargetError> {
    let what = format!("start container {}", short(id));
    let path = format!("/containers/{id}/start");
    let mut sent = post(target, &path, &what).await?;
    for _ in 0..LOST_TRIES {
        if !is_lost(&sent) {
            break;
        }
        tokio::time::sleep(LOST_AGAIN).await;
        sent = post(target, &path, &what).await?;
    }
    if sent.is_already() {
        return Ok(Evidence::default());
    }
    // It never ran, as the engine sees it, and it never will: one with another id does.
    if is_lost(&sent) && create::never_ran(target, id).await? {
        create::remove(target, id, true).await?;
        let text = format!(
            "the engine lost track of container {} while it started",
            short(id)
        );
        return Err(TargetError::new(TargetErrorKind::NotFound, text));
    }
    // A frozen container is not started but woken.
    if sent.says("paused container") {
        let path = format!("/containers/{id}/unpause");
        return told(target, &path, &format!("wake container {}", short(id))).await;
    }
    sent.done(&what).map(|_| Evidence::default())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Built {
    repo_tags: Option<Vec<String>>,
}

async fn images_remove(
    target: &DockerTarget,
    project: &str,
    which: RemoveImages,
    images: &[String],
) -> Result<Evidence, TargetError> {
    let mut doomed: Vec<String> = Vec::new();
    let filters = json!({ "label": [format!("{}={project}", labels::PROJECT)] }).to_string();
    let path = format!("/images/json{}", wire::query([("filters", filters.as_str())]));
    let built: Option<Vec<Built>> = wire::json(target, &path, "list images").await?;
    for image in built.into_iter().flatten() {
        doomed.extend(image.repo_tags.into_iter().flatten());
    }
    if which == RemoveImages::All {
        doomed.extend(images.iter().cloned());
    }
    doomed.sort();
    doomed.dedup();
    let mut warnings = Vec::new();
    for image in doomed {
        let what = format!("remove image {image}");
        let path = format!("/images/{}", wire::segment(&image));
        let sent = wire::send(target, Method::DELETE, &path, "", &what).await?;
        match unless_missing(sent, &what) {
            Ok(_) => {}
            // In use by others: theirs now.
            Err(error) if error.kind != TargetErrorKind::Unreachable => warnings.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(Evidence { id: None, warnings })
}
