//! What the engine is asked to do, and what it says about it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use windflow_model::{
    Code, DeploymentEvent, DeploymentId, DeploymentState, Failure, OpId, Progress, Rev, SpecDigest, StackId,
    StackName, StackSpec, Steps, Timestamp, Want,
};

/// One revision of a stack to bring about on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The stack; its name is the Compose project name on the host.
    pub stack: StackName,
    /// The controller's stack, `None` for a stack of local mode. A name held by another owner is refused.
    #[serde(default)]
    pub owner: Option<StackId>,
    /// The controller's deployment, `None` in local mode. Reports carry it.
    #[serde(default)]
    pub deployment: Option<DeploymentId>,
    /// Number of the revision, strictly rising per stack.
    pub rev: Rev,
    /// The operation; repeating it is no new work.
    pub op: OpId,
    /// Present or absent.
    pub want: Want,
    /// Digest of `spec`.
    pub digest: SpecDigest,
    /// The spec. Its files are used by [`Source::Files`]; profiles and policy always. Of an order in place the engine
    /// keeps the files it was read from here, by absolute path: from then on it is read from them.
    pub spec: StackSpec,
    /// Where the Compose files are.
    pub source: Source,
    /// How to go about it.
    #[serde(default)]
    pub options: ApplyOptions,
}

impl Order {
    /// Whether it was read from files of this host where they lie.
    pub(crate) const fn is_in_place(&self) -> bool {
        matches!(self.source, Source::Directory { .. })
    }
}

/// Where the Compose files of an order are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// In the spec: the engine writes them below its work directory and reads them there.
    Files,
    /// On this host, read in place (local mode).
    Directory {
        /// Absolute project directory.
        project_directory: PathBuf,
        /// Absolute Compose files in merge order; empty means: discover as `docker compose` does.
        config_files: Vec<PathBuf>,
        /// Absolute environment files for interpolation; empty means `.env` of the project directory.
        env_files: Vec<PathBuf>,
        /// The caller's environment, for interpolation. It wins over the files.
        environment: BTreeMap<String, String>,
    },
}

/// Variations of a deploy, with the meaning of docker compose's flags of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyOptions {
    /// Only these services and what they depend on; empty means all.
    pub services: Vec<String>,
    /// With `services`: leave their dependencies alone.
    pub no_deps: bool,
    /// With `services`: not these themselves, only what they need: images, networks, volumes, and (without `no_deps`)
    /// what they depend on, waited for as they ask. What `run` needs before its container.
    pub only_needs: bool,
    /// Also networks and volumes that no service uses.
    pub all_resources: bool,
    /// Replace containers even if nothing changed; with `services` only theirs.
    pub force_recreate: bool,
    /// With `services`: also replace the containers of what they depend on.
    pub recreate_deps: bool,
    /// Never replace a container that exists.
    pub no_recreate: bool,
    /// Create, but start nothing.
    pub no_start: bool,
    /// Overrides the pull policy of every service.
    pub pull: Option<PullMode>,
    /// Build images that have a `build` section even if they exist.
    pub build: bool,
    /// Build nothing, even if an image is missing.
    pub no_build: bool,
    /// Number of containers by service, instead of the file's.
    pub scale: BTreeMap<String, u32>,
    /// Overrides the policy's `remove_orphans`.
    pub remove_orphans: Option<bool>,
    /// Say nothing of orphans that stay.
    pub ignore_orphans: bool,
    /// Give anonymous volumes up instead of moving them to the new container.
    pub renew_anon_volumes: bool,
    /// Seconds a container gets to stop, instead of its own.
    pub stop_timeout: Option<u32>,
    /// On removal: also remove images.
    pub remove_images: Option<RemoveImages>,
    /// Carry out the plan with this pin ([`windflow_model::Plan::pin`]) and nothing else: stop if anything it was made
    /// from has moved since.
    pub pin: Option<windflow_model::Pin>,
    /// Accept the stack without waiting for health: succeeded as soon as every container was started.
    pub no_wait: bool,
    /// Wait as `up --wait` does: a service that ends is a failure unless another one waits for its end.
    pub strict_wait: bool,
    /// The revision that this one brings back, if it is a rollback.
    pub again: Option<Rev>,
}

/// When to pull, for all services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullMode {
    /// Also if the image is there.
    Always,
    /// If the image is not there.
    Missing,
    /// Not even then.
    Never,
}

/// Which images a removal takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoveImages {
    /// Those that were built for the stack.
    Local,
    /// All that its services use.
    All,
}

/// The engine's answer to an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Acceptance {
    /// It is in the journal, on disk.
    Accepted,
    /// This very operation is held already.
    AlreadyHeld {
        /// Where it stands.
        state: DeploymentState,
    },
}

/// Why an order was not taken. Where the order belongs to a deployment, a report says the same.
#[derive(Debug, Clone, Error)]
pub enum ApplyError {
    /// The name belongs to another stack on this host.
    #[error("the name {stack} is held on this host by {}", holder(*.held_by))]
    NameHeld {
        /// The name.
        stack: StackName,
        /// Whose it is; `None` for local mode.
        held_by: Option<StackId>,
    },
    /// The host holds a newer revision, or another operation of this number.
    #[error("this host holds revision {held} of {stack} already")]
    Diverged {
        /// The stack.
        stack: StackName,
        /// What the host holds.
        held: Rev,
    },
    /// The spec does not fit into the journal.
    #[error("the files of {stack} have {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The stack.
        stack: StackName,
        /// Bytes as JSON.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The journal could not be written; nothing was accepted.
    #[error("the journal of this host cannot be written: {message}")]
    Store {
        /// Whether the disk is full.
        full: bool,
        /// What the store says, with its causes.
        message: String,
    },
    /// The engine is not running.
    #[error("the engine of this agent has stopped")]
    Stopped,
}

fn holder(owner: Option<StackId>) -> String {
    owner.map_or_else(|| "a stack of local mode".to_owned(), |id| format!("stack {id}"))
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let code = match &error {
            ApplyError::NameHeld { .. } => Code::StackNameHeld,
            ApplyError::Diverged { .. } => Code::Diverged,
            ApplyError::TooLarge { .. } => Code::TooLarge,
            ApplyError::Store { full: true, .. } => Code::DiskFull,
            ApplyError::Store { .. } | ApplyError::Stopped => Code::HostFailure,
        };
        Self::new(code, error.to_string())
    }
}

/// The engine's answer to a cancel.
#[derive(Debug, Clone, PartialEq)]
pub enum CancelOutcome {
    /// Taken back; nothing was changed. A report says so too.
    Cancelled,
    /// Work has begun or is over: only a new revision can undo it.
    TooLate {
        /// Where it stands.
        state: DeploymentState,
    },
    /// This host does not hold it.
    NotHeld,
}

/// A stack as the journal holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its name.
    pub stack: StackName,
    /// Whose it is; `None` for local mode.
    pub owner: Option<StackId>,
    /// The deployment of the held revision.
    pub deployment: Option<DeploymentId>,
    /// The held revision.
    pub rev: Rev,
    /// Its operation.
    pub op: OpId,
    /// Present or absent.
    pub want: Want,
    /// Digest of its spec.
    pub digest: SpecDigest,
    /// Where it stands.
    pub state: DeploymentState,
    /// When the state last moved.
    pub state_at: Timestamp,
}

/// A revision that has ended on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number.
    pub rev: Rev,
    /// Its operation.
    pub op: OpId,
    /// Present or absent.
    pub want: Want,
    /// Digest of what it asked for: of the spec, in local mode of the project as it was understood.
    pub digest: SpecDigest,
    /// How it ended.
    pub state: DeploymentState,
    /// When.
    pub at: Timestamp,
    /// The revision it brought back, if it was a rollback.
    #[serde(default)]
    pub again: Option<Rev>,
    /// Whether it can be brought back.
    #[serde(default)]
    pub kept: bool,
}

impl Revision {
    /// Whether the stack ran as it asked for.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.state == DeploymentState::Succeeded && !self.want.is_absent()
    }
}

/// A durable message to the controller. Kept until acknowledged; an older unacknowledged message about the same
/// operation may be dropped when a newer one says more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Strictly rising for the life of the journal, with holes.
    pub seq: u64,
    /// The deployment; `None` in local mode.
    pub deployment: Option<DeploymentId>,
    /// The stack.
    pub stack: StackName,
    /// The revision.
    pub rev: Rev,
    /// The operation.
    pub op: OpId,
    /// What happened.
    pub event: DeploymentEvent,
    /// The step tree so far, where it says something new.
    pub steps: Option<Steps>,
    /// Host time.
    pub at: Timestamp,
}

/// A live progress event. Lost for readers that lag; the next [`Report`] carries the folded tree.
#[derive(Debug, Clone, PartialEq)]
pub struct StackProgress {
    /// The stack.
    pub stack: StackName,
    /// The operation.
    pub op: OpId,
    /// The deployment; `None` in local mode.
    pub deployment: Option<DeploymentId>,
    /// What happened.
    pub event: Progress,
}
