//! The plan by resource: what becomes of each, and why; and which services it interrupts.

use serde::{Deserialize, Serialize};

use super::{Action, Plan, Reason, ResourceKind, ResourceRef, StepId};

/// What becomes of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ResourcePlan {
    /// The resource.
    pub resource: ResourceRef,
    /// The service it belongs to, if any.
    #[serde(default)]
    pub service: Option<String>,
    /// What becomes of it.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The steps that bring it about.
    pub steps: Vec<StepId>,
    /// Bytes to fetch, or of the image that is there already; absent if nobody knows before it is fetched.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// A container that serves now and will not for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Interruption {
    /// Its service.
    pub service: String,
    /// The container.
    pub container: String,
    /// The step that ends it.
    pub from: StepId,
    /// The step with which it, or its replacement, serves again; absent if nothing takes its place.
    #[serde(default)]
    pub until: Option<StepId>,
    /// Whether other containers of the service serve meanwhile.
    #[serde(default)]
    pub others_serve: bool,
}

/// A resource's actions from weakest to strongest: the strongest names what becomes of it.
const fn weight(action: Action) -> u8 {
    match action {
        Action::Wait => 0,
        Action::Keep => 1,
        Action::Stop => 2,
        Action::Start => 3,
        Action::Update => 4,
        Action::Remove => 5,
        Action::Create | Action::Pull | Action::Build => 6,
        Action::Recreate => 7,
    }
}

impl Plan {
    /// Fills [`Plan::resources`] from the steps. What one resource goes through (create, stop, rename, start, remove)
    /// becomes one entry; waits belong to the service and have none.
    pub fn resolve(&mut self) {
        let mut out: Vec<ResourcePlan> = Vec::new();
        for step in self.steps.iter().filter(|step| step.action != Action::Wait) {
            let found = out.iter_mut().find(|held| held.resource == step.resource);
            let Some(held) = found else {
                out.push(ResourcePlan {
                    resource: step.resource.clone(),
                    service: step.service.clone(),
                    action: step.action,
                    reason: step.reason.clone(),
                    steps: vec![step.id],
                    bytes: None,
                });
                continue;
            };
            held.steps.push(step.id);
            // A container that is removed once another of its name serves is replaced; its first reason says why.
            let replaced =
                step.action == Action::Remove && held.action.changes() && held.action != Action::Stop;
            if replaced {
                held.action = Action::Recreate;
            } else if weight(step.action) > weight(held.action) {
                held.action = step.action;
                held.reason = step.reason.clone();
            }
        }
        let place = |kind| match kind {
            ResourceKind::Image => 0,
            ResourceKind::Network => 1,
            ResourceKind::Volume => 2,
            ResourceKind::Container => 3,
        };
        out.sort_by_key(|held| place(held.resource.kind));
        self.resources = out;
    }
}
