//! One operation, carried out.

use std::{collections::HashMap, time::Duration};

use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::{
    ListImagesOptions, RemoveImageOptions, RemoveVolumeOptions, RenameContainerOptions,
    RestartContainerOptions, StartContainerOptions, StopContainerOptions,
};

use super::{
    DockerTarget, build, create,
    error::{failed, is_already, is_missing, refused},
    files, networks, pull, saved, spec, wire,
};
use crate::{
    order::RemoveImages,
    plan::labels,
    targets::{Evidence, Operation, TargetError, Ticker},
};

pub(super) async fn execute(
    target: &DockerTarget,
    operation: &Operation,
    ticker: Ticker,
) -> Result<Evidence, TargetError> {
    let docker = target.docker()?;
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
        Operation::NetworkRemove { network } => match docker.remove_network(network).await {
            Err(error) if !is_missing(&error) => {
                let text = error.to_string();
                if text.contains("active endpoints") {
                    let warning = format!("network {network} is in use by other containers and stays");
                    return Ok(Evidence {
                        id: None,
                        warnings: vec![warning],
                    });
                }
                Err(failed(target, &format!("remove network {network}"), error))
            }
            _ => Ok(Evidence::default()),
        },
        Operation::VolumeCreate { project, key, labels } => {
            let Some(volume) = project.volumes.get(key) else {
                return Ok(Evidence::default());
            };
            let made = docker.create_volume(spec::network::volume(volume, labels)).await;
            let made =
                made.map_err(|error| failed(target, &format!("create volume {}", volume.name), error))?;
            Ok(Evidence {
                id: Some(made.name),
                warnings: Vec::new(),
            })
        }
        Operation::VolumeRemove { volume } => {
            match docker.remove_volume(volume, None::<RemoveVolumeOptions>).await {
                Err(error) if !is_missing(&error) => {
                    Err(failed(target, &format!("remove volume {volume}"), error))
                }
                _ => Ok(Evidence::default()),
            }
        }
        Operation::Create(wanted) => create::create(target, wanted).await,
        Operation::Start { id, files } => {
            if let Some((project, service)) = files {
                files::upload(target, id, project, service).await?;
            }
            start(target, id).await
        }
        Operation::Stop { id, timeout } => {
            let options = StopContainerOptions {
                t: seconds(*timeout),
                ..StopContainerOptions::default()
            };
            match docker.stop_container(id, Some(options)).await {
                Err(error) if !is_already(&error) && !is_missing(&error) => {
                    Err(failed(target, &format!("stop container {}", short(id)), error))
                }
                _ => Ok(Evidence::default()),
            }
        }
        Operation::Remove { id, volumes } => {
            create::remove(target, id, *volumes).await?;
            Ok(Evidence::default())
        }
        Operation::Rename { id, name } => {
            let done = docker
                .rename_container(id, RenameContainerOptions { name: name.clone() })
                .await;
            match done {
                Ok(()) => Ok(Evidence::default()),
                // The engine refuses to give a container the name it has.
                Err(_) if create::has_name(target, id, name).await => Ok(Evidence::default()),
                Err(error) => Err(failed(
                    target,
                    &format!("rename container {} to {name}", short(id)),
                    error,
                )),
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
            match docker.connect_network(&network.name, body).await {
                Err(error) if error.to_string().contains("already exists in network") => {
                    Ok(Evidence::default())
                }
                Err(error) => Err(failed(
                    target,
                    &format!("connect {name} to network {}", network.name),
                    error,
                )),
                Ok(()) => Ok(Evidence::default()),
            }
        }
        Operation::Disconnect { id, network } => {
            let body = NetworkDisconnectRequest {
                container: id.clone(),
                force: Some(true),
            };
            match docker.disconnect_network(network, body).await {
                Err(error) if !is_missing(&error) && !error.to_string().contains("is not connected") => {
                    Err(failed(
                        target,
                        &format!("take container {} off a network", short(id)),
                        error,
                    ))
                }
                _ => Ok(Evidence::default()),
            }
        }
        Operation::Restart { id, timeout } => {
            let options = RestartContainerOptions {
                t: seconds(*timeout),
                ..RestartContainerOptions::default()
            };
            let done = docker.restart_container(id, Some(options)).await;
            done.map_err(|error| failed(target, &format!("restart container {}", short(id)), error))?;
            Ok(Evidence::default())
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

/// A request that says it all in its path.
async fn told(target: &DockerTarget, path: &str, what: &str) -> Result<Evidence, TargetError> {
    let (status, answer) = wire::post(target, path, &serde_json::Value::Null, what).await?;
    if status.is_success() {
        return Ok(Evidence::default());
    }
    Err(refused(target, what, status.as_u16(), &answer))
}

fn seconds(timeout: Option<Duration>) -> Option<i32> {
    timeout.map(|timeout| i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX))
}

pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

async fn start(target: &DockerTarget, id: &str) -> Result<Evidence, TargetError> {
    let docker = target.docker()?;
    match docker.start_container(id, None::<StartContainerOptions>).await {
        Ok(()) => Ok(Evidence::default()),
        Err(error) if is_already(&error) => Ok(Evidence::default()),
        // A frozen container is not started but woken.
        Err(error) if error.to_string().contains("paused container") => {
            let woken = docker.unpause_container(id).await;
            woken.map_err(|error| failed(target, &format!("wake container {}", short(id)), error))?;
            Ok(Evidence::default())
        }
        Err(error) => Err(failed(target, &format!("start container {}", short(id)), error)),
    }
}

async fn images_remove(
    target: &DockerTarget,
    project: &str,
    which: RemoveImages,
    images: &[String],
) -> Result<Evidence, TargetError> {
    let docker = target.docker()?;
    let mut doomed: Vec<String> = Vec::new();
    let label = format!("{}={project}", labels::PROJECT);
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListImagesOptions {
        filters: Some(filters),
        ..ListImagesOptions::default()
    };
    let built = docker.list_images(Some(options)).await;
    for image in built.map_err(|error| failed(target, "list images", error))? {
        doomed.extend(image.repo_tags);
    }
    if which == RemoveImages::All {
        doomed.extend(images.iter().cloned());
    }
    doomed.sort();
    doomed.dedup();
    let mut warnings = Vec::new();
    for image in doomed {
        match docker
            .remove_image(&image, None::<RemoveImageOptions>, None)
            .await
        {
            Err(error) if !is_missing(&error) => {
                // In use by others: theirs now.
                warnings.push(failed(target, &format!("remove image {image}"), error).to_string());
            }
            _ => {}
        }
    }
    Ok(Evidence { id: None, warnings })
}
