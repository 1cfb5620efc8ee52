//! From a step's work to the target's operations.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use windflow_compose::model::Service;
use windflow_model::ContainerState;

use super::{
    context::{Run, World},
    exec::Made,
    wait,
};
use crate::{
    hooks::{self, When},
    plan::{self, Subject, Work},
    targets::{ContainerCreate, Evidence, Operation, SavedNetwork, TargetError, TargetErrorKind, Ticker},
};

pub(super) async fn perform(
    run: &Arc<Run>,
    world: &World,
    work: &Work,
    made: &Made,
    ticker: Ticker,
) -> Result<Evidence, TargetError> {
    let target = &run.shared.target;
    let one = |operation: Operation| {
        let ticker = ticker.clone();
        async move { target.execute(&operation, ticker).await }
    };
    let timeout = run
        .order
        .options
        .stop_timeout
        .map(|seconds| Duration::from_secs(u64::from(seconds)));
    match work {
        Work::Nothing => Ok(Evidence::default()),
        Work::Pull {
            image,
            platform,
            or_build,
        } => {
            let pulled = one(Operation::Pull {
                image: image.clone(),
                platform: platform.clone(),
            })
            .await;
            match (pulled, or_build) {
                (Err(error), Some(service)) if error.kind == TargetErrorKind::ImagePull => {
                    run.note(format!("{}: built instead", error.failure().message));
                    one(build(world, service, image)).await
                }
                (pulled, _) => pulled,
            }
        }
        Work::Build { service, image } => one(build(world, service, image)).await,
        Work::NetworkCreate { key, labels } => {
            let project = Arc::clone(&world.project);
            one(Operation::NetworkCreate {
                project,
                key: key.clone(),
                labels: labels.clone(),
            })
            .await
        }
        Work::NetworkReplace {
            key,
            old,
            labels,
            attached,
        } => {
            let project = Arc::clone(&world.project);
            let ids: Vec<String> = attached.iter().map(|(id, ..)| id.clone()).collect();
            let saved = target.network_saved(old, &ids).await?;
            let create = Operation::NetworkCreate {
                project: Arc::clone(&project),
                key: key.clone(),
                labels: labels.clone(),
            };
            match network_replaced(run, old, create, attached).await {
                Ok(evidence) => {
                    let mut held = made.saved.lock().unwrap_or_else(PoisonError::into_inner);
                    held.insert(old.clone(), saved);
                    Ok(evidence)
                }
                // Cut off from the engine nothing can be undone; the next life finds what there is.
                Err((error, _)) if error.is_unreachable() => Err(error),
                Err((mut error, new)) => {
                    if let Err(lost) = network_back(run, new, attached, &saved).await {
                        let what = format!("{}; the network before it could not be put back", error.what);
                        error.what = format!("{what}: {}", lost.failure().message);
                    }
                    Err(error)
                }
            }
        }
        Work::Connect {
            id,
            name,
            service,
            key,
        } => {
            one(Operation::Connect {
                id: id.clone(),
                name: name.clone(),
                project: Arc::clone(&world.project),
                service: service.clone(),
                key: key.clone(),
            })
            .await
        }
        Work::Watch {
            subjects,
            service,
            seconds,
        } => {
            let ids: Result<Vec<String>, TargetError> =
                subjects.iter().map(|subject| id(subject, made)).collect();
            wait::watch(run, world, service, &ids?, *seconds, &ticker).await
        }
        Work::NetworkRemove { id } | Work::TwinRemove { id } => {
            one(Operation::NetworkRemove { network: id.clone() }).await
        }
        Work::VolumeCreate { key, labels } => {
            let project = Arc::clone(&world.project);
            one(Operation::VolumeCreate {
                project,
                key: key.clone(),
                labels: labels.clone(),
            })
            .await
        }
        Work::VolumeRemove { name } => one(Operation::VolumeRemove { volume: name.clone() }).await,
        Work::Create {
            service,
            number,
            name,
            final_name,
            labels,
            inherits,
            refers,
            linked,
        } => {
            let mut containers = BTreeMap::new();
            for (service, subjects) in refers {
                let ids: Result<Vec<String>, TargetError> =
                    subjects.iter().map(|subject| id(subject, made)).collect();
                containers.insert(service.clone(), ids?);
            }
            let mut labels = labels.clone();
            if let Some(spec) = spec_of(world, service).filter(|_| !containers.is_empty()) {
                // Compose's hash is over the ids, which are known only now.
                labels.insert(
                    plan::labels::COMPOSE_HASH.to_owned(),
                    plan::theirs::service(spec, &containers),
                );
            }
            let create = ContainerCreate {
                image: plan::image_of(&world.project, service),
                project: Arc::clone(&world.project),
                service: service.clone(),
                number: *number,
                name: name.clone(),
                final_name: final_name.clone(),
                labels,
                containers,
                linked: linked.clone(),
                inherits: inherits.clone(),
                one_off: None,
            };
            one(Operation::Create(Box::new(create))).await
        }
        Work::Start { subject, service } => {
            // One that was made just now has them.
            let files =
                matches!(subject, Subject::Id(_)).then(|| (Arc::clone(&world.project), service.clone()));
            let id = id(subject, made)?;
            let takes_any = spec_of(world, service).is_some_and(takes_any_port);
            let _alone = if takes_any {
                Some(run.shared.ports.lock().await)
            } else {
                None
            };
            let started = one(Operation::Start {
                id: id.clone(),
                files,
            })
            .await;
            let evidence = started.map_err(|error| named(error, service))?;
            hooks::run(target, &world.project, service, &id, When::Started).await?;
            Ok(evidence)
        }
        Work::Restart { id } => {
            hook(run, world, id, When::Stopping).await?;
            let restart = Operation::Restart {
                id: id.clone(),
                timeout,
            };
            let evidence = one(restart).await?;
            hook(run, world, id, When::Started).await?;
            Ok(evidence)
        }
        Work::Stop { id } => {
            hook(run, world, id, When::Stopping).await?;
            one(Operation::Stop {
                id: id.clone(),
                timeout,
            })
            .await
        }
        Work::Swap { old, new, name } => {
            let new = id(new, made)?;
            if let Some(old) = old {
                // By its own id, and unlike what is created to replace it: what a killed life left behind has another name.
                let away = plan::away(old, name);
                one(Operation::Rename {
                    id: old.clone(),
                    name: away,
                })
                .await?;
            }
            one(Operation::Rename {
                id: new,
                name: name.clone(),
            })
            .await
        }
        Work::Remove { id, volumes, stop } | Work::Discard { id, volumes, stop } => {
            if *stop {
                hook(run, world, id, When::Stopping).await?;
                one(Operation::Stop {
                    id: id.clone(),
                    timeout,
                })
                .await?;
            }
            one(Operation::Remove {
                id: id.clone(),
                volumes: *volumes,
            })
            .await
        }
        Work::Wait {
            subjects,
            service,
            until,
            required,
        } => {
            let mut ids = Vec::new();
            for subject in subjects {
                ids.push(id(subject, made)?);
            }
            match wait::until(run, world, service, &ids, *until, &ticker).await {
                Err(error) if !required && !error.is_unreachable() => Ok(Evidence {
                    id: None,
                    warnings: vec![error.failure().message],
                }),
                done => done,
            }
        }
        Work::ImagesRemove { which, images } => {
            let project = run.order.stack.to_string();
            one(Operation::ImagesRemove {
                project,
                which: *which,
                images: images.clone(),
            })
            .await
        }
    }
}

fn spec_of<'w>(world: &'w World, service: &str) -> Option<&'w Service> {
    world.project.services.get(service)
}

/// Whether the engine chooses a host port.
fn takes_any_port(service: &Service) -> bool {
    let mut ports = service.ports.iter();
    ports.any(|port| port.published.as_deref().is_none_or(|text| text.contains('-')))
}

/// Runs the hooks of a container whose service only the host can tell. One that does not run has none.
async fn hook(run: &Arc<Run>, world: &World, id: &str, when: When) -> Result<(), TargetError> {
    if !hooks::any(&world.project, when) {
        return Ok(());
    }
    let list = run.shared.list.get(Instant::now()).await?;
    let runs = |state| when == When::Started || state == ContainerState::Running;
    let found = list.iter().find(|container| container.id == id);
    let service = found
        .filter(|container| runs(container.state))
        .and_then(|container| container.service.clone());
    match service {
        Some(service) => hooks::run(&run.shared.target, &world.project, &service, id, when).await,
        None => Ok(()),
    }
}

type Attached = [(String, String, String)];

/// Takes the old network away from under its containers and gives them the new one. A failure comes with the new
/// network, if it was made.
async fn network_replaced(
    run: &Arc<Run>,
    old: &str,
    create: Operation,
    attached: &Attached,
) -> Result<Evidence, (TargetError, Option<String>)> {
    let one =
        |operation: Operation| async move { run.shared.target.execute(&operation, Ticker::none()).await };
    for (id, ..) in attached {
        let (id, network) = (id.clone(), old.to_owned());
        one(Operation::Disconnect { id, network })
            .await
            .map_err(|error| (error, None))?;
    }
    let network = old.to_owned();
    one(Operation::NetworkRemove { network })
        .await
        .map_err(|error| (error, None))?;
    let evidence = one(create.clone()).await.map_err(|error| (error, None))?;
    let Operation::NetworkCreate { project, key, .. } = create else {
        return Ok(evidence);
    };
    for (id, name, service) in attached {
        let connect = Operation::Connect {
            id: id.clone(),
            name: name.clone(),
            project: Arc::clone(&project),
            service: service.clone(),
            key: key.clone(),
        };
        one(connect).await.map_err(|error| (error, evidence.id.clone()))?;
    }
    Ok(evidence)
}

/// Makes a network again that was replaced, and connects its containers as they were.
pub(super) async fn network_back(
    run: &Arc<Run>,
    new: Option<String>,
    attached: &Attached,
    saved: &SavedNetwork,
) -> Result<(), TargetError> {
    let one =
        |operation: Operation| async move { run.shared.target.execute(&operation, Ticker::none()).await };
    if let Some(new) = new {
        for (id, ..) in attached {
            let (id, network) = (id.clone(), new.clone());
            one(Operation::Disconnect { id, network }).await?;
        }
        one(Operation::NetworkRemove { network: new }).await?;
    }
    let saved = saved.clone();
    one(Operation::NetworkRestore { saved }).await.map(drop)
}

fn build(world: &World, service: &str, image: &str) -> Operation {
    Operation::Build {
        project: Arc::clone(&world.project),
        service: service.to_owned(),
        image: image.to_owned(),
    }
}

fn id(subject: &Subject, made: &Made) -> Result<String, TargetError> {
    match subject {
        Subject::Id(id) => Ok(id.clone()),
        Subject::Made(step) => {
            let made = made.ids.lock().unwrap_or_else(PoisonError::into_inner);
            made.get(step).cloned().ok_or_else(|| {
                TargetError::new(
                    TargetErrorKind::Host,
                    format!("step {} has made no container", step.0),
                )
            })
        }
    }
}

fn named(error: TargetError, service: &str) -> TargetError {
    TargetError {
        what: format!("service {service}: {}", error.what),
        ..error
    }
}
