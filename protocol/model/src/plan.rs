//! The plan: what would be done, to what, in which order and why. A pure value; the dry run, the snapshot in tests
//! and the progress tree while it runs are this same value.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{doc::Document, stack::StackName};

mod pin;
mod resource;
mod tree;

pub use pin::Pin;
pub use resource::{Interruption, ResourcePlan};
pub use tree::Tone;

/// Number of a step within its plan, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct StepId(pub u32);

/// What kind of thing a step touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// A container.
    Container,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Container => "container",
        })
    }
}

/// The thing a step touches, by the name it has on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ResourceRef {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name on the host, e.g. `web-db-1` or `web_default`; for an image the reference.
    pub name: String,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing to do; listed so that the plan is complete.
    Keep,
    /// Fetch an image.
    Pull,
    /// Build an image.
    Build,
    /// Create it (a container is created, not yet started).
    Create,
    /// Replace it by a new one of the same name.
    Recreate,
    /// Start a container that exists.
    Start,
    /// Stop a container and keep it.
    Stop,
    /// Remove it.
    Remove,
    /// Attach, detach or rename without replacing.
    Update,
    /// Wait until it runs, is healthy, or has completed.
    Wait,
}

impl Action {
    /// Whether carrying it out changes the host.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Keep | Self::Wait)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Keep => "keep",
            Self::Pull => "pull",
            Self::Build => "build",
            Self::Create => "create",
            Self::Recreate => "recreate",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Remove => "remove",
            Self::Update => "update",
            Self::Wait => "wait",
        })
    }
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Change {
    /// The Compose key, e.g. `services.web.environment.MODE`.
    pub key: String,
    /// The value before, as text; absent if there was none or it cannot be told. Never a secret.
    #[serde(default)]
    pub old: Option<String>,
    /// The value after, as text; absent if there is none or it is not shown. Never a secret.
    #[serde(default)]
    pub new: Option<String>,
    /// Where that key stands: `file:line:column`.
    #[serde(default)]
    pub at: Option<String>,
}

/// Why a step is in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reason {
    /// One sentence, e.g. `image changed` or `service is new`.
    pub text: String,
    /// The Compose key that caused it, e.g. `services.web.image`.
    #[serde(default)]
    pub key: Option<String>,
    /// The value before, as text.
    #[serde(default)]
    pub old: Option<String>,
    /// The value after, as text.
    #[serde(default)]
    pub new: Option<String>,
    /// Where that key stands: `file:line:column`.
    #[serde(default)]
    pub at: Option<String>,
    /// Every key that differs, where it can be told; the first one is also in `key`, `old`, `new` and `at`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// What it touches.
    pub resource: ResourceRef,
    /// What it does.
    pub action: Action,
    /// The service it belongs to, if any.
    #[serde(default)]
    pub service: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The steps that must have ended well before this one starts.
    #[serde(default)]
    pub after: Vec<StepId>,
}

/// The steps that lead from what is there to what shall be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Plan {
    /// The stack on that host.
    pub stack: StackName,
    /// All steps, kept resources included, in an order that respects `after`.
    pub steps: Vec<Step>,
    /// What the user should know although it stops nothing, e.g. an orphan that is left alone.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The same by resource: what becomes of each, and why. Images, networks, volumes, containers.
    #[serde(default)]
    pub resources: Vec<ResourcePlan>,
    /// The containers that stop serving for a while, in the order in which they are expected to; empty means no
    /// interruption.
    #[serde(default)]
    pub interruptions: Vec<Interruption>,
    /// What the plan was made from. A deploy that is handed it carries out this plan and nothing else.
    #[serde(default)]
    pub pin: Pin,
}

impl Document for Plan {
    const NAME: &'static str = "plan";
    const SCHEMA: u16 = 1;
}

/// A plan in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlanSummary {
    /// Resources that are new.
    pub create: u32,
    /// Resources that are replaced, started, stopped or updated.
    pub change: u32,
    /// Resources that go away.
    pub remove: u32,
    /// Resources that stay as they are.
    pub keep: u32,
}

impl Plan {
    /// Whether executing it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.steps.iter().any(|step| step.action.changes())
    }

    /// Counts per resource.
    #[must_use]
    pub fn summary(&self) -> PlanSummary {
        let mut summary = PlanSummary::default();
        for held in &self.resources {
            let count = match held.action {
                Action::Keep => &mut summary.keep,
                Action::Remove => &mut summary.remove,
                Action::Create => &mut summary.create,
                Action::Wait | Action::Pull | Action::Build => continue,
                Action::Start | Action::Stop | Action::Update | Action::Recreate => &mut summary.change,
            };
            *count += 1;
        }
        summary
    }

    /// A step by its number.
    #[must_use]
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }
}
