//! Containers that `run` makes: a service's settings, changed for once, beside the service's own containers.

use std::{collections::BTreeMap, sync::Arc};

use windflow_compose::collect::IntoMap as _;
use windflow_compose::model::Project;
use windflow_kit::Random;
use windflow_model::{Code, ContainerState, DeployPolicy, Failure, OpId, Rev, StackName};

use crate::{
    order::ApplyOptions,
    plan::{ContentDigests, Mode, PlanInput, Stamp, containers, hash, image_of, labels},
    targets::{ContainerCreate, ImageKey, ObserveQuery, OneOff, Operation, Target, Ticker},
};

/// What to make. Networks, volumes, the image and what it depends on must be there: an order with
/// [`ApplyOptions::only_needs`] sees to that.
#[derive(Debug, Clone)]
pub struct OneOffRequest {
    /// The stack.
    pub stack: StackName,
    /// The project, with the service already as it shall be for once.
    pub project: Project,
    /// The service.
    pub service: String,
    /// Instead of `{project}-{service}-run-{id}`.
    pub name: Option<String>,
    /// How it differs from the service's own containers.
    pub one_off: OneOff,
}

/// A container that was made and not started.
#[derive(Debug, Clone)]
pub struct OneOffContainer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What starts it.
    pub start: Operation,
}

/// Makes it.
///
/// # Errors
/// What the target says; [`Code::HostFailure`] without random bytes.
pub async fn create(
    target: &Arc<dyn Target>,
    random: &Random,
    request: OneOffRequest,
) -> Result<OneOffContainer, Failure> {
    let no_random = |error: windflow_kit::random::RandomError| {
        Failure::new(Code::HostFailure, windflow_kit::Chain(&error).to_string())
    };
    let slug = hex::encode(random.bytes::<32>().map_err(no_random)?);
    let OneOffRequest {
        stack,
        mut project,
        service,
        name,
        one_off,
    } = request;
    let no_service = || {
        let text = format!("service {service} does not exist");
        Failure::new(Code::ComposeInvalid, text)
    };
    let spec = project.services.get_mut(&service).ok_or_else(no_service)?;
    spec.restart = None;
    spec.container_name = None;
    if let Some(deploy) = &mut spec.deploy {
        deploy.restart_policy = None;
    }
    let spec = spec.clone();
    let project = Arc::new(project);
    let image = image_of(&project, &service);
    let query = ObserveQuery {
        project: project.name.clone(),
        images: vec![ImageKey(image.clone())],
        ..ObserveQuery::default()
    };
    let observed = target.observe(&query).await?;
    let input = PlanInput {
        project: Arc::clone(&project),
        locations: BTreeMap::new(),
        options: ApplyOptions::default(),
        policy: DeployPolicy::default(),
        stamp: Stamp {
            stack,
            rev: Rev(0),
            op: OpId::from_uuid(uuid::Uuid::nil()),
        },
        contents: ContentDigests::default(),
        mode: Mode::Deploy,
        fetched: std::collections::BTreeSet::new(),
        now: 0,
    };
    let hash = hash::service(&project, &spec, &input.contents);
    let image_id = observed.images.get(&image).map(|image| image.id.as_str());
    let mut labels = labels::container(
        &input,
        &spec,
        &labels::ContainerLabels {
            service: &service,
            number: 0,
            hash: &hash,
            image: &image,
            image_id,
            replaces: None,
        },
    );
    // It belongs to no revision, and no plan compares it.
    for label in [labels::WF_REV, labels::WF_OP, labels::WF_HASH, labels::WF_KEYS] {
        labels.remove(label);
    }
    labels.insert(labels::ONEOFF.to_owned(), "True".to_owned());
    labels.insert(labels::SLUG.to_owned(), slug.clone());
    let short = slug.get(..12).unwrap_or(&slug);
    let name =
        name.unwrap_or_else(|| [project.name.as_str(), &service, "run", short].join(project.separator()));
    let mut refers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for parent in containers::parents(&input, &spec) {
        let ids: Vec<String> = observed
            .containers
            .iter()
            .filter(|other| other.service() == Some(parent.as_str()) && !other.is_oneoff())
            .filter(|other| other.state != ContainerState::Removing)
            .map(|other| other.id.clone())
            .collect();
        refers.insert(parent, ids);
    }
    // Links, and the service's own containers, as docker compose gives them to what it runs once.
    let targets = spec
        .links
        .iter()
        .map(|link| link.split(':').next().unwrap_or(link));
    let names = |target: &str| {
        let there = observed.containers.iter();
        there
            .filter(|other| other.service() == Some(target) && !other.is_oneoff())
            .map(|other| other.name.clone())
            .collect()
    };
    let linked = targets
        .chain([service.as_str()])
        .map(|target| (target.to_owned(), names(target)))
        .into_map();
    let create = ContainerCreate {
        project: Arc::clone(&project),
        service: service.clone(),
        number: 0,
        final_name: name.clone(),
        name: name.clone(),
        image,
        labels,
        containers: refers,
        linked,
        inherits: None,
        one_off: Some(one_off),
    };
    let made = target
        .execute(&Operation::Create(Box::new(create)), Ticker::none())
        .await?;
    let id = made.id.unwrap_or_default();
    Ok(OneOffContainer {
        name,
        start: Operation::Start {
            id: id.clone(),
            files: None,
        },
        id,
    })
}
