//! The pure part: what must be done to get from the observed world to the desired project, and why.
//!
//! [`plan`] for a stack that shall be there, [`removal`] for one that shall go. Both give a [`Planned`]: the plan as
//! users see it, and for each step the [`Work`] that carries it out. Order of the work, enforced by the executor
//! beyond the `after` edges: images, then everything that is created, then stops, renames, starts and waits, so that a
//! failed pull or create leaves what runs untouched.
//!
//! A container is replaced in this order: create the new one under a temporary name; start it, wait until it is good and
//! stop the old one, where both can be there at once, or stop the old one, swap the names, start the new one and wait
//! until it is good. Old containers are removed only when everything in the plan is good: until then all can be put
//! back as it was.

mod adopt;
mod builder;
pub(crate) mod containers;
mod downtime;
pub(crate) mod hash;
mod images;
pub mod labels;
mod leftovers;
mod names;
mod pairs;
mod pin;
mod ports;
#[cfg(test)]
mod properties;
mod reasons;
mod refuse;
mod remove;
mod resources;
mod services;
pub(crate) mod theirs;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use windflow_compose::collect::IntoMap as _;
use windflow_compose::{Location, model::Project};
use windflow_model::{DeployPolicy, Failure, OpId, Plan, Rev, StackName};

pub(crate) use self::{
    adopt::list_of,
    names::{away, lasting as lasting_name},
    pin::{moved, same_after_images},
};
pub use self::{
    adopt::{Settings, settings_of},
    hash::{ContentDigests, world_digest},
    images::image_of,
    remove::{Known, RemovalInput, removal},
    work::{Phase, Replacement, Subject, Until, Work},
};
use crate::{
    order::ApplyOptions,
    targets::{ImageKey, ObserveQuery, Observed},
};

/// What shall be there, and how.
#[derive(Debug, Clone)]
pub struct PlanInput {
    /// The project.
    pub project: Arc<Project>,
    /// Where its keys were written.
    pub locations: BTreeMap<String, Location>,
    /// How to go about it.
    pub options: ApplyOptions,
    /// The stack's policy.
    pub policy: DeployPolicy,
    /// Who makes the objects.
    pub stamp: Stamp,
    /// Digests of the contents of configs and secrets.
    pub contents: ContentDigests,
    /// Deploy, or only repair.
    pub mode: Mode,
    /// Images that were pulled or built for this very deploy.
    pub fetched: BTreeSet<String>,
    /// Host time in Unix seconds, for pull policies with an age.
    pub now: i64,
}

/// What the labels say about the maker.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The stack.
    pub stack: StackName,
    /// The revision.
    pub rev: Rev,
    /// The operation.
    pub op: OpId,
}

/// How far a plan goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Everything as the project says.
    Deploy,
    /// Only what went missing since the deploy: containers that are gone, half-done replacements, and these containers
    /// (ids) that were killed by force. What somebody stopped stays stopped; nothing is replaced.
    Repair {
        /// Ids of containers that died by force.
        killed: BTreeSet<String>,
    },
    /// Back to a revision that was good, from another one that did not work out: what that one made goes, what was
    /// there before stays or comes back as it was, whatever its image is called today.
    Back {
        /// The operation that did not work out.
        failed: OpId,
        /// Ids of containers that ran and were stopped for it.
        stopped: BTreeSet<String>,
        /// Whether anything was started for it.
        started: bool,
    },
}

/// A plan with what carries it out; `work` has one entry for each step.
#[derive(Debug, Clone)]
pub struct Planned {
    /// As users see it.
    pub plan: Plan,
    /// As the executor sees it.
    pub work: Vec<Work>,
    /// The containers that make way for another: what must be undone if it fails.
    pub replacements: Vec<Replacement>,
}

/// What `deploy.update_config.failure_action` of a service asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureAction {
    /// Go on without it.
    Continue,
    /// Stop there, and put its container back.
    Pause,
    /// Go back to the last good revision.
    Rollback,
}

/// What the service asks for, if it does.
#[must_use]
pub fn failure_action(project: &Project, service: &str) -> Option<FailureAction> {
    let config = project
        .services
        .get(service)?
        .deploy
        .as_ref()?
        .update_config
        .as_ref()?;
    match config.failure_action.as_deref()? {
        "continue" => Some(FailureAction::Continue),
        "pause" => Some(FailureAction::Pause),
        "rollback" => Some(FailureAction::Rollback),
        _ => None,
    }
}

/// What to observe for a project.
#[must_use]
pub fn query(project: &Project) -> ObserveQuery {
    let services = project.services.values();
    let mut images: BTreeSet<ImageKey> = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (service, spec) in &project.services {
        images.insert(ImageKey(image_of(project, service)));
        for number in 1..=spec.replicas() {
            names.insert(services::container_name(project, service, number));
        }
    }
    for mount in services.flat_map(|service| &service.volumes) {
        if mount.kind == windflow_compose::model::MountKind::Image {
            images.extend(mount.source.clone().map(ImageKey));
        }
    }
    ObserveQuery {
        project: project.name.clone(),
        networks: project
            .networks
            .values()
            .map(|network| network.name.clone())
            .collect(),
        volumes: project
            .volumes
            .values()
            .map(|volume| volume.name.clone())
            .collect(),
        images: images.into_iter().collect(),
        names: names.into_iter().collect(),
    }
}

/// Compares what shall be with what is.
///
/// # Errors
/// What makes the project impossible on this host as it is: a name taken by something foreign, an external network or
/// volume that is missing, a key that is not carried out, an image that may not be fetched.
pub fn plan(input: &PlanInput, observed: &Observed) -> Result<Planned, Failure> {
    if input.mode == Mode::Deploy {
        refuse::check(&input.project, &input.locations, &input.options)?;
    }
    let observed = sorted(observed);
    let mut builder = builder::Builder::new(input, &observed);
    images::plan(&mut builder)?;
    resources::plan(&mut builder)?;
    services::plan(&mut builder)?;
    leftovers::plan(&mut builder);
    Ok(builder.finish())
}

/// The containers of which more must be known to say why they are replaced, by id: their hash differs, or they have
/// none.
#[must_use]
pub fn unexplained(input: &PlanInput, observed: &Observed) -> Vec<String> {
    if input.mode != Mode::Deploy {
        return Vec::new();
    }
    let hashes: BTreeMap<&str, String> = input
        .project
        .services
        .iter()
        .map(|(name, spec)| {
            (
                name.as_str(),
                hash::service(&input.project, spec, &input.contents).full,
            )
        })
        .into_map();
    let differs = |container: &&crate::targets::ObservedContainer| {
        let want = container.service().and_then(|name| hashes.get(name));
        let have = container.label(labels::WF_HASH);
        container.settings.is_none() && want.is_some_and(|want| Some(want.as_str()) != have)
    };
    let found = observed.containers.iter().filter(differs);
    found.map(|container| container.id.clone()).collect()
}

/// The same world in one fixed order, whatever order the engine lists it in.
fn sorted(observed: &Observed) -> Observed {
    let mut observed = observed.clone();
    observed
        .containers
        .sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    observed
        .networks
        .sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    observed.volumes.sort_by(|a, b| a.name.cmp(&b.name));
    observed
}
