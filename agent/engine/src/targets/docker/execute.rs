//! One operation, carried out.

use std::{collections::HashMap, time::Duration};

use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::{
    CreateContainerOptions, ListImagesOptions, RemoveContainerOptions, RemoveImageOptions,
    RemoveVolumeOptions, RenameContainerOptions, RestartContainerOptions, StartContainerOptions,
    StopContainerOptions,
};

use super::{
    DockerTarget, build,
    error::{failed, is_already, is_missing},
    files, pull, spec,
};
use crate::{
    order::RemoveImages,
    plan::labels,
    targets::{ContainerCreate, Evidence, Operation, TargetError, TargetErrorKind, Ticker},
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
            let body = spec::network::create(network, labels);
            match docker.create_network(body).await {
                Ok(made) => Ok(Evidence {
                    id: Some(made.id),
                    warnings: words(made.warning),
                }),
                Err(error) => Err(failed(target, &format!("create network {}", network.name), error)),
            }
        }
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
        Operation::Create(create) => self::create(target, create).await,
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
            let options = RemoveContainerOptions {
                v: *volumes,
                force: true,
                link: false,
            };
            match docker.remove_container(id, Some(options)).await {
                Err(error) if !is_already(&error) && !is_missing(&error) => {
                    Err(failed(target, &format!("remove container {}", short(id)), error))
                }
                _ => Ok(Evidence::default()),
            }
        }
        Operation::Rename { id, name } => {
            let done = docker
                .rename_container(id, RenameContainerOptions { name: name.clone() })
                .await;
            done.map_err(|error| {
                failed(
                    target,
                    &format!("rename container {} to {name}", short(id)),
                    error,
                )
            })?;
            Ok(Evidence::default())
        }
        Operation::Connect {
            id,
            name,
            project,
            service,
            key,
        } => {
            let api = target.api().await?;
            let body = spec::network::connect(api, project, service, key, id, name)?;
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
        Operation::ImagesRemove {
            project,
            which,
            images,
        } => images_remove(target, project, *which, images).await,
    }
}

fn words(text: String) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { vec![text] }
}

fn seconds(timeout: Option<Duration>) -> Option<i32> {
    timeout.map(|timeout| i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX))
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Create, and connect what one create cannot carry. A container that cannot be finished is removed again.
async fn create(target: &DockerTarget, create: &ContainerCreate) -> Result<Evidence, TargetError> {
    let docker = target.docker()?;
    let api = target.api().await?;
    let inherited = match &create.inherits {
        Some(old) => spec::mounts::anonymous(target, old, create).await?,
        None => Vec::new(),
    };
    let built = spec::container(api, create, inherited)?;
    let options = CreateContainerOptions {
        name: Some(create.name.clone()),
        platform: built.platform,
    };
    let what = format!("create container {}", create.final_name);
    let made = match docker.create_container(Some(options), built.body).await {
        Ok(made) => made,
        Err(error) if is_missing(&error) => {
            let error = failed(target, &what, error);
            let kind = if error.what.to_lowercase().contains("no such image") {
                TargetErrorKind::ImagePull
            } else {
                TargetErrorKind::Engine
            };
            return Err(TargetError { kind, ..error });
        }
        Err(error) => return Err(failed(target, &what, error)),
    };
    for (network, body) in spec::network::further(api, create, &made.id)? {
        if let Err(error) = docker.connect_network(&network, body).await {
            let error = failed(
                target,
                &format!("connect {} to network {network}", create.final_name),
                error,
            );
            let options = RemoveContainerOptions {
                v: true,
                force: true,
                link: false,
            };
            let _ = docker.remove_container(&made.id, Some(options)).await;
            return Err(error);
        }
    }
    Ok(Evidence {
        id: Some(made.id),
        warnings: made.warnings,
    })
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
